"""What the shallow-water stepper needs besides while its mesh moves: the bed, still water, stages on moving cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from firedrake import Function, TestFunction
from mpi4py import MPI
from pyop2 import op2

from fem.ale import StraightMotion
from fem.holes import without_lack
from fem.prepared_loop import PreparedAssembler, argument, prepare_loop
from fem.problems.shallow_water import ShallowWater
from fem.shallow_water_kernels import OVERDRAFT, kernel
from fem.timestep import Tableau
from meshing.patches import MeshPatches

_NEWTON_STEPS = 30
# Volumes of still water that agree to this share of them are equal but for the rounding of their sums.
_ROUND_OFF = 2e-15
# A cell that has kept no more than this share of its water has given all, but for rounding.
_NOTHING = 1e-12


class ShallowWaterMotion:
    r"""Stages of the shallow-water equations on a moving mesh over a bed that stands still in space.

    .. math::
        V_i \delta_i &= a_i V_0 \delta_0 + (1 - a_i)\big(V_{i-1} \delta_{i-1}
            + \beta_i \Delta t\, \hat M^{-1} [R_h(U_{i-1}; w) - T(s_{i-1})]\big), \qquad h_i = s_i + \delta_i, \\
        s_i &= \max(0, L - b_i), \qquad b_i = b_0 + c_{i+1}(b_1 - b_0)

    The bed in the nodes is linear in time between where they are and where they go. The still water s is not carried
    by the mesh but filled up to its level L again; R and T, see
    :meth:`fem.problems.shallow_water.ShallowWater.residual`, cancel for it, so that it stays still to
    rounding, at emerged islands, too. Discharges are carried as they are.

    Sampled in other nodes the bed holds another volume of still water. It is shifted as a whole, step by step, to hold
    what it held when the motion began: mass is kept to rounding after each step, and the shift, of second order in the
    cell size, does not add up over motions.

    Where filling up brings less water than was carried away, as over ground that has fallen dry below the level, the
    mean depth of a cell may be negative; the lack is taken from the cells around (:mod:`fem.holes`).

    Parameters
    ----------
    problem, state
        Equations and (h, hu, hv).
    start
        U_0.
    shore_bed
        The bed the fluxes see.
    bounds
        Least and greatest level and discharge at each vertex, for P1.
    empty_bounds
        Empties them.
    weigh
        Assembles the weights of the nodes in the integral over the domain.
    scheme
        Scheme of the stepper.
    stage
        Global with a_i and beta_i dt.

    Attributes
    ----------
    path
        The way of the vertices.
    residual
        On the moving mesh.
    offset
        How much the bed has been lifted over that of the target by the end of the last step [m].
    """

    def __init__(
        self,
        problem: ShallowWater,
        state: Function,
        start: Function,
        shore_bed: Function,
        bounds: Sequence[Function],
        empty_bounds: Callable[[], None],
        weigh: PreparedAssembler,
        scheme: Tableau,
        stage: op2.Global,
    ):
        mesh, bed = problem.mesh, problem.bathymetry
        self.path = StraightMotion(mesh, scheme, reach="crossed")
        self._mesh, self._bed, self._state, self._weigh = mesh, bed, state, weigh
        self._patches = MeshPatches(mesh)
        self._cells = bed.function_space().cell_node_map().values
        space, velocity = bed.function_space(), self.path.velocity
        self._still, self._still_start, self._still_after = (Function(space) for _ in range(3))
        self._bed_start, self._bed_end, self._target, self._depth = (
            bed.dat.data_ro_with_halos.copy() for _ in range(4)
        )
        self._level, self._volume, self.offset, self._sums = 0.0, 0.0, 0.0, np.zeros(2)
        test = TestFunction(state.function_space())
        form = problem.residual(state, test, bed=shore_bed, mesh_velocity=velocity, still_depth=self._still)
        self.residual = PreparedAssembler(form)
        self._least, self._bound = (op2.Global(2, np.zeros(2), dtype=float, comm=mesh.comm) for _ in range(2))
        self._longest = op2.Global(1, np.zeros(1), dtype=float, comm=mesh.comm)
        self._empty_bounds = empty_bounds
        into_bounds = [argument(bound, access) for bound, access in zip(bounds, (op2.MIN, op2.MAX), strict=False)]
        into_bounds = [argument(bed, op2.READ), *into_bounds] if into_bounds else []

        def over_cells(name, *arguments):
            code = kernel(name, degree=problem.degree, gravity=problem.gravity, dry_depth=problem.dry_depth)
            return prepare_loop(code, mesh.cell_set, arguments)

        self._carry = over_cells(
            "carry",
            argument(state, op2.RW),
            argument(start, op2.READ),
            argument(self.residual.result, op2.READ),
            argument(mesh.coordinates, op2.READ),
            argument(velocity, op2.READ),
            argument(self.path.volumes, op2.READ),
            argument(self._still_start, op2.READ),
            argument(self._still, op2.READ),
            argument(self._still_after, op2.READ),
            stage(op2.READ),
            self._least(op2.MIN),
            *into_bounds,
        )
        self._spread = over_cells("spread", argument(state, op2.READ), *into_bounds) if into_bounds else None
        self._pace = over_cells(
            "pace",
            argument(state, op2.READ),
            argument(mesh.coordinates, op2.READ),
            argument(self.path.way, op2.READ),
            argument(self.path.reach, op2.READ),
            self._bound(op2.READ),
            self._longest(op2.MIN),
        )

    def begin(self, target: Function, bed: Function, still_level: float) -> None:
        """Set out from where mesh and bed are; see :meth:`ShallowWaterStepper.begin_motion`."""
        here, there = (function.function_space().ufl_element() for function in (self._bed, bed))
        values = bed.dat.data_ro_with_halos
        # Decided by all ranks together: one that raised alone would leave the others waiting.
        if self._patches.smallest(np.array([float(there == here and values.shape == self._target.shape)])) < 1.0:
            raise ValueError(f"bed: got {there}, expected {here} as the bathymetry, on its mesh or the same one moved")
        if self._patches.smallest(np.isfinite(values).astype(float)) < 1.0 or not np.isfinite(still_level):
            raise ValueError("bed or level: got values that are not finite, expected finite ones; fill the gaps first")
        self.path.begin(target)
        self._target[...] = values
        self._level = float(still_level)
        self._weigh()
        self._volume = self._still_water(self._bed.dat.data_ro)[0]

    # -- one step -----------------------------------------------------------------------------------------------

    def plan(self, bound: float) -> float:
        """Choose the share of the way for the next step, and return the longest step for it [s]; collective.

        Parameters
        ----------
        bound
            Courant number over the largest Euler step.
        """
        np.copyto(self._bed_start, self._bed.dat.data_ro_with_halos)
        self.path.plan(bound)
        self._bound._data[:] = bound, self.path.share
        self._longest._data[0] = np.inf
        self._pace()
        return float(self._longest._data[0])

    def set_out(self, dt: float) -> None:
        """Prepare mesh and bed for a step of dt [s]; collective."""
        self.path.place(1.0)
        self._weigh()
        end = self._bed_end
        if self.path.share == 1.0:
            np.copyto(end, self._target)
        else:
            np.subtract(self._target, self._bed_start, out=end)
            np.multiply(end, self.path.share, out=end)
            np.add(end, self._bed_start, out=end)
        end += self._lift(end[: len(self._bed.dat.data_ro)])
        self.path.set_out(dt)
        self._fill_up(self._still_start)
        self._fill_up(self._still)

    def stage(self, keep: float, length: float, end: float, *, first: bool) -> bool:
        """Take a stage, without limiting; return False if a cell gave more water than it had. Collective.

        Parameters
        ----------
        keep, length
            a_i and beta_i dt [s].
        end
            Fraction of the step after which it ends.
        first
            It is the first of the step.
        """
        self.path.grow(keep, length, first=first)
        bed = self._bed.dat.data_wo_with_halos
        if end == 1.0:
            np.copyto(bed, self._bed_end)
        else:
            np.subtract(self._bed_end, self._bed_start, out=bed)
            np.multiply(bed, end, out=bed)
            np.add(bed, self._bed_start, out=bed)
        self._fill_up(self._still_after)
        self._least._data[:] = np.inf
        self._empty_bounds()
        self._carry()
        self.path.place(end)
        np.copyto(self._still.dat.data_wo_with_halos, self._still_after.dat.data_ro_with_halos)
        least, by_fluxes = self._least._data
        if not by_fluxes >= -OVERDRAFT:
            return False
        if least < -OVERDRAFT:
            self._fill_holes()
            self._empty_bounds()
            if self._spread is not None:
                self._spread()
        return True

    def _fill_holes(self) -> None:
        """Take what cells lack in water from the cells around; collective."""
        values = self._state.dat.data
        depth = values[self._cells, 0]
        mean, volumes = depth.mean(axis=1), self.path.volumes.dat.data_ro[:, 2]
        filled = without_lack(self._patches, self._mesh.comm, mean * volumes) / volumes
        some = (mean > 0.0)[:, None]
        scale = np.divide(filled, mean, out=np.zeros_like(mean), where=mean > 0.0)[:, None]
        values[self._cells, 0] = np.where(some, scale * depth, filled[:, None])
        # What is left of a cell that has given all may be rounding, which is not to decide.
        values[self._cells[(mean <= 0.0) | (filled <= _NOTHING * mean)], 1:] = 0.0

    def take_back(self) -> None:
        """Put mesh and bed back to the start of the step, and aim at half of its way, unless that is short."""
        self.path.halve()
        np.copyto(self._bed.dat.data_wo_with_halos, self._bed_start)

    # -- still water --------------------------------------------------------------------------------------------

    def _fill_up(self, still: Function) -> None:
        """Set the depth of still water over the bed as it is."""
        depth = still.dat.data_wo_with_halos
        np.subtract(self._level, self._bed.dat.data_ro_with_halos, out=depth)
        np.maximum(depth, 0.0, out=depth)

    def _still_water(self, bed: np.ndarray, lift: float = 0.0) -> tuple[float, float]:
        """Return volume [m^3] and area [m^2] of still water on the mesh as last weighed over a bed that is lifted."""
        weights, depth = self._weigh.result.dat.data_ro, self._depth[: len(bed)]
        np.subtract(self._level - lift, bed, out=depth)
        np.maximum(depth, 0.0, out=depth)
        sums = self._sums
        sums[0] = weights @ depth
        np.sign(depth, out=depth)
        sums[1] = weights @ depth
        self._mesh.comm.Allreduce(MPI.IN_PLACE, sums)
        return float(sums[0]), float(sums[1])

    def _lift(self, bed: np.ndarray) -> float:
        """Return by how much to lift a bed for its still water to have the volume it had when the motion began.

        The volume is convex, falling and piecewise linear in the lift: after their first Newton's steps fall short of
        it less and less, until they get there. Where there is no still water at all, the bed stays as it is given, and
        what still water there was is lost.
        """
        lift, before = 0.0, np.inf
        for _ in range(_NEWTON_STEPS):
            volume, area = self._still_water(bed, lift)
            excess = volume - self._volume
            if area == 0.0 or abs(excess) <= _ROUND_OFF * self._volume or 0.0 < before <= excess:
                break
            lift, before = lift + excess / area, excess
        self.offset = lift
        return lift
