r"""Shorten displacements of vertices so that no cell is inverted, differentiably.

.. math:: |\delta_i - \delta_j| \le 2 f w_K \text{ for all } i, j \in K,\ f < 1/2

keeps every cell valid along the whole straight path; the proof is in ``meshing.limiter``, of which this is the
translation-invariant form on tensors, so that networks are trained with it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned.geometry import differences, lengths
from learned.topology import Topology

# Weights below have no part in averages: their quotient would have derivatives that overflow.
_LEAST = 1e-6


def clip_differences(
    topology: Topology, displacement: Tensor, room: Tensor, *, sweeps: int, held: Tensor | None = None
) -> Tensor:
    r"""Bring displacements of neighbours near to each other.

    .. math:: \delta = s\,q + c,\qquad s = \min\Big(1, \min_K \frac{r_K}{\max_{ij} |q_i - q_j|}\Big),\qquad
              |c_i| \le \tfrac12 \min_{K \ni i} \big(r_K - s \max_{ij} |q_i - q_j|\big)

    q is the displacement after sweeps of averaging where it is too steep; see ``meshing.limiter.clip_differences``.

    Parameters
    ----------
    topology
        Vertices and cells.
    displacement
        Shape (d, N) [m].
    room
        r_K = 2 f w_K, largest difference of two displacements in a cell, shape (K,) [m].
    sweeps
        Number of averaging sweeps, 0 or more.
    held
        Vertices that keep their direction and are only shortened, shape (n,), int64: those on boundaries.

    Returns
    -------
    Tensor
        Shape (d, N) [m]. Displacements of two vertices of a cell differ by no more than its room, to rounding; what
        satisfies this is returned unchanged, a common translation of any length included.
    """
    common = displacement
    if held is not None:
        longest = lengths(displacement[:, held])
        direction = displacement[:, held] / longest
    for _ in range(sweeps):
        corners = topology.corners(common)
        weight = 1.0 - _passing(room, _largest(corners))
        if not bool((weight > 0).any()):
            break
        pull = topology.sums(weight.square() * (corners.mean(1, keepdim=True) - corners))
        total = topology.cell_sums(weight)
        common = common + pull / total.clamp_min(_LEAST)
        if held is not None:
            along = (common[:, held] * direction).sum(0)
            kept = torch.minimum(along.clamp_min(0.0), longest) * direction
            common = common.index_copy(1, held, kept)
    difference = _largest(topology.corners(common))
    scale = topology.least(_passing(room, difference))
    common = topology.to_vertices(scale) * common
    left = (room - topology.to_cells(scale) * difference).clamp_min(0.0)
    return common + clip_lengths(displacement - common, 0.5 * topology.minimum(left))


def clip_lengths(vectors: Tensor, longest: Tensor) -> Tensor:
    """Return vectors, shape (d, N), shortened to the longest length allowed, shape (N,)."""
    return vectors * (longest / torch.maximum(lengths(vectors), longest))


def _passing(room: Tensor, difference: Tensor) -> Tensor:
    return room / torch.maximum(difference, room)


def _largest(corners: Tensor) -> Tensor:
    return lengths(differences(corners)).amax(0)
