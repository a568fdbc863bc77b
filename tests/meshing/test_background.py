"""Fields kept on their own mesh and evaluated anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from domains import MESHES
from firedrake import (
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    TensorFunctionSpace,
    UnitCubeMesh,
    UnitDiskMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    outer,
)

from meshing.background import BackgroundField, CarriedField


def inner_points(mesh, seed: int = 0, count: int = 200) -> np.ndarray:
    """Random points of random cells."""
    rng = np.random.default_rng(seed)
    corners = mesh.coordinates.dat.data_ro[mesh.coordinates.cell_node_map().values]
    picked = corners[rng.integers(len(corners), size=count)]
    return np.einsum("nc,ncd->nd", rng.dirichlet(np.ones(corners.shape[1]), count), picked)


def linear(mesh):
    x = SpatialCoordinate(mesh)
    return 3 + 2 * x[0] - 5 * x[1]


def linear_at(points: np.ndarray) -> np.ndarray:
    return 3 + 2 * points[:, 0] - 5 * points[:, 1]


@pytest.mark.parametrize("domain", MESHES)
def test_linear_fields_are_exact_inside(domain: str) -> None:
    """Scalars, vectors and tensors."""
    mesh = MESHES[domain]()
    points, expected, dimension = inner_points(mesh), linear_at(inner_points(mesh)), mesh.geometric_dimension
    scalar = Function(FunctionSpace(mesh, "CG", 1)).interpolate(linear(mesh))
    vector_of = as_vector([k + linear(mesh) for k in range(dimension)])
    vector = Function(VectorFunctionSpace(mesh, "CG", 1)).interpolate(vector_of)
    direction = as_vector([1.0, -2.0, 3.0][:dimension])
    tensor = Function(TensorFunctionSpace(mesh, "CG", 1)).interpolate(outer(direction, direction) * linear(mesh))
    vectors = expected[:, None] + np.arange(dimension)
    tensors = expected[:, None, None] * np.outer([1.0, -2.0, 3.0], [1.0, -2.0, 3.0])[:dimension, :dimension]
    for field, wanted in ((scalar, expected), (vector, vectors), (tensor, tensors)):
        np.testing.assert_allclose(BackgroundField(field).evaluate(points), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mesh", [UnitSquareMesh(5, 4), UnitCubeMesh(3, 3, 2)], ids=["2D", "3D"])
def test_values_stay_between_those_of_the_vertices(mesh) -> None:
    """Everywhere, inside and outside; constants do to the last bit."""
    rng, points = np.random.default_rng(1), np.random.default_rng(0).uniform(-1, 2, (500, mesh.geometric_dimension))
    field = Function(FunctionSpace(mesh, "CG", 1))
    field.dat.data_wo[:] = 10.0 ** rng.uniform(-3, 3, mesh.num_vertices())
    values = BackgroundField(field).evaluate(points)
    low, high = field.dat.data_ro.min(), field.dat.data_ro.max()
    assert (values >= low * (1 - 1e-10)).all() and (values <= high * (1 + 1e-14)).all()
    assert (BackgroundField(field.assign(0.1)).evaluate(points) == field.dat.data_ro[0]).all()


def test_beyond_a_curved_boundary_the_nearest_point_counts() -> None:
    """On the circle, between the vertices of the polygon."""
    mesh = UnitDiskMesh(3)
    field = Function(FunctionSpace(mesh, "CG", 1)).interpolate(linear(mesh))
    angles = np.linspace(0.0, 2.0 * np.pi, 777)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners = mesh.coordinates.dat.data_ro[np.isclose(np.linalg.norm(mesh.coordinates.dat.data_ro, axis=1), 1.0)]
    corners = corners[np.argsort(np.arctan2(*corners.T))]
    ends = np.roll(corners, 1, axis=0)
    along = ((circle[:, None] - corners) * (ends - corners)).sum(axis=2) / ((ends - corners) ** 2).sum(axis=1)
    feet = corners + np.clip(along, 0, 1)[:, :, None] * (ends - corners)
    nearest = feet[np.arange(777), np.linalg.norm(feet - circle[:, None], axis=2).argmin(axis=1)]
    assert np.abs(nearest - circle).max() > 1e-3
    np.testing.assert_allclose(BackgroundField(field).evaluate(circle), linear_at(nearest), rtol=0, atol=1e-12)


def test_what_becomes_of_mesh_and_field_does_not_count() -> None:
    mesh = UnitSquareMesh(6, 6)
    field = Function(FunctionSpace(mesh, "CG", 1)).interpolate(linear(mesh))
    background, points = BackgroundField(field), inner_points(mesh)
    mesh.coordinates.dat.data_wo[:] *= 7.0
    field.assign(0.0)
    np.testing.assert_allclose(background.evaluate(points), linear_at(points), rtol=0, atol=1e-13)


def test_the_last_call_changes_nothing_but_rounding() -> None:
    """Begin in the cells of the last call, of other points."""
    mesh = MESHES["L-shape"]()
    field = Function(FunctionSpace(mesh, "CG", 1)).interpolate(SpatialCoordinate(mesh)[0] ** 2)
    background = BackgroundField(field)
    for seed in range(5):
        points = inner_points(mesh, seed)
        np.testing.assert_allclose(
            background.evaluate(points), BackgroundField(field).evaluate(points), rtol=0, atol=1e-14
        )


def test_at_the_vertices_of_other_meshes() -> None:
    """On its own mesh, or another where that was, bit for bit what it is; on others as anywhere."""
    mesh = UnitSquareMesh(7, 6)
    field = Function(FunctionSpace(mesh, "CG", 1)).interpolate(linear(mesh))
    field.dat.data_wo[:] += 1e-3 * np.random.default_rng(0).random(mesh.num_vertices())
    carried, copy = CarriedField(field), Mesh(mesh.coordinates.copy(deepcopy=True))
    for same in (mesh, copy):
        np.testing.assert_array_equal(carried.at_vertices(same), field.dat.data_ro)
    mesh.coordinates.dat.data_wo[:] = mesh.coordinates.dat.data_ro**1.3
    for other in (mesh, UnitSquareMesh(3, 9)):
        expected = BackgroundField(field_on(copy, field)).evaluate(other.coordinates.dat.data_ro)
        np.testing.assert_allclose(carried.at_vertices(other), expected, rtol=0, atol=1e-15)
    mesh.coordinates.dat.data_wo[3] = np.nan
    with pytest.raises(ValueError, match=r"^mesh: got a vertex at a place that is not finite, expected finite coord"):
        carried.at_vertices(mesh)


def field_on(mesh, field: Function) -> Function:
    same = Function(FunctionSpace(mesh, "CG", 1))
    same.dat.data_wo[:] = field.dat.data_ro
    return same


@pytest.mark.parametrize(("family", "degree"), [("CG", 2), ("DG", 1), ("DG", 0)])
def test_other_fields_are_refused(family: str, degree: int) -> None:
    space = FunctionSpace(UnitSquareMesh(2, 2), family, degree)
    with pytest.raises(ValueError, match=r"^field: got <.*>, expected a continuous P1 field; interpolate it into "):
        BackgroundField(Function(space))
