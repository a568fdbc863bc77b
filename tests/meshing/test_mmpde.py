"""The MMPDE mover: equidistribution, alignment, symmetry, and what its weight of alignment does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from firedrake import (
    Function,
    FunctionSpace,
    Mesh,
    TensorFunctionSpace,
    UnitCubeMesh,
    UnitIntervalMesh,
    UnitSquareMesh,
)
from scipy.integrate import cumulative_simpson
from scipy.optimize import brentq

from meshing.mmpde import MMPDE
from meshing.mover import MoveStatus
from meshing.quality import mesh_quality


def nodal(function):
    """Turn a function of the vertices' places into a monitor function."""

    def monitor(mesh) -> Function:
        field = Function(FunctionSpace(mesh, "CG", 1))
        field.dat.data_wo_with_halos[:] = function(mesh.coordinates.dat.data_ro_with_halos)
        return field

    return monitor


def ring(points: np.ndarray) -> np.ndarray:
    return 1.0 + 10.0 / np.cosh(20.0 * (((points - 0.5) ** 2).sum(axis=1) - 0.09)) ** 2


def unit_mesh(dimension: int, size: int):
    return UnitSquareMesh(size, size) if dimension == 2 else UnitCubeMesh(size, size, size)


@pytest.mark.parametrize(("dimension", "size"), [(2, 20), (3, 8)])
def test_alignment_weighs_shape_against_equidistribution(dimension: int, size: int) -> None:
    mesh, monitor = unit_mesh(dimension, size), nodal(ring)
    qualities = [mesh_quality(mesh, mesh, monitor(mesh))]
    for theta in (1 / 3, 0.1, 0.03):
        result = MMPDE(theta=theta).move(mesh, monitor)
        assert result.status is MoveStatus.DONE
        moved = Mesh(result.coordinates)
        qualities.append(mesh_quality(moved, mesh, monitor(moved)))
    spreads = [quality.spread for quality in qualities]
    shapes = [quality.percentile_1_scaled_jacobian for quality in qualities]
    assert all(after < before for before, after in itertools.pairwise(spreads))
    assert all(after < before for before, after in itertools.pairwise(shapes))
    assert spreads[-1] < 0.25 * spreads[0]


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_constant_monitor_function_moves_nothing(dimension: int) -> None:
    mesh = unit_mesh(dimension, 4)
    result = MMPDE().move(mesh, nodal(lambda points: np.full(len(points), 3.0)))
    assert result.status is MoveStatus.DONE
    np.testing.assert_allclose(result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro, rtol=0, atol=1e-14)


def test_a_constant_monitor_function_brings_a_disturbed_mesh_back() -> None:
    mesh = UnitSquareMesh(12, 12)
    MMPDE().move(mesh, nodal(lambda points: np.ones(len(points))))  # makes this mesh the computational one
    disturbed = Function(mesh.coordinates.function_space())
    points = mesh.coordinates.dat.data_ro
    bubble = np.sin(np.pi * points).prod(axis=1)
    disturbed.dat.data_wo[:] = points + 0.05 * bubble[:, None] * np.array([1.0, -1.0])
    result = MMPDE(tolerance=1e-5).move(Mesh(disturbed), nodal(lambda at: np.ones(len(at))))
    assert result.status is MoveStatus.DONE
    np.testing.assert_allclose(result.coordinates.dat.data_ro, points, rtol=0, atol=1e-6)


def least_energy_of_a_layer(monitor, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return places x and xi(x) of the mesh of least energy in the plane for a monitor function of x alone, of mean 1.

    Then y = eta, and the Lagrangian m^(-1/2) g(x') of the functional with p = 3/2 has the first integral
    m^(-1/2) (g - x' g') = C: 3 theta (1 + s^-2)^(1/2) / s + 3/2 (1 - 2 theta) 2^(3/2) s^(-1/2) = C m^(1/2), s = x'.
    """
    x = np.linspace(0.0, 1.0, 4001)

    def left(s):
        return 3 * theta * np.sqrt(1 + s**-2) / s + 1.5 * (1 - 2 * theta) * 2**1.5 / np.sqrt(s)

    table = np.geomspace(0.05, 20.0, 20000)  # left is monotone

    def xi(constant: float) -> np.ndarray:
        slope = np.interp(-constant * np.sqrt(monitor(x)), -left(table), table)
        return cumulative_simpson(1.0 / slope, x=x, initial=0.0)

    constant = brentq(lambda c: xi(c)[-1] - 1.0, 2.0, 20.0, xtol=1e-12)
    return x, xi(constant)


@pytest.mark.parametrize("theta", [0.1, 1 / 3])
def test_converges_to_the_mesh_of_least_energy(theta: float, capsys: pytest.CaptureFixture) -> None:
    errors, sizes = [], (16, 32, 64)
    for size in sizes:
        mesh = UnitSquareMesh(size, size)
        result = MMPDE(theta=theta, tolerance=1e-5).move(mesh, nodal(lambda points: layer(points[:, 0])))
        assert result.status is MoveStatus.DONE
        moved, points = result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro
        exact = np.stack([np.interp(moved[:, 0], *least_energy_of_a_layer(layer, theta)), moved[:, 1]], axis=1)
        errors.append(np.sqrt(((exact - points) ** 2).sum(axis=1).mean()))
    rate = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    with capsys.disabled():
        print(f"\nMMPDE, theta {theta:.2f}: errors {', '.join(f'{e:.1e}' for e in errors)}, rate {rate:.2f}")
    assert rate > 1.9


def layer(x: np.ndarray) -> np.ndarray:
    return 1.0 + 0.6 * np.cos(2 * np.pi * x)


class Layer:
    """A metric tensor of a layer along the line x + y = 1: large across, 1 along."""

    def __init__(self, strength: float):
        self.strength = strength

    def tensor(self, points: np.ndarray) -> np.ndarray:
        across = np.array([1.0, 1.0]) / np.sqrt(2.0)
        size = self.strength / np.cosh(12.0 * (points.sum(axis=1) - 1.0)) ** 2
        return np.eye(2) + size[:, None, None] * np.outer(across, across)

    def __call__(self, mesh) -> Function:
        return nodal(lambda points: np.sqrt(np.linalg.det(self.tensor(points))))(mesh)

    def metric(self, mesh) -> Function:
        field = Function(TensorFunctionSpace(mesh, "CG", 1))
        field.dat.data_wo_with_halos[:] = self.tensor(mesh.coordinates.dat.data_ro_with_halos)
        return field


def test_cells_align_with_a_metric_tensor_better_than_with_its_density() -> None:
    mesh, layer = UnitSquareMesh(24, 24), Layer(30.0)
    aligned = []
    for monitor in (layer.__call__, layer):
        result = MMPDE(theta=1 / 3).move(mesh, monitor)
        assert result.status is MoveStatus.DONE
        moved = Mesh(result.coordinates)
        points, cells = moved.coordinates.dat.data_ro, moved.coordinates.cell_node_map().values
        edges = np.swapaxes(points[cells[:, 1:]] - points[cells[:, :1]], 1, 2)
        forward = edges @ np.linalg.inv(
            np.swapaxes(mesh.coordinates.dat.data_ro[cells[:, 1:]] - mesh.coordinates.dat.data_ro[cells[:, :1]], 1, 2)
        )
        tensor = layer.tensor(points)[cells].mean(axis=1)
        product = np.swapaxes(forward, 1, 2) @ tensor @ forward
        aligned.append((np.trace(product, axis1=1, axis2=2) / (2 * np.sqrt(np.linalg.det(product)))).mean())
    assert 1.0 < aligned[1] < aligned[0]
    assert aligned[1] - 1.0 < 0.7 * (aligned[0] - 1.0)


def test_a_mirrored_monitor_function_gives_the_mirrored_mesh() -> None:
    # The triangles of UnitSquareMesh are mapped to themselves by exchanging x and y.
    mesh = UnitSquareMesh(10, 10, diagonal="left")
    points = mesh.coordinates.dat.data_ro
    one = MMPDE().move(mesh, nodal(lambda at: 1.0 + 5.0 * np.exp(-20.0 * ((at - [0.3, 0.6]) ** 2).sum(axis=1))))
    other = MMPDE().move(mesh, nodal(lambda at: 1.0 + 5.0 * np.exp(-20.0 * ((at - [0.6, 0.3]) ** 2).sum(axis=1))))
    order = [np.lexsort(places.round(9).T) for places in (points, points[:, ::-1])]
    np.testing.assert_allclose(
        one.coordinates.dat.data_ro[order[0]], other.coordinates.dat.data_ro[order[1]][:, ::-1], rtol=0, atol=1e-9
    )


def test_without_enough_steps_it_says_so_and_the_mesh_is_better_than_before() -> None:
    mesh, monitor = UnitSquareMesh(16, 16), nodal(ring)
    result = MMPDE(max_iterations=2, tolerance=1e-6).move(mesh, monitor)
    assert (result.status, result.iterations) == (MoveStatus.NOT_CONVERGED, 2)
    moved = Mesh(result.coordinates)
    assert mesh_quality(moved, mesh, monitor(moved)).spread < mesh_quality(mesh, mesh, monitor(mesh)).spread


def test_another_mesh_than_of_simplices_is_refused() -> None:
    with pytest.raises(ValueError, match="mesh: got interval cells"):
        MMPDE().move(UnitIntervalMesh(4), nodal(ring))
