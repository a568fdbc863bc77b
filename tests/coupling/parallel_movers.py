"""Move with every learned mover on the ranks there are, which the first writes down: ``parallel_movers.py FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from firedrake import COMM_WORLD, Mesh, UnitCubeMesh, UnitDiskMesh, UnitSquareMesh

from coupling.movers import Drift
from coupling.registry import LEARNED, get_mover

sys.path.append(str(Path(__file__).parents[1] / "meshing"))


def main(path: str) -> None:
    """Write the places of the vertices before and after each of two moves in a row, and what raised where."""
    from domains import MONITORS
    from moves import dealt_out

    meshes = {
        "square": UnitSquareMesh(14, 11),
        "disc": UnitDiskMesh(3),
        "cube": UnitCubeMesh(6, 5, 5),
        "dealt": UnitSquareMesh(12, 9, distribution_parameters=dealt_out(2 * 12 * 9, 1)),
    }
    written = {}
    for name in LEARNED:
        for domain, mesh in meshes.items():
            if mesh.geometric_dimension not in LEARNED[name].dimensions:
                continue
            mover, at = get_mover(name), mesh
            for monitor in ("ring", "front"):
                result = mover.move(at, MONITORS[monitor])
                written[f"numbers {domain} {name} {monitor}"] = [result.iterations, result.min_jacobian_ratio]
                parts = mesh.comm.gather((mesh.coordinates.dat.data_ro.copy(), result.coordinates.dat.data_ro.copy()))
                if mesh.comm.rank == 0:
                    before, after = (np.concatenate(part) for part in zip(*parts, strict=True))
                    written[f"{domain} {name} {monitor}"] = after[np.lexsort(before.round(9).T)]
                at = Mesh(result.coordinates)
    written["refused"] = COMM_WORLD.gather(_refusal(meshes["square"]))
    if COMM_WORLD.rank == 0:
        np.savez(path, ranks=COMM_WORLD.size, **written)


def _refusal(mesh) -> str:
    """Return what this rank is told if preparing the mesh fails, which only the first does."""
    mover = Drift()
    mover.target = "volume"
    try:
        mover.move(mesh, lambda at: None)
    except ValueError as error:
        return str(error)
    return "none"


if __name__ == "__main__":
    main(sys.argv[1])
