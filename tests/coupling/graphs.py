"""Turn meshes into graphs on the ranks there are; each rank writes what it has: ``graphs.py FOLDER``."""

from __future__ import annotations

import sys
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
from firedrake import Mesh, UnitCubeMesh, UnitDiskMesh, UnitSquareMesh

from coupling.exchange import VertexExchange
from coupling.gather import gather_graph
from coupling.graph import apply_positions, mesh_graph
from meshing.simplex import simplex_volumes

sys.path.append(str(Path(__file__).parents[1] / "meshing"))

MESHES = {
    "square": lambda dealt_out: UnitSquareMesh(9, 7),
    "disk": lambda dealt_out: UnitDiskMesh(2),
    "cube": lambda dealt_out: UnitCubeMesh(4, 3, 3),
    # Neighbouring cells belong to different ranks as a rule.
    "dealt square": lambda dealt_out: UnitSquareMesh(9, 7, distribution_parameters=dealt_out(2 * 9 * 7, 1)),
    "dealt cube": lambda dealt_out: UnitCubeMesh(4, 3, 3, distribution_parameters=dealt_out(6 * 4 * 3 * 3, 2)),
}


def shifted(points: np.ndarray) -> np.ndarray:
    """Return places a little off, each following from the vertex's place, so that halos can be told from owners."""
    return points + 0.01 * np.sin(7.0 * points[:, ::-1] + 1.0)


def messages(points: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return what the given edges bring to each vertex: a nonlinear function of the way from the start to the end."""
    result = np.zeros_like(points)
    np.add.at(result, edges[1], np.sin(5.0 * (points[edges[0]] - 2.0 * points[edges[1]])))
    return result


def refusal(call) -> str:
    try:
        call()
    except ValueError as refused:
        return str(refused)
    return "none"


def run(folder: Path) -> None:
    """Write ``MESH.RANK.npz`` with the rank's part, its sums over ranks, and what the way back gave."""
    from moves import dealt_out

    for name, make in MESHES.items():
        mesh = make(dealt_out)
        graph = mesh_graph(mesh)
        exchange = VertexExchange(mesh)
        whole = gather_graph(mesh)
        points, cells = graph.pos.numpy(), graph.cells.numpy()
        volumes = np.zeros(len(points))
        np.add.at(volumes, cells, simplex_volumes(points, cells)[:, None])
        # From here on the halo is wrong until the owners' places have come.
        wanted = np.where(graph.owned[:, None], shifted(points), np.nan)
        applied = apply_positions(mesh, wanted)
        moved = Mesh(applied)
        back = whole.scatter(None if whole.graph is None else shifted(whole.graph.pos.numpy()))
        from_first = apply_positions(mesh, back)
        values = {
            "messages": exchange.total(messages(points, graph.edge_index.numpy())),
            "volumes": exchange.total(volumes),
            "applied": applied.dat.data_ro_with_halos,
            "from_first": from_first.dat.data_ro_with_halos,
            "exchanged": exchange.from_owners(wanted),
            "moved": mesh_graph(moved).pos.numpy(),
            "round_trip": whole.scatter(whole.gather(points)),
            "nothing_scattered": refusal(partial(whole.scatter, None)),
            "misfit_applied": refusal(partial(apply_positions, mesh, points[: None if mesh.comm.rank else 5])),
        }
        parts = {field.name: getattr(graph, field.name).numpy() for field in fields(graph)}
        gathered = {}
        if whole.graph is not None:
            gathered = {f"whole_{field.name}": getattr(whole.graph, field.name).numpy() for field in fields(graph)}
        np.savez(folder / f"{name}.{mesh.comm.rank}.npz", **parts, **values, **gathered)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
