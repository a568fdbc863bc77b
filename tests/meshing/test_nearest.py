"""A tree of points that lie along an axis, in a process whose numbers near zero are zero."""

from __future__ import annotations

import numpy as np
from firedrake import Function, FunctionSpace, UnitSquareMesh

from meshing.nearest import nearest_tree


def test_points_most_of_which_have_a_coordinate_of_zero() -> None:
    # Code that PyOP2 has compiled makes the processor flush subnormal numbers to zero; a balanced tree of scipy's would
    # recurse without end on these points, and take the process with it.
    mesh = UnitSquareMesh(2, 2)
    Function(FunctionSpace(mesh, "CG", 1)).interpolate(mesh.coordinates[0])
    points = np.zeros((40, 2))
    points[:, 1] = np.linspace(0.0, 1e-3, 40)
    points[30:, 0] = np.linspace(1.0, 2.0, 10)
    distance, found = nearest_tree(points).query(points)
    np.testing.assert_array_equal(found, np.arange(40))
    np.testing.assert_array_equal(distance, 0.0)
