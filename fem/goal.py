"""The error of one number made of a solution, its goal: adjoint states, and where the goal asks for smaller cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import sqrt
from typing import Any

import numpy as np
from firedrake import (
    Function,
    FunctionSpace,
    LinearVariationalProblem,
    LinearVariationalSolver,
    VertexOnlyMesh,
    adjoint,
    assemble,
    derivative,
    dx,
    interpolate,
)
from firedrake.adjoint import (
    AdjFloat,
    Control,
    Tape,
    annotate_tape,
    compute_derivative,
    continue_annotation,
    get_solve_blocks,
    pause_annotation,
    set_working_tape,
    stop_annotating,
)
from mpi4py import MPI
from ufl.core.expr import Expr

from fem.error_estimate import Estimate
from fem.solver_parameters import NULL_PIVOTS, SADDLE_LU


def adjoint_state(solve: Callable[[], Function], goal: Callable[[Function], Any]) -> tuple[Function, Function, float]:
    r"""Solve, evaluate a goal of the solution, and find what the goal feels of a force anywhere; collective.

    With the residual F of the last solve for u, linear in its test function,

    .. math:: F'(u; w, z) = J'(u; w)\quad\text{for all } w,\qquad z = 0 \text{ where } u \text{ is given}

    Of a linear problem with the load l and a linear goal, J(u) is l(z), but for what comes from values of u that are
    given.

    Parameters
    ----------
    solve
        Returns u, the function in which a solver of Firedrake (``solve``, ``LinearVariationalSolver`` or
        ``NonlinearVariationalSolver``, of mixed spaces too) has put its solution. Of several solves for it the last
        counts, as its forms are when the function returns.
    goal
        J, a functional of u assembled by Firedrake, in as many steps, solves and interpolations as it takes.

    Returns
    -------
    Function, Function, float
        u; z, in the space of u; and J(u).

    Raises
    ------
    ValueError
        If no solver gave u, or the goal is no functional of it.

    Notes
    -----
    pyadjoint records what is done, on a tape of its own that is dropped at the end, and differentiates the goal;
    recording elsewhere goes on as before. Farrell, Ham, Funke and Rognes (2013), SIAM J. Sci. Comput. 35, C369; Becker
    and Rannacher (2001), Acta Numerica 10, 1, section 2.
    """
    with _recording():
        u = solve()
        block = next((one for one in reversed(get_solve_blocks()) if one.func is u), None)
        if block is None:
            raise ValueError("solve: got a function that no solver has solved for, expected the solution itself")
        # From here on: how u came about is solved for below.
        control = Control(u)
        value = goal(u)
        slope = compute_derivative(value, control) if isinstance(value, AdjFloat) else None
        if control.block_variable.adj_value is None:
            raise ValueError(f"goal: got {value!r}, expected a functional of the solution, assembled by Firedrake")
    with stop_annotating():
        z, options = Function(u.function_space(), name="adjoint"), block.forward_kwargs
        jacobian = block.lhs if block.linear else derivative(block.lhs, u)
        fixed = [condition.reconstruct(g=0) for condition in block.bcs]
        problem = LinearVariationalProblem(adjoint(jacobian), slope, z, bcs=fixed)
        nullspace = options.get("nullspace")
        LinearVariationalSolver(
            problem,
            nullspace=options.get("transpose_nullspace") or nullspace,
            transpose_nullspace=nullspace,
            solver_parameters=SADDLE_LU | NULL_PIVOTS,
        ).solve()
    return u, z, float(value)


@contextmanager
def _recording() -> Iterator[None]:
    """Record on a tape of its own, and leave everything as it was."""
    before = annotate_tape()
    with set_working_tape(Tape()):
        continue_annotation()
        try:
            yield
        finally:
            if not before:
                pause_annotation()


def point_value(field: Expr, mesh, place: Sequence[float]):
    """Return the value of a scalar expression at a place of a mesh, as a functional that can be a goal; collective.

    Parameters
    ----------
    field
        UFL, of functions on the mesh that are continuous at the place.
    mesh
        Mesh of the functions.
    place
        Coordinates [m].

    Raises
    ------
    VertexOnlyMeshMissingPointsError
        On all ranks, if the mesh has no cell there.
    """
    with stop_annotating():
        space = FunctionSpace(VertexOnlyMesh(mesh, [tuple(place)]), "DG", 0)
    return assemble(assemble(interpolate(field, space)) * dx)


def goal_estimate(primal: Estimate, dual: Estimate) -> Estimate:
    r"""Combine estimates of a state and of its adjoint to one of their goal.

    .. math:: |J(u) - J(u_h)| = |a(u - u_h, z - z_h)| \le \sum_K \eta_K(u)\,\eta_K(z)

    as far as they are the errors in the energy norm in each cell. Both errors go like :math:`h^p |K|^{1/2}`, and the
    sum is least for the cells that ``fem.error_estimate.wanted_density`` gives for the mean estimate returned.

    Parameters
    ----------
    primal, dual
        Estimates eta(u) and eta(z) on one mesh, of one energy.

    Returns
    -------
    Estimate
        Its cells :math:`\sqrt{\eta_K(u) \eta_K(z)}`, its total the root of the sum of their squares: the square of that
        is the bound, in the unit of the goal. Its recovered flux is that of the state.

    Notes
    -----
    Becker and Rannacher (2001), Acta Numerica 10, 1, section 3; Oden and Prudhomme (2001), Comput. Math. Appl. 41, 735.
    """
    cells = Function(primal.cells.function_space(), name="estimate of the goal")
    products = primal.cells.dat.data_ro * dual.cells.dat.data_ro
    cells.dat.data_wo[:] = np.sqrt(products)
    total = sqrt(cells.comm.allreduce(float(products.sum()), MPI.SUM))
    return Estimate(cells, total, primal.recovered)
