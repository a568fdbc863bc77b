"""What UM2N is trained for: the cells of meshes that Monge-Ampère has moved."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from learned.dataset import MoverSample
from learned.device import to_device
from learned.geometry import volumes
from learned.monitors import FeatureMonitor
from learned.movers.figures import Case, move_figures
from learned.movers.um2n import um2n
from learned.prepared import PreparedMesh, prepare_mesh
from learned.stream import RollingPool

# Weights of the two terms of the loss, as published.
_VOLUMES, _CHAMFER = 300.0, 100.0
# Of labels that are made while they are used, so many are kept, and each is drawn about so often: making one takes a
# second, an update with five of them less than half of that.
_KEPT, _REUSE = 2000, 12

# Gives samples with labels from a number on, in order.
Source = Callable[[int], Generator[MoverSample, None, None]]


@dataclass(frozen=True)
class MeshMonitor:
    """A monitor function at places in units of a mesh's domain."""

    function: FeatureMonitor
    mesh: PreparedMesh

    def __call__(self, points: Tensor) -> Tensor:
        """Return m at places, shape (d, n), as shape (n,)."""
        return self.function(self.mesh.outside(points).T.to(points.dtype))


@dataclass(frozen=True)
class Labelled:
    """A mesh to move, m in its vertices, shape (N,), and the label's vertices, shape (2, N), in units of the domain."""

    mesh: PreparedMesh
    values: Tensor
    moved: Tensor
    case: Case


class UM2NTask:
    r"""Samples and losses of UM2N.

    .. math:: L = 300\, \text{mean}_K |V_K - V_K^*| + 100 \Big(\text{mean}_i \min_j |x_i - x_j^*|^2
              + \text{mean}_j \min_i |x_i - x_j^*|^2\Big)

    with the label's vertices x* and volumes V* (Zhang et al., arXiv 2407.00382), in units of the domain. Meshes of
    training are turned and reflected at random by the symmetries of the square, which is not published.

    Parameters
    ----------
    samples
        With labels, in 2D.
    held
        How many of the last ones are held out.
    source
        More samples with labels while training goes on; those given may all be held out then.

    Raises
    ------
    ValueError
        For samples without labels, or too few.
    """

    def __init__(self, samples: Iterable[MoverSample], *, held: int, source: Source | None = None):
        labels = [_labelled(sample) for sample in samples]
        if not 0 < held < len(labels) + (source is not None):
            raise ValueError(f"held: got {held} of {len(labels)} samples, expected at least one there and one left")
        self.pool, self.held_out = labels[:-held], labels[-held:]
        self._device = torch.device("cpu")
        self._rolling = None if source is None else RollingPool(partial(self._labels, source), most=_KEPT, reuse=_REUSE)

    def to(self, device: torch.device | str) -> UM2NTask:
        """Put all meshes and labels on a device, and those to come; return the task."""
        self._device = torch.device(device)
        self.pool, self.held_out = to_device((self.pool, self.held_out), device)
        return self

    def state(self) -> dict[str, Tensor]:
        """Return how many samples have been drawn: which labels there are depends on that if there is a source."""
        return {"draws": torch.tensor(0 if self._rolling is None else self._rolling.draws, device="cpu")}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Be as ``state`` has said."""
        if self._rolling is not None:
            self._rolling.rewind(int(state["draws"]))

    def close(self) -> None:
        """Let the source of labels go, if there is one."""
        if self._rolling is not None:
            self._rolling.close()

    def _labels(self, source: Source, first: int) -> Generator[Labelled, None, None]:
        with closing(source(first)) as samples:
            for sample in samples:
                yield to_device(_labelled(sample), self._device)

    def loss(self, model: nn.Module, rng: np.random.Generator) -> Tensor:
        """Return the loss of a random sample, shape ()."""
        if self._rolling is not None:
            label = self._rolling.draw(rng)
        else:
            label = self.pool[int(rng.integers(len(self.pool)))]
        turn = label.moved.new_tensor(_symmetry(rng))
        # A reflection turns the signs of all volumes: their differences stay as large.
        wanted = model(label.mesh, turn @ label.mesh.reference, label.values)
        return _loss(label.mesh, wanted, turn @ label.moved)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the mean loss of the samples held out as ``score``, and figures of their moves."""
        losses = [
            _loss(label.mesh, model(label.mesh, label.mesh.reference, label.values), label.moved)
            for label in self.held_out
        ]
        cases = [label.case for label in self.held_out]
        figures = move_figures(cases, lambda mesh, points, monitor: um2n(model, mesh, points, monitor))
        return {"score": float(torch.stack(losses).mean())} | figures


def _labelled(sample: MoverSample) -> Labelled:
    if sample.moved is None:
        raise ValueError("samples: got one without a label, expected where Monge-Ampère moves it; see coupling.labels")
    mesh = prepare_mesh(sample.graph)
    moved, function = mesh.inside(sample.moved), MeshMonitor(sample.monitor, mesh)
    return Labelled(mesh, function(mesh.reference), moved, Case(mesh, function, moved))


def _loss(mesh: PreparedMesh, points: Tensor, label: Tensor) -> Tensor:
    corners = mesh.topology.corners
    cells = (volumes(corners(points)) - volumes(corners(label))).abs().mean()
    squares = (points[:, :, None] - label[:, None]).square().sum(0)
    return _VOLUMES * cells + _CHAMFER * (squares.amin(0).mean() + squares.amin(1).mean())


def _symmetry(rng: np.random.Generator) -> np.ndarray:
    """Return one of the eight turns and reflections of the square, shape (2, 2)."""
    return np.eye(2)[rng.permutation(2)] * rng.choice([-1.0, 1.0], 2)
