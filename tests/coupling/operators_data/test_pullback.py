"""Matrices of moved meshes from the reference mesh, against direct assembly."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Function,
    FunctionSpace,
    Mesh,
    TestFunction,
    TrialFunction,
    UnitCubeMesh,
    UnitSquareMesh,
    as_tensor,
    assemble,
    dx,
    grad,
    inner,
)
from moved_meshes import random

from coupling.operator_matrices import csr
from coupling.operator_pullback import pulled_back_coefficient, pulled_back_source


def stiffness(space, kappa):
    return csr(inner(kappa * grad(TrialFunction(space)), grad(TestFunction(space))) * dx)


def on(mesh, function: Function) -> Function:
    """Return the function of the same degrees of freedom on a mesh of the same topology."""
    moved = Function(function.function_space().reconstruct(mesh=mesh))
    moved.dat.data_wo[:] = function.dat.data_ro
    return moved


@pytest.mark.parametrize("make", [lambda: UnitSquareMesh(9, 8), lambda: UnitCubeMesh(3, 2, 3)])
@pytest.mark.parametrize("degree", [1, 2])
def test_stiffness_and_loads_of_a_moved_mesh_follow_from_the_reference_mesh(make, degree: int) -> None:
    mesh = make()
    positions = mesh.coordinates.copy(deepcopy=True)
    x = positions.dat.data
    x += 0.06 * np.sin(3.0 * x[:, ::-1] + 1.0)
    moved = Mesh(positions.copy(deepcopy=True))
    space, other = FunctionSpace(mesh, "CG", degree), FunctionSpace(moved, "CG", degree)
    kappa = random(FunctionSpace(mesh, "DG", 0))
    kappa.dat.data[:] = np.exp(kappa.dat.data_ro)
    direct = stiffness(other, on(moved, kappa))
    found = stiffness(space, pulled_back_coefficient(positions, kappa))
    worst = abs(found - direct).max() / abs(direct).max()
    print(f"stiffness: {worst:.1e} of the largest entry")
    assert worst < 1e-14
    source = random(space, seed=1)
    load = assemble(pulled_back_source(positions, source) * TestFunction(space) * dx).dat.data_ro
    expected = assemble(on(moved, source) * TestFunction(other) * dx).dat.data_ro
    assert np.abs(load - expected).max() < 1e-14 * np.abs(expected).max()


def test_numbers_and_tensors_are_coefficients_too() -> None:
    mesh = UnitSquareMesh(4, 4)
    positions = mesh.coordinates.copy(deepcopy=True)
    positions.dat.data[:, 0] += 0.1 * positions.dat.data_ro[:, 1]
    moved = Mesh(positions.copy(deepcopy=True))
    space, other = FunctionSpace(mesh, "CG", 1), FunctionSpace(moved, "CG", 1)
    tensor = as_tensor([[2.0, 0.3], [0.3, 1.0]])
    for kappa, plain in ((3.0, 3.0), (tensor, tensor)):
        direct, found = stiffness(other, plain), stiffness(space, pulled_back_coefficient(positions, kappa))
        assert abs(found - direct).max() < 1e-14 * abs(direct).max()
