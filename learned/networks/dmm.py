"""DMM: a potential whose gradient moves the vertices, made by a graph network and a network of the place.

After Hu, Wang, Wang, Ma and Ma (arXiv 2312.05583), written anew from that description. Their branch is tied to one
number of nodes; here it is a graph network with mean pooling, which is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from torch_geometric.utils import scatter

from learned.geometry import volumes
from learned.prepared import PreparedMesh

# Offset of the ends over their size (2) and difference of the logarithms of m.
_EDGE = 3
# Waves of the place that the branch is given besides the place itself, over the domain's size; not published.
_WAVES = (0.5, 1.0, 1.5, 2.0)
# Factor of the weights of the trunk's first layer when training begins, for functions that vary within the domain; of
# 1, 3, 6 and 10, the fit of the last layer of an untrained network reaches the least with this.
_SHARPNESS = 3.0


@dataclass(frozen=True)
class Jet:
    """Values of functions of the place with their first and second derivatives, n places and p functions.

    Attributes
    ----------
    value
        Shape (n, p).
    gradient
        Along x and y, shape (2, n, p).
    second
        Derivatives xx, xy and yy, shape (3, n, p).
    """

    value: Tensor
    gradient: Tensor
    second: Tensor


class DMMNetwork(nn.Module):
    r"""Give the potential that moves a mesh.

    .. math:: x = \xi + \nabla\phi(\xi),\qquad \phi(\xi) = \sum_k b_k(m)\, t_k(\xi)

    The branch b sees the monitor function on a mesh of any number of vertices, the trunk t the place; both in units of
    the domain's size from its middle.

    Parameters
    ----------
    width
        Channels of both.
    rounds
        Exchanges between neighbours in the branch.
    depth
        Hidden layers of the trunk.
    modes
        Number of functions t.
    """

    def __init__(self, *, width: int = 64, rounds: int = 3, depth: int = 3, modes: int = 64):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(3 + 4 * len(_WAVES), width), nn.SiLU(), nn.Linear(width, width))
        self.exchange = nn.ModuleList([Exchange(width) for _ in range(rounds)])
        last = nn.Linear(2 * width, modes)
        self.pooled = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.SiLU(), last)
        # Next to no displacement when training begins: the equation is far from linear where cells are inverted.
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.trunk = Trunk(width, depth, modes)

    def branch(self, mesh: PreparedMesh, points: Tensor, monitor: Tensor) -> Tensor:
        """Return b, shape (modes,).

        Parameters
        ----------
        mesh
            What does not change with the vertices; in 2D.
        points
            Vertices, in units of the domain, shape (2, N).
        monitor
            m in the vertices, shape (N,), positive; of any scale.

        Raises
        ------
        ValueError
            For a mesh in 3D.
        """
        if len(points) != 2:
            raise ValueError(f"mesh: got one in {len(points)} dimensions, expected 2 for DMM; drift moves others")
        topology = mesh.topology
        share = topology.cell_sums(volumes(topology.corners(points)))
        share = share / share.sum()
        logs = monitor.log()
        logs = logs - (share * logs).sum()
        start, end = topology.edges
        place, size = points.T, (share / topology.around).clamp_min(1e-12).sqrt()[:, None]
        edges = torch.cat([(place[start] - place[end]) / size[end], (logs[start] - logs[end])[:, None]], dim=1)
        phases = torch.cat([2.0 * pi * wave * place for wave in _WAVES], dim=1)
        h = self.encode(torch.cat([place, logs[:, None], phases.sin(), phases.cos()], dim=1))
        for layer in self.exchange:
            h = layer(topology.edges, edges, h)
        # Means over the domain, and over what the monitor function makes of it, whatever the numbers of vertices are
        # here and there: the potential transports one of these measures to the other.
        held = share * monitor
        return self.pooled(torch.cat([share @ h, (held / held.sum()) @ h]))

    def forward(self, mesh: PreparedMesh, points: Tensor, monitor: Tensor, places: Tensor) -> Jet:
        """Return the potential at places, shape (2, n): a jet of one function, see ``branch`` for the others."""
        return combined(self.trunk(places), self.branch(mesh, points, monitor))


def combined(jet: Jet, weights: Tensor) -> Jet:
    """Return the sum of functions times weights, shape (p,), as a jet without the last axis."""
    return Jet(jet.value @ weights, jet.gradient @ weights, jet.second @ weights)


class Exchange(nn.Module):
    """One exchange between neighbours: means of what they and the edges say."""

    def __init__(self, width: int):
        super().__init__()
        self.start, self.end, self.edge = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(_EDGE, width)
        self.update = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, links: Tensor, edges: Tensor, h: Tensor) -> Tensor:
        """Return the new channels, shape (N, width), of start and end (2, E), edges (E, 3) and channels."""
        start, end = links
        message = silu(self.start(h)[start] + self.end(h)[end] + self.edge(edges))
        mean = scatter(message, end, dim=0, dim_size=len(h), reduce="mean")
        return h + self.norm(self.update(torch.cat([h, mean], dim=1)))


class Trunk(nn.Module):
    """A network of the place with its exact first and second derivatives, carried through layer by layer.

    With a = W h + b and s = tanh a: grad s = s' grad a, and the second derivatives are s'' a_x a_y + s' a_xy. That is
    what differentiating twice gives, at the cost of six passes instead of a graph of graphs.
    """

    def __init__(self, width: int, depth: int, modes: int):
        super().__init__()
        first = nn.Linear(2, width)
        self.layers = nn.ModuleList([first] + [nn.Linear(width, width) for _ in range(depth - 1)])
        self.last = nn.Linear(width, modes, bias=False)
        with torch.no_grad():
            first.weight.mul_(_SHARPNESS)
            first.bias.mul_(0.5 * _SHARPNESS)

    def forward(self, places: Tensor) -> Jet:
        """Return the functions at places, shape (2, n)."""
        value = places.T
        gradient = torch.eye(2, dtype=places.dtype, device=places.device)[:, None].expand(2, len(value), 2)
        second = torch.zeros(3, len(value), 2, dtype=places.dtype, device=places.device)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            value, gradient, second = layer(value), gradient @ layer.weight.T, second @ layer.weight.T
            value = torch.tanh(value)
            slope = 1.0 - value.square()
            x, y = gradient
            products = torch.stack([x * x, x * y, y * y])
            second = slope * (second - 2.0 * value * products)
            gradient = slope * gradient
        return Jet(*(self.last(part) for part in (value, gradient, second)))
