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
    inv,
    ln,
)
from firedrake.exceptions import ConvergenceError
from ufl.core.expr import Expr

from fem.error_estimate import Estimate, recovery_estimate
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


def material_stress(u: Expr, material: Material) -> Expr:
    r"""Return the second Piola-Kirchhoff stress of a displacement u [Pa], a symmetric tensor of UFL.

    .. math:: S = \mu (I - C^{-1}) + \lambda \ln J\, C^{-1},\qquad C = F^T F

    Of the law of ``stored_energy``; it does not change as the body turns. Bonet and Wood (2008), equation 6.28.
    """
    gradient = Identity(2) + grad(u)
    inverse = inv(gradient.T * gradient)
    swelling = Constant(material.lame) * ln(det(gradient))
    return Constant(material.shear) * (Identity(2) - inverse) + swelling * inverse


def material_stress_estimate(u: Function, material: Material) -> Estimate:
    """Estimate the error of a displacement by that of the stress S, in the energy of small strains; collective.

    The energy is that of strains beside any rotation, which is what slender bodies have; for small u it is
    ``fem.problems.elasticity.stress_estimate``. Unit sqrt(J/m).

    Parameters
    ----------
    u
        Displacement [m], of degree 1 or 2.
    material
        What it is of.
    """
    space = u.function_space()
    return recovery_estimate(
        space.mesh(),
        material_stress(u, material),
        space.ufl_element().degree(),
        energy=lambda difference: inner(difference, material.strain(difference)),
    )


def solve_hyperelastic(
    mesh,
    material: Material,
    *,
    degree: int,
    fixed: Mapping[int, tuple[Any, Any]],
    tractions: Mapping[int, Any] | None = None,
    steps: int = 10,
    start: Function | None = None,
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
    start
        A displacement nearby under the whole load, on the same cells, moved or not: in its degrees of freedom Newton's
        method begins, and from none where that fails.

    Returns
    -------
    Function
        The displacement, continuous [m].

    Raises
    ------
    ValueError
        As ``fem.problems.elasticity.check_degree``; for plane stress, or less than one step.
    firedrake.exceptions.ConvergenceError
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
    if start is not None:
        u.assign(Function(space, val=start.dat))
        step = 1.0
    while reached < 1.0:
        # Rounding must not leave a last step of almost nothing.
        target = 1.0 if reached + 1.001 * step >= 1.0 else reached + step
        share.assign(target)
        try:
            solver.solve()
        except ConvergenceError:
            u.assign(good)
            step = min(0.5 * step, 1.0 / steps)
            if step < 0.5**_HALVINGS / steps:
                raise ConvergenceError(f"no equilibrium found beyond {100 * reached:.1f} % of the load") from None
            continue
        good.assign(u)
        reached = target
    return u
