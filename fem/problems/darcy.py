"""Flow through porous rock: Darcy's law, in mixed form so that no water is lost in any cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from firedrake import (
    Constant,
    DirichletBC,
    FacetNormal,
    Function,
    FunctionSpace,
    TestFunction,
    TestFunctions,
    TrialFunctions,
    assemble,
    div,
    dot,
    ds,
    dx,
    inner,
    solve,
)
from ufl.core.expr import Expr

from fem.solver_parameters import SADDLE_LU


@dataclass(frozen=True)
class DarcyFlow:
    """A solution.

    Attributes
    ----------
    flux
        q, in RT of lowest degree [m/s].
    head
        p, one value for each cell [m].
    both
        Of both together, of which they are the parts.
    """

    flux: Function
    head: Function
    both: Function


def solve_darcy(
    mesh,
    conductivity: Any,
    source: Any,
    *,
    head: Mapping[int, Any],
    flux: Mapping[int, Expr] | None = None,
    quadrature_degree: int = 8,
) -> DarcyFlow:
    r"""Solve :math:`q = -k\nabla p,\ \nabla\cdot q = f` with the head or the flux given on each side.

    .. math:: \int k^{-1} q\cdot r - \int p\,\nabla\cdot r = -\int_{\Gamma_p} p_0\, r\cdot n,\qquad
              \int w\,\nabla\cdot q = \int f w

    for r in RT_0 and w in P_0: what flows out of a cell is what springs in it, to rounding.

    Parameters
    ----------
    mesh
        Mesh of triangles [m].
    conductivity
        k, a positive number or UFL expression, which may jump between cells [m/s].
    source
        f, a number or UFL expression [1/s].
    head
        p_0 by marker, on at least one side [m].
    flux
        q by marker, a vector of UFL whose normal component counts [m/s]; a side that is in neither is given p_0 = 0.
    quadrature_degree
        Of the integrals of f and p_0, and of 1 / k.

    Returns
    -------
    DarcyFlow
        Flux and head, both of order 1; in the cells' means the head is of order 2 (superconvergence).

    Raises
    ------
    ValueError
        Without a head.

    Notes
    -----
    Raviart and Thomas (1977), Lecture Notes in Mathematics 606, 292; Boffi, Brezzi and Fortin (2013), Mixed Finite
    Element Methods and Applications, chapter 7.
    """
    if not head:
        raise ValueError("head: got none, expected it on one side or more; it is determined up to a constant otherwise")
    fluxes, heads = FunctionSpace(mesh, "RT", 1), FunctionSpace(mesh, "DG", 0)
    space = fluxes * heads
    q, p = TrialFunctions(space)
    r, w = TestFunctions(space)
    solution, measure = Function(space), dx(degree=quadrature_degree)
    resistance = 1.0 / _expression(conductivity)
    left = resistance * inner(q, r) * measure - p * div(r) * dx + w * div(q) * dx
    right = _expression(source) * w * measure
    for marker, value in head.items():
        right -= _expression(value) * dot(r, FacetNormal(mesh)) * ds(marker, degree=quadrature_degree)
    conditions = [DirichletBC(space.sub(0), value, marker) for marker, value in (flux or {}).items()]
    solve(left == right, solution, bcs=conditions, solver_parameters=SADDLE_LU)
    flux_found, head_found = solution.subfunctions
    return DarcyFlow(flux_found, head_found, solution)


def imbalance(flow: DarcyFlow, source: Any, quadrature_degree: int = 8) -> Function:
    """Return what flows out of each cell less what springs in it, P0 [m^2/s]; collective.

    Parameters
    ----------
    flow
        A solution.
    source, quadrature_degree
        As it was solved with.
    """
    space = flow.head.function_space()
    w = TestFunction(space)
    form = w * div(flow.flux) * dx - _expression(source) * w * dx(degree=quadrature_degree)
    return Function(space, val=assemble(form).dat, name="imbalance")


def _expression(value: Any) -> Any:
    """Return a number as a Constant, so that another one needs no new code."""
    return Constant(float(value)) if isinstance(value, float | int) else value


def flux_error(flow: DarcyFlow, exact: Expr, quadrature_degree: int = 8) -> float:
    """Return the error of the flux in L2 [m^2/s] from an exact one, a vector of UFL [m/s]; collective."""
    wrong = flow.flux - exact
    return sqrt(assemble(inner(wrong, wrong) * dx(degree=quadrature_degree)))


def head_errors(flow: DarcyFlow, exact: Expr, quadrature_degree: int = 8) -> tuple[float, float]:
    """Return the errors in L2 [m^2] of the head, and of it as the mean over each cell; collective.

    Parameters
    ----------
    flow
        A solution.
    exact
        The head, UFL [m].
    quadrature_degree
        Of the integrals.
    """
    space, measure = flow.head.function_space(), dx(degree=quadrature_degree)
    w = TestFunction(space)
    means = assemble(exact * w * measure).dat.data_ro / assemble(w * dx).dat.data_ro
    wrong = Function(space)
    wrong.dat.data_wo[:] = flow.head.dat.data_ro - means
    whole = assemble((flow.head - exact) ** 2 * measure)
    return sqrt(whole), sqrt(assemble(wrong**2 * dx))
