"""Implicit Euler steps of linear diffusion: the solve, a residual that bounds the error, and a network in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, sqrt
from typing import Any

import numpy as np
import torch
from firedrake import (
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
    VectorFunctionSpace,
    assemble,
    dx,
    inner,
)
from firedrake.assemble import get_assembler
from mpi4py import MPI

from coupling.operator_inverse import OperatorInverse, operator_problem
from coupling.operator_matrices import csr
from coupling.surrogate import ImplicitStep, Surrogate
from coupling.warm_start import WarmStart, WarmStartRecord
from fem.solver_parameters import CG_GAMG


class ImplicitEuler(ImplicitStep):
    r"""A step of :math:`\partial_t u + A u = f` with given boundary values.

    .. math:: r = (M + \Delta t A)\, u_{n+1} - M u_n - \Delta t f,\qquad
              \|u_{n+1} - \hat u_{n+1}\|_{L^2} \le \|r\|_{M^{-1}} \le \rho = \sqrt{c^{-1}\, r \cdot D^{-1} r}

    with the step :math:`\hat u_{n+1}` solved exactly, the mass matrix M and its diagonal D, r where nothing is fixed,
    and the least eigenvalue c of :math:`D^{-1} M` on a single cell (1/2 for linear triangles). Steps solved exactly do
    not part two states, so after n steps the error against a run of exact ones is at most the sum of the
    :math:`\rho`. ``residual`` is :math:`\rho / \sqrt{b \cdot D^{-1} b}`, :math:`b = M u_n + \Delta t f`, and infinity for states
    that miss a boundary value.

    Parameters
    ----------
    form
        a(u, v), linear in both, symmetric and not negative, on Lagrange elements of simplices.
    source
        f as a linear form; None for 0.
    bcs
        Boundary values, at the time after the step.
    parameters
        Of the solver, see ``fem.solver_parameters``.

    Attributes
    ----------
    record
        How solves have begun.

    Notes
    -----
    M >= c D: Wathen, Realistic eigenvalue bounds for the Galerkin mass matrix, IMA J. Numer. Anal. 7 (1987). The rest
    is that M + dt A is at least M.
    """

    def __init__(
        self, form, source=None, bcs: Sequence[DirichletBC] = (), *, parameters: Mapping[str, Any] = CG_GAMG
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
        self._residual = get_assembler(_of(self._left, self._after) - load)
        self._load = get_assembler(load)
        self._solver = LinearVariationalSolver(
            LinearVariationalProblem(self._left, load, self._after, bcs=self.bcs, constant_jacobian=True),
            solver_parameters=dict(parameters),
        )
        self._start = Function(space)
        start = WarmStart(lambda _: self._start.dat.data_ro.ravel())
        start.attach(self._solver)
        self.record: WarmStartRecord = start.record
        self._share = least_mass_eigenvalue(space)
        self.mesh_changed()
