"""Quality measures: values worked out by hand, an independent implementation, and meshes known to be tangled."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import Function, FunctionSpace, Mesh, SpatialCoordinate, UnitCubeMesh, UnitSquareMesh
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import VTK_TETRA, VTK_TRIANGLE, vtkUnstructuredGrid
from vtkmodules.vtkFiltersVerdict import vtkMeshQuality

from meshing.quality import aspect_ratios, mesh_quality, scaled_jacobians

EQUILATERAL = [[0, 0], [2, 0], [1, np.sqrt(3)]]
RIGHT = [[0, 0], [3, 0], [0, 3]]
REGULAR = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
CUBE_CORNER = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
FLAT = [[0, 0], [1, 1], [3, 3]]
POINT = [[1, 1, 1]] * 4


@pytest.mark.parametrize(
    ("points", "jacobian", "ratio"),
    [
        (EQUILATERAL, 1.0, 1.0),
        # corner between leg and hypotenuse: 2/sqrt(3) / sqrt(2); inradius (2 - sqrt(2))/2 of a leg
        (RIGHT, np.sqrt(2 / 3), np.sqrt(2) / (np.sqrt(3) * (2 - np.sqrt(2)))),
        (REGULAR, 1.0, 1.0),
        # at the end of a long edge sqrt(2) / (1 sqrt(2) sqrt(2)); inradius 1/(3 + sqrt(3))
        (CUBE_CORNER, np.sqrt(1 / 2), (1 + np.sqrt(3)) / 2),
        (FLAT, 0.0, np.inf),
        (POINT, 0.0, np.inf),
    ],
    ids=["equilateral", "right", "regular", "cube corner", "flat", "point"],
)
def test_shapes_known(points, jacobian: float, ratio: float) -> None:
    points = np.array(points, dtype=float)
    for order in (np.arange(len(points)), np.arange(len(points))[::-1]):
        assert scaled_jacobians(points, order[None])[0] == pytest.approx(jacobian, rel=1e-14)
        assert aspect_ratios(points, order[None])[0] == pytest.approx(ratio, rel=1e-14)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("measure", ["ScaledJacobian", "AspectRatio"])
def test_shapes_are_those_of_verdict(dimension: int, measure: str, delaunay) -> None:
    """VTK brings the Verdict library, from which the definitions are."""
    points, cells = delaunay(0, dimension, 100)
    grid, places = vtkUnstructuredGrid(), vtkPoints()
    places.SetDataTypeToDouble()
    for point in points:
        places.InsertNextPoint(*point, *[0.0] * (3 - dimension))
    grid.SetPoints(places)
    for cell in cells:
        grid.InsertNextCell({2: VTK_TRIANGLE, 3: VTK_TETRA}[dimension], dimension + 1, [int(i) for i in cell])
    quality = vtkMeshQuality()
    quality.SetInputData(grid)
    getattr(quality, f"SetTriangleQualityMeasureTo{measure}")()
    getattr(quality, f"SetTetQualityMeasureTo{measure}")()
    quality.Update()
    expected = np.abs(vtk_to_numpy(quality.GetOutput().GetCellData().GetArray("Quality")))
    found = {"ScaledJacobian": scaled_jacobians, "AspectRatio": aspect_ratios}[measure](points, cells)
    # The negative volume of a tetrahedron in the other order has no aspect ratio in Verdict.
    known = expected < 1e30
    assert known.sum() > 40
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-10)


def crossed():
    """Return four triangles of area 1/4 around the centre of the unit square."""
    return UnitSquareMesh(1, 1, diagonal="crossed")


def moved(mesh, displacement):
    """Return the mesh with displacement(x), an array function, added to its coordinates."""
    coordinates = Function(mesh.coordinates.function_space())
    points = mesh.coordinates.dat.data_ro
    coordinates.dat.data_wo[:] = points + displacement(points)
    return Mesh(coordinates)


def centre_moved_by(step):
    return lambda points: np.where((points == 0.5).all(axis=1)[:, None], step, 0.0)


def test_a_tangled_cell_is_found() -> None:
    """The centre moved out by 1/2 beyond the right side: areas 3/4, 1/4, 1/4 and -1/4."""
    mesh = crossed()
    quality = mesh_quality(moved(mesh, centre_moved_by([1.0, 0.0])), mesh)
    assert (quality.cells, quality.tangled) == (4, 1)
    # The inverted triangle (1, 0), (1, 1), (3/2, 1/2) is right-angled, like all of the first mesh.
    assert quality.min_scaled_jacobian == pytest.approx(-np.sqrt(2 / 3), rel=1e-14)
    assert quality.spread == pytest.approx(1 / np.sqrt(3), rel=1e-14)
    assert quality.max_over_mean == pytest.approx(2.0, rel=1e-14)
    assert quality.relative_spread == pytest.approx(1 / np.sqrt(3), rel=1e-14)
    assert quality.relative_max_over_mean == pytest.approx(2.0, rel=1e-14)


def test_a_flat_cell_counts_as_tangled() -> None:
    mesh = crossed()
    quality = mesh_quality(moved(mesh, centre_moved_by([0.5, 0.0])), mesh)
    assert (quality.tangled, quality.min_scaled_jacobian, quality.max_aspect_ratio) == (1, 0.0, np.inf)
    assert quality.percentile_99_aspect_ratio == np.inf


def test_without_reference_nothing_is_said_of_orientation() -> None:
    quality = mesh_quality(moved(crossed(), centre_moved_by([1.0, 0.0])))
    assert (quality.tangled, quality.relative_spread, quality.relative_max_over_mean) == (None, None, None)
    assert quality.min_scaled_jacobian > 0


@pytest.mark.parametrize("make", [lambda: UnitSquareMesh(5, 4), lambda: UnitCubeMesh(3, 2, 2)])
def test_the_mesh_itself_is_not_tangled(make) -> None:
    mesh = make()
    quality = mesh_quality(mesh, mesh)
    assert quality.tangled == 0
    assert quality.cells == mesh.num_cells()
    assert quality.spread == pytest.approx(0.0, abs=1e-12)
    assert quality.max_over_mean == pytest.approx(1.0, rel=1e-12)
    mirrored = moved(mesh, lambda points: -2 * points)
    # A mirror image turns around all cells of a plane mesh twice, those of a solid one thrice.
    assert mesh_quality(mirrored, mesh).tangled == {2: 0, 3: quality.cells}[mesh.geometric_dimension]


def test_equidistribution_of_a_monitor_function() -> None:
    """m = x on the crossed square: integrals 1/4 of 1/6, 1/2, 1/2 and 5/6."""
    mesh = crossed()
    monitor = Function(FunctionSpace(mesh, "CG", 1)).interpolate(SpatialCoordinate(mesh)[0])
    quality = mesh_quality(mesh, mesh, monitor)
    assert quality.spread == pytest.approx(np.sqrt(2) / 3, rel=1e-14)
    assert quality.max_over_mean == pytest.approx(5 / 3, rel=1e-14)
    assert quality.relative_spread == pytest.approx(np.sqrt(2) / 3, rel=1e-14)


def test_relative_equidistribution_knows_the_computational_cells() -> None:
    """A stretched image of a graded mesh has cells as unequal as that, and equidistributes m = 1 all the same."""
    graded = moved(UnitSquareMesh(4, 4), lambda points: points**2 - points)
    quality = mesh_quality(moved(graded, lambda points: points * [1.0, 2.0]), graded)
    assert quality.spread > 0.5
    assert quality.relative_spread == pytest.approx(0.0, abs=1e-12)
    assert quality.relative_max_over_mean == pytest.approx(1.0, rel=1e-12)


def test_quantiles() -> None:
    """Of 200 equal cells one vertex's few are spoilt: they are the least, and the 1 % quantile."""
    mesh = UnitSquareMesh(10, 10)
    spoilt = moved(mesh, centre_moved_by([0.05, 0.0]))
    quality, before = mesh_quality(spoilt, mesh), mesh_quality(mesh, mesh)
    jacobians = np.sort(scaled_jacobians(spoilt.coordinates.dat.data_ro, spoilt.coordinates.cell_node_map().values))
    assert quality.min_scaled_jacobian == jacobians[0] < before.min_scaled_jacobian
    assert jacobians[0] <= quality.percentile_1_scaled_jacobian <= jacobians[2]
    assert before.percentile_99_aspect_ratio < quality.percentile_99_aspect_ratio <= quality.max_aspect_ratio


def test_other_references_and_monitors_are_refused() -> None:
    mesh = UnitSquareMesh(2, 2)
    with pytest.raises(ValueError, match="reference: got a mesh of other cells"):
        mesh_quality(mesh, UnitSquareMesh(3, 2))
    flat = moved(mesh, lambda points: points * [0.0, -1.0])
    with pytest.raises(ValueError, match="reference: got a cell without volume"):
        mesh_quality(mesh, flat)
    for space in (FunctionSpace(mesh, "CG", 2), FunctionSpace(UnitSquareMesh(2, 2), "CG", 1)):
        with pytest.raises(ValueError, match=r"monitor: got .* expected a continuous P1 field"):
            mesh_quality(mesh, monitor=Function(space))
