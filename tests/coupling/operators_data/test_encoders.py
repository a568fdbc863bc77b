"""Encoders keep what they say, and what they give does not depend on the mesh but for an error of second order."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Function,
    FunctionSpace,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    VectorFunctionSpace,
    assemble,
    dx,
    exp,
    inner,
    sin,
    sqrt,
)
from moved_meshes import moved, moved_hierarchy, random
from scipy.sparse.linalg import spsolve

from coupling.operator_encoders import ENCODERS, Encoder, Interpolation, LoadVector
from coupling.operator_matrices import csr
from coupling.operator_transfers import nested_prolongation


def smooth(mesh):
    x, y = SpatialCoordinate(mesh)
    return exp(x) * sin(4 * y + x)


def function_of(space, numbers: np.ndarray) -> Function:
    function = Function(space)
    function.dat.data_wo[:] = numbers.reshape(function.dat.data_ro.shape)
    return function


SPACES = {
    "CG2": lambda mesh: FunctionSpace(mesh, "CG", 2),
    "DG1": lambda mesh: FunctionSpace(mesh, "DG", 1),
    "vector": lambda mesh: VectorFunctionSpace(mesh, "CG", 1),
    "RT2": lambda mesh: FunctionSpace(mesh, "RT", 2),
    "mixed": lambda mesh: FunctionSpace(mesh, "RT", 1) * FunctionSpace(mesh, "DG", 0),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("encoder", [kind for kind in ENCODERS.values() if kind.exact])
def test_functions_of_the_space_come_back(encoder: type[Encoder], name: str) -> None:
    space = SPACES[name](moved(UnitSquareMesh(3, 3)))
    field = random(space)
    numbers = np.concatenate([part.dat.data_ro.ravel() for part in field.subfunctions])
    np.testing.assert_allclose(encoder(space)(field), numbers, rtol=0, atol=1e-12)


@pytest.mark.parametrize("encoder", [kind for kind in ENCODERS.values() if kind.conservative])
def test_conservative_encoders_keep_the_integral(encoder: type[Encoder]) -> None:
    mesh = moved(UnitSquareMesh(4, 4))
    space = FunctionSpace(mesh, "CG", 1)
    numbers = encoder(space)(smooth(mesh))
    # The load vector holds integrals, a projection values to integrate.
    total = numbers.sum() if encoder is LoadVector else assemble(function_of(space, numbers) * dx)
    assert total == pytest.approx(assemble(smooth(mesh) * dx(degree=8)), rel=1e-13)


def test_interpolation_does_not_keep_the_integral_as_it_says() -> None:
    mesh = UnitSquareMesh(4, 4)
    found = assemble(function_of(space := FunctionSpace(mesh, "CG", 1), Interpolation(space)(smooth(mesh))) * dx)
    assert abs(found - assemble(smooth(mesh) * dx(degree=8))) > 1e-4 and not Interpolation.conservative


@pytest.mark.parametrize("degree", [1, 2])
def test_load_vectors_on_a_coarse_mesh_follow_from_those_on_any_finer_one(degree: int) -> None:
    meshes = moved_hierarchy(UnitSquareMesh(3, 3), 2)
    spaces = [FunctionSpace(mesh, "CG", degree) for mesh in meshes]
    # A polynomial, so that no mesh has an error of quadrature.
    loads = [LoadVector(space)(SpatialCoordinate(space.mesh())[0] ** 3 + 1) for space in spaces]
    for level in (0, 1):
        matrix = nested_prolongation(*spaces[level : level + 2])
        np.testing.assert_allclose(matrix.T @ loads[level + 1], loads[level], rtol=0, atol=1e-15)
    assert LoadVector.nested


@pytest.mark.parametrize("encoder", list(ENCODERS.values()))
@pytest.mark.parametrize("is_moved", [False, True])
def test_encoded_functions_converge_with_order_two_on_regular_and_moved_meshes(
    encoder: type[Encoder], is_moved: bool
) -> None:
    errors = []
    for cells in (8, 16, 32):
        mesh = moved(UnitSquareMesh(cells, cells)) if is_moved else UnitSquareMesh(cells, cells)
        space = FunctionSpace(mesh, "CG", 1)
        numbers = encoder(space)(smooth(mesh))
        if encoder is LoadVector:
            # As a functional it is represented by M^-1 b.
            numbers = spsolve(csr(TrialFunction(space) * TestFunction(space) * dx).tocsc(), numbers)
        wrong = function_of(space, numbers) - smooth(mesh)
        errors.append(float(sqrt(assemble(inner(wrong, wrong) * dx(degree=6)))))
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    print(f"{encoder.__name__}, moved {is_moved}: errors {errors}, rates {rates}")
    assert rates[-1] > 1.9
