"""The Fourier neural operator of the package ``neuraloperator`` on grids of nodes."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from learned.operators.baselines.scaled import scaled_data
from learned.operators.nodes import NODE_FEATURES
from learned.operators.prepared import PreparedProblem

# Nodes may be this far from their place on the grid, in spacings: places are in float32.
_TOLERANCE = 1e-3


class GridFNO(nn.Module):
    r"""Predict the solution on a square grid of nodes by Fourier layers.

    .. math:: u = s\,\mathrm{fno}\big((f, g) / s,\ q,\ x,\ y\big)

    with sources f, lifted boundary values g and their norm s as in ``scaled_data``, and what the problem tells of its
    nodes, q. Nodes are put on the grid by their places, whatever their numbers: the answer is renumbered with them. It
    is homogeneous in load vectors and boundary values together.

    Parameters
    ----------
    side
        Nodes on each side of the square.
    components
        Of each node.
    features
        Coefficients that the problem gives in the nodes.
    modes
        Frequencies kept in each direction, of both signs; PyTorch counts a complex weight once.
    width
        Channels.
    layers
        Fourier layers.

    Raises
    ------
    ValueError
        If ``neuraloperator`` is not installed, or the grid has not so many frequencies.

    Notes
    -----
    Li et al., Fourier neural operator for parametric partial differential equations, ICLR 2021 (arXiv 2010.08895). Of
    the package's options all but the sizes are left as they are.
    """

    def __init__(
        self,
        *,
        side: int = 33,
        components: int = 1,
        features: int = 0,
        modes: int = 12,
        width: int = 13,
        layers: int = 4,
    ):
        super().__init__()
        if not 1 <= modes <= side:
            raise ValueError(f"modes: got {modes}, expected 1 to {side} for {side} nodes on each side; take fewer")
        self.side, self.components, self.features = side, components, features
        self.nodal = True
        # Places are channels of ours: they are those of the nodes.
        self.network = _fno_class()(
            n_modes=(modes, modes),
            in_channels=2 * components + features + 2,
            out_channels=components,
            hidden_channels=width,
            n_layers=layers,
            positional_embedding=None,
        )
        self.register_state_dict_post_hook(_weights_only)

    def forward(self, problem: PreparedProblem) -> Tensor:
        """Return the degrees of freedom of the solutions, shape (N, m), float64.

        Raises
        ------
        ValueError
            If the nodes are not those of such a grid, or the problem has other numbers of components or of features.
        """
        data, norms = scaled_data(problem, components=self.components, features=self.features)
        numbers, places = grid_places(problem.graph.points, self.side)
        m, shape = len(norms), (self.side, self.side)
        told = torch.cat([problem.graph.nodes[:, NODE_FEATURES:], places.to(data.dtype)], dim=1)
        told = told[:, :, None].expand(-1, -1, m)
        # Rows of the grid in order: node numbers[k] is its k-th.
        grid = torch.cat([data, told], dim=1)[numbers].permute(2, 1, 0).unflatten(2, shape)
        u = self.network(grid).flatten(2).permute(2, 1, 0)
        u = torch.empty_like(u).index_copy(0, numbers, u)
        return u.reshape(-1, m).double() * norms


def grid_places(points: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return which node is where on a square grid.

    Parameters
    ----------
    points
        Places, shape (n, 2) [m].
    side
        Nodes on each side.

    Returns
    -------
    numbers
        Nodes in the order of the grid, first by x and then by y, shape (n,), int64.
    places
        Of each node in the square, from 0 to 1, shape (n, 2).

    Raises
    ------
    ValueError
        If the points are not those of such a grid, with sides along the axes.
    """
    expected = f"expected a grid of {side} x {side} on a square along the axes"
    if points.shape != (side * side, 2):
        raise ValueError(
            f"problem: got {len(points)} nodes in {points.shape[1]} dimensions, {expected}; make the network with the "
            "side of its grid, or take a mesh of squares"
        )
    low = points.amin(dim=0)
    # One scale for both directions, so that a rectangle does not pass for a square.
    places = (points - low) / (points - low).amax().clamp_min(1e-300)
    steps = places * (side - 1)
    rounded = steps.round()
    flat = (rounded[:, 0] * side + rounded[:, 1]).long()
    numbers = flat.argsort()
    every = torch.arange(side * side, device=flat.device)
    if (steps - rounded).abs().amax() > _TOLERANCE or not torch.equal(flat[numbers], every):
        raise ValueError(f"problem: got {len(points)} nodes elsewhere, {expected}; take a mesh of squares, not moved")
    return numbers, places


def _fno_class() -> Any:
    try:
        # The package changes the filters of warnings when it is imported, for everyone.
        with warnings.catch_warnings():
            from neuralop.models import FNO
    except ModuleNotFoundError as error:
        raise ValueError(
            f"network: got GridFNO without {error.name} installed, expected the package neuraloperator; "
            "pip install neuraloperator"
        ) from error
    return FNO


def _weights_only(module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
    """Take out what the package adds to the weights of its networks: the options they were made with."""
    state.pop("_metadata", None)
