"""Generate meshes on the ranks there are; the first rank writes what came out: ``generated.py FILE``."""

from __future__ import annotations

import sys

import numpy as np
from firedrake import COMM_WORLD, Constant, assemble, ds, dx

from meshing.airfoil import airfoil
from meshing.boundary import boundary_of
from meshing.generation import ball, box, channel_with_cylinder, polygon

MESHES = {
    "box": lambda: box(size=0.3),
    "ball": lambda: ball(size=0.4),
    "polygon": lambda: polygon([[0, 0], [3, 0], [2, 2]], [[[1, 0.2], [2, 0.2], [1.7, 1]]], size=0.2),
    "channel": channel_with_cylinder,
    "airfoil": lambda: airfoil(radius=5.0, size=1.0, airfoil_size=0.02),
}


def main(path: str) -> None:
    """Write the vertices, sorted, whether they are fixed or slide, the measure of the domain and of each side."""
    written: dict[str, np.ndarray] = {}
    for name, make in MESHES.items():
        mesh = make()
        one, boundary = Constant(1.0), boundary_of(mesh)
        markers = mesh.exterior_facets.unique_markers
        sides = [assemble(one * ds(int(marker), domain=mesh)) for marker in markers]
        own = len(mesh.coordinates.dat.data_ro)
        parts = mesh.comm.gather((mesh.coordinates.dat.data_ro, boundary.fixed[:own], boundary.sliding[:own]))
        written[f"{name} measures"] = np.array([assemble(one * dx(domain=mesh)), *sides])
        written[f"{name} markers"] = np.array(markers)
        if mesh.comm.rank == 0:
            places, fixed, sliding = (np.concatenate(part) for part in zip(*parts, strict=True))
            order = np.lexsort(places.T)
            written |= {f"{name} vertices": places[order], f"{name} fixed": fixed[order]}
            written[f"{name} sliding"] = sliding[order]
    try:
        box(size=1.0, save="nowhere/box.msh")
    except ValueError as error:
        written["refused"] = np.array(COMM_WORLD.allgather(str(error)))
    if COMM_WORLD.rank == 0:
        np.savez(path, ranks=COMM_WORLD.size, **written)


if __name__ == "__main__":
    main(sys.argv[1])
