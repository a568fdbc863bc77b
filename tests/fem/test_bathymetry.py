"""Bathymetry from every kind of source, and what is wrong with one."""

import numpy as np
import pytest
from firedrake import Function, FunctionSpace, SpatialCoordinate, UnitSquareMesh

from fem.bathymetry import Grid, bathymetry

LINES = np.linspace(-0.5, 1.5, 9)


@pytest.fixture(scope="module")
def mesh():
    return UnitSquareMesh(4, 4)


def test_all_sources_of_a_linear_bed_agree(mesh):
    x, y = SpatialCoordinate(mesh)
    expression = 1 + 2 * x - y
    grid = Grid(LINES, LINES, 1 + 2 * LINES[:, None] - LINES[None, :])
    continuous = Function(FunctionSpace(mesh, "CG", 1)).interpolate(expression)
    beds = [bathymetry(mesh, source).dat.data_ro for source in (expression, continuous, grid)]
    assert beds[1] == pytest.approx(beds[0], abs=1e-14)
    assert beds[2] == pytest.approx(beds[0], abs=1e-14)


def test_gridded_bed_is_continuous(mesh):
    rng = np.random.default_rng(2)
    bed = bathymetry(mesh, Grid(LINES, LINES, rng.standard_normal((9, 9))))
    vertices = mesh.coordinates.cell_node_map().values.ravel()
    nodes = bed.cell_node_map().values.ravel()
    for vertex in range(len(mesh.coordinates.dat.data_ro)):
        assert np.ptp(bed.dat.data_ro[nodes[vertices == vertex]]) == 0.0


def test_bilinear_in_between():
    grid = Grid(np.array([0.0, 2.0]), np.array([0.0, 1.0]), np.array([[0.0, 1.0], [2.0, 7.0]]))
    assert grid(np.array([[1.0, 0.5]])) == pytest.approx([(0 + 1 + 2 + 7) / 4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.zeros((9, 8))}, "got values of shape"),
        ({"x": LINES[::-1]}, "coordinates that do not increase"),
        ({"values": np.where(np.eye(9) > 0, np.nan, 0.0)}, "got 9 NaN or infinite values"),
    ],
)
def test_broken_grids_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Grid(**{"x": LINES, "y": LINES, "values": np.zeros((9, 9)), **change})


def test_a_grid_smaller_than_the_mesh_is_named(mesh):
    small = Grid(LINES[3:6], LINES, np.zeros((3, 9)))
    with pytest.raises(ValueError, match="gridded bathymetry: got mesh points from"):
        bathymetry(mesh, small)
