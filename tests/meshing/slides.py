"""Find boundaries, project and move on them on the ranks there are; the first rank writes it: ``slides.py FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from firedrake import COMM_WORLD, Function, UnitBallMesh, UnitCubeMesh, UnitDiskMesh

from meshing.boundary import attach_boundary, boundary_of
from meshing.curves import Circle
from meshing.mover import Displacement, Mover
from meshing.surfaces import Sphere


def rough(points: np.ndarray, size: float) -> np.ndarray:
    """Values that follow from the place of a vertex, as rough as random ones."""
    phase = points @ np.array([91.0, 57.0, 73.0])[: points.shape[1]]
    return size * np.stack([np.sin((3 + k) * phase + k) for k in range(points.shape[1])], axis=1)


class Rough(Mover):
    def displacement(self, mesh, monitor) -> Displacement:
        function = Function(mesh.coordinates.function_space())
        function.dat.data_wo[:] = rough(mesh.coordinates.dat.data_ro, 0.1)
        return Displacement(function)


def dealt_out(cells: int) -> dict:
    """Return the distribution of a mesh whose neighbouring cells as a rule belong to different ranks."""
    ranks = COMM_WORLD.size
    owner = np.random.default_rng(1).integers(ranks, size=cells)
    if COMM_WORLD.rank:
        return {"partition": (np.zeros(ranks, dtype=np.int32), np.zeros(0, dtype=np.int32))}
    sizes = np.bincount(owner, minlength=ranks).astype(np.int32)
    return {"partition": (sizes, np.argsort(owner, kind="stable").astype(np.int32))}


def run(out: Path) -> None:
    """Write the boundary of each mesh, vertex by vertex."""
    meshes = {
        "disc": (UnitDiskMesh(refinement_level=3), {1: Circle([0, 0], 1.0)}),
        "spline disc": (UnitDiskMesh(refinement_level=3), {}),
        "dealt disc": (UnitDiskMesh(refinement_level=2, distribution_parameters=dealt_out(8 * 4**2)), {}),
        "cube": (UnitCubeMesh(4, 4, 3), {}),
        "ball": (UnitBallMesh(refinement_level=1), {1: Sphere([0, 0, 0], 1.0)}),
    }
    written = {}
    for name, (mesh, geometries) in meshes.items():
        boundary = attach_boundary(mesh, geometries) if geometries else boundary_of(mesh)
        points = mesh.coordinates.dat.data_ro_with_halos
        projected = boundary.project(points + rough(points, 0.1))
        tangents = boundary.tangents(points)
        kind = np.where(boundary.fixed, 2.0, np.where(boundary.sliding, 1.0, 0.0))
        moved = Rough().move(mesh, None)
        own = slice(0, mesh.coordinates.dat.data_ro.shape[0])
        for key, values in {"kind": kind, "project": projected, "tangents": tangents}.items():
            # What a rank says of its halo is what the owner says.
            check = Function(mesh.coordinates.function_space()) if key == "project" else None
            if check is not None:
                check.dat.data_wo[:] = values[own]
                assert np.abs(check.dat.data_ro_with_halos - values).max(initial=0.0) < 1e-13
            written[f"{name}:{key}"] = values[own]
        written[f"{name}:place"] = points[own].copy()
        written[f"{name}:moved"] = moved.coordinates.dat.data_ro.copy()
    whole = {key: COMM_WORLD.gather(values) for key, values in written.items()}
    if COMM_WORLD.rank == 0:
        np.savez(out, **{key: np.concatenate(parts) for key, parts in whole.items()})


if __name__ == "__main__":
    run(Path(sys.argv[1]))
