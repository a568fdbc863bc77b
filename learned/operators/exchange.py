"""Messages between neighbours: what graph networks of operators are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned.operators.nodes import EDGE_FEATURES, NodeGraph
from learned.sparse import take


class MessageLayers(nn.Module):
    r"""Encode nodes and edges, exchange messages, decode nodes.

    .. math:: m_{ij} = \mathrm{mlp}_k(e_{ij}, h_i, h_j),\qquad e_{ij} \mathrel{+}= m_{ij},\qquad
              h_i \mathrel{+}= \mathrm{mlp}'_k\Big(h_i, \sum_j w_j m_{ij} \Big/ \sum_j w_j\Big)

    over the neighbours j of node i, whose shares of the volume are w; all MLPs have one hidden layer, with layer
    normalisation but for the last. Edges are told of by lengths and couplings, and by offsets if asked.

    Parameters
    ----------
    told
        Numbers that a node is told of the geometry, see ``NodeGraph.nodes``.
    inputs, outputs
        Channels of what is given to each node, and of the answer.
    width, channels
        Channels of nodes, and of edges, which cost most: there are about six of them for each node.
    messages
        Exchanges.
    directions
        Number of dimensions of the offsets that edges are told, 0 for none.

    Notes
    -----
    After Pfaff, Fortunato, Sanchez-Gonzalez and Battaglia, Learning mesh-based simulation with graph networks, ICLR
    2021 (arXiv 2010.03409), section 3.2. There messages are summed; a mean does not depend on how fine the mesh is.
    """

    def __init__(
        self, *, told: int, inputs: int, outputs: int, width: int, channels: int, messages: int, directions: int = 0
    ):
        super().__init__()
        self.directions = directions
        self.geometry = nn.Linear(told, width)
        self.data = nn.Linear(inputs, width, bias=False)
        self.encode_nodes = rest(width)
        self.encode_edges = nn.Sequential(nn.Linear(EDGE_FEATURES + directions, channels), rest(channels))
        self.process = nn.ModuleList([Exchange(width, channels) for _ in range(messages)])
        self.decode = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, outputs))

    def exchanged(self, graph: NodeGraph, data: Tensor) -> Tensor:
        """Return the answer in the nodes, shape (n, m, outputs), to data of shape (n, m, inputs)."""
        h = self.encode_nodes(self.geometry(graph.nodes)[:, None] + self.data(data))
        return self.decode(exchange_all(self.process, graph, h, self.encode_edges(edges_told(graph, self.directions))))


class Exchange(nn.Module):
    """Pass one message along each edge, for each right-hand side.

    Parameters
    ----------
    width, channels
        Channels of nodes and of edges.
    """

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.edge = nn.Linear(channels, channels)
        # The first layer of a message applied to its three parts: that of nodes is multiplied once for each node.
        self.start = nn.Linear(width, channels, bias=False)
        self.end = nn.Linear(width, channels, bias=False)
        self.message = rest(channels)
        self.update = nn.Sequential(nn.Linear(width + channels, width), rest(width))

    def forward(self, graph: NodeGraph, h: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Return nodes (n, m, width) and edges (E, m, channels) after the exchange; ``e`` may have m = 1."""
        start, end = self.start(h), self.end(h)
        nodes = take(start.flatten(1), graph.source, graph.starts) + end.flatten(1)[graph.target]
        message = self.message(self.edge(e) + nodes.unflatten(1, start.shape[1:]))
        mean = graph.gather(message.flatten(1)).reshape(start.shape)
        return h + self.update(torch.cat([h, mean], dim=2)), e + message


def exchange_all(exchanges: nn.ModuleList, graph: NodeGraph, h: Tensor, edges: Tensor) -> Tensor:
    """Return nodes (n, m, width) after some exchanges, from edges (E, channels) that all right-hand sides share."""
    e = edges[:, None]
    for exchange in exchanges:
        h, e = exchange(graph, h, e)
    return h


def edges_told(graph: NodeGraph, directions: int) -> Tensor:
    """Return what edges are told, shape (E, 6 + directions): with directions the offsets of their ends over sizes too.

    Raises
    ------
    ValueError
        For a graph in another number of dimensions.
    """
    if not directions:
        return graph.edges
    dimension = graph.points.shape[1]
    if dimension != directions:
        raise ValueError(
            f"graph: got nodes in {dimension} dimensions, expected {directions}; make the network with as many "
            "directions, or none"
        )
    offsets = graph.points[graph.source] - graph.points[graph.target]
    sizes = (graph.weights[graph.source] * graph.weights[graph.target]) ** (0.5 / dimension)
    return torch.cat([graph.edges, offsets / sizes[:, None]], dim=1)


def rest(width: int) -> nn.Sequential:
    """Return what follows the first layer of an MLP."""
    return nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.LayerNorm(width))
