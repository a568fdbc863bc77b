"""Explicit time stepping of scalar conservation laws with a maximum principle and a controlled step."""

from __future__ import annotations

import numpy as np
from firedrake import DirichletBC, Function, FunctionSpace, TestFunction, dx
from mpi4py import MPI
from pyop2 import op2

from fem.prepared_loop import PreparedAssembler, argument, prepare_loop
from fem.scalar_kernels import NO_BOUND, kernel
from fem.scalar_law import ScalarLaw
from fem.scalar_motion import ScalarMotion
from fem.timestep import TABLEAUX, StepResult, StepStatus, TimeStepper

# A mean further beyond its bounds than this share of them is too long a step, not round-off: the step is taken back.
ROUND_OFF = 1e-12
MOST_RETRIES = 12


class ScalarStepper(TimeStepper):
    r"""Advance u by a strong-stability-preserving Runge-Kutta scheme.

    Each stage is a forward Euler step of :meth:`fem.scalar_law.ScalarLaw.residual`, followed by scaling about the
    cell means (:mod:`fem.scalar_kernels`): after it no value is beyond the least and greatest value, before it, of
    the cells that touch its own and of the boundary values there. Nothing is clipped: a step whose means do not
    obey is taken back and halved.

    The time step is bounded by :math:`\beta\,\Delta t\, \max_K r_K \le C` with the rates of
    :meth:`fem.scalar_law.ScalarLaw.rate` at its start, over all ranks.

    After :meth:`begin_motion` each step takes the mesh along, by a share of what is left of the way that the same bound
    permits (:mod:`fem.ale`), until it has arrived. A constant then stays constant, means keep their bounds and the
    integral stays but for the inflow, as on a fixed mesh.

    Parameters
    ----------
    problem
        Equation.
    state
        u of ``problem.space()``, advanced in place.
    tableau
        Name in :data:`fem.timestep.TABLEAUX`.
    courant
        C; up to 1/3 the means obey their bounds by themselves.

    Raises
    ------
    ValueError
        For an unknown scheme, a Courant number that is not positive, a state that is not finite.

    Attributes
    ----------
    inflow
        What has come in through the boundary so far, from the fluxes actually used.

    References
    ----------
    X. Zhang, C.-W. Shu, J. Comput. Phys. 229, 2010, 3091, for scaling into global bounds.
    """

    def __init__(self, problem: ScalarLaw, state: Function, *, tableau: str = "ssp-rk2-3", courant: float = 1 / 3):
        if tableau not in TABLEAUX:
            raise ValueError(f"scheme: got {tableau!r}, expected one of {', '.join(TABLEAUX)}")
        if not courant > 0:
            raise ValueError(f"courant: got {courant}, expected a positive number")
        self.problem, self.state = problem, state
        self.tableau, self.courant = TABLEAUX[tableau], courant
        self.inflow = 0.0
        self.comm = problem.mesh.comm
        if not self._is_finite():
            raise ValueError("initial state: got NaN or infinity, expected finite values; check the initial condition")
        self._start = Function(state.function_space())
        self._saved = state.dat.data_ro_with_halos.copy()  # what a step that fails goes back to
        self._residual = PreparedAssembler(problem.residual(state, TestFunction(state.function_space())))
        self._measure = PreparedAssembler(TestFunction(state.function_space()) * dx(domain=problem.mesh))
        self._weights = np.zeros(len(state.dat.data_ro))
        self._rate = PreparedAssembler(problem.rate(state))
        outflow = problem.boundary_outflow(state)
        self._outflow = None if outflow is None else PreparedAssembler(outflow)
        self._motion: ScalarMotion | None = None
        self._make_loops()
        self.mesh_changed()

    def _make_loops(self) -> None:
        mesh, state = self.problem.mesh, self.state
        vertices = mesh.topological_dimension + 1
        space = FunctionSpace(mesh, "CG", 1)
        self._lower, self._upper = Function(space), Function(space)
        self._on_boundary = DirichletBC(space, 0, "on_boundary").nodes
        self._on_boundary = self._on_boundary[self._on_boundary < space.dof_dset.size]
        self._stage = op2.Global(2, np.zeros(2), dtype=float, comm=self.comm)
        self._excess = op2.Global(1, np.zeros(1), dtype=float, comm=self.comm)
        self._greatest_rate = op2.Global(1, np.zeros(1), dtype=float, comm=self.comm)

        def over_cells(name, *arguments):
            code = kernel(name, nodes=vertices if self.problem.degree else 1, vertices=vertices)
            return prepare_loop(code, mesh.cell_set, arguments)

        coordinates = argument(mesh.coordinates, op2.READ)
        self._advance = over_cells(
            "advance",
            argument(state, op2.RW),
            argument(self._start, op2.READ),
            argument(self._residual.result, op2.READ),
            coordinates,
            self._stage(op2.READ),
            argument(self._lower, op2.MIN),
            argument(self._upper, op2.MAX),
        )
        self._limit = over_cells(
            "limit",
            argument(state, op2.RW),
            argument(self._lower, op2.READ),
            argument(self._upper, op2.READ),
            self._excess(op2.MAX),
        )
        self._fastest = over_cells(
            "fastest", argument(self._rate.result, op2.READ), coordinates, self._greatest_rate(op2.MAX)
        )

    # -- state ----------------------------------------------------------------------------------------------

    def mass(self) -> float:
        """Return the integral of u; collective."""
        return self.comm.allreduce(float(self._weights @ self.state.dat.data_ro))

    def state_changed(self) -> None:
        """Bring the allowed time step in line with a state set from outside, at the problem's time; collective."""
        self._measure_rate(float(self.problem.time))

    def mesh_changed(self) -> None:
        """Bring all that depends on the place of the vertices in line with coordinates set from outside; collective."""
        self._weigh_nodes()
        self.state_changed()

    def _weigh_nodes(self) -> None:
        """Weights of the nodes in the integral over the domain."""
        np.copyto(self._weights, self._measure().dat.data_ro)

    @property
    def allowed_step(self) -> float:
        """Largest time step that the present state allows [s]."""
        rate = float(self._greatest_rate._data[0])
        return self.courant / (rate * self.tableau.largest_euler_step) if rate > 0 else np.inf

    def _measure_rate(self, t: float) -> None:
        self.problem.set_time(t)
        self._rate()
        self._greatest_rate._data[0] = 0.0
        self._fastest()

    # -- motion of the mesh ---------------------------------------------------------------------------------

    @property
    def is_moving(self) -> bool:
        """Whether the mesh is on its way."""
        return self._motion is not None and self._motion.path.is_moving

    def begin_motion(self, target: Function) -> None:
        """Set the mesh out for a target, or turn it, if it is on its way; the next steps take it there. Collective.

        Parameters
        ----------
        target
            Where the vertices go, in the space of the mesh's coordinates [m].

        Raises
        ------
        ValueError
            For a scheme whose order is below the dimension, for a target in another space, or to which the straight
            way is not free.
        """
        if self._motion is None:
            self._motion = ScalarMotion(
                self.problem,
                self.state,
                self._start,
                (self._lower, self._upper),
                self._rate.result,
                self.tableau,
                self._stage,
            )
        self._motion.path.begin(target)

    # -- stepping -------------------------------------------------------------------------------------------

    def step(self, t: float, dt_max: float) -> StepResult:
        """See :meth:`fem.timestep.TimeStepper.step`."""
        if float(self.problem.time) != t:
            self._measure_rate(t)
        motion, before = self._motion if self.is_moving else None, self.inflow
        bound = self.courant / self.tableau.largest_euler_step
        dt = min(dt_max, self.allowed_step if motion is None else motion.plan(bound))
        self._saved[...] = self.state.dat.data_ro_with_halos
        for retries in range(MOST_RETRIES):
            if not (np.isfinite(dt) and dt > 0):
                break
            if motion is not None:
                motion.path.set_out(dt)
            if self._run_stages(t, dt):
                if motion is not None:
                    motion.path.end_step()
                    self._weigh_nodes()
                self._measure_rate(t + dt)
                return StepResult(StepStatus.DONE, dt, retries)
            self.state.dat.data_wo_with_halos[...] = self._saved
            self.inflow = before
            if motion is not None:
                motion.path.halve()
            dt *= 0.5
        self._measure_rate(t)
        return StepResult(StepStatus.FAILED, dt, MOST_RETRIES)

    def _run_stages(self, t: float, dt: float) -> bool:
        """Take all stages; return False if a mean went beyond its bounds, or a value is not finite."""
        scheme, before = self.tableau, self.inflow
        motion = self._motion if self.is_moving else None
        residual, outflow = (self._residual, self._outflow) if motion is None else (motion.residual, motion.outflow)
        self._start.dat.data_wo[...] = self.state.dat.data_ro
        for keep, scale, abscissa, end in zip(scheme.keep, scheme.scale, scheme.abscissae, scheme.ends, strict=True):
            self.problem.set_time(t + abscissa * dt)
            residual()
            if outflow is not None:
                # The same recursion as the state's, so that mass and inflow agree to round-off.
                inflow = self.inflow - scale * dt * outflow()
                self.inflow = inflow + keep * (before - inflow)
            self._stage._data[:] = keep, scale * dt
            self._excess._data[0] = 0.0
            self._empty_bounds()
            if motion is None:
                self._advance()
            else:
                motion.path.grow(keep, scale * dt, first=abscissa == 0.0)
                motion.carry()
                motion.path.place(end)
            self._limit()
            if not self._excess._data[0] <= ROUND_OFF:
                return False
        return self._is_finite()

    def _empty_bounds(self) -> None:
        """Start the bounds with what comes in: nothing within, the boundary values on the boundary."""
        lower, upper = self._lower.dat.data_wo, self._upper.dat.data_wo
        lower[...], upper[...] = NO_BOUND, -NO_BOUND
        if self.problem.boundary_values is not None:
            values = self.problem.boundary_values.function.dat.data_ro
            lower[self._on_boundary] = upper[self._on_boundary] = values[self._on_boundary]

    def _is_finite(self) -> bool:
        """Tell whether all values of all ranks are finite; the kernels, compiled for finite numbers, cannot."""
        return self.comm.allreduce(bool(np.isfinite(self.state.dat.data_ro.sum())), op=MPI.LAND)
