"""The Monge-Ampère mover against maps known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import Function, FunctionSpace, Mesh, UnitCubeMesh, UnitSquareMesh

from meshing.monge_ampere import MongeAmpere
from meshing.mover import MoveStatus
from meshing.quality import mesh_quality

AMPLITUDE = 0.25


def cosines(mesh) -> Function:
    """The product of 1 + a cos(2 pi x) over the directions, of mean 1."""
    monitor = Function(FunctionSpace(mesh, "CG", 1))
    points = mesh.coordinates.dat.data_ro_with_halos
    monitor.dat.data_wo_with_halos[:] = (1.0 + AMPLITUDE * np.cos(2 * np.pi * points)).prod(axis=1)
    return monitor


def equidistributed(xi: np.ndarray) -> np.ndarray:
    """Solve x + a sin(2 pi x) / (2 pi) = xi: direction by direction, the integral of the monitor function."""
    low, high = np.zeros_like(xi), np.ones_like(xi)
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = middle + AMPLITUDE * np.sin(2 * np.pi * middle) / (2 * np.pi) > xi
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return 0.5 * (low + high)


@pytest.mark.parametrize(("dimension", "sizes"), [(2, (16, 32, 64)), (3, (8, 16, 24))])
def test_converges_to_the_exact_map(dimension: int, sizes: tuple[int, ...], capsys: pytest.CaptureFixture) -> None:
    errors = []
    for size in sizes:
        mesh = UnitSquareMesh(size, size) if dimension == 2 else UnitCubeMesh(size, size, size)
        result = MongeAmpere(tolerance=1e-5, max_iterations=100).move(mesh, cosines)
        assert result.status is MoveStatus.DONE
        exact = equidistributed(mesh.coordinates.dat.data_ro)
        errors.append(np.sqrt(((result.coordinates.dat.data_ro - exact) ** 2).sum(axis=1).mean()))
    rate = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    with capsys.disabled():
        print(f"\nMonge-Ampère {dimension}D: errors {', '.join(f'{e:.1e}' for e in errors)}, rate {rate:.2f}")
    assert rate > 1.9


def test_the_equidistribution_is_that_of_the_cells_and_better_with_more_of_them() -> None:
    spreads = []
    for size in (20, 40):
        mesh = UnitSquareMesh(size, size)
        before = mesh_quality(mesh, mesh, cosines(mesh)).spread
        moved = Mesh(MongeAmpere().move(mesh, cosines).coordinates)
        spreads.append(mesh_quality(moved, mesh, cosines(moved)).spread)
        assert spreads[-1] < 0.1 * before
    assert spreads[1] < 0.6 * spreads[0]


def test_a_constant_monitor_function_moves_nothing() -> None:
    mesh = UnitSquareMesh(7, 5)
    result = MongeAmpere().move(mesh, lambda at: Function(FunctionSpace(at, "CG", 1)).assign(3.0))
    assert result.status is MoveStatus.DONE
    np.testing.assert_allclose(result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro, rtol=0, atol=1e-14)


def test_a_warm_start_takes_fewer_steps_to_the_same_mesh() -> None:
    mesh, warm, cold = (
        UnitSquareMesh(20, 20),
        MongeAmpere(tolerance=1e-4),
        MongeAmpere(tolerance=1e-4, warm_start=False),
    )
    warm.move(mesh, cosines)
    warm_again, cold_again = warm.move(mesh, cosines), cold.move(mesh, cosines)
    assert warm_again.iterations <= 2 < cold_again.iterations
    difference = warm_again.coordinates.dat.data_ro - cold_again.coordinates.dat.data_ro
    assert np.abs(difference).max() < 1e-3 / 20


def test_moving_a_moved_mesh_again_equidistributes_and_does_not_adapt_twice() -> None:
    mesh = UnitSquareMesh(16, 16)
    once = MongeAmpere(tolerance=1e-4).move(mesh, cosines).coordinates
    twice = MongeAmpere(tolerance=1e-4).move(Mesh(once.copy(deepcopy=True)), cosines).coordinates
    np.testing.assert_allclose(twice.dat.data_ro, once.dat.data_ro, rtol=0, atol=1e-12)


def test_without_enough_steps_it_says_so_and_the_mesh_is_valid() -> None:
    result = MongeAmpere(max_iterations=2, tolerance=1e-6).move(UnitSquareMesh(16, 16), cosines)
    assert (result.status, result.iterations) == (MoveStatus.NOT_CONVERGED, 2)
    assert result.min_jacobian_ratio > 0.0
