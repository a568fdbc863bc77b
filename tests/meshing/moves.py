"""Limit, move and measure on the ranks there are; the first rank writes what came out: ``moves.py FOLDER...``.

Every folder after the first gets a partition of its own, cells dealt out to the ranks at random.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from firedrake import (
    COMM_WORLD,
    Function,
    FunctionSpace,
    Mesh,
    TensorFunctionSpace,
    UnitCubeMesh,
    UnitSquareMesh,
)

from meshing.limiter import limit_displacement
from meshing.mover import Displacement, Mover
from meshing.patches import MeshPatches
from meshing.quality import mesh_quality


def wave(points: np.ndarray, size: float) -> np.ndarray:
    """Displacement whose every value follows from the vertex's place, zero normal to the sides, rough and long."""
    phase = points @ np.array([91.0, 57.0, 73.0])[: points.shape[1]]
    values = size * np.stack([np.sin((3 + k) * phase + k) for k in range(points.shape[1])], axis=1)
    values += size * np.sin(np.pi * points).prod(axis=1, keepdims=True)
    return np.where((points == 0) | (points == 1), 0.0, values)


class Wave(Mover):
    def __init__(self, size: float):
        self.size = size

    def displacement(self, mesh, monitor) -> Displacement:
        function = Function(mesh.coordinates.function_space())
        function.dat.data_wo[:] = wave(mesh.coordinates.dat.data_ro, self.size)
        return Displacement(function)


def dealt_out(cells: int, seed: int) -> dict:
    """Return the distribution of a mesh whose neighbouring cells as a rule belong to different ranks."""
    ranks = COMM_WORLD.size
    owner = np.random.default_rng(seed).integers(ranks, size=cells)
    if COMM_WORLD.rank:  # the first rank, which has the whole mesh, deals
        return {"partition": (np.zeros(ranks, dtype=np.int32), np.zeros(0, dtype=np.int32))}
    sizes = np.bincount(owner, minlength=ranks).astype(np.int32)
    return {"partition": (sizes, np.argsort(owner, kind="stable").astype(np.int32))}


def run(folder: Path, seed: int) -> None:
    """Write ``DIMENSION.npz``, values vertex by vertex, and ``DIMENSION.json``, numbers of the whole mesh."""
    square = dealt_out(2 * 12 * 9, seed) if seed else None
    cube = dealt_out(6 * 5 * 4 * 3, seed) if seed else None
    meshes = (
        (2, UnitSquareMesh(12, 9, distribution_parameters=square)),
        (3, UnitCubeMesh(5, 4, 3, distribution_parameters=cube)),
    )
    for dimension, mesh in meshes:
        mover = Wave(0.3)
        wanted = mover.displacement(mesh, None).function
        moved = mover.move(mesh, None)
        monitor = Function(FunctionSpace(moved_mesh := Mesh(moved.coordinates), "CG", 1))
        monitor.dat.data_wo[:] = 1.0 + np.exp(-10 * ((moved_mesh.coordinates.dat.data_ro - 0.5) ** 2).sum(axis=1))
        metric = Function(TensorFunctionSpace(moved_mesh, "CG", 1))
        towards = moved_mesh.coordinates.dat.data_ro
        metric.dat.data_wo[:] = np.eye(dimension) + 5.0 * towards[:, :, None] * towards[:, None, :]
        on_boundary = Function(FunctionSpace(mesh, "CG", 1))
        on_boundary.dat.data_wo_with_halos[:] = MeshPatches(mesh).boundary()
        fields = {
            "place": mesh.coordinates,
            "absolute": limit_displacement(mesh, wanted),
            "relative": limit_displacement(mesh, wanted, relative=True),
            "sweepless": limit_displacement(mesh, wanted, relative=True, sweeps=0),
            "moved": moved.coordinates,
            "boundary": on_boundary,
        }
        numbers = asdict(mesh_quality(moved_mesh, mesh, monitor, metric=metric)) | {
            "status": moved.status.value,
            "min_jacobian_ratio": moved.min_jacobian_ratio,
            "ranks": mesh.comm.size,
        }
        # A rank that fails alone must not be waited for, and every rank must have the same numbers.
        assert all(other == numbers for other in mesh.comm.allgather(numbers))
        whole = {name: mesh.comm.gather(field.dat.data_ro) for name, field in fields.items()}
        if mesh.comm.rank == 0:
            np.savez(folder / f"{dimension}.npz", **{name: np.concatenate(parts) for name, parts in whole.items()})
            (folder / f"{dimension}.json").write_text(json.dumps(numbers))


if __name__ == "__main__":
    for seed, folder in enumerate(sys.argv[1:]):
        run(Path(folder), seed)
