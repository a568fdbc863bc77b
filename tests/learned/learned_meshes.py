"""Small meshes and monitor functions for the tests of this folder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from learned.domains import box_mesh, random_mesh
from learned.graph import MeshGraph


def some_mesh(dimension: int, *, nodes: int = 150, seed: int = 0, kind: str | None = "square") -> MeshGraph:
    rng = np.random.default_rng(seed)
    return box_mesh(rng, nodes=nodes) if dimension == 3 else random_mesh(rng, nodes=nodes, kind=kind)


def bump(points: Tensor) -> Tensor:
    """Return a monitor function between 1 and 9, shape (d, n) to (n,), its peak off the middle."""
    offset = points - 0.1
    return 1.0 + 8.0 * torch.exp(-18.0 * offset.square().sum(0))


def bump_slopes(points: Tensor) -> Tensor:
    return -36.0 * (points - 0.1) * (bump(points) - 1.0)


def bump_monitor(points: Tensor) -> tuple[Tensor, Tensor]:
    return bump(points), bump_slopes(points)


def shaken(points: Tensor, width: float, seed: int = 0) -> Tensor:
    """Return points moved at random by at most half a width: a valid mesh, but for the shape of its boundary."""
    generator = torch.Generator().manual_seed(seed)
    return points + width / len(points) ** 0.5 * 0.9 * (
        torch.rand(points.shape, generator=generator, dtype=points.dtype) - 0.5
    )
