"""The Laplacian mover: what it carries over exactly, and that it tangles nothing."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import Function, UnitCubeMesh, UnitDiskMesh, UnitSquareMesh

from meshing.laplacian import Laplacian
from meshing.mover import MoveStatus
from meshing.patches import MeshPatches

MESHES = {
    "square": lambda: UnitSquareMesh(9, 7),
    "disc": lambda: UnitDiskMesh(2),
    "cube": lambda: UnitCubeMesh(4, 3, 5),
}


def motion(of):
    """Make a boundary motion of a function of the places; inside, where it must not count, it is nonsense."""

    def given(mesh) -> Function:
        function = Function(mesh.coordinates.function_space())
        points = mesh.coordinates.dat.data_ro_with_halos
        boundary = MeshPatches(mesh).boundary()[:, None]
        function.dat.data_wo_with_halos[:] = np.where(boundary, of(points), 1e3)
        return function

    return given


@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("stiffening", [0.0, 1.0, 2.0])
def test_a_translation_is_carried_over_exactly(name: str, stiffening: float) -> None:
    mesh = MESHES[name]()
    shift = np.array([3.0, -0.5, 0.25])[: mesh.geometric_dimension]
    result = Laplacian(motion(lambda points: 0.0 * points + shift), stiffening=stiffening).move(mesh, None)
    assert result.status is MoveStatus.DONE
    np.testing.assert_allclose(result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro + shift, atol=1e-9)


@pytest.mark.parametrize("name", MESHES)
def test_an_affine_motion_is_carried_over_exactly_without_stiffening(name: str) -> None:
    mesh = MESHES[name]()
    rng = np.random.default_rng(0)
    matrix = 0.2 * rng.standard_normal((mesh.geometric_dimension,) * 2)
    result = Laplacian(motion(lambda points: points @ matrix), stiffening=0.0).move(mesh, None)
    assert result.status is MoveStatus.DONE
    points = mesh.coordinates.dat.data_ro
    np.testing.assert_allclose(result.coordinates.dat.data_ro, points + points @ matrix, atol=1e-9)


def test_the_boundary_goes_where_it_is_told_and_the_interior_follows() -> None:
    mesh = UnitSquareMesh(12, 12)
    wave = motion(lambda points: np.stack([0 * points[:, 0], 0.2 * points[:, 1] * np.sin(np.pi * points[:, 0])], 1))
    result = Laplacian(wave).move(mesh, None)
    assert result.status is MoveStatus.DONE
    boundary = MeshPatches(mesh).boundary()
    moved, points = result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro
    expected = points + wave(mesh).dat.data_ro
    np.testing.assert_array_equal(moved[boundary], expected[boundary])
    assert (moved - points)[~boundary, 1].min() > 0.0 and (moved - points)[:, 1].max() <= 0.2


def test_small_cells_keep_their_shape_better_when_stiffer() -> None:
    ratios = []
    for stiffening in (0.0, 1.0):
        mesh = UnitSquareMesh(16, 16)
        points = mesh.coordinates.dat.data_ro
        mesh.coordinates.dat.data_wo[:] = points**2  # small cells at the side that moves in
        dent = motion(lambda at: np.stack([0.3 * (1 - at[:, 0]) * np.sin(np.pi * at[:, 1]), 0 * at[:, 1]], axis=1))
        ratios.append(Laplacian(dent, stiffening=stiffening).move(mesh, None).min_jacobian_ratio)
    assert ratios[1] > ratios[0]


def test_a_motion_that_would_tangle_is_followed_as_far_as_it_goes() -> None:
    mesh = UnitSquareMesh(8, 8)
    result = Laplacian(motion(lambda points: 3.0 * (points[:, ::-1] - points))).move(mesh, None)
    assert result.status is MoveStatus.LIMITED
    assert result.min_jacobian_ratio > 0.0


def test_without_a_motion_nothing_moves() -> None:
    mesh = UnitSquareMesh(3, 3)
    result = Laplacian().move(mesh, None)
    assert result.status is MoveStatus.DONE
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro)


def test_a_negative_stiffening_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stiffening: got -1\.0, expected 0 or more, such as 1"):
        Laplacian(stiffening=-1.0)
