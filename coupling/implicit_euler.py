"""Implicit Euler steps of linear diffusion: the solve, a residual that bounds the error, and a network in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite, sqrt
from typing import Any

import numpy as np
from firedrake import (
    COMM_SELF,
    Cofunction,
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    LinearVariationalProblem,
    LinearVariationalSolver,
    TestFunction,
    TrialFunction,
    UnitIntervalMesh,
    UnitTetrahedronMesh,
    UnitTriangleMesh,
    action,
    assemble,
    dx,
    inner,
)
from firedrake.assemble import get_assembler
from mpi4py import MPI
from scipy.linalg import eigvalsh

from coupling.operator_inverse import OperatorInverse, operator_problem
from coupling.operator_matrices import csr
from coupling.surrogate import ImplicitStep, Surrogate
from coupling.warm_start import WarmStart
from fem.solver_parameters import CG_GAMG
from learned.operators.spon import SPON

_CELLS = {
    "interval": lambda **comm: UnitIntervalMesh(1, **comm),
    "triangle": UnitTriangleMesh,
    "tetrahedron": UnitTetrahedronMesh,
}


class ImplicitEuler(ImplicitStep):
    r"""A step of :math:`\partial_t u + A u = f` with given boundary values, by implicit Euler.

    .. math:: r = B u_{n+1} - M u_n - \Delta t f,\quad B = M + \Delta t A,\qquad
              \|u_{n+1} - \hat u_{n+1}\|_{L^2} \le \|r\|_{M^{-1}} \le \rho = \sqrt{c^{-1}\, r \cdot D^{-1} r}

    with the step :math:`\hat u_{n+1}` solved exactly, the mass matrix M and its diagonal D, r where nothing is fixed,
    and the least eigenvalue c of :math:`D^{-1} M` on a single cell (1/2 for linear triangles). Steps solved exactly do
    not part two states, so after n steps the error against a run of exact ones is at most the sum of the
    :math:`\rho`. ``residual`` is :math:`\rho / \sqrt{b \cdot D^{-1} b}` with :math:`b = M u_n + \Delta t f`, and
    infinity for states that miss a boundary value.

    Of long steps on fine meshes this counts what is rough by far too much. With ``sharp``,
    :math:`\rho = \sqrt{r \cdot P r / \lambda}` with the solver's preconditioner P, an application of which it costs,
    and the least eigenvalue of P B: the error in the norm of B and a few times that at most. It is a bound to the
    digits to which conjugate gradients find that eigenvalue, in a solve made for it.

    Parameters
    ----------
    form
        a(u, v), linear in both, symmetric and not negative, on Lagrange elements of simplices.
    source
        f as a linear form; None for 0.
    bcs
        Boundary values, at the time after the step.
    parameters
        Of the solver, see ``fem.solver_parameters``: conjugate gradients or a direct one.
    sharp
        See above.

    Notes
    -----
    M >= c D: Wathen, Realistic eigenvalue bounds for the Galerkin mass matrix, IMA J. Numer. Anal. 7 (1987). The rest
    is that M + dt A is at least M.
    """

    def __init__(
        self,
        form,
        source=None,
        bcs: Sequence[DirichletBC] = (),
        *,
        parameters: Mapping[str, Any] = CG_GAMG,
        sharp: bool = False,
    ):
        space = form.arguments()[0].function_space()
        self.space, self.bcs, self._form = space, tuple(bcs), form
        u, v = TrialFunction(space), TestFunction(space)
        self._dt, self._before, self._after = Constant(1.0), Function(space), Function(space)
        load = inner(self._before, v) * dx
        if source is not None:
            load += self._dt * source
        self._mass = inner(u, v) * dx
        self._left = self._mass + self._dt * form
        self._residual, self._load = get_assembler(action(self._left, self._after) - load), get_assembler(load)
        self._solver = LinearVariationalSolver(
            LinearVariationalProblem(self._left, load, self._after, bcs=self.bcs, constant_jacobian=True),
            solver_parameters=dict(parameters),
        )
        # Where a solve begins, as the solver has it: what is to be taken away from the boundary values.
        self._start, self._given = Function(space), Function(space)
        WarmStart(lambda _: self._start.dat.data_ro.ravel()).attach(self._solver)
        self._sharp, self._share = sharp, least_mass_eigenvalue(space)
        self._solver.snes.ksp.setComputeSingularValues(sharp)
        self.mesh_changed()

    def mesh_changed(self) -> None:
        """See ``ImplicitStep``."""
        self._diagonal = assemble(self._mass, diagonal=True).dat.data_ro.copy()
        self._matrix_changed()

    def solve(self, before: Function, start: Function, after: Function, dt: float) -> None:
        """See ``ImplicitStep``: with the tolerance of the solver, relative to a start at zero."""
        self._set(before, dt)
        self._after.assign(0.0)
        for bc in self.bcs:
            bc.apply(self._after)
        self._start.assign(self._after - start)
        for bc in self.bcs:
            bc.zero(self._start)
        self._solver.solve()
        for bc in self.bcs:
            bc.apply(self._after)
        after.assign(self._after)

    def residual(self, before: Function, after: Function, dt: float) -> float:
        """See the class."""
        error, load = self.error_bound(before, after, dt)
        return error / load if load > 0.0 else (0.0 if error == 0.0 else inf)

    def error_bound(self, before: Function, after: Function, dt: float) -> tuple[float, float]:
        r"""Return :math:`\rho`, infinity if a boundary value is missed, and the norm of b; collective."""
        self._set(before, dt)
        self._given.assign(after)
        for bc in self.bcs:
            bc.apply(self._given)
        met = bool((self._given.dat.data_ro == after.dat.data_ro).all())
        if self._sharp and self._least is None:
            self._find_least()
        self._after.assign(after)
        residual, load = (self._free(assembler) for assembler in (self._residual, self._load))
        comm = self.space.mesh().comm
        error = self._energy(residual) if self._sharp else self._square(residual) / self._share
        met = comm.allreduce(met, MPI.LAND) and isfinite(error)
        return (sqrt(error) if met else inf), sqrt(self._square(load))

    def surrogate(
        self,
        network: SPON,
        dt: float,
        *,
        features: np.ndarray | None = None,
        coarse: Sequence[Any] = (),
        sweeps: int = 1,
    ) -> Surrogate:
        r"""Return a step by a network's operator.

        .. math:: u \leftarrow u - S r(u), \quad\text{from } u_n

        with S about the inverse of :math:`M + \Delta t A`. Boundary values are met exactly.

        Parameters
        ----------
        network
            See ``OperatorInverse``.
        dt
            Time step [s].
        features, coarse
            See ``operator_problem``.
        sweeps
            How often.

        Raises
        ------
        ValueError
            As ``operator_problem`` and ``OperatorInverse`` do; on several ranks.
        """
        self._set_dt(dt)
        problem = operator_problem(self._left, self.bcs, features=features, coarse=coarse)
        inverse = OperatorInverse(network, problem)
        fixed = problem.fixed.ravel()

        def step(values: np.ndarray) -> np.ndarray:
            state = Function(self.space)
            state.dat.data_wo[...] = values.reshape(state.dat.data_ro.shape)
            self._set(state, dt)
            load = self._load.assemble().dat.data_ro.ravel()
            for bc in self.bcs:
                bc.apply(state)
            u = state.dat.data_ro.ravel().copy()
            for _ in range(sweeps):
                u -= inverse(np.where(fixed, 0.0, problem.stiffness @ u - load))
            return u

        return step

    def _set(self, before: Function, dt: float) -> None:
        self._before.assign(before)
        self._set_dt(dt)

    def _set_dt(self, dt: float) -> None:
        if float(self._dt) != dt:
            self._dt.assign(dt)
            self._matrix_changed()

    def _matrix_changed(self) -> None:
        self._solver.invalidate_jacobian()
        self._least: float | None = None

    def _free(self, assembler) -> Any:
        """Return a functional without what is fixed."""
        functional = assembler.assemble()
        for bc in self.bcs:
            bc.zero(functional)
        return functional

    def _square(self, functional) -> float:
        """Return the square of a functional's norm in the inverse of D; collective."""
        values = functional.dat.data_ro
        with np.errstate(over="ignore"):
            return self.space.mesh().comm.allreduce(float((values**2 / self._diagonal).sum()))

    def _energy(self, functional) -> float:
        """Return the square of a functional's norm in the inverse of B, at least; collective."""
        assert self._least is not None
        with functional.dat.vec_ro as r:
            z = r.duplicate()
            self._solver.snes.ksp.getPC().apply(r, z)
            return max(r.dot(z), 0.0) / self._least

    def _find_least(self) -> None:
        """Set up the solver, and find the least eigenvalue of P B."""
        self._start.assign(0.0)
        self._solver.solve()
        ksp = self._solver.snes.ksp
        if ksp.getType() == ksp.Type.PREONLY:
            self._least = 1.0
            return
        rough = Cofunction(self.space.dual())
        rough.dat.data_wo[...] = np.random.default_rng(0).normal(size=rough.dat.data_ro.shape)
        for bc in self.bcs:
            bc.zero(rough)
        with rough.dat.vec_ro as b:
            ksp.solve(b, b.duplicate())
        self._least = ksp.computeExtremeSingularValues()[1]


def least_mass_eigenvalue(space) -> float:
    r"""Return the least eigenvalue c of :math:`D^{-1} M` on a cell, D being the diagonal of its mass matrix M.

    The same on all cells, for they are images of one under affine maps; so :math:`M \ge c D` on any mesh.

    Parameters
    ----------
    space
        Space of a Lagrange element, or of vectors of it, on simplices with straight edges.

    Raises
    ------
    ValueError
        For other cells.
    """
    cell = str(space.mesh().ufl_cell())
    if cell not in _CELLS:
        raise ValueError(f"space: got cells {cell}, expected one of {', '.join(_CELLS)}")
    scalar = space.sub(0).collapse() if space.value_size > 1 else space
    alone = FunctionSpace(_CELLS[cell](comm=COMM_SELF), scalar.ufl_element())
    mass = csr(inner(TrialFunction(alone), TestFunction(alone)) * dx).toarray()
    return float(eigvalsh(mass, np.diag(mass.diagonal()))[0])
