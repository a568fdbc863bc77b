"""What each node knows of the geometry and the coefficients around it: message passing on the graph of the nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from learned.operators.nodes import EDGE_FEATURES, NodeGraph
from learned.sparse import take


class GeometryEncoder(nn.Module):
    r"""Pass messages between nodes.

    .. math:: s_i = \sum_j w_j\, \sigma(A e_{ij} + B q_j) \Big/ \sum_j w_j,\qquad
              q_i \mathrel{+}= \mathrm{mlp}[q_i, s_i]

    over the neighbours j, whose shares of volume are w: a mean over the domain around, however it is meshed. Edges
    are told of by lengths and couplings, so that nothing depends on the axes or on the numbers of nodes.

    Parameters
    ----------
    told
        Numbers that a node is told, see ``NodeGraph.nodes``.
    width
        Channels.
    messages
        Exchanges, and so how many edges far a node sees.
    """

    def __init__(self, told: int, *, width: int, messages: int):
        super().__init__()
        self.first = nn.Linear(told, width)
        self.edge = nn.ModuleList([nn.Linear(EDGE_FEATURES, width) for _ in range(messages)])
        self.start = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(messages)])
        self.update = nn.ModuleList(
            [nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(messages)]
        )

    def forward(self, graph: NodeGraph) -> Tensor:
        """Return what the nodes know, shape (n, width)."""
        q = self.first(graph.nodes)
        for edge, start, update in zip(self.edge, self.start, self.update, strict=True):
            message = silu(edge(graph.edges) + take(start(q), graph.source, graph.starts))
            q = q + update(torch.cat([q, graph.gather(message)], dim=1))
        return q
