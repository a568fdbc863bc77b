"""Adjoint flows: what forces, and other numbers made of a steady flow, feel of its error anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    LinearVariationalProblem,
    LinearVariationalSolver,
    TestFunction,
    adjoint,
    derivative,
    dx,
    inner,
)
from ufl.form import Form

from fem.navier_stokes_forces import check_given
from fem.problems.navier_stokes import SteadyFlow
from fem.solver_parameters import SADDLE_LU


def adjoint_flow(
    flow: SteadyFlow, *, goal: Form | None = None, velocity: Mapping[int, Sequence[float]] | None = None
) -> Function:
    r"""Return the adjoint of a number made of a steady flow; collective.

    With the residual R of ``NavierStokes.residual``, linear in its test function, and the flow w = (u, p), it is the
    z = (z_u, z_p) for which

    .. math:: R'(w; v, z) = J'(w; v)\quad\text{for all } v \text{ whose velocity vanishes where it is given},\qquad
              z_u = e\ \text{on}\ S

    and z_u = 0 on the other parts where the velocity is given.

    - With e = 0 it is that of the goal J, and :math:`J(w) - J(w_h) = R'(w; w - w_h, z - z_h)` but for terms of higher
      order.
    - With J = 0 it is that of the force on S in direction e: by volume, the force is :math:`F = -R(w; \phi)`, with any
      velocity phi that is e on S and 0 on the other parts, of which z is one, see
      ``fem.navier_stokes_forces.BoundaryForce``, and again :math:`F(w) - F(w_h) = R'(w; w - w_h, z - z_h)`.

    The error of either is that of the flow times that of its adjoint: with P2 velocities, of order 4.

    Parameters
    ----------
    flow
        The solver, whose state is the flow.
    goal
        J, a functional of ``flow.state`` as a form of UFL; None for 0.
    velocity
        e by marker of the boundary's part S; elsewhere 0.

    Returns
    -------
    Function
        z, in the space of the flow.

    Raises
    ------
    ValueError
        If the velocity is not given on a part of ``velocity``.

    References
    ----------
    R. Becker, R. Rannacher (2001), Acta Numerica 10, 1. M. B. Giles, M. G. Larson, J. M. Levenstam, E. Süli (1997),
    Oxford University report NA-97/06, for forces by boundary values of the adjoint.
    """
    problem, space = flow.problem, flow.state.function_space()
    given = dict(velocity or {})
    for marker in given:
        check_given(problem, marker)
    still = (0.0,) * problem.mesh.geometric_dimension
    sides = [DirichletBC(space.sub(0), Constant(given.get(marker, still)), marker) for marker in problem.velocity]
    test = TestFunction(space)
    nothing = inner(Constant(np.zeros(test.ufl_shape)), test) * dx
    right = nothing if goal is None else derivative(goal, flow.state, test)
    found, nullspace = Function(space, name="adjoint flow"), problem.nullspace(space)
    system = LinearVariationalProblem(adjoint(derivative(flow.residual, flow.state)), right, found, bcs=sides)
    LinearVariationalSolver(
        system, solver_parameters=SADDLE_LU, nullspace=nullspace, transpose_nullspace=nullspace
    ).solve()
    return found
