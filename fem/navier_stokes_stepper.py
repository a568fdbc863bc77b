"""Implicit time stepping of incompressible flow, with the mesh at rest or on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from firedrake import (
    Constant,
    FacetNormal,
    Function,
    FunctionSpace,
    NonlinearVariationalProblem,
    NonlinearVariationalSolver,
    TestFunctions,
    dot,
    ds,
    dx,
    inner,
    split,
)
from firedrake.assemble import get_assembler
from firedrake.exceptions import ConvergenceError

from fem.problems.navier_stokes import NavierStokes
from fem.solver_parameters import flow_solver_parameters
from fem.timestep import StepResult, StepStatus, TimeStepper
from meshing.patches import MeshPatches
from meshing.simplex import path_volume_ratios

MOST_RETRIES = 6
# Iterations in a linear solve from which on a factorisation that has been kept is worth a new one.
_MOST_ITERATIONS = 5
# By this share of itself a step may be longer than asked for.
_SLIVER = 1e-9


@dataclass(frozen=True)
class ImplicitTableau:
    r"""Singly diagonally implicit Runge-Kutta scheme whose last stage is the result.

    .. math:: U_i = U_0 + \Delta t \sum_{j \le i} a_{ij} K_j,\qquad U(t + \Delta t) = U_s

    L-stable, and all stages satisfy the constraints, as each is the solution of a system like Euler's.

    Attributes
    ----------
    rows
        a_ij, each row up to the diagonal, whose entries are all the same; the last holds the weights of the step.
    order
        Order of accuracy of the velocity.
    """

    rows: tuple[tuple[float, ...], ...]
    order: int

    @property
    def diagonal(self) -> float:
        """The a_ii."""
        return self.rows[0][0]

    @property
    def abscissae(self) -> tuple[float, ...]:
        """Times of the stages, in units of the time step; the last 1 exactly."""
        return (*(sum(row) for row in self.rows[:-1]), 1.0)


def _third_order() -> ImplicitTableau:
    """Return Alexander's scheme of three stages; its diagonal is a root of x^3 - 3 x^2 + 3/2 x - 1/6."""
    a = 0.43586652150845899942
    b1, b2 = -(6 * a * a - 16 * a + 1) / 4, (6 * a * a - 20 * a + 5) / 4
    return ImplicitTableau(((a,), ((1 - a) / 2, a), (b1, b2, a)), 3)


_GAMMA = 1.0 - 1.0 / sqrt(2.0)
# R. Alexander (1977), SIAM J. Numer. Anal. 14, 1006.
IMPLICIT_TABLEAUX = {
    "implicit-euler": ImplicitTableau(((1.0,),), 1),
    "sdirk2": ImplicitTableau(((_GAMMA,), (1.0 - _GAMMA, _GAMMA)), 2),
    "sdirk3": _third_order(),
}


class NavierStokesStepper(TimeStepper):
    r"""Advance a flow by a diagonally implicit Runge-Kutta scheme, its mesh along straight lines in each step.

    .. math:: \Big(\frac{u_i - b_i}{a_{ii} \Delta t}, v\Big)_{x_i} + R_{x_i}(u_i, p_i; w; v, q) = 0,\qquad
              x_i = x_0 + c_i \Delta t\, w,\qquad b_i = u_0 + \Delta t \sum_{j < i} a_{ij} k_j

    The integrals of stage i are those over the mesh at its time; the u_i, b_i, k_i are nodal values, which move with
    the mesh, see ``NavierStokes``. As it is a scheme of one step, nothing of the past has to be carried to a mesh that
    turns from one step to the next or is exchanged, and the order does not suffer. Whatever the mesh does, constant
    velocities stay constant, and the velocity at the end of a step is divergence-free as the pair has it.

    Parameters
    ----------
    problem
        Equations.
    state
        (u, p) of ``problem.space()``, advanced in place; p is only where Newton's method begins.
    dt
        Time step, more than 0 [s]; shorter so that a whole number of them goes into the time asked for, and where
        Newton's method fails, by halves.
    tableau
        Name in ``IMPLICIT_TABLEAUX``.
    solver
        Name in ``fem.solver_parameters.FLOW_SOLVERS``.
    motion_steps
        In how many time steps the mesh goes to a target.
    observe
        Called at each stage; gives numbers made of state and mesh, and of what ``residual`` is then, such as forces.

    Attributes
    ----------
    observed
        The mean over the last step of what ``observe`` gave, by the weights of the scheme. Of pressures and forces,
        which at the end of a step are of order 1 only (the order of a stage), it is of order 2 for their value in the
        middle of the step; the forces' is the momentum that has been handed over.
    residual
        Of the last stage, with its derivative in time: what ``fem.navier_stokes_forces`` needs.
    mesh_velocity
        w of the last step [m/s].
    inflow, throughflow
        Volume that has come in through the boundary, less what has gone out, and all that has come in; per metre, by
        the weights of the scheme, of the steps so far [m^2].

    Raises
    ------
    ValueError
        For an unknown name, a time step that is not positive, less than one step for a motion.
    """

    def __init__(
        self,
        problem: NavierStokes,
        state: Function,
        *,
        dt: float,
        tableau: str = "sdirk2",
        solver: str = "lu",
        motion_steps: int = 1,
        observe: Callable[[], np.ndarray] | None = None,
    ):
        if tableau not in IMPLICIT_TABLEAUX:
            raise ValueError(f"tableau: got {tableau!r}, expected one of {', '.join(IMPLICIT_TABLEAUX)}")
        if not 0.0 < dt < np.inf:
            raise ValueError(f"dt: got {dt}, expected more than 0 s; about a hundredth of a period")
        if motion_steps < 1:
            raise ValueError(f"motion_steps: got {motion_steps}, expected 1 or more")
        self.problem, self.state, self.dt = problem, state, dt
        self.tableau, self._motion_steps, self._left = IMPLICIT_TABLEAUX[tableau], motion_steps, 0
        mesh, space = problem.mesh, state.function_space()
        self.mesh_velocity = Function(mesh.coordinates.function_space(), name="mesh_velocity")
        velocity = FunctionSpace(mesh, space.sub(0).ufl_element())
        self._base = Function(velocity)
        self._start = [function.dat.data_ro_with_halos.copy() for function in state.subfunctions]
        self._slopes = [np.zeros_like(self._start[0]) for _ in self.tableau.rows]
        self._reaction = Constant(1.0)
        rate = self._reaction * (split(state)[0] - self._base)
        self.residual = inner(rate, TestFunctions(space)[0]) * dx + problem.residual(
            state, mesh_velocity=self.mesh_velocity
        )
        nullspace = problem.nullspace(space)
        parameters = flow_solver_parameters(solver, problem.pair)
        self._keeps = "snes_lag_preconditioner" in parameters
        if self._keeps:
            # Here it is known when a new one pays: after the first, PETSc is not to make one by itself.
            parameters["snes_lag_preconditioner"] = -2
            # A step of Newton's method fewer, of three; what it would change is far below the error of the time step.
            parameters["snes_rtol"] = 1e-8
        self._solver = NonlinearVariationalSolver(
            NonlinearVariationalProblem(self.residual, state, bcs=problem.conditions(space)),
            solver_parameters=parameters,
            nullspace=nullspace,
            transpose_nullspace=nullspace,
            appctx=problem.context(self._reaction, self.mesh_velocity),
        )
        self._patches = MeshPatches(mesh)
        self._from, self._to, self._target = (mesh.coordinates.dat.data_ro_with_halos.copy() for _ in range(3))
        self.iterations = (0, 0)
        self.observe = observe
        self.observed: np.ndarray | None = None
        through = dot(split(state)[0], FacetNormal(mesh))
        self._through = [get_assembler(form) for form in (-through * ds, 0.5 * (abs(through) - through) * ds)]
        self.inflow, self.throughflow = 0.0, 0.0
        self._flows = np.zeros(2)

    def renew(self) -> None:
        """Forget what the solver keeps of earlier steps, as the stepper of a run that goes on has none of it."""
        if self._keeps:
            self._solver.snes.ksp.pc.reset()

    # -- motion of the mesh ---------------------------------------------------------------------------------

    @property
    def is_moving(self) -> bool:
        """Whether the mesh is on its way."""
        return self._left > 0

    def begin_motion(self, target: Function) -> None:
        """Set the mesh out for a target, or turn it, if it is on its way; the next steps take it there. Collective.

        Parameters
        ----------
        target
            Where the vertices go, in the space of the mesh's coordinates [m].

        Raises
        ------
        ValueError
            For a target in another space, or to which the straight way is not free.
        """
        mesh = self.problem.mesh
        space, here = target.function_space(), mesh.coordinates.function_space()
        if space != here:
            raise ValueError(
                f"target: got {space.ufl_element()} on {space.mesh().name}, expected {here.ufl_element()} on "
                f"{mesh.name}; make it in mesh.coordinates.function_space()"
            )
        points, end = mesh.coordinates.dat.data_ro_with_halos, target.dat.data_ro_with_halos
        least = self._patches.smallest(path_volume_ratios(points, end - points, self._patches.cells))
        if not least > 0.0:
            raise ValueError(
                f"target: got a cell with {least:.2g} of its volume on the straight way there, expected more than 0 in "
                "all cells; limit the displacement (meshing.limiter)"
            )
        self._target[...] = end
        self._left = self._motion_steps

    def _place(self, fraction: float) -> None:
        """Put the vertices where they are after a fraction of the step; 0 and 1 bit for bit."""
        places = self.problem.mesh.coordinates.dat.data_wo_with_halos
        if fraction == 1.0:
            places[...] = self._to
        else:
            places[...] = self._from + fraction * (self._to - self._from)

    def _aim(self) -> None:
        """Set where this step of the motion ends."""
        self._from[...] = self.problem.mesh.coordinates.dat.data_ro_with_halos
        if self._left <= 1:
            self._to[...] = self._target if self._left else self._from
        else:
            self._to[...] = self._from + (self._target - self._from) / self._left

    # -- stepping -------------------------------------------------------------------------------------------

    def step(self, t: float, dt_max: float) -> StepResult:
        """See ``fem.timestep.TimeStepper.step``."""
        # A sliver of a step that rounding has left over would divide by next to nothing.
        dt = dt_max / max(ceil(dt_max / self.dt - _SLIVER), 1) if dt_max < np.inf else self.dt
        self._aim()
        for kept, function in zip(self._start, self.state.subfunctions, strict=True):
            kept[...] = function.dat.data_ro_with_halos
        for retries in range(MOST_RETRIES):
            try:
                self._run_stages(t, dt)
            except ConvergenceError:
                for kept, function in zip(self._start, self.state.subfunctions, strict=True):
                    function.dat.data_wo_with_halos[...] = kept
                self._place(0.0)
                self.renew()
                dt *= 0.5
            else:
                self._left = max(self._left - 1, 0)
                self.inflow += dt * self._flows[0]
                self.throughflow += dt * self._flows[1]
                if self.iterations[1] > _MOST_ITERATIONS * self.iterations[0]:
                    self.renew()
                return StepResult(StepStatus.DONE, dt, retries)
        self.problem.time.assign(t)
        return StepResult(StepStatus.FAILED, dt, MOST_RETRIES)

    def _run_stages(self, t: float, dt: float) -> None:
        velocity, scheme, steps, linear = self.state.subfunctions[0], self.tableau, 0, 0
        moving, seen, flows = self.is_moving, [], []
        self.mesh_velocity.dat.data_wo_with_halos[...] = (self._to - self._from) / dt
        reaction = 1.0 / (scheme.diagonal * dt)
        self._reaction.assign(reaction)
        for row, abscissa, slope in zip(scheme.rows, scheme.abscissae, self._slopes, strict=True):
            self.problem.time.assign(t + abscissa * dt)
            if moving:
                self._place(abscissa)
            base = self._start[0].copy()
            for weight, earlier in zip(row[:-1], self._slopes, strict=False):
                base += dt * weight * earlier
            self._base.dat.data_wo_with_halos[...] = base
            self._solver.solve()
            steps += self._solver.snes.getIterationNumber()
            linear += self._solver.snes.getLinearSolveIterations()
            slope[...] = reaction * (velocity.dat.data_ro_with_halos - base)
            self.problem.fix_pressure(self.state)
            flows.append([float(assembler.assemble()) for assembler in self._through])
            if self.observe is not None:
                seen.append(self.observe())
        if self.observe is not None:
            self.observed = np.tensordot(scheme.rows[-1], np.array(seen), axes=1)
        self._flows = np.tensordot(scheme.rows[-1], np.array(flows), axes=1)
        self.iterations = steps, linear
