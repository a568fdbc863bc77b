"""Elliptic problems with solutions that are known: Poisson and Helmholtz."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from finat.ufl import FiniteElement, VectorElement
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    LinearVariationalProblem,
    LinearVariationalSolver,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    VectorFunctionSpace,
    dx,
    grad,
    inner,
)
from firedrake.assemble import get_assembler
from ufl.core.expr import Expr
from ufl.form import Form

from fem.analytic.features import Derivatives, ExactField
from fem.scalar_law import PreparedInterpolation
from fem.solver_parameters import solver_parameters


class Errors(NamedTuple):
    """Norms of a difference from an exact solution: L2 and H1, whole."""

    l2: float
    h1: float


@dataclass(frozen=True, kw_only=True)
class EllipticProblem(ABC):
    """A linear elliptic problem whose right-hand side and values on the boundary are those of an exact solution.

    Parameters
    ----------
    exact
        The solution u with its derivatives.
    degree
        Degree of the continuous elements, 1 or 2.
    quadrature_degree
        Degree up to which integrals of the exact solution are exact. The default gives errors to 4 digits if no
        feature is thinner than about a cell.

    Raises
    ------
    ValueError
        For another degree, or a quadrature that is not exact for the square of the error's polynomial part.
    """

    exact: ExactField
    degree: int = 1
    quadrature_degree: int = 10

    def __post_init__(self) -> None:
        if self.degree not in (1, 2):
            raise ValueError(f"degree: got {self.degree}, expected 1 or 2")
        if not self.quadrature_degree >= 2 * self.degree:
            raise ValueError(
                f"quadrature_degree: got {self.quadrature_degree}, expected {2 * self.degree} or more for degree "
                f"{self.degree}, such as 10"
            )

    @abstractmethod
    def form(self, u, v) -> Form:
        """Return the bilinear form a(u, v)."""

    @abstractmethod
    def source(self, exact: Derivatives) -> np.ndarray:
        """Return the right-hand side f, (N,), where the exact solution has these derivatives."""


@dataclass(frozen=True, kw_only=True)
class Poisson(EllipticProblem):
    r"""Solve :math:`-\Delta u = f` with u given on the boundary.

    See ``EllipticProblem`` for parameters and errors.
    """

    def form(self, u: Expr, v: Expr) -> Form:
        """See ``EllipticProblem``."""
        return inner(grad(u), grad(v)) * dx

    def source(self, exact: Derivatives) -> np.ndarray:
        """See ``EllipticProblem``."""
        return -exact.laplacian


@dataclass(frozen=True, kw_only=True)
class Helmholtz(EllipticProblem):
    r"""Solve :math:`-\Delta u + k u = f` with u given on the boundary.

    Of this sign, which is that of the benchmarks of mesh movers, the form is coercive: no wave.

    Parameters
    ----------
    reaction
        k [1/m^2], not negative.

    Others, and errors, as ``EllipticProblem``; also for a negative reaction.
    """

    reaction: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.reaction >= 0.0:
            raise ValueError(f"reaction: got {self.reaction}, expected k >= 0 1/m^2; the form is coercive then")

    def form(self, u: Expr, v: Expr) -> Form:
        """See ``EllipticProblem``."""
        return (inner(grad(u), grad(v)) + Constant(self.reaction) * inner(u, v)) * dx

    def source(self, exact: Derivatives) -> np.ndarray:
        """See ``EllipticProblem``."""
        return self.reaction * exact.value - exact.laplacian


class EllipticSolver:
    """Solve a problem on a mesh as it is, again and again when it has been moved in place.

    What depends on the exact solution are numbers in quadrature points and nodes: code is compiled once for a degree,
    not for each problem.

    Parameters
    ----------
    problem
        What is to be solved.
    mesh
        Mesh of triangles or tetrahedra. Its coordinates may be changed in place between two calls.
    solver
        Name in ``fem.solver_parameters``.

    Raises
    ------
    ValueError
        For an unknown solver.
    """

    def __init__(self, problem: EllipticProblem, mesh, solver: str = "lu"):
        parameters = solver_parameters(solver)
        self._problem = problem
        degree = problem.quadrature_degree
        self._space = FunctionSpace(mesh, "CG", problem.degree)
        points = FiniteElement("Quadrature", cell=mesh.ufl_cell(), degree=degree, quad_scheme="default")
        at_points, vectors = FunctionSpace(mesh, points), FunctionSpace(mesh, VectorElement(points))
        nodes, x = VectorFunctionSpace(mesh, "CG", problem.degree), SpatialCoordinate(mesh)
        self._points, self._nodes = PreparedInterpolation(x, vectors), PreparedInterpolation(x, nodes)
        self._value, self._source = Function(at_points), Function(at_points)
        self._gradient, self._boundary = Function(vectors), Function(self._space)
        self._solution, v, measure = Function(self._space), TestFunction(self._space), dx(degree=degree)
        self._solver = LinearVariationalSolver(
            LinearVariationalProblem(
                problem.form(TrialFunction(self._space), v),
                self._source * v * measure,
                self._solution,
                bcs=DirichletBC(self._space, self._boundary, "on_boundary"),
                constant_jacobian=False,
            ),
            solver_parameters=parameters,
        )
        self._given = Function(self._space)
        difference, slope = self._given - self._value, grad(self._given) - self._gradient
        self._squares = [get_assembler(inner(e, e) * measure) for e in (difference, slope)]

    def solve(self) -> Function:
        """Return the solution, a new Function; collective."""
        self._evaluate()
        self._nodes()
        self._boundary.dat.data_wo[:] = self._problem.exact(self._nodes.function.dat.data_ro).value
        # The same numbers whatever was solved before.
        self._solution.assign(0.0)
        self._solver.solve()
        return self._solution.copy(deepcopy=True)

    def interpolant(self) -> Function:
        """Return the exact solution interpolated, a new Function; collective."""
        found = Function(self._space)
        self._nodes()
        found.dat.data_wo[:] = self._problem.exact(self._nodes.function.dat.data_ro).value
        return found

    def errors(self, u: Function) -> Errors:
        """Return the errors of a function of the space of the method, on the mesh as it is; collective."""
        self._evaluate()
        self._given.assign(u)
        square, slopes = (float(assembler.assemble()) for assembler in self._squares)
        return Errors(sqrt(square), sqrt(square + slopes))

    def _evaluate(self) -> None:
        """Evaluate the exact solution in the quadrature points."""
        self._points()
        exact = self._problem.exact(self._points.function.dat.data_ro)
        self._value.dat.data_wo[:] = exact.value
        self._gradient.dat.data_wo[:] = exact.gradient
        self._source.dat.data_wo[:] = self._problem.source(exact)
