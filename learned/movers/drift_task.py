"""What drift is trained for: a low energy after every one of a few steps, on random meshes and monitor functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from learned.domains import box_mesh, random_mesh
from learned.monitors import MonitorFunction, random_monitor
from learned.movers.step import network_step
from learned.prepared import TARGETS, PreparedMesh, prepare_meshes

# Added to energies before the logarithm: what lies below is good enough.
_FLOOR = 2e-3


@dataclass
class Group:
    """A few meshes side by side, where their vertices were left last, and the monitor functions they were moved for."""

    mesh: PreparedMesh
    sizes: list[int]
    points: Tensor
    monitors: list[MonitorFunction]

    def monitor(self, points: Tensor) -> Tensor:
        """Return m in the vertices, shape (N,), at points, shape (d, N)."""
        parts = points.split(self.sizes, dim=1)
        return torch.cat([monitor(part) for monitor, part in zip(self.monitors, parts, strict=True)])


class DriftTask:
    r"""Samples and losses of drift.

    .. math:: L = \frac{\sum_t t \log(F_t + \epsilon)}{\sum_t t} - \log(F_0 + \epsilon)

    over the iterates t = 1, ..., steps, or over the last one alone. No labels. A mesh starts as the computational mesh, or as an earlier sample
    left it, with another monitor function, as in a running solve, or with the same one, so that many steps stay good.
    Where meshes were left is no part of a checkpoint: a resumed training begins with computational meshes.

    Parameters
    ----------
    seed
        Of the meshes.
    groups, together
        Number of groups of meshes to train on, none to evaluate only, and of meshes in each.
    nodes
        Least and largest number of vertices.
    large
        Largest number of vertices of the single meshes that one group in seven consists of: they have more levels.
    steps
        Largest number of steps of a sample; the least is half of it.
    solids
        Share of groups in 3D.
    warm, onward
        Shares of samples that start from a moved mesh, with another and with the same monitor function.
    every_iterate
        Whether all iterates count, or the last one alone: an ablation.
    """

    def __init__(
        self,
        *,
        seed: int,
        groups: int = 120,
        together: int = 4,
        nodes: tuple[int, int] = (150, 1200),
        steps: int = 5,
        large: int = 5000,
        solids: float = 0.1,
        warm: float = 0.3,
        onward: float = 0.15,
        every_iterate: bool = True,
    ):
        rng = np.random.default_rng(seed)
        self.steps, self.warm, self.onward, self.every_iterate = steps, warm, onward, every_iterate
        self.pool = [_group(rng, nodes, together, solid=rng.random() < solids) for _ in range(groups)]
        for number in range(0, groups, 7):
            self.pool[number] = _group(rng, (nodes[1], max(nodes[1], large)), 1, solid=False)
        held = np.random.default_rng(10_000 + seed)
        self.held_out = [_group(held, nodes, 1, solid=number >= 10) for number in range(12)]

    def loss(self, model: nn.Module, rng: np.random.Generator) -> Tensor:
        """Return the mean loss of a random group, shape ()."""
        group = self.pool[int(rng.integers(len(self.pool)))]
        starts = [list(points.split(group.sizes, dim=1)) for points in (group.mesh.reference, group.points)]
        for number, draw in enumerate(rng.random(len(group.sizes))):
            if draw >= self.onward:
                group.monitors[number] = _monitor(rng, starts[0][number])
            if draw < self.onward + self.warm:
                starts[0][number] = starts[1][number]
        steps = int(rng.integers((self.steps + 1) // 2, self.steps + 1))
        energies, final = rollout(model, group.mesh, torch.cat(starts[0], dim=1), group.monitor, steps)
        # Curved boundaries may have inverted a cell: learn from the steps before.
        group.points = final.detach() if len(energies) == steps + 1 else group.mesh.reference
        logs = torch.log(energies + _FLOOR)
        weight = torch.arange(1, len(logs), dtype=logs.dtype, device=logs.device)[:, None]
        if not self.every_iterate:
            weight = (weight == len(logs) - 1).to(logs.dtype)
        return ((weight * logs[1:]).sum(0) / weight.sum() - logs[0].detach()).mean()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the mean log energy after 6 and 12 steps on meshes held out, spreads, and cells inverted."""
        logs, spreads, inverted = [], [], 0
        for group in self.held_out:
            energies, final = rollout(model, group.mesh, group.mesh.reference, group.monitor, 12)
            picked = [energies[min(step, len(energies) - 1)] for step in (0, 6, 12)]
            logs.append(torch.log(torch.cat(picked) + _FLOOR))
            state = group.mesh.energy(final, group.monitor(final))
            spreads.append(float(state.ratios.std() / state.ratios.mean()))
            inverted += len(energies) < 13
        start, six, twelve = torch.stack(logs).mean(0).tolist()
        return {
            "score": six,
            "start": start,
            "twelve": twelve,
            "spread": float(np.median(spreads)),
            "worst": max(spreads),
            "inverted": float(inverted),
        }


def rollout(
    model: nn.Module, mesh: PreparedMesh, points: Tensor, monitor: MonitorFunction, steps: int
) -> tuple[Tensor, Tensor]:
    """Return the energies before and after each step, shape (steps + 1, meshes), and the vertices at the end, (d, N).

    Fewer steps if a cell has been inverted: up to the last valid mesh.
    """
    values = monitor(points)
    state = mesh.energy(points, values)
    energies = [state.value]
    for _ in range(steps):
        ahead = network_step(model, mesh, points, values, slopes(monitor, points), state)
        values = monitor(ahead)
        state = mesh.energy(ahead, values)
        if not bool(torch.isfinite(state.value).all()):
            break
        points = ahead
        energies.append(state.value)
    return torch.stack(energies), points


def slopes(monitor: MonitorFunction, points: Tensor) -> Tensor:
    """Return the gradient of a monitor function at points, shape (d, N)."""
    with torch.enable_grad():
        places = points.detach().requires_grad_()
        return torch.autograd.grad(monitor(places).sum(), places)[0]


def _monitor(rng: np.random.Generator, places: Tensor) -> MonitorFunction:
    """Return a random monitor function for a mesh of size 1 with these vertices, shape (d, N)."""
    dimension, count = places.shape
    # Most domains fill about two thirds of the square or cube they are in.
    spacing = (0.65 / count) ** (1.0 / dimension)
    return random_monitor(rng, places.T.double().numpy(), size=1.0, spacing=spacing)


def _group(rng: np.random.Generator, nodes: tuple[int, int], together: int, *, solid: bool) -> Group:
    graphs = []
    for _ in range(together):
        count = int(np.exp(rng.uniform(*np.log(nodes))))
        graphs.append(box_mesh(rng, nodes=max(count // 2, 100)) if solid else random_mesh(rng, nodes=count))
    mesh = prepare_meshes(graphs, [TARGETS[number] for number in rng.integers(2, size=together)])
    sizes = [len(graph.pos) for graph in graphs]
    monitors = [_monitor(rng, places) for places in mesh.reference.split(sizes, dim=1)]
    return Group(mesh, sizes, mesh.reference, monitors)
