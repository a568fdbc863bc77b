"""What moves of meshes held out have reached: the figures that model cards of UM2N and DMM say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from learned.background import BackgroundMonitor
from learned.geometry import volumes
from learned.monitors import MonitorFunction
from learned.movers.direct import DirectResult
from learned.movers.trial import Monitor
from learned.prepared import PreparedMesh


@dataclass(frozen=True)
class Case:
    """A computational mesh, the monitor function, and where a conventional mover has brought the vertices if known.

    Attributes
    ----------
    mesh
        Prepared.
    function
        Gives m, shape (n,), at places in units of the domain, shape (d, n).
    moved
        Vertices, shape (d, N), in units of the domain.
    """

    mesh: PreparedMesh
    function: MonitorFunction
    moved: Tensor | None = None


def move_figures(
    cases: Sequence[Case], move: Callable[[PreparedMesh, Tensor, Monitor], DirectResult]
) -> dict[str, float]:
    """Return figures of moves from the computational meshes, each mesh counting as much.

    Parameters
    ----------
    cases
        Meshes and monitor functions.
    move
        Is given a mesh, its vertices, and the monitor function linear on it.

    Returns
    -------
    dict
        ``before`` and ``after``: means of the std/mean of m V over the volumes of the computational cells, m exact,
        without a move and after it; ``unlimited``, of the network's meshes as they are; ``label`` of the conventional
        mover's if all have them; ``improved``: share of meshes with less than before; ``inverted_unlimited`` and
        ``inverted``: numbers of inverted cells on all meshes together, without and with the limiter;
        ``tangled_unlimited``: share of meshes with any; ``arrived``: share where the limiter cut off nothing.
    """
    rows, labels = [], []
    for mesh, function, label in ((case.mesh, case.function, case.moved) for case in cases):
        monitor = BackgroundMonitor(mesh.topology, mesh.reference, function(mesh.reference))
        result = move(mesh, mesh.reference, monitor)
        before, _ = _measured(mesh, function, mesh.reference)
        after, inverted = _measured(mesh, function, result.points)
        unlimited, tangled = _measured(mesh, function, result.wanted)
        rows.append((before, after, unlimited, after < before, tangled, inverted, tangled > 0, result.arrived))
        if label is not None:
            labels.append(_measured(mesh, function, label)[0])
    table = np.array(rows, dtype=float)
    mean, total = table.mean(axis=0), table.sum(axis=0)
    figures = {
        "before": mean[0],
        "after": mean[1],
        "unlimited": mean[2],
        "improved": mean[3],
        "inverted_unlimited": total[4],
        "inverted": total[5],
        "tangled_unlimited": mean[6],
        "arrived": mean[7],
    }
    if len(labels) == len(cases):
        figures["label"] = float(np.mean(labels))
    return {name: float(value) for name, value in figures.items()}


def _measured(mesh: PreparedMesh, function: MonitorFunction, points: Tensor) -> tuple[float, int]:
    """Return std/mean of m V over the volumes of the computational cells, and the number of inverted cells."""
    cells = mesh.topology.cells
    volume = volumes(points.double()[:, cells.T])
    held = function(points).double()[cells].mean(1) * volume
    over = held / volumes(mesh.reference.double()[:, cells.T])
    return float(over.std() / over.mean()), int((volume <= 0).sum())
