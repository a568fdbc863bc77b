"""MeshGraphNets: messages between neighbours, nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned.operators.baselines.scaled import scaled_data
from learned.operators.nodes import EDGE_FEATURES, NODE_FEATURES, NodeGraph
from learned.operators.prepared import PreparedProblem
from learned.sparse import take


class MeshGraphNet(nn.Module):
    r"""Predict the solution by messages on the graph of the nodes.

    .. math:: m_{ij} = \mathrm{mlp}_k(e_{ij}, h_i, h_j),\qquad e_{ij} \mathrel{+}= m_{ij},\qquad
              h_i \mathrel{+}= \mathrm{mlp}'_k\Big(h_i, \sum_j w_j m_{ij} \Big/ \sum_j w_j\Big)

    over the neighbours j of node i, whose shares of the volume are w; from encoders of nodes and edges to a decoder of
    nodes, all of them MLPs of one hidden layer, with layer normalisation but for the last. Edges are told of by lengths
    and couplings. So the answer is renumbered with the nodes and, for one component, stays the same when the domain is
    moved, turned or mirrored. It is homogeneous in load vectors and boundary values together. A node sees no farther
    than ``messages`` edges.

    Parameters
    ----------
    features
        Coefficients that the problem gives in the nodes.
    components
        Of each node: one, or as many as there are directions. Then edges are told their directions too, as the
        unknowns are given in the same axes: the answer stays the same when the domain is moved, not when it is turned.
    width, channels
        Channels of nodes, and of edges, which cost most: there are about six of them for each node.
    messages
        Exchanges.

    Notes
    -----
    After Pfaff, Fortunato, Sanchez-Gonzalez and Battaglia, Learning mesh-based simulation with graph networks, ICLR
    2021 (arXiv 2010.03409), section 3.2. There messages are summed; a mean does not depend on how fine the mesh is.
    """

    def __init__(
        self, *, features: int = 0, components: int = 1, width: int = 40, channels: int = 16, messages: int = 10
    ):
        super().__init__()
        self.features, self.components = features, components
        self.nodal = True
        directions = components if components > 1 else 0
        self.geometry = nn.Linear(NODE_FEATURES + features, width)
        self.data = nn.Linear(2 * components, width, bias=False)
        self.encode_nodes = _rest(width)
        self.encode_edges = nn.Sequential(nn.Linear(EDGE_FEATURES + directions, channels), _rest(channels))
        self.process = nn.ModuleList([_Exchange(width, channels) for _ in range(messages)])
        self.decode = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, components))

    def forward(self, problem: PreparedProblem) -> Tensor:
        """Return the degrees of freedom of the solutions, shape (N, m), float64.

        Raises
        ------
        ValueError
            If the problem has other numbers of components or of features.
        """
        data, norms = scaled_data(problem, components=self.components, features=self.features)
        graph = problem.graph
        h = self.encode_nodes(self.geometry(graph.nodes)[:, None] + self.data(data.transpose(1, 2)))
        # Of each edge, the same for all right-hand sides until they have exchanged messages.
        e = self.encode_edges(self._told(graph))[:, None]
        for exchange in self.process:
            h, e = exchange(graph, h, e)
        return self.decode(h).transpose(1, 2).reshape(-1, len(norms)).double() * norms

    def _told(self, graph: NodeGraph) -> Tensor:
        if self.components == 1:
            return graph.edges
        dimension = graph.points.shape[1]
        if self.components != dimension:
            raise ValueError(
                f"problem: got nodes of {self.components} components in {dimension} dimensions, expected one component "
                "for each direction; take one component"
            )
        offsets = graph.points[graph.source] - graph.points[graph.target]
        sizes = (graph.weights[graph.source] * graph.weights[graph.target]) ** (0.5 / dimension)
        return torch.cat([graph.edges, offsets / sizes[:, None]], dim=1)


class _Exchange(nn.Module):
    """Pass one message along each edge, for each right-hand side."""

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.edge = nn.Linear(channels, channels)
        # The first layer of a message applied to its three parts: that of nodes is multiplied once for each node.
        self.start = nn.Linear(width, channels, bias=False)
        self.end = nn.Linear(width, channels, bias=False)
        self.message = _rest(channels)
        self.update = nn.Sequential(nn.Linear(width + channels, width), _rest(width))

    def forward(self, graph: NodeGraph, h: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Return nodes (n, m, width) and edges (E, m, channels) after the exchange; ``e`` may have m = 1."""
        start, end = self.start(h), self.end(h)
        nodes = take(start.flatten(1), graph.source, graph.starts) + end.flatten(1)[graph.target]
        message = self.message(self.edge(e) + nodes.unflatten(1, start.shape[1:]))
        mean = graph.gather(message.flatten(1)).reshape(start.shape)
        return h + self.update(torch.cat([h, mean], dim=2)), e + message


def _rest(width: int) -> nn.Sequential:
    """Return what follows the first layer of an MLP."""
    return nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.LayerNorm(width))
