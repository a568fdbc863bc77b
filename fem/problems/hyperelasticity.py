"""Large deflections of a compressible neo-Hookean body in plane strain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrake import (
    Constant,
    Function,
    Identity,
    NonlinearVariationalProblem,
    NonlinearVariationalSolver,
    TestFunction,
    VectorFunctionSpace,
    derivative,
    det,
    dot,
    ds,
    dx,
    grad,
    inner,
    ln,
)
from firedrake.exceptions import ConvergenceError
from ufl.core.expr import Expr

from fem.problems.elasticity import Material, check_degree, supports
from fem.solver_parameters import NEWTON_LU

# A load step that fails is halved so often at most.
_HALVINGS = 8


def stored_energy(u: Expr, material: Material) -> Expr:
    r"""Return the energy of a displacement u by undeformed volume [J/m^3], UFL.

    .. math:: W = \tfrac\mu2 (F : F - 2 - 2\ln J) + \tfrac\lambda2 (\ln J)^2,\qquad F = I + \nabla u,\ J = \det F

    For small u that of linear elasticity. Bonet and Wood (2008), Nonlinear Continuum Mechanics for Finite Element
    Analysis, equation 6.27.
    """
    gradient = Identity(2) + grad(u)
    swelling = ln(det(gradient))
    bulk = 0.5 * Constant(material.lame) * swelling**2
    return 0.5 * Constant(material.shear) * (inner(gradient, gradient) - 2.0 - 2.0 * swelling) + bulk


def solve_hyperelastic(
    mesh,
    material: Material,
    *,
    degree: int,
    fixed: Mapping[int, tuple[Any, Any]],
    tractions: Mapping[int, Any] | None = None,
    steps: int = 10,
) -> Function:
    """Return the displacement of least energy under dead loads, by Newton's method in steps of the load; collective.

    Parameters
    ----------
    mesh
        Mesh of triangles of the undeformed body [m].
    material
        What it is of, in plane strain.
    degree
        1 or 2.
    fixed
        See ``fem.problems.elasticity.supports``. Values that are numbers or Constants other than 0 are raised with the
        load.
    tractions
        Forces by undeformed length, by marker [Pa]; their direction stays.
    steps
        In so many equal ones the load is raised; one that fails is tried again in halves.

    Returns
    -------
    Function
        The displacement, continuous [m].

    Raises
    ------
    ValueError
        As ``fem.problems.elasticity.check_degree``; for plane stress, or less than one step.
    RuntimeError
        If the load cannot be raised further: it buckles, or cells are inverted.
    """
    check_degree(degree, material)
    if material.plane != "strain":
        raise ValueError(f"plane: got {material.plane!r}, expected 'strain'; the law is that of plane strain")
    if steps < 1:
        raise ValueError(f"steps: got {steps}, expected 1 or more")
    space, share = VectorFunctionSpace(mesh, "CG", degree), Constant(0.0)
    u, v = Function(space, name="displacement"), TestFunction(space)
    form = derivative(stored_energy(u, material) * dx(degree=2 * degree + 2), u, v)
    for marker, traction in (tractions or {}).items():
        form -= share * dot(traction, v) * ds(marker)
    raised = {
        marker: tuple(None if value is None else share * value for value in values) for marker, values in fixed.items()
    }
    problem = NonlinearVariationalProblem(form, u, bcs=supports(space, raised))
    solver = NonlinearVariationalSolver(problem, solver_parameters=NEWTON_LU)
    reached, step, good = 0.0, 1.0 / steps, u.copy(deepcopy=True)
    while reached < 1.0:
        # Rounding must not leave a last step of almost nothing.
        target = 1.0 if reached + 1.001 * step >= 1.0 else reached + step
        share.assign(target)
        try:
            solver.solve()
        except ConvergenceError:
            u.assign(good)
            step *= 0.5
            if step < 0.5**_HALVINGS / steps:
                raise RuntimeError(f"no equilibrium found beyond {100 * reached:.1f} % of the load") from None
            continue
        good.assign(u)
        reached = target
    return u
