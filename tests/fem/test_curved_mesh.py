"""Curved meshes: no cell is turned over, however thin those at the wall are."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    JacobianDeterminant,
    SpatialCoordinate,
    VectorFunctionSpace,
    assemble,
    dx,
    interpolate,
)

from fem.curved_mesh import CurvedMesh
from fem.problems.plate_with_hole import HOLE, PlateWithHole

PLATE = PlateWithHole(width=2.0)
AREA = 4.0 - 0.25 * pi


def squeezed(thinness: float):
    """Return a coarse mesh of the plate whose cells next to the hole are thinner than its arcs bulge."""
    mesh = PLATE.mesh(size=0.5)
    places = mesh.coordinates.dat.data
    radius = np.linalg.norm(places, axis=1, keepdims=True)
    share = np.clip((radius - 1.5) / 0.4, 0.0, 1.0)
    places[:] *= (1.0 + (radius - 1.0) * (thinness + (1.0 - thinness) * share)) / radius
    return mesh


def least_stretch(mesh) -> float:
    """Return the least ratio of the Jacobian determinant in a cell to the greatest there."""
    found = assemble(interpolate(JacobianDeterminant(mesh), FunctionSpace(mesh, "DG", 6)))
    of_cells = found.dat.data_ro[found.cell_node_map().values]
    of_cells = of_cells * np.sign(np.median(of_cells, axis=1, keepdims=True))
    return float((of_cells.min(axis=1) / of_cells.max(axis=1)).min())


@pytest.mark.parametrize(("thinness", "follow"), [(1.0, False), (0.2, False), (0.1, True)])
def test_no_cell_is_turned_over(thinness: float, follow: bool) -> None:
    """Nodes inside follow those of the wall where cells are so thin that they have to."""
    mesh = squeezed(thinness)
    straight = float(assemble(Constant(1.0) * dx(domain=mesh)))
    curved = CurvedMesh(mesh, {HOLE: PLATE.hole}).mesh
    space = curved.coordinates.function_space()
    ways = (
        curved.coordinates.dat.data_ro
        - Function(VectorFunctionSpace(mesh, "CG", 2)).interpolate(SpatialCoordinate(mesh)).dat.data_ro
    )
    ways[DirichletBC(space, 0.0, HOLE).nodes] = 0.0
    assert (np.abs(ways).max() > 1e-4) == follow
    area = float(assemble(Constant(1.0) * dx(domain=curved)))
    print(f"thinness {thinness}: area {area / AREA - 1:+.1e}, of chords {straight / AREA - 1:+.1e}")
    assert least_stretch(curved) > 0.0
    # The wall is still where it should be: the area is right to a higher order than that of chords.
    assert abs(area - AREA) < 0.05 * abs(straight - AREA)
