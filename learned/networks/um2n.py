"""UM2N: a graph transformer reads the mesh, layers of graph attention average the places of neighbours into new ones.

After Zhang, Wang, Clare, Kramer, Wallwork and Piggott (arXiv 2407.00382), written anew from that description and
narrower than theirs. Without the transformer it is the ablation in the manner of M2N, which sees neighbours only.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from torch_geometric.utils import scatter, softmax

from learned.geometry import volumes
from learned.prepared import PreparedMesh

# Offset of the ends over their size (2), its length, difference of the logarithms of m.
_EDGE = 4
# Logit of a vertex itself when training begins: places change little then, as neighbours' averages are near anyway.
_SELF = 2.0
# Waves of the place that the encoder is given besides the place itself, over the domain's size; not published.
_WAVES = (0.5, 1.0, 2.0, 4.0)


class UM2NNetwork(nn.Module):
    """Give the places of the vertices of a moved mesh.

    It sees the places in the domain, in units of the domain's size from its middle, so that it depends on how the
    domain lies; of the monitor function it sees ratios. Each new place is an average of the vertex's and its
    neighbours', so that a layer moves by no more than an edge, and nothing leaves the convex hull; cells may be
    inverted all the same. Vertices on the boundary are held. Attention costs the square of the number of vertices.

    Parameters
    ----------
    width
        Channels.
    heads
        Heads of attention, a divisor of the width.
    layers
        Layers of the transformer.
    blocks
        Layers of the decoder: how many edges a vertex can move.
    transformer
        1, or 0 to see neighbours only.

    Raises
    ------
    ValueError
        If the heads do not divide the width.
    """

    def __init__(self, *, width: int = 64, heads: int = 4, layers: int = 2, blocks: int = 8, transformer: int = 1):
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: got {heads} for width {width}, expected a divisor of it")
        self.encode = nn.Sequential(nn.Linear(3 + 4 * len(_WAVES), width), nn.SiLU(), nn.Linear(width, width))
        self.local = LocalFeatures(width)
        # Sequential, so that there may be none.
        self.attend = nn.Sequential(
            *[
                nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, batch_first=True, norm_first=True)
                for _ in range(layers if transformer else 0)
            ]
        )
        self.join = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))
        self.decode = nn.ModuleList([DeformLayer(width, heads) for _ in range(blocks)])

    def forward(self, mesh: PreparedMesh, points: Tensor, monitor: Tensor) -> Tensor:
        """Return the new places, shape (2, N), not limited.

        Parameters
        ----------
        mesh
            What does not change with the vertices.
        points
            Vertices, in units of the domain, shape (2, N).
        monitor
            m in the vertices, shape (N,), positive.

        Returns
        -------
        Tensor
            Shape (2, N); boundary vertices as given to the last bit.

        Raises
        ------
        ValueError
            For a mesh in 3D.
        """
        if len(points) != 2:
            raise ValueError(f"mesh: got one in {len(points)} dimensions, expected 2 for UM2N; drift moves others")
        topology = mesh.topology
        logs = monitor.log()
        logs = logs - topology.to_vertices(topology.vertex_mean(logs))
        around = topology.cell_sums(volumes(topology.corners(points)).abs()) / topology.around
        start, end = topology.edges
        place, scale = points.T.contiguous(), around.clamp_min(1e-12).sqrt()[:, None]
        offset = (place[start] - place[end]) / scale[end]
        length = offset.square().sum(1, keepdim=True).sqrt()
        edges = torch.cat([offset, length, (logs[start] - logs[end])[:, None]], dim=1)
        phases = torch.cat([2.0 * pi * wave * place for wave in _WAVES], dim=1)
        h = self.encode(torch.cat([place, logs[:, None], phases.sin(), phases.cos()], dim=1))
        h = self.join(torch.cat([self.attend(h[None])[0], self.local(topology.edges, edges, h)], dim=1))
        itself = torch.arange(len(place), device=place.device)
        links = torch.cat([topology.edges, torch.stack([itself, itself])], dim=1)
        level = torch.cat([edges[:, -1:], torch.zeros_like(scale)])
        held, now = mesh.bound[:, None] > 0, place
        for layer in self.decode:
            h, moved = layer(links, level, scale, h, now)
            now = torch.where(held, place, moved)
        return now.T.contiguous()


class LocalFeatures(nn.Module):
    """Means over the neighbours of what edges say: relative places and differences of the monitor function."""

    def __init__(self, width: int):
        super().__init__()
        self.start, self.end = nn.Linear(width, width), nn.Linear(width, width)
        self.edge, self.out = nn.Linear(_EDGE, width), nn.Linear(width, width)

    def forward(self, links: Tensor, edges: Tensor, h: Tensor) -> Tensor:
        """Return shape (N, width) of start and end, shape (2, E), edges (E, 4), and channels (N, width)."""
        start, end = links
        message = silu(self.start(h)[start] + self.end(h)[end] + self.edge(edges))
        return self.out(scatter(message, end, dim=0, dim_size=len(h), reduce="mean"))


class DeformLayer(nn.Module):
    r"""Average places and channels over the neighbours with the same weights.

    .. math:: \alpha_{ij} = \text{softmax}_i\, \frac{(Q h_j) \cdot (A h_i + C e_{ij})}{\sqrt{c}},\quad
              x_j \leftarrow \sum_i \alpha_{ij} x_i,\quad h_j \mathrel{+}= \text{norm}(D \sum_i \alpha_{ij} E h_i)

    over the neighbours i and j itself; e are offset, length and difference of log m; the weights of places are the
    means of those of the heads, of c channels each. The product with the offset lets a vertex say which way to go
    (Shi et al., arXiv 2009.03509, for this form of the attention).

    Parameters
    ----------
    width, heads
        Channels and heads.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.start, self.end = nn.Linear(width, width), nn.Linear(width, width)
        self.edge = nn.Linear(_EDGE, width)
        self.stay = nn.Parameter(torch.full((heads,), _SELF))
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, links: Tensor, level: Tensor, scale: Tensor, h: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return channels and places of the next layer.

        Parameters
        ----------
        links
            Start and end of each edge, and of each vertex to itself after these, shape (2, E + N).
        level
            Differences of log m along them, shape (E + N, 1).
        scale
            Size of the vertices, shape (N, 1).
        h, place
            Channels, shape (N, width), and places, shape (N, 2).
        """
        start, end = links
        count = len(h)
        offset = (place[start] - place[end]) / scale[end]
        length = (offset.square().sum(1, keepdim=True) + 1e-12).sqrt()
        edges = torch.cat([offset, length, level], dim=1)
        products = (self.start(h)[start] + self.edge(edges)) * self.end(h)[end]
        scores = products.reshape(len(start), self.heads, -1).sum(2) / (h.shape[1] // self.heads) ** 0.5
        scores = scores + (start == end)[:, None] * self.stay
        weights = softmax(scores, end, num_nodes=count)
        values = self.value(h)[start].reshape(len(start), self.heads, -1) * weights[:, :, None]
        gathered = scatter(values.flatten(1), end, dim=0, dim_size=count, reduce="sum")
        moved = scatter(place[start] * weights.mean(1, keepdim=True), end, dim=0, dim_size=count, reduce="sum")
        return h + self.norm(self.out(gathered)), moved
