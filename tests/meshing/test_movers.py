"""The contract of every mover in the registry, on every domain and monitor function."""

from __future__ import annotations

import numpy as np
import pytest
from domains import MESHES, MONITORS, nodal
from firedrake import Function, FunctionSpace, Mesh, UnitSquareMesh

from meshing.mover import MoveResult, MoveStatus
from meshing.patches import MeshPatches
from meshing.quality import mesh_quality
from meshing.registry import MOVERS, get_mover
from meshing.simplex import simplex_volumes


def _sides(*places: float):
    """Return which coordinates (N, d) are those of sides of the unit square or cube."""
    return lambda points: np.isin(points, places)


def _notch(points: np.ndarray) -> np.ndarray:
    """Return which coordinates are those of the two sides that the L-shape has inside the square."""
    return (points == 0.5) & (points[:, ::-1] >= 0.5)


SIDES = {name: [_sides(0.0, 1.0)] for name in ("square", "graded", "cube")}
SIDES["two pieces"] = [_sides(0.0, 1.5)]
SIDES["L-shape"] = [_sides(0.0, 1.0), _notch]
MOVED = [name for name in MOVERS if name not in ("none", "laplacian")]


@pytest.mark.parametrize("monitor", MONITORS)
@pytest.mark.parametrize("domain", MESHES)
@pytest.mark.parametrize("name", MOVERS)
def test_no_cell_is_inverted_and_the_domain_keeps_its_shape(name: str, domain: str, monitor: str) -> None:
    mesh = MESHES[domain]()
    before = mesh.coordinates.dat.data_ro.copy()
    result = get_mover(name).move(mesh, MONITORS[monitor])
    after = result.coordinates.dat.data_ro
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, before)
    assert isinstance(result, MoveResult) and result.status is not MoveStatus.FAILED
    quality = mesh_quality(Mesh(result.coordinates), mesh)
    assert quality.tangled == 0 and result.min_jacobian_ratio > 0.0
    cells = mesh.coordinates.cell_node_map().values
    volumes = [np.abs(simplex_volumes(points, cells)).sum() for points in (before, after)]
    boundary = MeshPatches(mesh).boundary()
    if domain == "disc":
        np.testing.assert_allclose(np.linalg.norm(after[boundary], axis=1), 1.0, rtol=0, atol=2e-5)
    else:
        assert volumes[1] == pytest.approx(volumes[0], rel=1e-12)
        # Sides are parallel to the axes: on each, the vertices keep that coordinate to the last bit.
        for side in SIDES[domain]:
            on_side = side(before)
            assert on_side.any(axis=0).all()
            np.testing.assert_array_equal(after[on_side], before[on_side])


@pytest.mark.parametrize("name", MOVERS)
def test_the_same_move_gives_the_same_numbers(name: str) -> None:
    results = [get_mover(name).move(MESHES["disc"](), MONITORS["ring"]) for _ in range(2)]
    np.testing.assert_array_equal(results[0].coordinates.dat.data_ro, results[1].coordinates.dat.data_ro)
    assert results[0].iterations == results[1].iterations


@pytest.mark.parametrize("name", MOVERS)
def test_a_monitor_function_that_is_not_finite_moves_nothing(name: str) -> None:
    mesh = MESHES["square"]()
    result = get_mover(name).move(mesh, nodal(lambda points: np.full(len(points), np.nan)))
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro)
    assert result.status is (MoveStatus.FAILED if name in MOVED else MoveStatus.DONE)


@pytest.mark.parametrize("domain", MESHES)
@pytest.mark.parametrize("name", MOVED)
def test_what_moves_equidistributes(name: str, domain: str) -> None:
    mesh, monitor = MESHES[domain](), MONITORS["ring"]
    result = get_mover(name).move(mesh, monitor)
    moved = Mesh(result.coordinates)
    before, after = mesh_quality(mesh, mesh, monitor(mesh)), mesh_quality(moved, mesh, monitor(moved))
    assert result.status is MoveStatus.DONE
    # One piece of two cannot give cells to the other.
    assert after.relative_spread < (0.9 if domain == "two pieces" else 0.5) * before.relative_spread


def spike(x: float, ratio: float = 100.0):
    """A monitor function with one narrow peak on the diagonal."""
    return nodal(lambda points: 1.0 + ratio * np.exp(-300.0 * ((points - x) ** 2).sum(axis=1)))


@pytest.mark.parametrize("name", MOVED)
def test_a_feature_that_jumps_is_followed(name: str) -> None:
    mesh, mover = UnitSquareMesh(20, 20), get_mover(name)
    present = mesh
    for place in (0.2, 0.8, 0.2, 0.8):
        result = mover.move(present, spike(place))
        assert result.status is MoveStatus.DONE
        fresh = get_mover(name).move(mesh, spike(place)).coordinates.dat.data_ro
        np.testing.assert_allclose(result.coordinates.dat.data_ro, fresh, rtol=0, atol=0.2 / 20)
        present = Mesh(result.coordinates)


@pytest.mark.parametrize("name", MOVED)
def test_a_move_that_fails_does_not_spoil_the_next(name: str) -> None:
    mesh, mover = UnitSquareMesh(20, 20), get_mover(name)
    assert mover.move(mesh, spike(0.2, 1e6)).status is not MoveStatus.DONE
    assert mover.move(mesh, spike(0.6, 10.0)).status is MoveStatus.DONE


@pytest.mark.parametrize("name", MOVED)
@pytest.mark.parametrize(("family", "degree"), [("CG", 2), ("DG", 0), ("DG", 1)])
def test_a_monitor_function_in_another_space_is_refused(name: str, family: str, degree: int) -> None:
    with pytest.raises(ValueError, match=r"monitor: got .*, expected a continuous P1 field of shape \(\) on the mesh"):
        get_mover(name).move(
            UnitSquareMesh(4, 4), lambda mesh: Function(FunctionSpace(mesh, family, degree)).assign(1.0)
        )


@pytest.mark.parametrize("name", MOVED)
def test_a_monitor_function_that_fails_on_the_way_shortens_the_steps(name: str) -> None:
    mesh, calls = UnitSquareMesh(12, 12), []

    def fragile(moved) -> Function:
        calls.append(1)
        if len(calls) in (2, 4):
            raise ValueError("expression: got values that are not positive")
        return MONITORS["ring"](moved)

    result = get_mover(name).move(mesh, fragile)
    assert result.status is MoveStatus.DONE and len(calls) > 4
