"""A plain MLP on the degrees of freedom of one mesh."""

from __future__ import annotations

from torch import Tensor, nn

from learned.operators.baselines.scaled import scaled_data
from learned.operators.nodes import NODE_FEATURES
from learned.operators.prepared import PreparedProblem


class DofMLP(nn.Module):
    r"""Predict the solution by an MLP of two hidden layers, of all degrees of freedom at once.

    .. math:: u = s\,\mathrm{mlp}\big((f, g) / s,\ q\big)

    with sources f, lifted boundary values g and their norm s as in ``scaled_data``, and what the problem tells of its
    nodes, q. It is homogeneous in load vectors and boundary values together. What it learns belongs to one mesh and its
    numbering; another mesh of as many nodes is not noticed.

    Parameters
    ----------
    nodes
        Of the mesh.
    components
        Of each node.
    features
        Coefficients that the problem gives in the nodes.
    hidden
        Channels of the hidden layers: few, as the weights are three for each and each degree of freedom.
    """

    def __init__(self, *, nodes: int = 1089, components: int = 1, features: int = 0, hidden: int = 19):
        super().__init__()
        self.nodes, self.components, self.features = nodes, components, features
        self.nodal = True
        self.layers = nn.Sequential(
            nn.Linear(2 * nodes * components, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, nodes * components),
        )
        self.told = nn.Linear(nodes * features, hidden, bias=False) if features else None

    def forward(self, problem: PreparedProblem) -> Tensor:
        """Return the degrees of freedom of the solutions, shape (N, m), float64.

        Raises
        ------
        ValueError
            If the problem has other numbers of nodes, of components or of features.
        """
        data, norms = scaled_data(problem, components=self.components, features=self.features)
        if len(data) != self.nodes:
            raise ValueError(
                f"problem: got {len(data)} nodes, expected {self.nodes}; a plain MLP belongs to one mesh, make it with "
                f"nodes={len(data)}"
            )
        first, *rest = self.layers
        h = first(data.flatten(0, 1).T)
        if self.told is not None:
            h = h + self.told(problem.graph.nodes[:, NODE_FEATURES:].flatten())
        for layer in rest:
            h = layer(h)
        return h.T.double() * norms
