"""Meshes made of arrays have the markers they are given, and arrays that are no mesh are refused."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import Constant, assemble, avg, dS, ds, dx

from meshing.plex import mesh_from_cells

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [0.0, 2.0], [0.5, 1.0]])
TRIANGLES = np.array([[0, 1, 4], [2, 1, 4], [2, 3, 4], [3, 0, 4]])
CORNERS = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
TETRAHEDRA = np.array([[0, 1, 2, 3], [1, 2, 3, 4]])


def test_triangles_bear_their_markers() -> None:
    """Cells of both orientations, a marker 0, a facet that comes twice, one inside, sides without marker."""
    facets, markers = np.array([[1, 0], [1, 2], [4, 0], [0, 4]]), np.array([3, 0, 9, 9])
    mesh = mesh_from_cells(SQUARE, TRIANGLES, facets, markers, name="square")
    one = Constant(1.0)
    assert mesh.name == "square"
    assert set(mesh.exterior_facets.unique_markers) == {3, 0, 9}
    assert assemble(one * ds(3, domain=mesh)) == pytest.approx(1.0)
    assert assemble(one * ds(0, domain=mesh)) == pytest.approx(2.0)
    assert assemble(avg(one) * dS(9, domain=mesh)) == pytest.approx(np.sqrt(1.25))
    assert assemble(one * ds(domain=mesh)) == pytest.approx(6.0)
    assert assemble(one * dx(domain=mesh)) == pytest.approx(2.0)
    np.testing.assert_array_equal(np.unique(mesh.coordinates.dat.data_ro, axis=0), np.unique(SQUARE, axis=0))


def test_tetrahedra_bear_their_markers() -> None:
    facets, markers = np.array([[0, 1, 2], [2, 4, 3], [3, 1, 2]]), np.array([1, 2, 5])
    mesh = mesh_from_cells(CORNERS, TETRAHEDRA, facets, markers)
    one = Constant(1.0)
    assert assemble(one * ds(1, domain=mesh)) == pytest.approx(0.5)
    # Half of the parallelogram that (0, -1, 1) and (1, 0, 1) span, |(-1, 1, 1)| / 2.
    assert assemble(one * ds(2, domain=mesh)) == pytest.approx(np.sqrt(3.0) / 2)
    # An equilateral triangle with sides of sqrt(2).
    assert assemble(avg(one) * dS(5, domain=mesh)) == pytest.approx(np.sqrt(3.0) / 2)


def test_no_facet_needs_a_marker() -> None:
    mesh = mesh_from_cells(SQUARE, TRIANGLES, np.zeros((0, 2), dtype=int), np.zeros(0, dtype=int))
    assert len(mesh.exterior_facets.unique_markers) == 0
    assert assemble(Constant(1.0) * ds(domain=mesh)) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": [[0, 1, 5]]}, "cells: got vertex 5 of 5, expected numbers from 0 to 4"),
        ({"facets": [[0, -1]], "markers": [1]}, "facets: got vertex -1 of 5, expected numbers from 0 to 4"),
        (
            {"cells": [[0, 1, 4], [1, 2, 4]]},
            "points: got 1 vertices that no cell has, the first number 3, expected none; leave them out",
        ),
        (
            {"facets": [[0, 2]], "markers": [1]},
            r"facets: got vertices \[0, 2\], expected the facet of a cell; leave others out",
        ),
        (
            {"facets": [[0, 1], [1, 0]], "markers": [1, 2]},
            r"markers: got 1 and 2 for the facet \[1, 0\], expected one marker for each facet",
        ),
        (
            {"facets": [[0, 1]], "markers": [-3]},
            "markers: got -3, expected no negative marker; give facets without marker no entry",
        ),
    ],
)
def test_what_is_no_mesh_is_refused(change: dict, message: str) -> None:
    arrays = {"cells": TRIANGLES, "facets": np.zeros((0, 2), dtype=int), "markers": np.zeros(0, dtype=int)}
    arrays |= {name: np.array(values) for name, values in change.items()}
    with pytest.raises(ValueError, match=f"^{message}$"):
        mesh_from_cells(SQUARE, **arrays)
