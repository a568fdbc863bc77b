"""A processor on several levels: much is exchanged where there are few nodes, little where there are many."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from learned.operators.exchange import Exchange, edges_told, exchange_all, rest
from learned.operators.nodes import EDGE_FEATURES, NodeGraph, node_graph, node_weights
from learned.operators.problem import CoarseLevel
from learned.sparse import SparseMap, sparse_map


@dataclass(frozen=True)
class Coarser:
    """A coarser level.

    Attributes
    ----------
    graph
        Its nodes.
    prolong
        Values from there to the next finer level, (n, n_c).
    restrict
        Means of values around, weighted by shares of volume, (n_c, n): integrals of both are the same.
    """

    graph: NodeGraph
    prolong: SparseMap
    restrict: SparseMap


@dataclass(frozen=True)
class LeveledGraph(NodeGraph):
    """A graph of nodes, and those of coarser levels.

    Attributes
    ----------
    coarser
        From fine to coarse.
    """

    coarser: tuple[Coarser, ...] = ()


def leveled_graph(
    points: np.ndarray,
    mass: sparse.csr_array,
    fixed: np.ndarray,
    features: np.ndarray,
    neighbours: np.ndarray,
    coarse: tuple[CoarseLevel, ...],
    *,
    dtype: torch.dtype = torch.float32,
) -> LeveledGraph:
    r"""Return the graphs of all levels of a nonlinear problem.

    .. math:: M_c = P^T M P,\qquad R = \operatorname{diag}(P^T w)^{-1} P^T \operatorname{diag}(w)

    with prolongations P, restrictions R and shares of volume w. Nodes are told how one-sided their neighbours are in
    place of whether they are on the boundary.

    Parameters
    ----------
    points, mass, fixed, features, neighbours, coarse
        See ``OperatorTrajectory``; ``neighbours`` are its edges.
    dtype
        Floating-point type of the network's weights.
    """
    levels, pairs = [], np.asarray(neighbours)
    weights = node_weights(mass)
    graph = _graph(points, mass, fixed, features, pairs, weights, dtype)
    for level in coarse:
        way, finest = level.prolongation, len(points)
        adjacency = sparse.csr_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(finest, finest))
        share = way.T @ weights
        restrict = sparse.csr_array(sparse.diags_array(1.0 / share) @ way.T @ sparse.diags_array(weights))
        # A coarse node is where the finer one is that has its value alone.
        fixed = fixed[np.asarray(sparse.csc_array(way).argmax(axis=0)).ravel()]
        features, mass, weights = restrict @ features, sparse.csr_array(way.T @ mass @ way), share
        both = sparse.coo_array(way.T @ adjacency @ way)
        pairs, points = np.stack(both.coords)[:, both.coords[0] != both.coords[1]], level.points
        coarser = _graph(points, mass, fixed, features, pairs, weights, dtype)
        levels.append(Coarser(coarser, sparse_map(way, dtype), sparse_map(restrict, dtype)))
    return LeveledGraph(**{part.name: getattr(graph, part.name) for part in fields(graph)}, coarser=tuple(levels))


class MultigridProcessor(nn.Module):
    r"""Process on several levels: light exchanges on the way down and up, heavy ones on the coarsest level.

    .. math:: h_{l+1} = R_l\, \mathrm{light}(h_l),\qquad
              h_l \mathrel{+}= A\,[h_l, P_l h_{l+1}],\quad h_l = \mathrm{light}(h_l)

    A V-cycle in the manner of SPON-MG, for nonlinear problems: information crosses the domain in a few coarse messages.
    The weights of the light exchanges are the same on all levels. Guaranteed: the answer is renumbered with the nodes
    of each level. On a graph without coarser levels the heavy exchanges are among its own nodes.

    Parameters
    ----------
    told, inputs, outputs
        Channels of nodes: see ``MessageLayers``.
    width, channels
        Channels of nodes and edges on all levels but the coarsest.
    coarse
        Channels of the coarsest level's nodes; its edges have half as many.
    light, heavy
        Exchanges on the way down, as many up; and on the coarsest level.
    directions
        Number of dimensions of the offsets that edges are told, 0 for none.
    levels
        Most coarser levels that are used.

    Notes
    -----
    Bouziani and Boulle (2024), arXiv 2410.01065, section on SPON-MG.
    """

    def __init__(
        self,
        *,
        told: int,
        inputs: int,
        outputs: int,
        width: int = 32,
        channels: int = 16,
        coarse: int = 48,
        light: int = 1,
        heavy: int = 4,
        directions: int = 0,
        levels: int = 9,
    ):
        super().__init__()
        self.directions, self.levels = directions, levels
        self.geometry = nn.Linear(told, width)
        self.data = nn.Linear(inputs, width, bias=False)
        self.encode_nodes = rest(width)
        self.light_edges = _edges(directions, channels)
        self.down = nn.ModuleList([Exchange(width, channels) for _ in range(light)])
        self.up = nn.ModuleList([Exchange(width, channels) for _ in range(light)])
        self.join = nn.Linear(2 * width, width)
        self.lift, self.lower = nn.Linear(width, coarse), nn.Linear(coarse, width)
        self.heavy_edges = _edges(directions, coarse // 2)
        self.heavy = nn.ModuleList([Exchange(coarse, coarse // 2) for _ in range(heavy)])
        self.decode = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, outputs))

    def forward(self, graph: NodeGraph, h: Tensor) -> Tensor:
        """Return the answer in the nodes, shape (n, m, outputs), to data of shape (n, m, inputs)."""
        coarser = graph.coarser[: self.levels] if isinstance(graph, LeveledGraph) else ()
        h = self.encode_nodes(self.geometry(graph.nodes)[:, None] + self.data(h))
        return self.decode(self._cycle(graph, coarser, h))

    def _cycle(self, graph: NodeGraph, coarser: tuple[Coarser, ...], h: Tensor) -> Tensor:
        if not coarser:
            edges = self.heavy_edges(edges_told(graph, self.directions))
            return h + self.lower(exchange_all(self.heavy, graph, self.lift(h), edges))
        level, edges = coarser[0], self.light_edges(edges_told(graph, self.directions))
        h = exchange_all(self.down, graph, h, edges)
        below = _mapped(level.restrict, h) + self.geometry(level.graph.nodes)[:, None]
        around = _mapped(level.prolong, self._cycle(level.graph, coarser[1:], below))
        return exchange_all(self.up, graph, h + self.join(torch.cat([h, around], dim=2)), edges)


def _edges(directions: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(EDGE_FEATURES + directions, channels), rest(channels))


def _mapped(linear: SparseMap, h: Tensor) -> Tensor:
    return linear(h.flatten(1)).unflatten(1, h.shape[1:])


def _graph(points, mass, fixed, features, pairs, weights, dtype: torch.dtype) -> NodeGraph:
    boundary = _one_sided(points, pairs, weights)
    return node_graph(points, None, mass, fixed, boundary, features, neighbours=pairs, dtype=dtype)


def _one_sided(points: np.ndarray, pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the length of the sum of offsets to neighbours over the sum of lengths, shape (n,): 0 amid a lattice."""
    end, start = pairs
    offsets = weights[start, None] * (points[start] - points[end])
    around = np.stack([np.bincount(end, part, len(points)) for part in offsets.T], axis=1)
    lengths = np.bincount(end, np.linalg.norm(offsets, axis=1), len(points))
    return np.linalg.norm(around, axis=1) / np.where(lengths > 0.0, lengths, 1.0)
