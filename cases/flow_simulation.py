"""A run of incompressible flow: what it adds to the loop of all runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from firedrake import Constant, Function, SpatialCoordinate, as_vector, assemble, dx, inner, split
from rich.console import Console

from cases.case import Case
from cases.checkpoint import Checkpoint
from cases.errors import on_rank_zero
from cases.flow_maps import FlowMapWriter
from cases.flow_setup import FlowSetup
from cases.force_record import force_dataset
from cases.moving import FIXED, MeshMotion
from cases.quantities import quantity_entries, quantity_words
from cases.time_loop import TimeLoop
from fem.navier_stokes_forces import BoundaryForce, pressures_at
from fem.navier_stokes_stepper import NavierStokesStepper

_ERROR_DEGREE = 8


class FlowSimulation(TimeLoop):
    """One run: stepper, forces, error and outputs. The mesh is taken along by the flow's own steps.

    Parameters
    ----------
    case
        Case the run belongs to.
    setup
        What to simulate.
    out
        Folder to write into; it exists.
    checkpoint
        State to go on from, on the mesh of ``setup``.
    mover
        Name of the mover; with ``none`` the mesh is fixed.
    """

    setup: FlowSetup
    stepper: NavierStokesStepper
    maps: FlowMapWriter

    def __init__(
        self, case: Case, setup: FlowSetup, out: Path, checkpoint: Checkpoint | None = None, *, mover: str = FIXED
    ):
        super().__init__(case, setup, out, mover=mover, checkpoint=checkpoint)
        problem = setup.problem
        self.stepper = NavierStokesStepper(
            problem,
            self.state,
            dt=setup.dt,
            tableau=setup.tableau,
            solver=setup.solver,
            motion_steps=setup.motion_steps,
            observe=None if setup.obstacle is None else self._forces,
        )
        if setup.obstacle is not None:
            self._force = BoundaryForce(problem, self.state, self.stepper.residual, setup.obstacle.marker)
        self._times: list[float] = []
        self._values: list[np.ndarray] = []
        if mover != FIXED:
            self.motion = MeshMotion(problem.mesh, mover, setup.movement, self._carry, lambda: None, checkpoint)
        if checkpoint is not None:
            self._restore(checkpoint)
        else:
            setup.begin()
        self._seen = self.t
        after = self.t if self.resumed else None
        self.maps = FlowMapWriter(out, self.state, after=after, moves=self.motion is not None)

    def _carry(self, moved_mesh) -> Callable[[], bool]:
        """Set the flow out for where the mesh is to go."""
        target = Function(self.setup.problem.mesh.coordinates.function_space())
        target.dat.data_wo_with_halos[:] = moved_mesh.coordinates.dat.data_ro_with_halos
        try:
            self.stepper.begin_motion(target)
        except ValueError as error:
            # No bad input, but a mover whose cells cannot go there in a straight line: a move that has failed.
            raise RuntimeError(str(error)) from error
        return lambda: self.stepper.is_moving

    def _forces(self) -> np.ndarray:
        """Return drag and lift coefficient and the pressure difference of the present stage; collective."""
        obstacle = self.setup.obstacle
        assert obstacle is not None
        front, back = pressures_at(self.setup.problem, self.state, obstacle.points)
        return np.array([*(obstacle.coefficient * self._force.volume()), front - back])

    # -- see TimeLoop ---------------------------------------------------------------------------------------

    def mass_drift(self) -> float:
        """Return |inflow less outflow| of all steps over what has flowed in, or over the domain, if that is more."""
        volume = assemble(Constant(1.0) * dx(domain=self.setup.problem.mesh))
        return abs(self.stepper.inflow) / max(self.stepper.throughflow, volume)

    def save(self) -> bool:
        """See :meth:`cases.time_loop.TimeLoop.save`."""
        # A run that goes on from here has no factorisation: neither has this one.
        self.stepper.renew()
        return super().save()

    def _observe(self) -> None:
        """Take the mean forces of a step into the record, at its middle, where they are of order 2.

        Those of the first step are none of the flow: they make of what the run begins with one without divergence.
        """
        if self.stepper.observed is not None and self.steps > 1:
            self._times.append(0.5 * (self._seen + self.t))
            self._values.append(self.stepper.observed)
        self._seen = self.t

    def _kept(self) -> tuple[dict[str, float], dict[str, Function], dict[str, np.ndarray]]:
        values = np.reshape(self._values, (-1, 3))
        return {"throughflow": self.stepper.throughflow}, {}, {"force_times": np.array(self._times), "forces": values}

    def _restore(self, checkpoint: Checkpoint) -> None:
        super()._restore(checkpoint)
        self.stepper.throughflow = checkpoint.scalars["throughflow"]
        self._times = checkpoint.arrays["force_times"].tolist()
        self._values = list(checkpoint.arrays["forces"])

    # -- outputs --------------------------------------------------------------------------------------------

    def _write_results(self) -> None:
        if self.setup.obstacle is None:
            return
        dataset = force_dataset(np.array(self._times), np.reshape(self._values, (-1, 3)), self.case)
        on_rank_zero(self.comm, lambda: dataset.to_netcdf(self.out / "forces.nc", engine="h5netcdf"))

    def _error(self) -> float | None:
        """Return the error of the velocity in L2 against the exact one, if that is known; collective."""
        if self.setup.exact is None:
            return None
        x = SpatialCoordinate(self.setup.problem.mesh)
        difference = split(self.state)[0] - as_vector(self.setup.exact(x, Constant(self.t)))
        return float(np.sqrt(assemble(inner(difference, difference) * dx(degree=_ERROR_DEGREE))))

    def _equation_metrics(self) -> dict[str, Any]:
        obstacle = self.setup.obstacle
        if obstacle is None:
            return {"error": self._error()}
        quantities = obstacle.quantities(np.array(self._times), np.reshape(self._values, (-1, 3)))
        distances = [abs(one.difference) for one in quantities.values() if one.difference is not None]
        # The mean over the quantities of how far each is from its published value, as a share of that.
        return {"error": float(np.mean(distances)) if distances else None, "quantities": quantity_entries(quantities)}

    def _draw(self, metrics: Mapping[str, Any]) -> Sequence[tuple[Path, str]]:
        from cases.flow_figures import write_flow_figures

        return write_flow_figures(self.out)

    def _say_equation(self, metrics: Mapping[str, Any], console: Console) -> None:
        if self.setup.exact is not None:
            console.print(f"  error of the velocity in L2 {metrics['error']:.4g}")
        for line in quantity_words(metrics.get("quantities") or {}):
            console.print(line)
