"""Linear elasticity in the plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    Identity,
    PointEvaluator,
    TestFunction,
    TrialFunction,
    VectorFunctionSpace,
    dot,
    ds,
    dx,
    grad,
    inner,
    solve,
    sym,
    tr,
)
from ufl.core.expr import Expr

from fem.error_estimate import Estimate, recovery_estimate
from fem.solver_parameters import solver_parameters

# From this Poisson ratio on P1 is refused in plane strain: cells cannot bend without a change of area, and lock.
LOCKING = 0.45


@dataclass(frozen=True, kw_only=True)
class Material:
    r"""An isotropic elastic material, :math:`\sigma = 2\mu\varepsilon + \lambda\,\mathrm{tr}(\varepsilon) I`.

    Parameters
    ----------
    young
        Young's modulus E, more than 0 [Pa].
    poisson
        Poisson's ratio nu, more than -1, less than 1/2.
    plane
        "strain" for what is thick across the plane, "stress" for a thin plate; lambda is that of the plane problem.

    Raises
    ------
    ValueError
        For numbers out of these bounds or another plane.
    """

    young: float
    poisson: float
    plane: Literal["strain", "stress"] = "strain"

    def __post_init__(self) -> None:
        if not self.young > 0.0:
            raise ValueError(f"young: got {self.young}, expected more than 0 Pa")
        if not -1.0 < self.poisson < 0.5:
            raise ValueError(
                f"poisson: got {self.poisson}, expected more than -1 and less than 0.5; take 0.499 and degree 2 for "
                "what is nearly incompressible"
            )
        if self.plane not in ("strain", "stress"):
            raise ValueError(f"plane: got {self.plane!r}, expected 'strain' or 'stress'")

    @property
    def shear(self) -> float:
        """Shear modulus mu [Pa]."""
        return self.young / (2.0 * (1.0 + self.poisson))

    @property
    def lame(self) -> float:
        """lambda of the plane problem [Pa]."""
        nu = self.poisson
        if self.plane == "stress":
            return self.young * nu / (1.0 - nu**2)
        return self.young * nu / ((1.0 + nu) * (1.0 - 2.0 * nu))

    @property
    def kolosov(self) -> float:
        """Kolosov's constant, dimensionless."""
        nu = self.poisson
        return (3.0 - nu) / (1.0 + nu) if self.plane == "stress" else 3.0 - 4.0 * nu

    def stress(self, u: Expr) -> Expr:
        """Return the stress [Pa] of a displacement [m], a tensor of UFL."""
        strain = sym(grad(u))
        return 2.0 * Constant(self.shear) * strain + Constant(self.lame) * tr(strain) * Identity(2)

    def strain(self, stress: Expr) -> Expr:
        """Return the strain of a stress [Pa], a tensor of UFL: the inverse of Hooke's law."""
        share = self.lame / (2.0 * (self.lame + self.shear))
        return (stress - Constant(share) * tr(stress) * Identity(2)) / (2.0 * Constant(self.shear))


def check_degree(degree: int, material: Material) -> None:
    """Check that elements of this degree suit the material.

    Raises
    ------
    ValueError
        For another degree than 1 or 2, and for 1 where it would lock.
    """
    if degree not in (1, 2):
        raise ValueError(f"degree: got {degree}, expected 1 or 2")
    if degree == 1 and material.plane == "strain" and material.poisson > LOCKING:
        raise ValueError(
            f"degree: got 1 with poisson {material.poisson} in plane strain, expected 2 above {LOCKING}; P1 locks there"
        )


def supports(space, fixed: Mapping[int, tuple[Any, ...]]) -> list[DirichletBC]:
    """Return conditions on the displacement.

    Parameters
    ----------
    space
        The vector space.
    fixed
        By marker of the boundary what u_x and u_y are there [m], numbers or UFL; None for a component that is free.
    """
    return [
        DirichletBC(space.sub(axis), value, marker)
        for marker, values in fixed.items()
        for axis, value in enumerate(values)
        if value is not None
    ]


def solve_elasticity(
    mesh,
    material: Material,
    *,
    degree: int,
    fixed: Mapping[int, tuple[Any, Any]],
    tractions: Mapping[int, Expr] | None = None,
    body_force: Expr | None = None,
    quadrature_degree: int = 6,
    solver: str = "lu",
) -> Function:
    r"""Solve :math:`-\nabla\cdot\sigma(u) = f` with u or the traction :math:`\sigma n = t` given on the boundary.

    .. math:: \int \sigma(u) : \varepsilon(v) = \int f \cdot v + \int_{\partial\Omega} t \cdot v

    Parameters
    ----------
    mesh
        Mesh of triangles [m].
    material
        What it is of.
    degree
        1 or 2.
    fixed
        See ``supports``; they have to rule out rigid motions.
    tractions
        t by marker [Pa], a vector of UFL; none elsewhere.
    body_force
        f [N/m^3], a vector of UFL.
    quadrature_degree
        Of the integrals of t and f.
    solver
        Name in ``fem.solver_parameters``.

    Returns
    -------
    Function
        The displacement, continuous [m].

    Raises
    ------
    ValueError
        As ``check_degree``; for an unknown solver.

    Notes
    -----
    Brenner and Scott (2008), The Mathematical Theory of Finite Element Methods, chapter 11: P1 locks as nu goes to 1/2.
    """
    check_degree(degree, material)
    parameters = solver_parameters(solver)
    space = VectorFunctionSpace(mesh, "CG", degree)
    u, v, solution = TrialFunction(space), TestFunction(space), Function(space, name="displacement")
    force = body_force if body_force is not None else Constant((0.0, 0.0))
    right = dot(force, v) * dx(degree=quadrature_degree)
    for marker, traction in (tractions or {}).items():
        right += dot(traction, v) * ds(marker, degree=quadrature_degree)
    left = inner(material.stress(u), sym(grad(v))) * dx
    solve(left == right, solution, bcs=supports(space, fixed), solver_parameters=parameters)
    return solution


def value_at(field: Function, place: tuple[float, float]) -> np.ndarray:
    """Return a field's value at a place [m], shape that of its values, on all ranks; collective.

    Raises
    ------
    PointNotInDomainError
        On all ranks, if the mesh has no cell there.
    """
    return PointEvaluator(field.function_space().mesh(), [place]).evaluate(field)[0]


def stress_estimate(u: Function, material: Material) -> Estimate:
    """Estimate the error of a displacement in the energy norm [sqrt(J/m)]; collective.

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
        material.stress(u),
        space.ufl_element().degree(),
        energy=lambda difference: inner(difference, material.strain(difference)),
    )
