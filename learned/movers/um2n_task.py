"""What UM2N is trained for: the cells of meshes that Monge-Ampère has moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from learned.dataset import MoverSample
from learned.geometry import volumes
from learned.movers.figures import Case, move_figures
from learned.movers.um2n import um2n
from learned.prepared import PreparedMesh, prepare_mesh

# Weights of the two terms of the loss, as published.
_VOLUMES, _CHAMFER = 300.0, 100.0


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

    Raises
    ------
    ValueError
        For samples without labels, or too few.
    """

    def __init__(self, samples: Iterable[MoverSample], *, held: int):
        labels = [_labelled(sample) for sample in samples]
        if not 0 < held < len(labels):
            raise ValueError(f"held: got {held} of {len(labels)} samples, expected at least one there and one left")
        self.pool, self.held_out = labels[:-held], labels[-held:]

    def loss(self, model: nn.Module, rng: np.random.Generator) -> Tensor:
        """Return the loss of a random sample, shape ()."""
        label = self.pool[int(rng.integers(len(self.pool)))]
        turn = _symmetry(rng)
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
    moved = mesh.inside(sample.moved)

    def function(points: Tensor) -> Tensor:
        return sample.monitor(mesh.outside(points).T.to(points.dtype))

    return Labelled(mesh, function(mesh.reference), moved, Case(mesh, function, moved))


def _loss(mesh: PreparedMesh, points: Tensor, label: Tensor) -> Tensor:
    corners = mesh.topology.corners
    cells = (volumes(corners(points)) - volumes(corners(label))).abs().mean()
    squares = (points[:, :, None] - label[:, None]).square().sum(0)
    return _VOLUMES * cells + _CHAMFER * (squares.amin(0).mean() + squares.amin(1).mean())


def _symmetry(rng: np.random.Generator) -> Tensor:
    """Return one of the eight turns and reflections of the square, shape (2, 2)."""
    turn = np.eye(2)[rng.permutation(2)] * rng.choice([-1.0, 1.0], 2)
    return torch.from_numpy(turn).float()
