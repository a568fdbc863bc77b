"""What drift is trained for: a low energy after every one of a few steps, on random meshes and monitor functions."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from learned.dataset import MoverSample
from learned.monitors import MonitorFunction
from learned.movers.drift_pool import ALONE, Group, Source, group_of, random_group
from learned.movers.step import network_step
from learned.prepared import PreparedMesh
from learned.stream import RollingPool

# Added to energies before the logarithm: what lies below is good enough.
_FLOOR = 2e-3
# Share of samples with the usual weight of the shape.
_USUAL = 0.5


class DriftTask:
    r"""Samples and losses of drift.

    .. math:: L = \frac{\sum_t t \log(F_t + \epsilon)}{\sum_t t} - \log(F_0 + \epsilon)

    over the iterates t = 1, ..., steps, or over the last one alone. No labels. A mesh starts as the computational mesh,
    or as an earlier sample left it, with another monitor function, as in a running solve, or with the same one, so that
    many steps stay good.

    The meshes are drawn here once and for all, or come from a source, a new group for each sample, of which the last
    are kept; then a computational mesh has the monitor function that came with it.

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
    maps
        Share of samples that are seen in random coordinates, see ``learned.augment``; these start from computational
        meshes.
    shapes, usual
        Bounds of the weight of the cells' shape in the energy, and what it is in half of the samples and in those held
        out.
    source
        Groups to train on; ``nodes`` and the like are for those held out then.
    held
        Samples held out, each a group; random ones if None.
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
        maps: float = 0.0,
        shapes: tuple[float, float] = (0.1, 0.4),
        usual: float = 0.2,
        source: Source | None = None,
        held: Sequence[MoverSample] | None = None,
    ):
        rng = np.random.default_rng(seed)
        self.steps, self.warm, self.onward, self.every_iterate, self.maps = steps, warm, onward, every_iterate, maps
        self.shapes, self.usual = shapes, usual
        self._seed, self._device = seed, torch.device("cpu")
        self._rolling = RollingPool(partial(self._groups, source), most=groups) if source is not None else None
        if self._rolling is not None:
            self.pool = self._rolling.items
        else:
            self.pool = [random_group(rng, nodes, together, solid=rng.random() < solids) for _ in range(groups)]
            for number in range(0, groups, ALONE):
                self.pool[number] = random_group(rng, (nodes[1], max(nodes[1], large)), 1, solid=False)
        other = np.random.default_rng(10_000 + seed)
        if held is not None:
            self.held_out = [group_of([sample], other) for sample in held]
        else:
            self.held_out = [random_group(other, nodes, 1, solid=number >= 10) for number in range(12)]

    def to(self, device: torch.device | str) -> DriftTask:
        """Put all meshes on a device, and those to come; return the task."""
        self._device = torch.device(device)
        self.pool[:] = [group.to(device) for group in self.pool]
        self.held_out = [group.to(device) for group in self.held_out]
        return self

    def state(self) -> dict[str, Tensor]:
        """Return where the meshes of the pool were left, and what for: with it a resumed training is the same."""
        state = {
            f"{number}.{name}": value for number, group in enumerate(self.pool) for name, value in group.state().items()
        }
        draws = 0 if self._rolling is None else self._rolling.draws
        return state | {"draws": torch.tensor(draws, device="cpu")}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Be as ``state`` has said.

        Raises
        ------
        ValueError
            If that is the state of other meshes.
        """
        if self._rolling is not None:
            self._rolling.rewind(int(state["draws"]))
        for number, group in enumerate(self.pool):
            own = {name.split(".")[1]: value for name, value in state.items() if name.startswith(f"{number}.")}
            if "points" not in own or own["points"].shape != group.points.shape:
                raise ValueError(
                    f"checkpoint: got other meshes than those of group {number}, expected the same; resume with the "
                    "same seed, data and options"
                )
            group.load_state(own)

    def close(self) -> None:
        """Let the source of the meshes go, if there is one."""
        if self._rolling is not None:
            self._rolling.close()

    def _groups(self, source: Source, first: int) -> Generator[Group, None, None]:
        with closing(source(first)) as groups:
            for number, samples in enumerate(groups, first):
                yield group_of(samples, np.random.default_rng([self._seed, number])).to(self._device)

    def loss(self, model: nn.Module, rng: np.random.Generator) -> Tensor:
        """Return the mean loss of a random group, shape ()."""
        if self._rolling is not None:
            group = self._rolling.draw(rng)
        else:
            group = self.pool[int(rng.integers(len(self.pool)))]
        starts = [list(points.split(group.sizes, dim=1)) for points in (group.mesh.reference, group.points)]
        for number, draw in enumerate(rng.random(len(group.sizes))):
            if draw >= self.onward:
                group.redraw(rng, number, own=draw >= self.onward + self.warm)
            if draw < self.onward + self.warm:
                starts[0][number] = starts[1][number]
        steps = int(rng.integers((self.steps + 1) // 2, self.steps + 1))
        shape = self.usual if rng.random() < _USUAL else float(rng.uniform(*self.shapes))
        if self.maps and rng.random() < self.maps:
            mesh, monitor = group.mapped(rng)
            energies, _ = rollout(model, mesh.with_shape(shape), mesh.reference, monitor, steps)
        else:
            mesh, start = group.mesh.with_shape(shape), torch.cat(starts[0], dim=1)
            energies, final = rollout(model, mesh, start, group.monitor, steps)
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
            mesh = group.mesh.with_shape(self.usual)
            energies, final = rollout(model, mesh, mesh.reference, group.monitor, 12)
            picked = [energies[min(step, len(energies) - 1)] for step in (0, 6, 12)]
            logs.append(torch.log(torch.cat(picked) + _FLOOR))
            state = mesh.energy(final, group.monitor(final))
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
