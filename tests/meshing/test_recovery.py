"""Recovered derivatives: exact for quadratics up to the boundary, convergent for smooth fields."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from domains import MESHES
from firedrake import (
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    UnitCubeMesh,
    UnitDiskMesh,
    UnitSquareMesh,
    as_matrix,
    as_vector,
    cos,
    dot,
    grad,
    sin,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.patches import MeshPatches
from meshing.recovery import recover_gradient, recover_hessian, recovered_derivatives, vertex_values
from meshing.simplex import simplex_volumes, simplex_widths

FLOATS = partial(st.floats, allow_subnormal=False)


def p1(mesh, expression) -> Function:
    return Function(FunctionSpace(mesh, "CG", 1), name="u").interpolate(expression)


def jiggled(mesh, seed: int = 0) -> Mesh:
    """Move vertices of the interior at random by up to a third of what might invert a cell."""
    patches = MeshPatches(mesh)
    reach = 0.33 * patches.minimum(simplex_widths(patches.points, patches.cells)) * ~patches.boundary()
    coordinates = mesh.coordinates.copy(deepcopy=True)
    noise = np.random.default_rng(seed).uniform(-1, 1, patches.points.shape) / np.sqrt(patches.points.shape[1])
    coordinates.dat.data_wo[:] = patches.points + reach[:, None] * noise
    return Mesh(coordinates)


QUADRATIC_MESHES: dict[str, Callable[[], Mesh]] = MESHES | {
    # Vertices of four neighbours, too few for a quadratic.
    "crossed": lambda: UnitSquareMesh(7, 6, diagonal="crossed"),
    "jiggled square": lambda: jiggled(UnitSquareMesh(9, 8)),
    "jiggled cube": lambda: jiggled(UnitCubeMesh(5, 4, 4)),
}


@pytest.mark.parametrize("domain", QUADRATIC_MESHES)
def test_quadratics_are_exact_everywhere(domain: str) -> None:
    mesh = QUADRATIC_MESHES[domain]()
    dimension = mesh.geometric_dimension
    curvature = np.array([[3.0, -2.0, 1.0], [-2.0, 2.0, 0.5], [1.0, 0.5, -4.0]])[:dimension, :dimension]
    slope = np.array([3.0, -1.0, 2.0])[:dimension]
    x = SpatialCoordinate(mesh)
    quadratic = 7 + dot(as_vector(slope), x) + 0.5 * dot(x, dot(as_matrix(curvature), x))
    gradient, hessian = recovered_derivatives(p1(mesh, quadratic))
    # Second differences of rounding, over the square of the smallest size.
    smallest = simplex_widths(mesh.coordinates.dat.data_ro, mesh.coordinates.cell_node_map().values).min()
    tolerance = 1e-12 / smallest**2
    assert tolerance < 1e-5
    np.testing.assert_allclose(hessian, np.broadcast_to(curvature, hessian.shape), rtol=0, atol=tolerance)
    expected = slope + mesh.coordinates.dat.data_ro @ curvature
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * smallest)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), exponent=FLOATS(-3, 0), angle=FLOATS(0, 3), shift=FLOATS(-100, 100))
def test_affine_maps_carry_the_recovery_along(seed: int, exponent: float, angle: float, shift: float) -> None:
    """grad u(A x) = A^{-T} grad u, however slender cells become: for any field, not for smooth ones only."""
    mesh = jiggled(UnitSquareMesh(5, 5), seed)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = turn @ np.diag([1.0, 10.0**exponent]) @ turn.T
    coordinates = mesh.coordinates.copy(deepcopy=True)
    coordinates.dat.data_wo[:] = mesh.coordinates.dat.data_ro @ affine.T + shift
    image = Mesh(coordinates)
    values = np.random.default_rng(seed).standard_normal(mesh.num_vertices())
    (gradient, hessian), (mapped_gradient, mapped_hessian) = (
        recovered_derivatives(with_values(on, values)) for on in (mesh, image)
    )
    np.testing.assert_allclose(mapped_gradient @ affine, gradient, rtol=0, atol=1e-6 * np.abs(gradient).max())
    back = affine.T @ mapped_hessian @ affine
    np.testing.assert_allclose(back, hessian, rtol=0, atol=1e-6 * np.abs(hessian).max())


def with_values(mesh, values: np.ndarray) -> Function:
    field = Function(FunctionSpace(mesh, "CG", 1))
    field.dat.data_wo[:] = values
    return field


@pytest.mark.parametrize(
    ("name", "meshes", "orders"),
    [
        ("square", [UnitSquareMesh(n, n) for n in (12, 24, 48)], (2, 2, 1)),
        ("disc", [UnitDiskMesh(n) for n in (3, 4, 5)], (2, 1, 1)),
        ("cube", [UnitCubeMesh(n, n, n) for n in (5, 10, 20)], (2, 2, 1)),
    ],
)
def test_smooth_fields_converge(name: str, meshes: list, orders: tuple[int, int, int]) -> None:
    """Gradient of order 2 everywhere, Hessian 1, and 2 in the interior where neighbours lie symmetrically."""
    errors = []
    for mesh in meshes:
        x = SpatialCoordinate(mesh)
        smooth = sin(3 * x[0] + 1) * cos(2 * x[1])
        gradient, hessian = recovered_derivatives(p1(mesh, smooth))
        away = np.abs(gradient - p1_components(mesh, grad(smooth))).max(axis=1)
        bent = np.abs(hessian - p1_components(mesh, grad(grad(smooth)))).max(axis=(1, 2))
        inside = ~MeshPatches(mesh).boundary()
        errors.append([away.max(), bent[inside].max(), bent.max()])
    rates = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    print(f"\n{name}: rates of gradient, Hessian inside, Hessian: {np.round(rates, 2).tolist()}")
    assert (rates[-1] > np.array(orders) - 0.1).all()


def p1_components(mesh, expression) -> np.ndarray:
    """Return the values of an expression in the vertices, component by component."""
    components = [p1(mesh, expression[index]).dat.data_ro for index in np.ndindex(expression.ufl_shape)]
    return np.stack(components, axis=1).reshape(-1, *expression.ufl_shape)


def test_of_other_fields_the_values_in_the_vertices_count() -> None:
    """Those of P3; of P0, which jumps, the mean by volume."""
    mesh = jiggled(UnitSquareMesh(4, 4))
    x = SpatialCoordinate(mesh)
    cubic = x[0] ** 3 - x[0] * x[1] ** 2 + x[1]
    higher = Function(FunctionSpace(mesh, "CG", 3)).interpolate(cubic)
    np.testing.assert_allclose(vertex_values(higher), p1(mesh, cubic).dat.data_ro, rtol=0, atol=1e-14)
    jumping = Function(FunctionSpace(mesh, "DG", 0))
    jumping.dat.data_wo[:] = np.random.default_rng(0).standard_normal(mesh.num_cells())
    cells, points = mesh.coordinates.cell_node_map().values, mesh.coordinates.dat.data_ro
    areas = np.abs(simplex_volumes(points, cells))
    of_cell = jumping.dat.data_ro[jumping.function_space().cell_node_map().values[:, 0]]
    for vertex, value in enumerate(vertex_values(jumping)):
        around = (cells == vertex).any(axis=1)
        assert value == pytest.approx(np.average(of_cell[around], weights=areas[around]), abs=1e-14)


@pytest.mark.parametrize("mesh", [UnitSquareMesh(1, 1), UnitCubeMesh(1, 1, 1)], ids=["2D", "3D"])
def test_without_any_fit_there_is_the_mean_gradient(mesh) -> None:
    """No vertex inside."""
    x = SpatialCoordinate(mesh)
    gradient, hessian = recovered_derivatives(p1(mesh, 1 + 2 * x[0] - x[1]))
    expected = np.array([2.0, -1.0, 0.0])[: mesh.geometric_dimension]
    np.testing.assert_allclose(gradient, np.broadcast_to(expected, gradient.shape), rtol=0, atol=1e-13)
    assert (hessian == 0).all()


@pytest.mark.parametrize("unit", [1e-150, 1e150])
def test_the_unit_of_the_field_does_not_matter(unit: float) -> None:
    mesh = UnitSquareMesh(5, 5)
    x = SpatialCoordinate(mesh)
    field = p1(mesh, sin(3 * x[0]) * x[1])
    plain = recovered_derivatives(field)
    field.dat.data_wo[:] *= unit
    for one, other in zip(plain, recovered_derivatives(field), strict=True):
        np.testing.assert_allclose(other / unit, one, rtol=0, atol=1e-10)


def test_a_constant_has_no_derivatives_at_all() -> None:
    for values in recovered_derivatives(p1(UnitDiskMesh(2), 0.1)):
        assert (values == 0).all()


def test_fields_of_vectors_and_symmetric_tensors_are_returned() -> None:
    mesh = UnitDiskMesh(2)
    field = p1(mesh, sin(3 * SpatialCoordinate(mesh)[0]))
    gradient, hessian = recover_gradient(field), recover_hessian(field)
    assert (gradient.ufl_shape, hessian.ufl_shape) == ((2,), (2, 2))
    np.testing.assert_array_equal(gradient.dat.data_ro, recovered_derivatives(field)[0])
    np.testing.assert_array_equal(hessian.dat.data_ro, recovered_derivatives(field)[1])
    np.testing.assert_array_equal(hessian.dat.data_ro, hessian.dat.data_ro.swapaxes(1, 2))


def test_bad_input_is_refused() -> None:
    mesh = UnitSquareMesh(3, 3)
    field = p1(mesh, 1.0)
    with pytest.raises(
        ValueError, match=r"^gradient: got a field of shape \(2,\), expected a scalar; take its length$"
    ):
        recover_hessian(recover_gradient(field))
    field.dat.data_wo[5] = np.nan
    with pytest.raises(ValueError, match=r"^u: got values that are not finite, expected a finite field; mend it$"):
        recover_gradient(field)
    mesh.coordinates.dat.data_wo[:, 0] = 0.0
    with pytest.raises(ValueError, match=r"^mesh: got a cell without volume, expected cells that are not degenerate"):
        recover_gradient(field.assign(1.0))
