"""MeshGraphNets: messages between neighbours, nothing else."""

from __future__ import annotations

from torch import Tensor

from learned.operators.baselines.scaled import scaled_data
from learned.operators.exchange import MessageLayers
from learned.operators.nodes import NODE_FEATURES
from learned.operators.prepared import PreparedProblem


class MeshGraphNet(MessageLayers):
    r"""Predict the solution by messages on the graph of the nodes.

    .. math:: u = s\,\mathrm{net}\big((f, g) / s\big)

    with sources f, lifted boundary values g and their norm s as in ``scaled_data``, and the exchanges of
    ``MessageLayers``. Edges are told of by lengths and couplings. So the answer is renumbered with the nodes and, for
    one component, stays the same when the domain is moved, turned or mirrored. It is homogeneous in load vectors and
    boundary values together. A node sees no farther than ``messages`` edges.

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
    """

    def __init__(
        self, *, features: int = 0, components: int = 1, width: int = 40, channels: int = 16, messages: int = 10
    ):
        super().__init__(
            told=NODE_FEATURES + features,
            inputs=2 * components,
            outputs=components,
            width=width,
            channels=channels,
            messages=messages,
            directions=components if components > 1 else 0,
        )
        self.features, self.components = features, components
        self.nodal = True

    def forward(self, problem: PreparedProblem) -> Tensor:
        """Return the degrees of freedom of the solutions, shape (N, m), float64.

        Raises
        ------
        ValueError
            If the problem has other numbers of components or of features.
        """
        data, norms = scaled_data(problem, components=self.components, features=self.features)
        dimension = problem.graph.points.shape[1]
        if self.components not in (1, dimension):
            raise ValueError(
                f"problem: got nodes of {self.components} components in {dimension} dimensions, expected one component "
                "for each direction; take one component"
            )
        u = self.exchanged(problem.graph, data.transpose(1, 2))
        return u.transpose(1, 2).reshape(-1, len(norms)).double() * norms
