"""The metric tensor: positive definite everywhere, and the formula that it says it is."""

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
    UnitSquareMesh,
    as_matrix,
    dot,
    sin,
    tanh,
)

from meshing.alignment import metric_values, positive_definite
from meshing.metric import MetricMonitor
from meshing.recovery import recover_hessian
from meshing.shaping import Shaping, helmholtz_filter, mean_of_vertices

RAW = Shaping(smoothing=0.0)


def p1(mesh, expression) -> Function:
    return Function(FunctionSpace(mesh, "CG", 1), name="u").interpolate(expression)


def front(mesh) -> Function:
    """Thin, curved, with Hessians in all directions."""
    x = SpatialCoordinate(mesh)
    return p1(mesh, tanh(15 * (x[0] + 0.3 * sin(4 * x[1]) - 0.5)))


def moved(mesh, amount: float = 0.02) -> Mesh:
    coordinates = mesh.coordinates.copy(deepcopy=True)
    points = mesh.coordinates.dat.data_ro
    coordinates.dat.data_wo[:] = points + amount * np.sin(5 * points[:, ::-1])
    return Mesh(coordinates)


def tensors(monitor: MetricMonitor, mesh) -> np.ndarray:
    return monitor.metric(mesh).dat.data_ro.copy()


@pytest.mark.parametrize("domain", MESHES)
@pytest.mark.parametrize(
    "options",
    [{}, {"shaping": Shaping(smoothing=5.0, max_size_ratio=1.5)}, {"regularisation": 1e-6, "max_anisotropy": 1e3}],
    ids=["defaults", "shaped", "extreme"],
)
def test_the_contract(domain: str, options: dict) -> None:
    """A symmetric positive definite P1 tensor, its density the monitor function, of mean 1, wherever vertices are."""
    mesh = MESHES[domain]()
    monitor = MetricMonitor(front(mesh), **options)
    for on in (mesh, moved(mesh), moved(mesh, -0.03)):
        metric = monitor.metric(on)
        assert metric.function_space() == TensorFunctionSpace(on, "CG", 1)
        values = metric_values(on, metric)
        assert positive_definite(values).all()
        np.testing.assert_array_equal(values, values.swapaxes(1, 2))
        density = np.sqrt(np.linalg.det(values))
        assert mean_of_vertices(on, density) == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose(monitor(on).dat.data_ro, density, rtol=1e-11)


@pytest.mark.parametrize("mesh", [moved(UnitSquareMesh(7, 6)), moved(UnitCubeMesh(4, 4, 5))], ids=["2D", "3D"])
@pytest.mark.parametrize("shaping", [RAW, Shaping(smoothing=2.0)], ids=["raw", "smoothed"])
def test_a_quadratic_has_one_metric(mesh, shaping: Shaping) -> None:
    """|H| takes the absolute values of the eigenvalues, here 5 and -0.5 (and 2); sqrt(det M) is 1 everywhere."""
    dimension = mesh.geometric_dimension
    turn = np.linalg.qr(np.array([[2.0, -1.0, 0.5], [1.0, 2.0, 1.0], [0.0, 1.0, 3.0]])[:dimension, :dimension])[0]
    eigenvalues = np.array([5.0, -0.5, 2.0])[:dimension]
    x = SpatialCoordinate(mesh)
    field = p1(mesh, 0.5 * dot(x, dot(as_matrix(turn @ np.diag(eigenvalues) @ turn.T), x)))
    monitor = MetricMonitor(field, regularisation=0.2, shaping=shaping)
    wanted = 0.2 * np.linalg.norm(eigenvalues) + np.abs(eigenvalues)
    wanted /= wanted.prod() ** (1 / dimension)
    expected = turn @ np.diag(wanted) @ turn.T
    for on in (mesh, moved(mesh)):
        np.testing.assert_allclose(tensors(monitor, on) - expected, 0.0, atol=1e-8)


@pytest.mark.parametrize("mesh", [UnitSquareMesh(9, 9), UnitCubeMesh(7, 7, 7)], ids=["2D", "3D"])
def test_cubics_have_the_metric_of_the_formula(mesh) -> None:
    """u = x^3 + y^3 has H = diag(6 x, 6 y, 0), recovered exactly inside, where its norm is greatest."""
    points, dimension = mesh.coordinates.dat.data_ro, mesh.geometric_dimension
    inside = ((points > 0) & (points < 1)).all(axis=1)
    x = SpatialCoordinate(mesh)
    monitor = MetricMonitor(p1(mesh, x[0] ** 3 + x[1] ** 3), shaping=RAW, scale=100, max_anisotropy=100.0)
    hessian = np.zeros_like(points)
    hessian[:, :2] = 6 * points[:, :2]
    hessian = hessian[inside]
    regular = hessian + 0.3 * np.linalg.norm(hessian, axis=1).max()
    expected = regular * regular.prod(axis=1, keepdims=True) ** (-1 / (dimension + 4))
    values = tensors(monitor, mesh)[inside]
    diagonal = np.einsum("nii->ni", values)
    ratios = diagonal / expected
    np.testing.assert_allclose(ratios, ratios[0, 0], rtol=1e-9)
    np.testing.assert_allclose(values - np.einsum("ni,ij->nij", diagonal, np.eye(dimension)), 0.0, atol=1e-9)


@pytest.mark.parametrize("angle", [0.3, 1.2, np.pi / 2])
def test_rotations_carry_the_metric_along(angle: float) -> None:
    """Filter and caps included."""
    mesh = MESHES["L-shape"]()
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    coordinates = mesh.coordinates.copy(deepcopy=True)
    coordinates.dat.data_wo[:] = mesh.coordinates.dat.data_ro @ turn.T
    rotated = Mesh(coordinates)
    field, same = front(mesh), Function(FunctionSpace(rotated, "CG", 1))
    same.dat.data_wo[:] = field.dat.data_ro
    shaping = Shaping(smoothing=1.0, max_size_ratio=2.0)
    plain, turned = (
        tensors(MetricMonitor(of, shaping=shaping, max_anisotropy=2.0), on)
        for of, on in ((field, mesh), (same, rotated))
    )
    assert np.abs(plain - turned).max() > 0.1
    np.testing.assert_allclose(turned, turn @ plain @ turn.T, rtol=0, atol=1e-8)


@pytest.mark.parametrize("mesh", [UnitSquareMesh(14, 14), UnitCubeMesh(6, 6, 6)], ids=["2D", "3D"])
@pytest.mark.parametrize(("anisotropy", "size"), [(1.0, 1.4), (1.7, 1.0), (3.0, 1.6)])
def test_shapes_and_sizes_are_in_the_ratios_allowed(mesh, anisotropy: float, size: float) -> None:
    """On the field's mesh and others; and as far as they may be."""
    monitor = MetricMonitor(
        front(mesh), regularisation=1e-3, max_anisotropy=anisotropy, shaping=Shaping(max_size_ratio=size)
    )
    for on in (mesh, moved(mesh)):
        values = tensors(monitor, on)
        eigenvalues = np.linalg.eigvalsh(values)
        density = np.sqrt(np.linalg.det(values))
        assert np.sqrt(eigenvalues[:, -1] / eigenvalues[:, 0]).max() <= anisotropy * (1 + 1e-9)
        assert density.max() / density.min() <= size**mesh.geometric_dimension * (1 + 1e-9)
        if on is mesh:
            assert np.sqrt(eigenvalues[:, -1] / eigenvalues[:, 0]).max() >= anisotropy * (1 - 1e-9)
            assert density.max() / density.min() >= size**mesh.geometric_dimension * (1 - 1e-9)


def test_on_obtuse_meshes_the_filter_leaves_the_tensor_positive_definite() -> None:
    """Where it alone would not."""
    mesh = UnitSquareMesh(9, 9)
    mesh.coordinates.dat.data_wo[:] = mesh.coordinates.dat.data_ro @ [[1.0, 0.0], [3.0, 1.0]]
    spike = Function(FunctionSpace(mesh, "CG", 1))
    spike.dat.data_wo[44] = 1.0
    values, vectors = np.linalg.eigh(recover_hessian(spike).dat.data_ro)
    absolute = (vectors * np.abs(values)[:, None, :]) @ vectors.swapaxes(1, 2)
    assert np.linalg.eigvalsh(helmholtz_filter(mesh, absolute, 0.5)).min() < -0.01 * absolute.max()
    monitor = MetricMonitor(spike, regularisation=1e-6, max_anisotropy=1e3, shaping=Shaping(smoothing=0.5))
    for on in (mesh, moved(mesh, 0.001)):
        assert positive_definite(tensors(monitor, on)).all()


@pytest.mark.parametrize("ratio", [0.5, np.nan, np.inf])
def test_bad_ratios_are_refused(ratio: float) -> None:
    with pytest.raises(ValueError) as error:
        MetricMonitor(front(UnitSquareMesh(3, 3)), max_anisotropy=ratio)
    assert str(error.value) == f"max_anisotropy: got {ratio}, expected a ratio of 1 or more, such as 10"
