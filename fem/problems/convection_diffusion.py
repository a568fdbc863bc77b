"""Steady convection and diffusion, the one much faster than the other, or fast in one direction only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    JacobianInverse,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    assemble,
    conditional,
    div,
    dot,
    dx,
    grad,
    inner,
    lt,
    min_value,
    solve,
)
from numpy.typing import ArrayLike
from ufl.core.expr import Expr

from fem.problems.elliptic import Errors
from fem.solver_parameters import solver_parameters


@dataclass(frozen=True, kw_only=True)
class ConvectionDiffusion:
    r"""Solve :math:`-\nabla\cdot(A\nabla u) + b\cdot\nabla u = f`, f and u on the boundary those of an exact solution.

    By the streamline upwind/Petrov-Galerkin method: with v the test function, the residual is tested with
    :math:`v + \tau b\cdot\nabla v`,

    .. math:: \tau = \frac{h}{2 p |b|} \min(1, P / 3),\qquad P = \frac{|b|^3 h}{2 p\, b\cdot A b},\qquad
              h = \frac{2 |b|}{\sum_i |b\cdot\nabla\phi_i|}

    with p the degree and h the length of the cell along b, which on a moved mesh is far from its diameter. Without a
    velocity it is Galerkin's method.

    Parameters
    ----------
    exact
        Gives u for the place [m], both UFL.
    diffusivity
        A, symmetric positive definite, shape (2, 2), or a number times the identity [m^2/s].
    velocity
        b, without divergence [m/s].
    degree
        1 or 2, of continuous elements.
    quadrature_degree
        Of the integrals of what is exact.

    Raises
    ------
    ValueError
        For a diffusivity that is not symmetric positive definite, another degree.

    Notes
    -----
    Brooks and Hughes (1982), Comput. Meth. Appl. Mech. Engng 32, 199; Roos, Stynes and Tobiska (2008), Robust Numerical
    Methods for Singularly Perturbed Differential Equations, section III.3.2 (order p + 1/2); Tezduyar (1992), Adv.
    Appl. Mech. 28, 1 (the length).
    """

    exact: Callable[[Expr], Expr]
    diffusivity: float | ArrayLike
    velocity: tuple[float, float] = (0.0, 0.0)
    degree: int = 1
    quadrature_degree: int = 8

    def __post_init__(self) -> None:
        tensor = self.tensor
        if not (tensor.shape == (2, 2) and (tensor == tensor.T).all() and np.linalg.eigvalsh(tensor).min() > 0.0):
            raise ValueError(
                f"diffusivity: got {self.diffusivity!r}, expected a positive number or a symmetric positive definite "
                "tensor of shape (2, 2)"
            )
        if self.degree not in (1, 2):
            raise ValueError(f"degree: got {self.degree}, expected 1 or 2")

    @property
    def tensor(self) -> np.ndarray:
        """A, shape (2, 2) [m^2/s]."""
        given = np.asarray(self.diffusivity, dtype=float)
        return given * np.eye(2) if given.ndim == 0 else given

    def strong(self, u: Expr) -> Expr:
        """Return the left side of the equation for u, both UFL."""
        return -div(dot(Constant(self.tensor), grad(u))) + dot(Constant(self.velocity), grad(u))

    def solve(self, mesh, solver: str = "lu") -> Function:
        """Return the solution on a mesh of triangles as it is.

        Raises
        ------
        ValueError
            For an unknown solver.
        """
        parameters = solver_parameters(solver)
        space = FunctionSpace(mesh, "CG", self.degree)
        u, v, solution = TrialFunction(space), TestFunction(space), Function(space, name="u")
        x = SpatialCoordinate(mesh)
        tensor, velocity = Constant(self.tensor), Constant(self.velocity)
        source = self.strong(self.exact(x))
        tested = v + self._time(mesh) * dot(velocity, grad(v)) if any(self.velocity) else v
        left = (inner(dot(tensor, grad(u)), grad(v)) + dot(velocity, grad(u)) * v) * dx
        if any(self.velocity):
            left += self.strong(u) * (tested - v) * dx
        right = source * tested * dx(degree=self.quadrature_degree)
        solve(left == right, solution, bcs=self._boundary(space), solver_parameters=parameters)
        return solution

    def errors(self, u: Function, *, outside: Callable[[Expr], Expr] | None = None) -> Errors:
        """Return the errors of a solution in L2 and in the energy norm, (A grad e, grad e)^(1/2); collective.

        Parameters
        ----------
        u
            Function on the mesh as it is.
        outside
            Gives for the place a UFL expression that is negative where errors shall not count, such as in a layer.
        """
        x = SpatialCoordinate(u.function_space().mesh())
        wrong = u - self.exact(x)
        counts = 1.0 if outside is None else conditional(lt(outside(x), 0.0), 0.0, 1.0)
        squares = (inner(wrong, wrong), inner(dot(Constant(self.tensor), grad(wrong)), grad(wrong)))
        l2, energy = (sqrt(assemble(counts * one * dx(degree=self.quadrature_degree))) for one in squares)
        return Errors(l2, energy)

    def _boundary(self, space) -> DirichletBC:
        return DirichletBC(
            space, Function(space).interpolate(self.exact(SpatialCoordinate(space.mesh()))), "on_boundary"
        )

    def _time(self, mesh) -> Expr:
        """Return tau [s]."""
        velocity = np.array(self.velocity)
        speed = float(np.linalg.norm(velocity))
        along = float(velocity @ self.tensor @ velocity) / speed**2
        # Rates at which the barycentric coordinates change along b: those of the reference cell's axes, and the rest.
        rates = dot(JacobianInverse(mesh), Constant(self.velocity))
        length = 2.0 * Constant(speed) / (abs(rates[0]) + abs(rates[1]) + abs(rates[0] + rates[1]))
        peclet = Constant(speed / (2.0 * self.degree * along)) * length
        return length / Constant(2.0 * self.degree * speed) * min_value(1.0, peclet / 3.0)
