"""Explicit time stepping of the shallow-water equations with limiting, friction and a controlled step."""

from __future__ import annotations

import numpy as np
from firedrake import Function, TestFunction, VectorFunctionSpace, dx
from mpi4py import MPI
from pyop2 import op2

from fem.prepared_loop import PreparedAssembler, argument, prepare_loop
from fem.problems.shallow_water import ShallowWater
from fem.shallow_water_kernels import NO_BOUND, OVERDRAFT, kernel
from fem.shallow_water_motion import ShallowWaterMotion
from fem.timestep import TABLEAUX, StepResult, StepStatus, TimeStepper

MOST_RETRIES = 12


class ShallowWaterStepper(TimeStepper):
    r"""Advance (h, hu, hv) by a strong-stability-preserving Runge-Kutta scheme.

    One step is friction for dt/2, the stages of the scheme, friction for dt/2 (Strang splitting). Friction is
    integrated exactly, so the splitting is of second order and unconditionally stable, and two halves that meet
    between steps are one: between steps the discharge stands before its second half, the depth is not concerned.
    Each stage is a forward Euler step of :meth:`fem.problems.shallow_water.ShallowWater.residual`, followed by slope
    and positivity limiting (:mod:`fem.shallow_water_kernels`).

    The time step is bounded by :math:`\beta\,\Delta t \le C \min_K w_K / \max_K (|u| + c)_K` with the smallest
    altitude :math:`w_K`, over all ranks. A step in which a cell would give more water than it has, or a value would
    not be finite, is taken back and halved, so that nothing is ever clipped.

    After :meth:`begin_motion` each step takes the mesh along, by a share of what is left of the way that the same bound
    permits (:mod:`fem.ale`), and brings the bathymetry in line (:mod:`fem.shallow_water_motion`), until it has arrived.
    Mass, depths that are not negative, and still water are kept as on a fixed mesh.

    Parameters
    ----------
    problem
        Equations.
    state
        (h, hu, hv) of ``problem.space()``, advanced in place.
    tableau
        Name in :data:`fem.timestep.TABLEAUX`.
    courant
        C; 0.2 is linearly stable without help of the limiter, 0.25 is not.

    Raises
    ------
    ValueError
        For an unknown scheme, a Courant number that is not positive, a state that is not finite or has
        negative depth.

    Attributes
    ----------
    inflow
        Volume that has come in through the boundary so far [m^3], from the fluxes actually used.
    owed_friction
        Half of the last step [s], for which friction is still to be integrated. Part of the state to restart from,
        with :attr:`time_scale` and :attr:`shore_bed`.
    shore_bed
        The bed the fluxes see [m]: lowered in the dry nodes of cells at the shore, see the kernels.
    """

    def __init__(self, problem: ShallowWater, state: Function, *, tableau: str = "ssp-rk2-3", courant: float = 0.2):
        if tableau not in TABLEAUX:
            raise ValueError(f"scheme: got {tableau!r}, expected one of {', '.join(TABLEAUX)}")
        if not courant > 0:
            raise ValueError(f"courant: got {courant}, expected a positive number")
        self.problem, self.state = problem, state
        self.tableau, self.courant = TABLEAUX[tableau], courant
        self.inflow = 0.0
        self.owed_friction = 0.0
        self.comm = problem.mesh.comm
        self._check(state)
        space, bed = state.function_space(), problem.bathymetry
        self._start = Function(space)  # what the stages start from: the state after the first half of friction
        self._saved = state.dat.data_ro_with_halos.copy()  # what a step that fails goes back to
        self.shore_bed = bed.copy(deepcopy=True) if problem.degree > 0 else bed
        self._residual = PreparedAssembler(problem.residual(state, TestFunction(space), bed=self.shore_bed))
        outflow = problem.boundary_outflow(state, bed=self.shore_bed)
        self._outflow = None if outflow is None else PreparedAssembler(outflow)
        self._measure = PreparedAssembler(TestFunction(bed.function_space()) * dx(domain=problem.mesh))
        self._weights = np.zeros(len(bed.dat.data_ro))
        self._motion: ShallowWaterMotion | None = None
        self._make_loops()
        self._state_memory, self._start_memory = state.dat._data, self._start.dat._data
        self.mesh_changed()

    def _check(self, state: Function) -> None:
        data = state.dat.data_ro
        good = bool(np.isfinite(data).all() and (data[:, 0] >= 0).all())
        if not self.comm.allreduce(good, op=MPI.LAND):
            raise ValueError("initial state: got NaN, infinity or negative depth, expected finite values with h >= 0")

    def _make_loops(self) -> None:
        problem, state = self.problem, self.state
        mesh, degree = problem.mesh, problem.degree
        coordinates, bed = mesh.coordinates, problem.bathymetry
        self._stage = op2.Global(2, np.zeros(2), dtype=float, comm=self.comm)
        self._least = op2.Global(1, np.zeros(1), dtype=float, comm=self.comm)
        self._allowed = op2.Global(1, np.zeros(1), dtype=float, comm=self.comm)
        self._duration = op2.Global(1, np.zeros(1), dtype=float, comm=self.comm)

        def over_cells(name, *arguments):
            code = kernel(name, degree=degree, gravity=problem.gravity, dry_depth=problem.dry_depth)
            return prepare_loop(code, mesh.cell_set, arguments)

        advance = [
            argument(state, op2.RW),
            argument(self._start, op2.READ),
            argument(self._residual.result, op2.READ),
        ]
        limit = [argument(state, op2.RW), argument(coordinates, op2.READ)]
        self._bounds: list[tuple[Function, float]] = []
        if degree > 0:
            vertices = VectorFunctionSpace(mesh, "CG", 1, dim=3)
            lower, upper = Function(vertices), Function(vertices)
            self._bounds = [(lower, NO_BOUND), (upper, -NO_BOUND)]
            advance += [argument(coordinates, op2.READ), argument(bed, op2.READ), self._stage(op2.READ)]
            advance += [argument(lower, op2.MIN), argument(upper, op2.MAX), self._least(op2.MIN)]
            limit += [argument(bed, op2.READ), argument(lower, op2.READ), argument(upper, op2.READ)]
            limit += [argument(self.shore_bed, op2.WRITE), self._allowed(op2.MIN)]
        else:
            advance += [argument(coordinates, op2.READ), self._stage(op2.READ), self._least(op2.MIN)]
            limit += [self._allowed(op2.MIN)]
        self._advance = over_cells("advance", *advance)
        self._limit = over_cells("limit", *limit)
        manning = problem.manning
        self._friction = None
        if isinstance(manning, Function) or manning > 0:
            field = manning if isinstance(manning, Function) else Function(bed.function_space()).assign(manning)
            self._manning = field
            self._friction = over_cells(
                "friction", argument(state, op2.RW), argument(field, op2.READ), self._duration(op2.READ)
            )

    def _measure_nodes(self) -> None:
        """Weights of the nodes in the integral over the domain."""
        np.copyto(self._weights, self._measure().dat.data_ro)

    # -- state ----------------------------------------------------------------------------------------------

    def mass(self) -> float:
        """Return the volume of water [m^3]; collective."""
        share = float(self._weights @ self.state.dat.data_ro[:, 0])
        return self.comm.allreduce(share)

    def state_changed(self) -> None:
        """Bring bed at the shore and allowed time step in line with a state set from outside; changes no value.

        Collective. To be called after the state has been assigned.
        """
        saved = self.state.dat.data_ro.copy()
        for bound, empty in self._bounds:  # bounds that leave every value as it is
            bound.dat.data_wo_with_halos[:] = -empty
        self._allowed._data[0] = np.inf
        self._limit()
        self.state.dat.data_wo[:] = saved

    def mesh_changed(self) -> None:
        """Bring what depends on the mesh in line with coordinates, bed and state set from outside; changes no value.

        Collective. To be called after the vertices have moved; the topology has to be the same.
        """
        self._measure_nodes()
        self.state_changed()

    @property
    def time_scale(self) -> float:
        """Least time in which a wave crosses a cell's smallest altitude [s]."""
        return float(self._allowed._data[0])

    @time_scale.setter
    def time_scale(self, seconds: float) -> None:
        self._allowed._data[0] = seconds

    @property
    def allowed_step(self) -> float:
        """Largest time step that the present state allows [s]."""
        return self.courant * self.time_scale / self.tableau.largest_euler_step

    # -- motion of the mesh ---------------------------------------------------------------------------------

    @property
    def is_moving(self) -> bool:
        """Whether the mesh is on its way."""
        return self._motion is not None and self._motion.path.is_moving

    @property
    def bed_offset(self) -> float:
        """By how much the bathymetry stands above that given for the last target, to keep the mass [m]."""
        return 0.0 if self._motion is None else self._motion.offset

    def begin_motion(self, target: Function, bed: Function, still_level: float) -> None:
        """Set the mesh out for a target, or turn it, if it is on its way; the next steps take it there. Collective.

        Parameters
        ----------
        target
            Where the vertices go, in the space of the mesh's coordinates [m].
        bed
            Bed elevation in the nodes as they will be, in the element of the bathymetry [m]. On the way bed values are
            linear in between, and shifted as a whole so that mass is kept; the bathymetry is written in place.
        still_level
            Level L of the still water, which is to stay still [m].

        Raises
        ------
        ValueError
            For a scheme of order 1, for a target in another space, or to which the straight way is not free, for a bed
            in another element or values that are not finite.
        """
        if self._motion is None:
            self._motion = ShallowWaterMotion(
                self.problem,
                self.state,
                self._start,
                self.shore_bed,
                [bound for bound, _ in self._bounds],
                self._empty_bounds,
                self._measure,
                self.tableau,
                self._stage,
            )
        self._motion.begin(target, bed, still_level)

    # -- stepping -------------------------------------------------------------------------------------------

    def step(self, t: float, dt_max: float) -> StepResult:
        """See :meth:`fem.timestep.TimeStepper.step`."""
        motion, before = self._motion if self.is_moving else None, self.inflow
        bound = self.courant / self.tableau.largest_euler_step
        dt = min(dt_max, self.allowed_step if motion is None else motion.plan(bound))
        np.copyto(self._saved, self._state_memory)
        for retries in range(MOST_RETRIES):
            if not (np.isfinite(dt) and dt > 0):
                break
            if motion is not None:
                motion.set_out(dt)
            self._rub(self.owed_friction + 0.5 * dt)
            if self._run_stages(t, dt):
                self.owed_friction = 0.5 * dt
                if motion is not None:
                    motion.path.end_step()
                    self._measure_nodes()
                return StepResult(StepStatus.DONE, dt, retries)
            self.state.dat.data_wo_with_halos[...] = self._saved
            self.inflow = before
            if motion is not None:
                motion.take_back()
            self.state_changed()
            dt *= 0.5
        return StepResult(StepStatus.FAILED, dt, MOST_RETRIES)

    def settle(self) -> None:
        """Integrate the friction still owed, so that the discharge is that of the present time."""
        self._rub(self.owed_friction)
        self.owed_friction = 0.0

    def _rub(self, duration: float) -> None:
        """Integrate friction alone for a duration [s]."""
        if self._friction is not None:
            self._duration._data[0] = duration
            self._friction()

    def _run_stages(self, t: float, dt: float) -> bool:
        """Take all stages; return False if a cell gave more water than it had, or a value is not finite."""
        scheme, before = self.tableau, self.inflow
        motion = self._motion if self.is_moving else None
        residual = self._residual if motion is None else motion.residual
        np.copyto(self._start_memory, self._state_memory)
        for keep, scale, abscissa, end in zip(scheme.keep, scheme.scale, scheme.abscissae, scheme.ends, strict=True):
            self.problem.set_time(t + abscissa * dt)
            residual()
            if self._outflow is not None:
                # The same recursion as the state's, so that mass and inflow agree to round-off.
                self.inflow = keep * before + (1.0 - keep) * (self.inflow - scale * dt * self._outflow())
            self._stage._data[:] = keep, scale * dt
            if motion is None:
                self._least._data[0] = np.inf
                self._empty_bounds()
                self._advance()
                if not self._least._data[0] >= -OVERDRAFT:
                    return False
            elif not motion.stage(keep, scale * dt, end, first=abscissa == 0.0):
                return False
            self._allowed._data[0] = np.inf
            self._limit()
        return self._is_finite()

    def _empty_bounds(self) -> None:
        for bound, empty in self._bounds:
            bound.dat.data_wo[...] = empty

    def _is_finite(self) -> bool:
        """Tell whether all values of all ranks are finite; the kernels, compiled for finite numbers, cannot."""
        return self.comm.allreduce(bool(np.isfinite(self.state.dat.data_ro.sum())), op=MPI.LAND)
