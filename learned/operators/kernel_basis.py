r"""Functions on a finite-element space that a network makes for a geometry: kernels around landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from learned.operators.nodes import distances

# Widths of the Gaussians, in spacings of the landmarks, and the logits of their shares when training begins.
_WIDTHS, _SHARES = (0.8, 1.6, 3.2), (-1.0, 1.0, -2.0)
# Reach of the boundary's influence on the functions when training begins, in spacings of the landmarks.
_REACH = 1.0


@dataclass(frozen=True)
class Landmarks:
    """Nodes spread evenly over the domain, and how far everything is from them.

    Attributes
    ----------
    nodes
        Their numbers, shape (R,), int64.
    spacing
        Usual distance between them [m].
    kernels
        Gaussians of the distance of each node to each landmark over their sum, one of each width, shape (widths, n, R).
    offsets
        From each landmark to each node, in spacings, shape (d, n, R).
    near
        Distance of each node to those where a component is fixed, in spacings, shape (n, c).
    islands
        Distance of each node to each island, in spacings, shape (n, K); an island is a part of the boundary whose
        value is the same in all its nodes, but not given.
    others
        Distance of each node to the nearest other island, shape (n, K).
    """

    nodes: Tensor
    spacing: float
    kernels: Tensor
    offsets: Tensor
    near: Tensor
    islands: Tensor
    others: Tensor


def spread(points: np.ndarray, count: int) -> np.ndarray:
    """Return the numbers of nodes spread evenly, each as far as can be from those before (Gonzalez 1985).

    The first is farthest from the middle. So they do not depend on the axes or on the numbers of the nodes, as long as
    no two distances are equal.

    Parameters
    ----------
    points
        Places, shape (n, d).
    count
        How many; all if there are fewer.
    """
    chosen = [int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmax())]
    away = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(away.argmax()))
        np.minimum(away, np.linalg.norm(points - points[chosen[-1]], axis=1), out=away)
    return np.array(chosen, dtype=np.int64)


def landmarks(
    points: np.ndarray,
    volume: float,
    fixed: np.ndarray,
    islands: np.ndarray,
    count: int,
    *,
    dtype: torch.dtype = torch.float32,
) -> Landmarks:
    """Return landmarks.

    Parameters
    ----------
    points
        Places of the nodes, shape (n, d) [m].
    volume
        Of the domain [m^d].
    fixed
        Where which component must vanish, shape (n, c), bool.
    islands
        Number of the island of each node, -1 for none, shape (n,).
    count
        Number of landmarks.
    dtype
        Floating-point type of the tensors.
    """
    nodes = spread(points, count)
    spacing = float((volume / len(nodes)) ** (1.0 / points.shape[1]))
    offsets = (points[:, None] - points[None, nodes]).transpose(2, 0, 1) / spacing
    squares = np.einsum("dnr,dnr->nr", offsets, offsets)
    count_islands = int(islands.max(initial=-1)) + 1
    to_islands = [distances(points, points[islands == number]) for number in range(count_islands)]
    to_others = [distances(points, points[(islands >= 0) & (islands != number)]) for number in range(count_islands)]

    def columns(parts: list[np.ndarray]) -> Tensor:
        stacked = np.stack(parts, axis=1) if parts else np.zeros((len(points), 0))
        return torch.from_numpy(stacked / spacing).to(dtype)

    return Landmarks(
        nodes=torch.from_numpy(nodes),
        spacing=spacing,
        kernels=torch.from_numpy(np.stack([_shares(squares, width) for width in _WIDTHS])).to(dtype),
        offsets=torch.from_numpy(offsets).to(dtype),
        near=columns([distances(points, points[held]) for held in fixed.T]),
        islands=columns(to_islands),
        others=columns(to_others),
    )


def _shares(squares: np.ndarray, width: float) -> np.ndarray:
    """Return Gaussians over their sum in each node, of squared distances (n, R)."""
    gaussians = np.exp(-0.5 * (squares - squares.min(axis=1, keepdims=True)) / width**2)
    return gaussians / gaussians.sum(axis=1, keepdims=True)


class KernelBasis(nn.Module):
    r"""Make functions around each landmark: one, and one for each direction.

    .. math:: \varphi_{s,a}(x) = \beta(x)\, \omega_s(x)\, \big(1,\ (x - x_s)/h\big)_a,\qquad
              \omega_s(x) = \sum_k \frac{G_k(|x - x_s|)}{\sum_t G_k(|x - x_t|)}
              \Big(\pi_k + \sum_c U_{kc}(q_x) V_{kc}(q_s)\Big)

    .. math:: \beta(x) = \big(1 - e^{-d(x) / \ell(q_x)}\big)^p

    with Gaussians G of fixed widths, shares pi of sum 1, what nodes and landmarks know of the geometry q, the spacing
    h, and the distance d to the nodes where a component is fixed, where its functions vanish. An island has a function
    of its distance, largest there and gone at the other islands. Before training U = 0: away from fixed nodes the
    functions sum up to any linear one, so that beams can bend and bodies turn. Their span does not depend on the axes,
    nor on the numbers of nodes.

    Source: the partition of unity of Melenk and Babuška, Comput. Methods Appl. Mech. Engrg. 139 (1996); here a network
    makes it.

    Parameters
    ----------
    width
        Channels of q.
    channels
        Of the products of U and V.
    power
        p, how flat functions begin at the fixed nodes: 1 for values, 2 for values and slopes.
    bounded
        Whether they vanish at all.
    """

    def __init__(self, width: int, *, channels: int = 8, power: int = 1, bounded: bool = True):
        super().__init__()
        self.power, self.bounded, self.channels = power, bounded, channels
        kinds = len(_WIDTHS)
        self.at_nodes = nn.Linear(width, kinds * channels)
        self.at_landmarks = nn.Linear(width, kinds * channels)
        nn.init.zeros_(self.at_nodes.weight)
        nn.init.zeros_(self.at_nodes.bias)
        self.shares = nn.Parameter(torch.tensor(_SHARES))
        self.reach = nn.Linear(width, 1)
        nn.init.zeros_(self.reach.weight)
        # The inverse of softplus.
        nn.init.constant_(self.reach.bias, float(np.log(np.expm1(_REACH))))
        self.island = nn.Parameter(torch.tensor(1.0))

    def forward(self, places: Landmarks, q: Tensor, at_landmarks: Tensor) -> Tensor:
        """Return the functions, shape (n, c, (1 + d) R + K): those of each component, and of the islands last.

        Parameters
        ----------
        places
            Landmarks.
        q
            What nodes know, shape (n, width).
        at_landmarks
            What landmarks know, shape (R, width).
        """
        kinds = len(_WIDTHS)
        u = self.at_nodes(q).reshape(len(q), kinds, self.channels)
        v = self.at_landmarks(at_landmarks).reshape(len(at_landmarks), kinds, self.channels)
        shares = self.shares.softmax(0)
        result = places.kernels[0] * (shares[0] + u[:, 0] @ v[:, 0].T)
        for kind in range(1, kinds):
            result = result + places.kernels[kind] * (shares[kind] + u[:, kind] @ v[:, kind].T)
        result = torch.cat([result, *(result * offset for offset in places.offsets)], dim=1)
        if not self.bounded:
            return result[:, None].expand(-1, places.near.shape[1], -1)
        reach = softplus(self.reach(q)) + 0.05
        beta = rise(places.near / reach, self.power)
        if places.islands.shape[1] == 0:
            return beta[:, :, None] * result[:, None]
        to_island = places.islands.amin(dim=1, keepdim=True)
        inner = beta * rise(to_island / reach, self.power) * result
        # Flat at the island, as fluid at rest there is, and gone at the others.
        bump = torch.exp(-((places.islands / (softplus(self.island) + 0.2)) ** 2))
        return torch.cat([inner, beta * rise(places.others / reach, self.power) * bump], dim=1)[:, None]


def rise(distance: Tensor, power: int) -> Tensor:
    """Return a function of the distance that leaves 0 like its power and goes to 1."""
    return (-torch.expm1(-distance)) ** power
