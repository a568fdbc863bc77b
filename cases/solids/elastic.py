"""What the cases of linear elasticity share: solve, and estimate the error of the energy or of a goal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from firedrake import Function, FunctionSpace, TensorFunctionSpace, sqrt
from pydantic import Field

from cases.steady_case import SteadyOptions
from fem.error_estimate import Estimate
from fem.goal import adjoint_state, goal_estimate
from fem.problems.elasticity import Material, stress_estimate


class SolidOptions(SteadyOptions):
    """Options of every solid."""

    degree: Literal[1, 2] = Field(1, description="degree of the elements")


def solve_and_estimate(
    solve: Callable[[], Function], material: Material, goal: Callable[[Function], Any] | None
) -> tuple[Function, Estimate, float]:
    """Return a displacement, where its error is, and how much; collective.

    Parameters
    ----------
    solve
        Solves for the displacement.
    material
        What the solid is of.
    goal
        A functional of the displacement, whose error counts; None for the error in the energy norm.

    Returns
    -------
    Function, Estimate, float
        The displacement [m]; an estimate for ``wanted_density``; and the error estimated, in the unit of the goal or
        of the energy norm [sqrt(J/m)].
    """
    if goal is None:
        u = solve()
        estimate = stress_estimate(u, material)
        return u, estimate, estimate.total
    u, adjoint, _ = adjoint_state(solve, goal)
    estimate = goal_estimate(stress_estimate(u, material), stress_estimate(adjoint, material))
    return u, estimate, estimate.total**2


def shear_stress(stress: Function) -> Function:
    r"""Return the greatest shear stress in the plane, :math:`\sqrt{(\sigma_{xx} - \sigma_{yy})^2 / 4 + \sigma_{xy}^2}`.

    Parameters
    ----------
    stress
        Tensor field [Pa].
    """
    mesh = stress.function_space().mesh()
    at_vertices = Function(TensorFunctionSpace(mesh, "CG", 1)).interpolate(stress)
    found = Function(FunctionSpace(mesh, "CG", 1), name="greatest shear stress")
    half = 0.5 * (at_vertices[0, 0] - at_vertices[1, 1])
    return found.interpolate(sqrt(half**2 + at_vertices[0, 1] ** 2))
