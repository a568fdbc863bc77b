"""Contents of cells that change by what crosses their facets, and are nowhere drained to less than nothing."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from learned.operators.exchange import edges_told
from learned.operators.nodes import EDGE_FEATURES, NodeGraph
from learned.operators.structure import LocalConservation
from learned.operators.structure.data import largest, relative
from learned.sparse import sparse_map, take

# Beside a flux that is limited: what rounding could make of the contents it leaves.
_MARGIN = 1e-12
# Contents below it are not given away: among the least of numbers shares are not exact.
_NOTHING = 1e-200


class Draining(LocalConservation):
    r"""Advance the contents of cells by predicted fluxes, none of which takes more out of a cell than there is.

    .. math:: m^{n+1} = m^n - B q,\qquad q_f = \theta_{d(f)}\, Q_f,\qquad
              \theta_i = \min\Big(1,\ m^n_i \Big/ \sum_f \max(B_{if} Q_f, 0)\Big)

    of raw amounts Q through facets in a step, each scaled by what its donor d can give, the cell that it comes from.
    Guaranteed: each cell's budget as in ``LocalConservation``, and contents that are nowhere negative if they were not
    before; amounts out of cells that have enough stay as they are. The residual is that of ``LocalConservation``, or
    the least content over the greatest if it is negative.

    Parameters
    ----------
    divergence
        B, sparse, shape (cells, facets): +1 where a positive amount leaves a cell, -1 where it enters.
    content
        m^n, shape (cells,) or (cells, m), nowhere negative.

    Raises
    ------
    ValueError
        For other shapes.

    Notes
    -----
    Bollermann, Chen, Kurganov and Noelle (2013), A well-balanced reconstruction of wet/dry fronts for the shallow water
    equations, J. Sci. Comput. 56: the draining time step.
    """

    name = "local conservation, nothing below zero"

    def __init__(self, divergence: sparse.csr_array, content: np.ndarray | Tensor):
        super().__init__(divergence, content, 1.0)
        signs = sparse.csr_array(divergence)
        ends = [sparse.csr_array(abs(sign * signs + abs(signs)) / 2.0) for sign in (1.0, -1.0)]
        self._out = [sparse_map(end) for end in ends]
        self._donors = [sparse_map(sparse.csr_array(end.T)) for end in ends]
        # Facets of the boundary have no donor on one side.
        self._none = [torch.from_numpy(1.0 - np.asarray(end.sum(axis=0)).ravel())[:, None] for end in ends]

    def after(self, content: Tensor) -> Draining:
        """Return the same from other contents, shape (cells, m), float64."""
        other = copy(self)
        other.before = content
        other.columns = None if content.shape[1] == 1 else int(content.shape[1])
        return other

    def _impose(self, raw: Tensor) -> Tensor:
        amounts = raw[-self.facets :]
        parts = amounts.clamp_min(0.0), (-amounts).clamp_min(0.0)
        leaving = sum((out(part) for out, part in zip(self._out, parts, strict=True)), torch.zeros_like(self.before))
        empty = leaving > (1.0 - _MARGIN) * self.before
        share = torch.where(empty, (1.0 - _MARGIN) * self.before / torch.where(empty, leaving, 1.0), 1.0)
        share = torch.where(self.before > _NOTHING, share, 0.0)
        shares = [donor(share) + none for donor, none in zip(self._donors, self._none, strict=True)]
        return super()._impose(shares[0] * parts[0] - shares[1] * parts[1])

    def _violation(self, u: Tensor) -> float:
        contents, _ = self.split(u)
        below = relative(largest((-contents).clamp_min(0.0)), largest(contents))
        return float(np.max([super()._violation(u), below]))


class FluxDecoder(nn.Module):
    r"""Predict amounts through facets from what the cells on both sides say.

    .. math:: Q_{ij} = f(z_i, z_j, e_{ij}) - f(z_j, z_i, e_{ji})

    Guaranteed: what leaves one cell enters the other, to the last bit.

    Parameters
    ----------
    inputs
        Channels of cells.
    width
        Of the hidden layer.
    directions
        See ``edges_told``.
    """

    def __init__(self, inputs: int, *, width: int, directions: int):
        super().__init__()
        self.directions = directions
        self.edge = nn.Linear(EDGE_FEATURES + directions, width)
        self.ends = nn.Linear(inputs, 2 * width, bias=False)
        self.last = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, graph: NodeGraph, facets: Tensor, z: Tensor) -> Tensor:
        """Return amounts, shape (F, m).

        Parameters
        ----------
        graph
            Cells.
        facets
            Numbers of each facet's edges from one cell to the other and back, shape (2, F).
        z
            Shape (n, m, inputs).
        """
        start, end = (part.contiguous() for part in self.ends(z).chunk(2, dim=2))
        told = self.edge(edges_told(graph, self.directions))[:, None]
        nodes = take(start.flatten(1), graph.source, graph.starts) + end.flatten(1)[graph.target]
        through = self.last(told + nodes.unflatten(1, start.shape[1:]))[..., 0]
        return through[facets[0]] - through[facets[1]]


def facets_of(graph: NodeGraph) -> tuple[Tensor, sparse.csr_array]:
    """Return the facets between cells that are neighbours.

    Returns
    -------
    tuple
        Numbers of their edges out of the cell of the lower number and back, shape (2, F), int64; and which cells they
        leave (+1) and enter (-1), shape (n, F).
    """
    n, source, target = len(graph.points), graph.source.numpy(), graph.target.numpy()
    keys = np.minimum(source, target) * n + np.maximum(source, target)
    order = np.lexsort((source > target, keys))
    pairs = order.reshape(-1, 2).T
    count, facet = pairs.shape[1], np.arange(pairs.shape[1])
    rows = np.concatenate([source[pairs[0]], target[pairs[0]]])
    entries = np.repeat([1.0, -1.0], count)
    return torch.from_numpy(pairs), sparse.csr_array((entries, (rows, np.tile(facet, 2))), shape=(n, count))
