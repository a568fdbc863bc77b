"""Problems of Firedrake with untrained networks for them, small, and what a direct solver makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    assemble,
    ds,
    dx,
    exp,
    grad,
    inner,
    sin,
    solve,
    sym,
)

from coupling.operator_inverse import OperatorInverse, operator_problem
from coupling.operator_matrices import csr
from fem.problems.elasticity import Material
from fem.solver_parameters import LU
from learned.operators.spon import SPON


@dataclass
class Hybrid:
    """A linear problem, and a network's inverse for it."""

    form: Any
    load: Any
    bcs: list[DirichletBC]
    features: np.ndarray | None
    landmarks: int
    found: Function = field(init=False)

    def __post_init__(self) -> None:
        self.space = self.form.arguments()[0].function_space()
        self.found = Function(self.space)
        torch.manual_seed(0)
        count = 0 if self.features is None else self.features.shape[1]
        self.network = SPON(features=count, landmarks=self.landmarks)
        self.problem = operator_problem(self.form, self.bcs, features=self.features)
        self.inverse = OperatorInverse(self.network, self.problem)
        self.free = self.problem.free

    def solver(self, parameters: dict, **others) -> LinearVariationalSolver:
        system = LinearVariationalProblem(self.form, self.load, self.found, bcs=self.bcs)
        return LinearVariationalSolver(system, solver_parameters=parameters, **others)

    def solve(self, solver: LinearVariationalSolver) -> np.ndarray:
        self.found.assign(0.0)
        solver.solve()
        return self.found.dat.data_ro.ravel().copy()

    def exact(self) -> np.ndarray:
        u = Function(self.space)
        solve(self.form == self.load, u, bcs=self.bcs, solver_parameters=LU)
        return u.dat.data_ro.ravel().copy()

    def residual(self, u: np.ndarray) -> np.ndarray:
        """b - A u where nothing is fixed."""
        return (assemble(self.load).dat.data_ro.ravel() - csr(self.form) @ u)[self.free]

    def given(self) -> np.ndarray:
        """g: the boundary values, zero elsewhere."""
        given = Function(self.space)
        for bc in self.bcs:
            bc.apply(given)
        return given.dat.data_ro.ravel().copy()

    def lifted(self) -> np.ndarray:
        """b - A g there: what solvers are relative to."""
        return self.residual(self.given())

    def energy(self, u: np.ndarray) -> float:
        return float(np.sqrt(u @ (csr(self.form) @ u)))


def darcy(size: int = 24, landmarks: int = 12) -> Hybrid:
    """A permeability that varies a hundredfold, and boundary values that are not zero."""
    mesh = UnitSquareMesh(size, size)
    space, (x, y) = FunctionSpace(mesh, "CG", 1), SpatialCoordinate(mesh)
    u, v = TrialFunction(space), TestFunction(space)
    logarithm = 2.3 * sin(9 * x + 2) * sin(7 * y)
    features = Function(space).interpolate(logarithm).dat.data_ro[:, None]
    bcs = [DirichletBC(space, x * y, (1, 3)), DirichletBC(space, Constant(0.3), 2)]
    form = exp(logarithm) * inner(grad(u), grad(v)) * dx
    return Hybrid(form, (3 + sin(5 * x * y)) * v * dx, bcs, features, landmarks)


def elasticity(size: int = 14, landmarks: int = 12) -> Hybrid:
    """A panel whose sides are held along one axis or both."""
    mesh = UnitSquareMesh(2 * size, size)
    space, (x, _) = VectorFunctionSpace(mesh, "CG", 1), SpatialCoordinate(mesh)
    u, v = TrialFunction(space), TestFunction(space)
    bcs = [DirichletBC(space, as_vector([0.0, 0.01]), 1), DirichletBC(space.sub(1), 0.02, 3)]
    material = Material(young=1.0, poisson=0.3, plane="stress")
    form = inner(material.stress(u), sym(grad(v))) * dx
    load = inner(as_vector([0.1, -1.0 - x]), v) * dx + inner(as_vector([1.0, 0.2]), v) * ds(2)
    return Hybrid(form, load, bcs, None, landmarks)
