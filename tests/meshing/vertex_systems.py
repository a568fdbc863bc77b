"""Solve the same systems again and again: ``vertex_systems.py FILE``; the first rank writes what came out."""

from __future__ import annotations

import sys

import numpy as np
from firedrake import COMM_WORLD, UnitSquareMesh

from meshing.cell_maps import CellMaps
from meshing.patches import MeshPatches
from meshing.vertex_system import VertexSystem

# Cells a side, components, times: few unknowns, and more than 1e4, which MUMPS by itself would order otherwise.
SYSTEMS = {"few": (16, 1, 40), "few of two components": (16, 2, 40), "many": (100, 1, 3)}


def solutions(cells_a_side: int, components: int, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the known solution (n, c) and those found (k, n, c), in the vertices this rank owns."""
    mesh = UnitSquareMesh(cells_a_side, cells_a_side)
    patches = MeshPatches(mesh)
    maps = CellMaps(patches.points, patches.cells)
    weights = maps.volumes * (1.0 + patches.points[patches.cells, 0].mean(axis=1))
    # Each component like diffusion, weakly tied to the other.
    ties = 0.25 + 0.75 * np.eye(components)
    stiffness = maps.gradients @ np.swapaxes(maps.gradients, 1, 2) * weights[:, None, None]
    cells = np.einsum("kij,ab->kiajb", stiffness, ties).reshape(len(weights), 3 * components, -1)
    vertices = np.tile(np.eye(components), (patches.vertices, 1, 1)) / patches.vertices
    known = np.sin(7.0 * patches.points @ [[1.0, 2.0], [3.0, -1.0]])[:, :components]
    loads = np.einsum("kij,kj->ki", cells, known[patches.cells].reshape(len(cells), -1))
    sums = [patches.sum(load) for load in np.moveaxis(loads.reshape(-1, 3, components), 2, 0)]
    right = np.stack(sums, axis=1) + np.einsum("nab,nb->na", vertices, known)
    owned, found = mesh.coordinates.dof_dset.size, []
    for _ in range(times):
        with VertexSystem(mesh, patches, components) as system:
            found += [system.solve(cells, vertices, right)[:owned] for _ in range(2)]
    return known[:owned], np.stack(found)


def main(path: str) -> None:
    """Write for each system how far the solutions are from the known one, and how many there are, bit by bit."""
    results = {}
    for name, system in SYSTEMS.items():
        known, found = solutions(*system)
        parts = COMM_WORLD.gather((float(np.abs(found - known).max()), [one.tobytes() for one in found]))
        if COMM_WORLD.rank == 0:
            errors, bits = zip(*parts, strict=True)
            results[name] = [max(errors), len(set(zip(*bits, strict=True)))]
    if COMM_WORLD.rank == 0:
        np.savez(path, ranks=COMM_WORLD.size, **results)


if __name__ == "__main__":
    main(sys.argv[1])
