"""Natural convection: a fluid that rises where it is warm, in Boussinesq's approximation, steady."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from firedrake import (
    Constant,
    DirichletBC,
    FacetNormal,
    Function,
    FunctionSpace,
    MixedVectorSpaceBasis,
    NonlinearVariationalProblem,
    NonlinearVariationalSolver,
    TestFunctions,
    VectorFunctionSpace,
    VectorSpaceBasis,
    assemble,
    div,
    dot,
    ds,
    dx,
    grad,
    inner,
    split,
)
from firedrake.exceptions import ConvergenceError
from ufl.form import Form

from fem.solver_parameters import NEWTON_LU, NULL_PIVOTS

# From one Rayleigh number to the next, most: Newton's method goes on from the solution of the one before.
CONTINUATION = 10.0
# Up to this it converges from rest.
_FIRST = 1e4
# A step that fails is tried again half as far, until it is less than this.
_LEAST_FACTOR = 1.2


def convection_space(mesh) -> FunctionSpace:
    """Return velocity, pressure and temperature: Taylor and Hood's P2-P1, and P2."""
    return VectorFunctionSpace(mesh, "CG", 2) * FunctionSpace(mesh, "CG", 1) * FunctionSpace(mesh, "CG", 2)


def convection_residual(w: Function, rayleigh: Constant, prandtl: Constant) -> Form:
    r"""Return the weak form of steady natural convection, lengths in heights L, speeds in kappa / L.

    .. math::

        u\cdot\nabla u &= -\nabla p + Pr\,\Delta u + Ra\,Pr\,T e_y,\qquad \nabla\cdot u = 0 \\
        u\cdot\nabla T &= \Delta T

    Parameters
    ----------
    w
        Velocity, pressure and temperature, all dimensionless.
    rayleigh, prandtl
        Ra and Pr.
    """
    u, p, temperature = split(w)
    v, q, s = TestFunctions(w.function_space())
    momentum = inner(dot(grad(u), u), v) + prandtl * inner(grad(u), grad(v)) - p * div(v)
    momentum -= rayleigh * prandtl * temperature * v[1]
    return (momentum + q * div(u) + dot(u, grad(temperature)) * s + inner(grad(temperature), grad(s))) * dx


@dataclass(frozen=True, kw_only=True)
class HeatedCavity:
    """A square cavity, hot (T = 1) on the left and cold (T = 0) on the right, no heat through bottom and top.

    Parameters
    ----------
    prandtl
        Pr, more than 0: 0.71 of air.
    hot, cold, insulated
        Markers of the sides; by default those of ``meshing.generation.rectangle``.

    Raises
    ------
    ValueError
        For a Prandtl number that is not positive.

    Notes
    -----
    De Vahl Davis (1983), Int. J. Numer. Meth. Fluids 3, 249: the benchmark and its numbers, in ``PUBLISHED``; for
    Ra = 1e6 Le Quéré (1991), Computers and Fluids 20, 29, has 8.8252.
    """

    prandtl: float = 0.71
    hot: int = 1
    cold: int = 2
    insulated: tuple[int, ...] = (3, 4)

    def __post_init__(self) -> None:
        if not self.prandtl > 0.0:
            raise ValueError(f"prandtl: got {self.prandtl}, expected more than 0, such as 0.71 for air")

    def solve(self, mesh, rayleigh: float, *, start: Function | None = None) -> Function:
        """Return velocity, pressure (its mean 0) and temperature at a Rayleigh number; collective.

        Newton's method, from rest with the number raised tenfold at most at a time, less where that fails, or from a
        solution nearby.

        Parameters
        ----------
        mesh
            Mesh of triangles of the unit square.
        rayleigh
            Ra, positive; above about 1e8 there is no steady flow.
        start
            A solution on the same cells, moved or not, at a number nearby, in whose degrees of freedom to begin.

        Returns
        -------
        Function
            In ``convection_space``.

        Raises
        ------
        ValueError
            For a Rayleigh number that is not positive.
        firedrake.exceptions.ConvergenceError
            If Newton's method does not converge.
        """
        if not rayleigh > 0.0:
            raise ValueError(f"rayleigh: got {rayleigh}, expected more than 0")
        space = convection_space(mesh)
        w, number = Function(space, name="convection"), Constant(1.0)
        walls = (self.hot, self.cold, *self.insulated)
        conditions = [
            DirichletBC(space.sub(0), (0.0, 0.0), walls),
            DirichletBC(space.sub(2), 1.0, self.hot),
            DirichletBC(space.sub(2), 0.0, self.cold),
        ]
        constants = MixedVectorSpaceBasis(
            space, [space.sub(0), VectorSpaceBasis(constant=True, comm=mesh.comm), space.sub(2)]
        )
        problem = NonlinearVariationalProblem(convection_residual(w, number, Constant(self.prandtl)), w, bcs=conditions)
        parameters = NEWTON_LU | NULL_PIVOTS
        solver = NonlinearVariationalSolver(problem, nullspace=constants, solver_parameters=parameters)
        if start is not None:
            w.assign(Function(space, val=start.dat))
        reached, factor, good = (
            rayleigh if start is not None else _FIRST / CONTINUATION,
            CONTINUATION,
            w.copy(deepcopy=True),
        )
        while True:
            aim = min(rayleigh, reached * factor)
            number.assign(aim)
            try:
                solver.solve()
            except ConvergenceError as error:
                if aim <= max(_FIRST, reached) or factor < _LEAST_FACTOR:
                    raise ConvergenceError(f"no steady flow found at Ra = {aim:g}: {error}") from None
                w.assign(good)
                # Half as far, in the logarithm.
                factor = sqrt(factor)
                continue
            if aim == rayleigh:
                break
            good.assign(w)
            reached = aim
        pressure = w.subfunctions[1]
        volume = assemble(Constant(1.0) * dx(domain=mesh))
        pressure.assign(pressure - Constant(assemble(pressure * dx) / volume))
        return w

    def nusselt(self, w: Function) -> float:
        r"""Return the mean Nusselt number, :math:`\int (u_x T - \partial_x T)`: over the cavity; collective.

        In a steady state the same heat flows through every vertical line. The mean over all of them is more accurate
        than what flows through a wall.
        """
        u, _, temperature = split(w)
        return float(assemble((u[0] * temperature - grad(temperature)[0]) * dx))

    def wall_nusselt(self, w: Function, marker: int) -> float:
        """Return the heat that flows out through a side, by the gradient there; collective."""
        _, _, temperature = split(w)
        normal = FacetNormal(w.function_space().mesh())
        return float(assemble(-dot(grad(temperature), normal) * ds(marker)))


# Mean Nusselt numbers by Rayleigh number, with Pr = 0.71.
PUBLISHED = {1e3: 1.118, 1e4: 2.243, 1e5: 4.519, 1e6: 8.800}
# The same on finer grids, extrapolated: Hortmann, Perić and Scheuerer (1990), Int. J. Numer. Meth. Fluids 11, 189.
REFINED = {1e4: 2.24475, 1e5: 4.52164, 1e6: 8.82513}
