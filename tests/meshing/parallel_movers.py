"""Move with every mover on the ranks there are; the first rank writes what came out: ``parallel_movers.py FILE``."""

from __future__ import annotations

import sys

import numpy as np
from domains import MESHES, MONITORS
from firedrake import COMM_WORLD, Function

from meshing.laplacian import Laplacian
from meshing.registry import MOVERS, get_mover


def dent(mesh) -> Function:
    """Push the boundary in, harder where x is large."""
    function = Function(mesh.coordinates.function_space())
    points = mesh.coordinates.dat.data_ro_with_halos
    function.dat.data_wo_with_halos[:] = 0.2 * np.sin(points) * (0.3 - points)
    return function


def main(path: str) -> None:
    """Write places and moved places of the vertices, and the numbers of each move."""
    numbers, places = {}, {}
    for domain in ("square", "disc", "cube"):
        mesh = MESHES[domain]()
        for name in MOVERS:
            mover = Laplacian(dent) if name == "laplacian" else get_mover(name)
            for monitor in ("ring", "front"):
                result = mover.move(mesh, MONITORS[monitor])
                key = f"{domain} {name} {monitor}"
                numbers[key] = [result.iterations, result.min_jacobian_ratio, float(result.status.value == "done")]
                parts = mesh.comm.gather((mesh.coordinates.dat.data_ro.copy(), result.coordinates.dat.data_ro.copy()))
                if mesh.comm.rank == 0:
                    before, after = (np.concatenate(part) for part in zip(*parts, strict=True))
                    places[key] = after[np.lexsort(before.round(9).T)]
    if COMM_WORLD.rank == 0:
        np.savez(path, ranks=COMM_WORLD.size, **places, **{f"numbers {key}": value for key, value in numbers.items()})


if __name__ == "__main__":
    main(sys.argv[1])
