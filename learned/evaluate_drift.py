"""Measure drift on meshes and monitor functions it has not seen: ``python -m learned.evaluate_drift WEIGHTS``.

WEIGHTS is a file that ``learned.weights`` wrote, or a directory in which ``learned.train_drift`` is or was at work.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from learned.background import BackgroundMonitor
from learned.coarse import coarse_mesh
from learned.domains import box_mesh, random_mesh
from learned.geometry import differences, lengths, volumes
from learned.graph import MeshGraph
from learned.monitors import random_monitor
from learned.movers.drift import DriftResult, drift
from learned.networks.drift import DriftNetwork
from learned.prepared import PreparedMesh, prepare_mesh
from learned.weights import load_weights

# Kind of domain and number of vertices; none of the seeds is one of training.
CASES = (
    ("square", 280),
    ("lattice", 441),
    ("polygon", 500),
    ("lattice", 961),
    ("holes", 900),
    ("disc", 1200),
    ("warped", 1600),
    ("l-shape", 1900),
    ("square", 3000),
    ("ring", 4200),
    ("lattice", 6561),
    ("holes", 25600),
    ("box", 1000),
)
_SEED = 77_000
# Meshes of more vertices are moved behind a coarse one of at most so many.
LARGE, COARSEST = 4000, 3000


@dataclass(frozen=True)
class Outcome:
    """What a move has reached.

    Attributes
    ----------
    spread, relative
        std/mean of m V, and of m V over the volume of the computational cell.
    worst, median
        Shape: sum of squared edges over volume to the power 2/d, 1 for a regular simplex.
    inverted
        Number of inverted cells, in double precision.
    seconds
        Time of the move [s].
    steps, mended, gradients
        Steps taken in all, those of the network that were mended, and those of the gradient.
    """

    spread: float
    relative: float
    worst: float
    median: float
    inverted: int
    seconds: float
    steps: int
    mended: int
    gradients: int


def held_out_case(kind: str, nodes: int, *, seed: int, strongest: float) -> tuple[MeshGraph, Tensor]:
    """Return a mesh and a monitor function in its vertices, shape (N,)."""
    rng = np.random.default_rng([_SEED, seed])
    graph = box_mesh(rng, nodes=nodes) if kind == "box" else random_mesh(rng, nodes=nodes, kind=kind)
    points = graph.pos.numpy()
    size = float((points.max(axis=0) - points.min(axis=0)).max())
    spacing = size * (0.65 / len(points)) ** (1.0 / points.shape[1])
    monitor = random_monitor(rng, points, size=size, spacing=spacing, strongest=strongest)
    return graph, monitor(graph.pos.T)


def measure(
    mesh: PreparedMesh, points: Tensor, values: Tensor, seconds: float = 0.0, result: DriftResult | None = None
) -> Outcome:
    """Return figures of a mesh, vertices (d, N) and m in them, shape (N,), in double precision."""
    corners = points.double()[:, mesh.topology.cells.T]
    reference = mesh.reference.double()[:, mesh.topology.cells.T]
    volume = volumes(corners)
    held = values.double()[mesh.topology.cells].mean(1) * volume
    over = held / volumes(reference)
    dimension = len(points)
    squares = lengths(differences(corners)).square().sum(0)
    # A regular simplex of side 1 has d (d + 1) / 2 edges and this volume.
    regular = {2: np.sqrt(3.0) / 4.0, 3: 1.0 / (6.0 * np.sqrt(2.0))}[dimension]
    shape = squares / (dimension * (dimension + 1) / 2) * (regular / volume.clamp_min(1e-300)) ** (2.0 / dimension)
    return Outcome(
        spread=float(held.std() / held.mean()),
        relative=float(over.std() / over.mean()),
        worst=float(shape.max()),
        median=float(shape.median()),
        inverted=int((volume <= 0).sum()),
        seconds=seconds,
        steps=0 if result is None else len(result.energies) - 1,
        mended=0 if result is None else result.mended,
        gradients=0 if result is None else result.gradients,
    )


def move(
    network: nn.Module,
    graph: MeshGraph,
    values: Tensor,
    *,
    target: str,
    steps: int,
    tolerance: float = 0.0,
    repeats: int = 3,
) -> tuple[Outcome, Outcome]:
    """Return the figures before and after a move; the monitor function lives on the mesh as it was.

    What depends on the topology alone is prepared before and not timed; the rest is, building the monitor function
    included.
    """
    mesh = prepare_mesh(graph, target=target)
    coarse = coarse_mesh(graph, mesh, most=COARSEST) if len(graph.pos) > LARGE else None
    nodal = values.to(mesh.reference.dtype)
    seconds = []
    for _ in range(repeats):
        start = perf_counter()
        monitor = BackgroundMonitor(mesh.topology, mesh.reference, nodal)
        result = drift(network, mesh, mesh.reference, monitor, steps=steps, tolerance=tolerance, coarse=coarse)
        seconds.append(perf_counter() - start)
    after, _ = monitor(result.points)
    before = measure(mesh, mesh.reference, nodal)
    return before, measure(mesh, result.points, after, min(seconds), result)


def circling(network: nn.Module, graph: MeshGraph, *, moves: int, turn: int = 40, steps: int = 2) -> list[Outcome]:
    """Return the figures after each of many moves in a row, every one from the mesh as the one before has left it.

    The monitor function is a front, 1 + 8 sech^2 across and 0.2 of the domain long, that goes round the middle.

    Parameters
    ----------
    network
        Such as ``DriftNetwork``.
    graph
        A plane mesh.
    moves, turn
        Number of moves, and of those once round.
    steps
        Steps of a move.
    """
    mesh = prepare_mesh(graph, target="relative")
    points, outcomes = mesh.reference, []
    for number in range(moves):
        angle = 2.0 * np.pi * number / turn

        def front(x: Tensor, c: float = float(np.cos(angle)), s: float = float(np.sin(angle))) -> Tensor:
            across, along = c * x[0] + s * x[1] - 0.2, c * x[1] - s * x[0]
            return 1.0 + 8.0 * torch.exp(-((along / 0.2) ** 2)) / torch.cosh(across / 0.03) ** 2

        monitor = BackgroundMonitor(mesh.topology, points, front(points))
        points = drift(network, mesh, points, monitor, steps=steps).points
        outcomes.append(measure(mesh, points, front(points)))
    return outcomes


def table(network: nn.Module, *, target: str, strongest: float, repeats: int = 3) -> str:
    """Return the Markdown table of all cases: until a step gains less than 5 %, after 6 steps, after 12."""
    lines = [
        f"target `{target}`, amplitudes up to {strongest:g}; std/mean of m V / of m V over the computational volume",
        "",
        "| domain | nodes | before | settled (steps) | 6 steps | 12 steps | shape, worst / median | bad "
        "| mended + gradient | ms, settled / 6 / 12 |",
        "|---|--:|---|---|---|---|---|--:|---|---|",
    ]
    for number, (kind, nodes) in enumerate(CASES):
        graph, values = held_out_case(kind, nodes, seed=number, strongest=strongest)
        before, settled = move(network, graph, values, target=target, steps=12, tolerance=0.05, repeats=repeats)
        _, six = move(network, graph, values, target=target, steps=6, repeats=repeats)
        _, twelve = move(network, graph, values, target=target, steps=12, repeats=repeats)
        lines.append(
            f"| {kind} | {len(graph.pos)} | {before.spread:.2f} / {before.relative:.2f} "
            f"| {settled.spread:.3f} / {settled.relative:.3f} ({settled.steps}) "
            f"| {six.spread:.3f} / {six.relative:.3f} | {twelve.spread:.3f} / {twelve.relative:.3f} "
            f"| {twelve.worst:.1f} / {twelve.median:.2f} | {settled.inverted + six.inverted + twelve.inverted} "
            f"| {twelve.mended} + {twelve.gradients} "
            f"| {1e3 * settled.seconds:.0f} / {1e3 * six.seconds:.0f} / {1e3 * twelve.seconds:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Measure drift.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--strongest", type=float, default=20.0, help="largest amplitude of a feature")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.weights.is_dir():
        network: nn.Module = DriftNetwork()
        network.load_state_dict(load_file(options.weights / "best.safetensors"))
    else:
        network = load_weights(options.weights)[0]
    outcomes = circling(network, random_mesh(np.random.default_rng(_SEED), nodes=900, kind="disc"), moves=1000)
    for first in (0, 100, 500, 900):
        part = outcomes[first : first + 100]
        spread, worst = max(one.relative for one in part), max(one.worst for one in part)
        print(f"moves {first + 1} to {first + 100} round a circle: std/mean <= {spread:.3f}, shape <= {worst:.2f}")
    for target in ("integral", "relative"):
        print(table(network, target=target, strongest=options.strongest), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
