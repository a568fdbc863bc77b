"""Move the same meshes with several contenders, and the tables of what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import process_time

import numpy as np
import torch
from torch import Tensor, nn

from learned.background import BackgroundMonitor
from learned.coarse import CoarseMesh, coarse_mesh
from learned.domains import KINDS
from learned.evaluate_drift import COARSEST, LARGE, Outcome, held_out_case, measure
from learned.movers.drift import DriftResult, drift, unguarded
from learned.prepared import TARGETS, PreparedMesh, prepare_mesh

# Weight of the cells' shape in the energy, for training and moving: the least that drift is trained for, with which the
# spread shows best what is reached.
SHAPE = 0.1
STEPS = 8
# Largest amplitudes of a feature; training has up to 50.
KNOWN, UNKNOWN = 20.0, 500.0
_LEAST, _MOST = 200, 6561
# Kind and number of vertices of meshes larger than any of training, whose largest have 5,000.
_BIG = (("lattice", 25600), ("holes", 12000))


@dataclass(frozen=True)
class Contender:
    """Who moves meshes, and how.

    Attributes
    ----------
    name
        For the tables.
    network
        Proposes displacements; None for nobody, the mesh stays as it is.
    updates
        How often its weights were updated, in words.
    steps
        Largest number of steps.
    accepted
        Whether only steps are taken that lower the energy, see ``learned.movers.drift``.
    ahead
        Whether a coarse mesh goes ahead of meshes of more than 4,000 vertices; not without acceptance.
    """

    name: str
    network: nn.Module | None
    updates: str = "-"
    steps: int = STEPS
    accepted: bool = True
    ahead: bool = True

    def move(self, mesh: PreparedMesh, monitor: BackgroundMonitor, coarse: CoarseMesh | None) -> DriftResult:
        """Move a mesh from where it is."""
        if self.network is None:
            return DriftResult(mesh.reference, [0.0])
        if not self.accepted:
            return unguarded(self.network, mesh, mesh.reference, monitor, steps=self.steps)
        coarse = coarse if self.ahead else None
        return drift(self.network, mesh, mesh.reference, monitor, steps=self.steps, coarse=coarse)


@dataclass(frozen=True)
class Row:
    """The outcome of one move."""

    contender: str
    nodes: int
    amplitude: float
    target: str
    outcome: Outcome


class GradientStep(nn.Module):
    """No network: propose what the energy's preconditioned gradient says."""

    def forward(self, mesh: PreparedMesh, points: Tensor, monitor: Tensor, state, step: Tensor) -> Tensor:
        """Return the gradient's step, shape (d, N)."""
        return step


def cases(count: int) -> Iterable[tuple[str, int]]:
    """Yield kind and number of vertices of meshes: all kinds in turn, with sizes all over the range for each; big ones.

    Parameters
    ----------
    count
        Number of meshes; the big ones are the last two of a hundred.
    """
    kinds = (*KINDS, "box")
    big = _BIG if count >= 100 else ()
    for number in range(count - len(big)):
        # Multiples of the golden ratio fill an interval evenly.
        share = number * (0.5 * (np.sqrt(5.0) - 1.0)) % 1.0
        yield kinds[number % len(kinds)], round(_LEAST * (_MOST / _LEAST) ** share)
    yield from big


def compare(
    contenders: Sequence[Contender],
    meshes: Iterable[tuple[str, int]],
    *,
    amplitudes: Sequence[float] = (KNOWN, UNKNOWN),
    report: Callable[[str], None] = print,
) -> list[Row]:
    """Move meshes with all contenders, for either target and several amplitudes of the same monitor functions.

    Parameters
    ----------
    contenders
        With distinct names.
    meshes
        Kinds and numbers of vertices.
    amplitudes
        Largest amplitudes of a feature.
    report
        Is given a line for each mesh.

    Returns
    -------
    list of Row
        None for those without a coarse mesh ahead where nobody has one. The monitor function is linear on the mesh as
        it was, and so measured. What depends on the topology alone is not timed.
    """
    rows = []
    for number, (kind, nodes) in enumerate(meshes):
        for target in TARGETS:
            mesh, coarse = None, None
            for amplitude in amplitudes:
                # The same seed gives the same mesh and the same features, but for their amplitudes.
                graph, values = held_out_case(kind, nodes, seed=1000 + number, strongest=amplitude)
                if mesh is None:
                    mesh = prepare_mesh(graph, target=target).with_shape(SHAPE)
                    coarse = coarse_mesh(graph, mesh, most=COARSEST) if len(graph.pos) > LARGE else None
                nodal = values.to(mesh.reference.dtype)
                for contender in contenders:
                    if coarse is None and not contender.ahead:
                        continue  # It is the same as with one ahead.
                    outcome = _outcome(contender, mesh, nodal, coarse)
                    rows.append(Row(contender.name, len(graph.pos), amplitude, target, outcome))
        report(f"mesh {number}: {kind}, {len(graph.pos)} vertices")
    return rows


def _outcome(contender: Contender, mesh: PreparedMesh, nodal: Tensor, coarse: CoarseMesh | None) -> Outcome:
    # Processor time: other work on the machine matters less to it.
    start = process_time()
    monitor = BackgroundMonitor(mesh.topology, mesh.reference, nodal)
    result = contender.move(mesh, monitor, coarse)
    seconds = process_time() - start
    after, _ = monitor(result.points)
    return measure(mesh, result.points, after, seconds, result)


def used_weights(network: nn.Module | None) -> int:
    """Return the number of weights that have a part in what a network proposes."""
    if network is None or not list(network.parameters()):
        return 0
    graph, values = held_out_case("lattice", 900, seed=0, strongest=KNOWN)
    mesh = prepare_mesh(graph).with_shape(SHAPE)
    nodal = values.to(mesh.reference.dtype)
    state = mesh.energy(mesh.reference, nodal)
    with torch.enable_grad():
        proposal = network(mesh, mesh.reference, nodal, state, torch.zeros_like(mesh.reference))
        parts = torch.autograd.grad(proposal.sum(), list(network.parameters()), allow_unused=True)
    return sum(part.numel() for part in parts if part is not None)


def tables(contenders: Sequence[Contender], rows: Sequence[Row]) -> str:
    """Return Markdown tables of what ``compare`` gave: meshes that no coarse one goes ahead of, and the others."""
    parts = []
    for title, chosen in (
        (f"Meshes of up to {LARGE:,} vertices", [row for row in rows if row.nodes <= LARGE]),
        (f"Meshes of more than {LARGE:,} vertices", [row for row in rows if row.nodes > LARGE]),
    ):
        if chosen:
            parts += [
                f"{title}: {sum(row.contender == contenders[0].name for row in chosen) // (2 * len(TARGETS))}.",
                _table(contenders, chosen),
            ]
    return "\n\n".join(parts)


def _table(contenders: Sequence[Contender], rows: Sequence[Row]) -> str:
    header = ["who moves", "updates", "weights", "steps"]
    header += [f"{what}, a <= {most:g}" for most in (KNOWN, UNKNOWN) for what in ("m V", "relative")]
    header += ["worst shape", "inverted or lost", "mended, gradient [%]", "ms"]
    lines = [header, ["---"] + ["--:"] * (len(header) - 1)]
    for contender in contenders:
        own = [row for row in rows if row.contender == contender.name]
        if not own:
            continue
        line = [contender.name, contender.updates, f"{used_weights(contender.network):,}", str(contender.steps)]
        for amplitude in (KNOWN, UNKNOWN):
            for target in TARGETS:
                chosen = [row.outcome for row in own if (row.amplitude, row.target) == (amplitude, target)]
                line.append(_three([one.spread if target == "integral" else one.relative for one in chosen]))
        outcomes = [row.outcome for row in own]
        line.append(_three([one.worst for one in outcomes]))
        # Places that are not finite have no cell of negative volume.
        line.append(str(sum(one.inverted > 0 or not np.isfinite(one.spread) for one in outcomes)))
        steps = max(1, sum(one.steps for one in outcomes))
        mended, gradients = (sum(getattr(one, name) for one in outcomes) for name in ("mended", "gradients"))
        line.append(f"{100.0 * mended / steps:.1f}, {100.0 * gradients / steps:.1f}")
        line.append(f"{1e3 * float(np.median([one.seconds for one in outcomes])):.0f}")
        lines.append(line)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _three(values: Sequence[float]) -> str:
    """Return median, the value that nine of ten do not exceed, and the greatest; what is not finite is greatest."""
    ordered = np.sort(np.nan_to_num(np.array(values), nan=np.inf, posinf=np.inf))
    picked = [ordered[int(np.ceil(share * len(ordered))) - 1] for share in (0.5, 0.9, 1.0)]
    return " / ".join(f"{value:.3f}" if value < 10.0 else f"{value:.1f}" for value in picked)
