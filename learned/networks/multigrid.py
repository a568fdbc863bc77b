r"""A graph network over levels of ever fewer nodes, equivariant to rotations and reflections, in any dimension.

Each node has scalars h (C channels) and vectors v (V channels). Edges know the offset of their ends over the sizes of
these, and take part in scalars only by its length and its products with vectors; vectors are made of offsets and
vectors, times scalars. So the same weights serve triangles and tetrahedra, and turning the mesh turns the vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from learned.hierarchy import EdgeBlock, Hierarchy, Level
from learned.sparse import take


@dataclass(frozen=True)
class Offsets:
    """Offsets from ends to starts of the edges of a block over their sizes: columns (E, 1), and lengths (E, 1)."""

    columns: tuple[Tensor, ...]
    lengths: Tensor


class EdgeMessage(nn.Module):
    r"""One exchange between neighbours.

    .. math:: a_{ij} = \sigma(A h_i + B h_j + C [|e|, e \cdot (P v_i + Q v_j)]),\quad
              s_j = \text{mean}_i\, a_{ij},\quad w_j = \text{mean}_i\, a_{ij} e_{ij}

    .. math:: h_j \mathrel{+}= \text{norm}(\text{mlp}[h_j, s_j, v_j \cdot w_j]),\quad
              v_j = \text{squash}(D v_j + E w_j)

    with e the offset from the end to the start of an edge over their sizes; w is made of the first channels of a only.
    What is linear is done per node, not per edge, of which there are six times as many.

    Parameters
    ----------
    scalars, vectors
        Numbers of channels, C and V.
    """

    def __init__(self, scalars: int, vectors: int):
        super().__init__()
        self.scalars, self.vectors = scalars, vectors
        self.ends = nn.Linear(scalars, 2 * scalars)
        self.turn = nn.Linear(vectors, 2 * vectors, bias=False)
        self.edge = nn.Linear(1 + vectors, scalars)
        self.update = nn.Sequential(nn.Linear(2 * scalars + vectors, scalars), nn.SiLU(), nn.Linear(scalars, scalars))
        self.norm = nn.LayerNorm(scalars)
        self.mix = nn.Linear(2 * vectors, vectors, bias=False)

    def forward(self, level: Level, offsets: list[Offsets], h: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the new scalars, shape (n, C), and vectors, shape (n, d, V)."""
        scalars, vectors = self.scalars, self.vectors
        ends, turned = self.ends(h), self.turn(v)
        start = torch.cat([ends[:, :scalars], turned[..., :vectors].flatten(1)], dim=1)
        end = torch.cat([ends[:, scalars:], turned[..., vectors:].flatten(1)], dim=1)
        pairs = zip(level.blocks, offsets, strict=True)
        parts = [self._edges(block, offset, start, end) for block, offset in pairs]
        s, w = parts[0] if len(parts) == 1 else (torch.cat(part) for part in zip(*parts, strict=True))
        w = w.reshape(v.shape)
        h = h + self.norm(self.update(torch.cat([h, s, (v * w).sum(1)], dim=1)))
        return h, squash(self.mix(torch.cat([v, w], dim=2)))

    def _edges(self, block: EdgeBlock, offsets: Offsets, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """Return s, shape (n, C), and w, shape (n, d V), of the nodes at which the edges of a block end."""
        columns, vectors = offsets.columns, self.vectors
        both = take(start, block.source, block.starts) + take(end, block.target, block.ends)
        scalar, *parts = both.split([self.scalars] + [vectors] * len(columns), dim=1)
        products = columns[0] * parts[0]
        for column, part in zip(columns[1:], parts[1:], strict=True):
            products = torch.addcmul(products, column, part)
        a = silu(scalar + self.edge(torch.cat([offsets.lengths, products], dim=1)))
        gates = a[:, :vectors]
        return block.gather(a), block.gather(torch.cat([column * gates for column in columns], dim=1))


class Decoder(nn.Module):
    """Displacement of a node in units of its size, sum of g(h) v over channels; zero when training begins."""

    def __init__(self, scalars: int, vectors: int):
        super().__init__()
        last = nn.Linear(scalars, vectors)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.gates = nn.Sequential(nn.Linear(scalars, scalars), nn.SiLU(), last)

    def forward(self, h: Tensor, v: Tensor) -> Tensor:
        """Return shape (n, d)."""
        return (v * self.gates(h)[:, None, :]).sum(2)


class Multigrid(nn.Module):
    """Down the levels, up again, and on the way a displacement from every level.

    The weights of the coarse levels are the same on all of them, as is the task: with more nodes there are more levels,
    and no level that training has not seen.

    Parameters
    ----------
    fine, coarse
        Numbers of scalar channels on the finest level, which costs most, and on the others.
    vectors
        Number of vector channels.
    messages
        Exchanges on each coarse level on the way down, and as many up; on the finest there is one each.
    levels
        Most levels that are used, 0 for all that there are; 1 is an ordinary graph network, an ablation.
    """

    def __init__(self, *, fine: int, coarse: int, vectors: int, messages: int, levels: int = 0):
        super().__init__()
        self.levels = levels
        self.down = nn.ModuleList([EdgeMessage(coarse, vectors) for _ in range(messages)])
        self.up = nn.ModuleList([EdgeMessage(coarse, vectors) for _ in range(messages)])
        self.first, self.last = EdgeMessage(fine, vectors), EdgeMessage(fine, vectors)
        self.lift = nn.Linear(fine, coarse)
        self.join, self.join_last = nn.Linear(2 * coarse, coarse), nn.Linear(fine + coarse, fine)
        self.turn = nn.Linear(2 * vectors, vectors, bias=False)
        self.turn_last = nn.Linear(2 * vectors, vectors, bias=False)
        self.coarse, self.fine = Decoder(coarse, vectors), Decoder(fine, vectors)

    def forward(self, hierarchy: Hierarchy, points: Tensor, volumes: Tensor, h: Tensor, v: Tensor) -> Tensor:
        """Return a displacement.

        Parameters
        ----------
        hierarchy
            From ``build_hierarchy``.
        points
            Vertices, shape (N, d) [m].
        volumes
            Share of the volume that falls to each vertex, shape (N,) [m^d].
        h, v
            Scalars, shape (N, C), and vectors, shape (N, d, V).

        Returns
        -------
        Tensor
            Shape (N, d) [m].
        """
        dimension = points.shape[1]
        kept = []
        levels = hierarchy.levels[: self.levels or None]
        for number, level in enumerate(levels):
            if number:
                transfer = hierarchy.transfers[number - 1]
                points, volumes = transfer.restrict(points), transfer.add(volumes)
                h, v = transfer.restrict(h), _mapped(transfer.restrict, v)
                h = self.lift(h) if number == 1 else h
            sizes = volumes ** (1.0 / dimension)
            offsets = self._offsets(level, points, sizes)
            for message in self.down if number else [self.first]:
                h, v = message(level, offsets, h, v)
            kept.append((h, v, offsets, sizes))
        displacement = torch.zeros_like(points)
        for number, level in reversed(list(enumerate(levels))):
            own, own_v, offsets, sizes = kept[number]
            if number + 1 < len(levels):
                prolong = hierarchy.transfers[number].prolong
                displacement = prolong(displacement)
                join, turn = (self.join, self.turn) if number else (self.join_last, self.turn_last)
                h = join(torch.cat([own, prolong(h)], dim=1))
                v = squash(turn(torch.cat([own_v, _mapped(prolong, v)], dim=2)))
            for message in self.up if number else [self.last]:
                h, v = message(level, offsets, h, v)
            decoder = self.coarse if number else self.fine
            displacement = displacement + sizes[:, None] * decoder(h, v)
        return displacement

    @staticmethod
    def _offsets(level: Level, points: Tensor, sizes: Tensor) -> list[Offsets]:
        values = torch.cat([points, sizes[:, None]], dim=1)
        result = []
        for block in level.blocks:
            start, end = take(values, block.source, block.starts), take(values, block.target, block.ends)
            both = 2.0 * (start[:, :-1] - end[:, :-1]) / (start[:, -1:] + end[:, -1:])
            columns = tuple(column.contiguous() for column in both.split(1, dim=1))
            result.append(Offsets(columns, both.square().sum(1, keepdim=True).sqrt()))
        return result


def squash(v: Tensor) -> Tensor:
    """Return vectors, shape (n, d, V), with their directions and lengths below 1."""
    return v * (1.0 + v.square().sum(1, keepdim=True)).rsqrt()


def _mapped(linear, v: Tensor) -> Tensor:
    return linear(v.reshape(len(v), -1)).reshape(-1, *v.shape[1:])
