"""The limiter on meshes and the one way to move: every outcome is a valid mesh and a status."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    BoxMesh,
    ExtrudedMesh,
    Function,
    FunctionSpace,
    IntervalMesh,
    Mesh,
    PeriodicUnitSquareMesh,
    UnitCubeMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
)
from firedrake.exceptions import ConvergenceError

from meshing.limiter import limit_displacement
from meshing.mover import Displacement, Mover, MoveStatus, NoMove
from meshing.patches import MeshPatches, VertexPatches
from meshing.simplex import simplex_widths
from meshing.travel import TravelLimits

MESHES = {2: lambda: UnitSquareMesh(6, 5), 3: lambda: UnitCubeMesh(4, 3, 3)}


@pytest.fixture(scope="module", params=[2, 3])
def mesh(request):
    return MESHES[request.param]()


def constant(mesh) -> Function:
    return Function(FunctionSpace(mesh, "CG", 1)).assign(1.0)


def function(mesh, values) -> Function:
    result = Function(mesh.coordinates.function_space())
    result.dat.data_wo[:] = values
    return result


def sliding(points: np.ndarray, size: float = 1.0, seed: int = 0) -> np.ndarray:
    """Random displacements with zero normal component on the sides of the unit square or cube."""
    values = size * np.random.default_rng(seed).standard_normal(points.shape)
    values[(points == 0) | (points == 1)] = 0.0
    return values


class Prescribed(Mover):
    """Return a displacement given as values, or as a function of the mesh."""

    def __init__(self, values, **told):
        self.values, self.told = values, told

    def displacement(self, mesh, monitor) -> Displacement:
        return Displacement(function(mesh, self.values), **self.told)


class Diverging(Mover):
    """A mover whose solver diverges after it has moved the mesh it was given."""

    def displacement(self, mesh, monitor) -> Displacement:
        mesh.coordinates.dat.data[:] *= 2.0
        raise ConvergenceError("diverged")


# -- the limiter ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relative", [False, True])
def test_sliding_displacements_keep_sliding(mesh, relative: bool) -> None:
    points = mesh.coordinates.dat.data_ro.copy()
    patches = MeshPatches(mesh)
    for seed in range(20):
        wanted = function(mesh, sliding(points, 10.0 ** (seed % 5 - 2), seed))
        limited = limit_displacement(mesh, wanted, relative=relative).dat.data_ro
        on_side = (points == 0) | (points == 1)
        assert (limited[on_side] == 0.0).all()
        assert (limited[on_side.all(axis=1)] == 0.0).all()
        share = (
            limited[~on_side & patches.boundary()[:, None]] / wanted.dat.data_ro[~on_side & patches.boundary()[:, None]]
        )
        assert share.min() >= 0 and share.max() <= 1 + 1e-14
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, points)


def test_the_absolute_bound_holds_on_a_mesh(mesh) -> None:
    points = mesh.coordinates.dat.data_ro
    limited = limit_displacement(mesh, function(mesh, 1e3 * np.ones_like(points)), fraction=0.2).dat.data_ro
    cells = mesh.coordinates.function_space().cell_node_map().values
    width = simplex_widths(points, cells)
    assert np.ptp(width) < 1e-12 * width[0]  # all cells alike, so that the bound is one number
    np.testing.assert_allclose(np.linalg.norm(limited, axis=1), 0.2 * width[0], rtol=1e-12)


def test_patches_of_a_mesh_are_those_of_its_arrays(mesh) -> None:
    patches = MeshPatches(mesh)
    arrays = VertexPatches(patches.cells, patches.vertices)
    values = np.random.default_rng(0).random(patches.cells.shape)
    np.testing.assert_array_equal(patches.boundary(), ((patches.points == 0) | (patches.points == 1)).any(axis=1))
    np.testing.assert_array_equal(patches.boundary(), arrays.boundary())
    np.testing.assert_array_equal(patches.minimum(values[:, 0]), arrays.minimum(values[:, 0]))
    np.testing.assert_array_equal(patches.sum(values), arrays.sum(values))


def test_the_argument_stays(mesh) -> None:
    wanted = function(mesh, sliding(mesh.coordinates.dat.data_ro))
    kept = wanted.dat.data_ro.copy()
    limited = limit_displacement(mesh, wanted, relative=True)
    np.testing.assert_array_equal(wanted.dat.data_ro, kept)
    assert limited is not wanted and limited.function_space() == wanted.function_space()


@pytest.mark.parametrize("fraction", [0.0, 0.5, -1.0, np.nan])
def test_other_fractions_are_refused(mesh, fraction: float) -> None:
    with pytest.raises(ValueError, match=f"fraction: got {fraction}, expected more than 0 and less than 0.5"):
        limit_displacement(mesh, function(mesh, 0.0), fraction=fraction)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(mesh, value: float) -> None:
    wanted = function(mesh, 0.0)
    wanted.dat.data_wo[3, 1] = value
    with pytest.raises(ValueError, match="displacement: got values that are not finite, expected finite ones"):
        limit_displacement(mesh, wanted)


def test_other_spaces_are_refused(mesh) -> None:
    for space in (VectorFunctionSpace(mesh, "CG", 2), FunctionSpace(mesh, "CG", 1)):
        with pytest.raises(ValueError, match=r"displacement: got .* expected .*; make it in mesh.coordinates"):
            limit_displacement(mesh, Function(space))
    other = MESHES[mesh.geometric_dimension]()
    with pytest.raises(ValueError, match="displacement: got"):
        limit_displacement(mesh, function(other, 0.0))


@pytest.mark.parametrize(
    "other",
    [
        lambda: UnitSquareMesh(2, 2, quadrilateral=True),
        lambda: PeriodicUnitSquareMesh(3, 3),
        lambda: IntervalMesh(3, 1.0),
        lambda: ExtrudedMesh(UnitSquareMesh(2, 2), 2),
        lambda: BoxMesh(1, 1, 1, 1, 1, 1, hexahedral=True),
        lambda: Mesh(Function(VectorFunctionSpace(UnitSquareMesh(2, 2), "CG", 2))),
    ],
)
def test_other_meshes_are_refused(other) -> None:
    mesh = other()
    with pytest.raises(ValueError, match=r"mesh: got .* expected triangles in 2D or tetrahedra in 3D"):
        limit_displacement(mesh, Function(mesh.coordinates.function_space()))
    with pytest.raises(ValueError, match=r"mesh: got .* expected triangles in 2D or tetrahedra in 3D"):
        NoMove().move(mesh, constant)


# -- movers -----------------------------------------------------------------------------------------------------


def test_no_move_leaves_the_mesh_as_it_is(mesh) -> None:
    result = NoMove().move(mesh, constant)
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro)
    assert result.coordinates is not mesh.coordinates
    assert (result.status, result.iterations, result.min_jacobian_ratio) == (MoveStatus.DONE, 0, 1.0)
    assert 0 < result.seconds < 10


def test_a_harmless_displacement_is_applied_whole(mesh) -> None:
    points = mesh.coordinates.dat.data_ro.copy()
    values = sliding(points, 0.002)
    result = Prescribed(values, iterations=7).move(mesh, constant)
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, points + values)
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, points)
    assert (result.status, result.iterations) == (MoveStatus.DONE, 7)
    assert 0.5 < result.min_jacobian_ratio < 1.0
    assert Mesh(result.coordinates).coordinates.dat.data_ro == pytest.approx(points + values)


@pytest.mark.parametrize("limits", [TravelLimits(), TravelLimits(relative=False, steps=1)])
def test_a_tangling_displacement_is_limited(mesh, limits, worst_ratio) -> None:
    points = mesh.coordinates.dat.data_ro.copy()
    cells = mesh.coordinates.function_space().cell_node_map().values
    mover = Prescribed(sliding(points))
    mover.limits = limits
    assert worst_ratio(points, cells, mover.values) < 0
    result = mover.move(mesh, constant)
    moved = result.coordinates.dat.data_ro
    assert result.status is MoveStatus.LIMITED
    assert result.min_jacobian_ratio == pytest.approx(worst_ratio(points, cells, moved - points), rel=1e-9)
    assert result.min_jacobian_ratio > 0
    on_side = (points == 0) | (points == 1)
    np.testing.assert_array_equal(moved[on_side], points[on_side])
    assert moved.min() >= 0 and moved.max() <= 1
    assert np.abs(moved - points).max() > 0.01


def test_a_mover_that_has_not_converged_says_so(mesh) -> None:
    for size in (0.002, 1.0):
        result = Prescribed(sliding(mesh.coordinates.dat.data_ro, size), converged=False, iterations=50).move(
            mesh, constant
        )
        assert (result.status, result.iterations) == (MoveStatus.NOT_CONVERGED, 50)
        assert 0 < result.min_jacobian_ratio < 1
        assert np.abs(result.coordinates.dat.data_ro - mesh.coordinates.dat.data_ro).max() > 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_displacement_that_is_not_finite_moves_nothing(mesh, value: float) -> None:
    values = sliding(mesh.coordinates.dat.data_ro, 0.002)
    values[5, 0] = value
    result = Prescribed(values, iterations=3).move(mesh, constant)
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro)
    assert (result.status, result.iterations, result.min_jacobian_ratio) == (MoveStatus.FAILED, 3, 1.0)


def test_a_mover_that_diverges_moves_nothing(mesh) -> None:
    points = mesh.coordinates.dat.data_ro.copy()
    result = Diverging().move(mesh, constant)
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, points)
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, points)
    assert result.status is MoveStatus.FAILED


def test_mistakes_of_a_mover_are_errors(mesh) -> None:
    points = mesh.coordinates.dat.data_ro.copy()

    class Mistaken(Mover):
        def displacement(self, mesh, monitor) -> Displacement:
            mesh.coordinates.dat.data[:] = 0.0
            raise KeyError("a mistake")

    with pytest.raises(KeyError, match="a mistake"):
        Mistaken().move(mesh, constant)
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, points)


def test_the_monitor_reaches_the_mover(mesh) -> None:
    class AsMonitored(Mover):
        def displacement(self, mesh, monitor) -> Displacement:
            return Displacement(function(mesh, 1e-3 * monitor(mesh).dat.data_ro[:, None]))

    points = mesh.coordinates.dat.data_ro
    result = AsMonitored().move(mesh, constant)
    expected = np.where((points == 0) | (points == 1), points, points + 1e-3)
    np.testing.assert_allclose(result.coordinates.dat.data_ro, expected, rtol=1e-14)


def test_boundary_vertices_slide_unless_the_mover_says_otherwise(mesh) -> None:
    """A common translation: along the sides it stays, across it goes; of a mover of boundaries, all of it stays."""
    points = mesh.coordinates.dat.data_ro.copy()
    mover = Prescribed(np.full_like(points, 0.01))
    on_side = (points == 0) | (points == 1)
    result = mover.move(mesh, constant)
    assert result.status is MoveStatus.DONE
    corners = on_side.all(axis=1)[:, None]
    expected = np.where(on_side | corners, points, points + 0.01)
    np.testing.assert_allclose(result.coordinates.dat.data_ro, expected, rtol=1e-14)
    np.testing.assert_array_equal(result.coordinates.dat.data_ro[on_side], points[on_side])
    mover.slides = False
    result = mover.move(mesh, constant)
    assert result.status is MoveStatus.DONE
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, points + 0.01)


def test_move_is_final() -> None:
    with pytest.raises(TypeError, match="Careless: got a `move` of its own, expected `displacement` only"):

        class Careless(Mover):
            def displacement(self, mesh, monitor) -> Displacement:
                return NoMove().displacement(mesh, monitor)

            def move(self, mesh, monitor):
                return None


def test_degenerate_meshes_are_refused() -> None:
    mesh = UnitSquareMesh(2, 2)
    mesh.coordinates.dat.data[:, 1] = 0.0
    with pytest.raises(ValueError, match="mesh: got a cell without volume"):
        NoMove().move(mesh, constant)
