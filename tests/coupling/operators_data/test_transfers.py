"""Prolongations reproduce coarse functions on nested, moved and unrelated meshes; the projection keeps integrals."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Function,
    FunctionSpace,
    Mesh,
    MeshHierarchy,
    PointEvaluator,
    SpatialCoordinate,
    TestFunction,
    UnitCubeMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    assemble,
    dx,
    errornorm,
    norm,
)
from moved_meshes import moved, moved_hierarchy, random

from coupling.operator_spaces import node_points
from coupling.operator_transfers import nested_prolongation, supermesh_prolongation

ELEMENTS = [("CG", 1), ("CG", 2), ("CG", 3), ("DG", 0), ("DG", 1), ("DG", 2)]


def values_at(function: Function, points: np.ndarray) -> np.ndarray:
    return PointEvaluator(function.function_space().mesh(), points).evaluate(function)


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("is_moved", [False, True])
def test_functions_of_the_coarse_mesh_are_reproduced_on_the_finer_one(element: tuple[str, int], is_moved: bool) -> None:
    meshes = (moved_hierarchy if is_moved else MeshHierarchy)(UnitSquareMesh(3, 2), 2)
    for level in (0, 1):
        coarse, fine = (FunctionSpace(mesh, *element) for mesh in meshes[level : level + 2])
        field, result = random(coarse), Function(fine)
        matrix = nested_prolongation(coarse, fine)
        assert matrix.shape == (fine.node_count, coarse.node_count)
        result.dat.data_wo[:] = matrix @ field.dat.data_ro
        # Evaluated inside of fine cells, where functions that jump have one value.
        centres = node_points(FunctionSpace(meshes[level + 1], "DG", 2))
        np.testing.assert_allclose(values_at(result, centres), values_at(field, centres), rtol=0, atol=1e-13)


def test_a_mesh_moved_by_way_of_its_coarse_vertices_is_nested_and_one_moved_otherwise_is_refused() -> None:
    meshes = MeshHierarchy(UnitSquareMesh(3, 3), 1)
    coarse, fine = (FunctionSpace(mesh, "CG", 1) for mesh in meshes)
    matrix = nested_prolongation(coarse, fine)
    vertices = meshes[0].coordinates.dat.data
    vertices += 0.05 * np.sin(4.0 * vertices[:, ::-1])
    with pytest.raises(ValueError, match=r"meshes: got a fine vertex .* of a cell away from where refinement has put"):
        nested_prolongation(coarse, fine)
    meshes[1].coordinates.dat.data_wo[:] = matrix @ vertices
    assert np.array_equal(nested_prolongation(coarse, fine).toarray(), matrix.toarray())


def test_a_linear_function_is_a_quadratic_one_on_the_same_mesh() -> None:
    mesh = moved(UnitSquareMesh(4, 3))
    linear, quadratic = FunctionSpace(mesh, "CG", 1), FunctionSpace(mesh, "CG", 2)
    field, result = random(linear), Function(quadratic)
    result.dat.data_wo[:] = nested_prolongation(linear, quadratic) @ field.dat.data_ro
    assert errornorm(field, result) < 1e-14 * norm(field)


def test_vectors_share_the_prolongation_of_their_components_also_in_space() -> None:
    meshes = MeshHierarchy(UnitCubeMesh(2, 1, 1), 1)
    coarse, fine = (VectorFunctionSpace(mesh, "CG", 2) for mesh in meshes)
    field, result = random(coarse), Function(fine)
    result.dat.data_wo[:] = nested_prolongation(coarse, fine) @ field.dat.data_ro
    points = node_points(FunctionSpace(meshes[1], "DG", 1))
    np.testing.assert_allclose(values_at(result, points), values_at(field, points), rtol=0, atol=1e-13)


def test_spaces_that_are_not_neighbours_or_not_of_lagrange_are_refused() -> None:
    meshes = MeshHierarchy(UnitSquareMesh(1, 1), 2)
    first, last = (FunctionSpace(mesh, "CG", 1) for mesh in (meshes[0], meshes[2]))
    with pytest.raises(ValueError, match=r"meshes: got levels 0 and 2, expected neighbours of one MeshHierarchy; use"):
        nested_prolongation(first, last)
    with pytest.raises(ValueError, match=r"space: got .*RT1.*, expected a Lagrange element"):
        nested_prolongation(*(FunctionSpace(mesh, "RT", 1) for mesh in meshes[:2]))


@pytest.mark.parametrize("element", [("CG", 1), ("CG", 2), ("DG", 1)])
def test_projections_between_unrelated_meshes_reproduce_polynomials_and_keep_integrals(
    element: tuple[str, int],
) -> None:
    # Moved inside only: both meshes cover the square.
    other = UnitSquareMesh(7, 8, diagonal="right")
    x = other.coordinates.dat.data
    x += 0.1 * np.sin(np.pi * x).prod(axis=1, keepdims=True) * np.array([1.0, -0.7])
    coarse, fine = FunctionSpace(UnitSquareMesh(3, 4), *element), FunctionSpace(Mesh(other.coordinates), *element)
    matrix = supermesh_prolongation(coarse, fine)
    for power in range(element[1] + 1):
        field, expected = (
            Function(space).interpolate(
                (SpatialCoordinate(space.mesh())[0] - 0.3) ** power + SpatialCoordinate(space.mesh())[1] ** power
            )
            for space in (coarse, fine)
        )
        np.testing.assert_allclose(matrix @ field.dat.data_ro, expected.dat.data_ro, rtol=0, atol=1e-13)
    weights = [assemble(TestFunction(space) * dx).dat.data_ro for space in (coarse, fine)]
    field = random(coarse).dat.data_ro
    assert weights[1] @ (matrix @ field) == pytest.approx(weights[0] @ field, abs=1e-14)


def test_between_nested_meshes_the_projection_is_the_prolongation() -> None:
    meshes = MeshHierarchy(UnitSquareMesh(2, 3), 1)
    coarse, fine = (VectorFunctionSpace(mesh, "CG", 1) for mesh in meshes)
    np.testing.assert_allclose(
        supermesh_prolongation(coarse, fine).toarray(), nested_prolongation(coarse, fine).toarray(), rtol=0, atol=1e-13
    )
