"""Levels of ever fewer nodes over a mesh, for networks that see far at linear cost: made once per topology."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from learned.sparse import SparseMap

_SMOOTHING = 0.5
# Edges in a block, about: with some fifty numbers of four bytes each they fill a megabyte.
_BLOCK = 5000


@dataclass(frozen=True)
class EdgeBlock:
    """All edges that end at the nodes of a range: so few that what is computed on them stays in the cache.

    Attributes
    ----------
    source, target
        Start and end of each edge, shape (E,), int64.
    starts, ends
        Sums over the edges that start and that end at a node, (n, E).
    gather
        Mean over the edges that end at a node of the range, (nodes in the range, E).
    """

    source: Tensor
    target: Tensor
    starts: SparseMap
    ends: SparseMap
    gather: SparseMap


@dataclass(frozen=True)
class Level:
    """One level: its nodes and edges.

    Attributes
    ----------
    nodes
        n, number of nodes.
    source, target
        Start and end of each edge in both directions, sorted by end, shape (E,), int64.
    blocks
        The edges in parts, range after range.
    """

    nodes: int
    source: Tensor
    target: Tensor
    blocks: list[EdgeBlock]


@dataclass(frozen=True)
class Transfer:
    """How a level hangs on the next finer one.

    Attributes
    ----------
    restrict, add
        Mean and sum over the finer nodes of each node, (n, finer n).
    prolong
        Smoothed interpolation to the finer nodes, rows with sum 1, (finer n, n).
    """

    restrict: SparseMap
    add: SparseMap
    prolong: SparseMap


@dataclass(frozen=True)
class Hierarchy:
    """Levels from fine to coarse, and the transfers between each and the next, one fewer."""

    levels: list[Level]
    transfers: list[Transfer]


def build_hierarchy(
    edges: Tensor, nodes: int, *, coarsest: int = 24, meshes: int = 1, dtype: torch.dtype = torch.float32
) -> Hierarchy:
    """Return the levels over a graph, the graph itself first.

    Nodes are joined into clusters around roots that are at least three edges apart, chosen greedily in an order that
    only depends on the numbers of the nodes. So clusters follow the mesh: neither grading, nor rotation, nor a
    slit between parts that are near to each other in space matters to them.

    Parameters
    ----------
    edges
        Start and end of each edge in both directions, shape (2, E), int64, sorted by end.
    nodes
        Number of nodes.
    coarsest
        A level of as many nodes or fewer is not coarsened.
    meshes
        Number of meshes side by side in the graph.
    dtype
        Floating-point type of the maps.

    Returns
    -------
    Hierarchy
        The number of nodes falls by about ten in 2D from one level to the next.
    """
    levels, transfers = [_level(edges, nodes, dtype)], []
    while levels[-1].nodes > coarsest * meshes:
        finer = levels[-1]
        source, target = finer.source.numpy(force=True), finer.target.numpy(force=True)
        cluster = torch.from_numpy(_clusters(source, target, finer.nodes)).to(edges.device)
        count = int(cluster.max()) + 1
        if count == finer.nodes:
            break
        start, end = cluster[finer.source], cluster[finer.target]
        between = start != end
        numbers = torch.unique(end[between] * count + start[between])
        levels.append(_level(torch.stack([numbers % count, numbers // count]), count, dtype))
        transfers.append(_transfer(finer, cluster, count, dtype))
    return Hierarchy(levels, transfers)


def _level(edges: Tensor, nodes: int, dtype: torch.dtype) -> Level:
    source, target = edges[0].contiguous(), edges[1].contiguous()
    degree = torch.bincount(target, minlength=nodes)
    reach = degree.cumsum(0)
    # A node belongs to the block in which the last of its edges is.
    block = (reach - 1).clamp_min(0) // _BLOCK
    sizes = torch.bincount(block).tolist()
    blocks, node, edge = [], 0, 0
    for size in filter(None, sizes):
        last = int(reach[node + size - 1])
        start, end = source[edge:last], target[edge:last]
        numbers = torch.arange(last - edge, device=edges.device)
        ones = torch.ones(last - edge, dtype=dtype, device=edges.device)
        shape = (nodes, last - edge)
        share = 1.0 / degree[end].to(dtype)
        blocks.append(
            EdgeBlock(
                source=start,
                target=end,
                starts=SparseMap(start, numbers, ones, shape),
                ends=SparseMap(end, numbers, ones, shape),
                gather=SparseMap(end - node, numbers, share, (size, last - edge)),
            )
        )
        node, edge = node + size, last
    return Level(nodes, source, target, blocks)


def _transfer(finer: Level, cluster: Tensor, nodes: int, dtype: torch.dtype) -> Transfer:
    members = torch.bincount(cluster, minlength=nodes).to(dtype)
    fine, shape = torch.arange(finer.nodes, device=cluster.device), (nodes, finer.nodes)
    return Transfer(
        restrict=SparseMap(cluster, fine, 1.0 / members[cluster], shape),
        add=SparseMap(cluster, fine, torch.ones_like(members[cluster]), shape),
        prolong=_smoothed(finer, cluster, nodes, dtype),
    )


def _smoothed(finer: Level, cluster: Tensor, nodes: int, dtype: torch.dtype) -> SparseMap:
    """Return injection from the clusters followed by two averaging sweeps over the finer edges."""
    rows, columns = torch.arange(finer.nodes, device=cluster.device), cluster
    values = torch.ones(finer.nodes, dtype=dtype, device=cluster.device)
    degree = torch.bincount(finer.target, minlength=finer.nodes).to(dtype)
    places, shape = torch.stack([rows, columns]), (finer.nodes, nodes)
    sparse = torch.sparse_coo_tensor(places, values, shape, device=values.device).coalesce()
    share = torch.where(degree > 0, _SMOOTHING / degree.clamp_min(1.0), 0.0)
    average = torch.sparse_coo_tensor(
        torch.cat([torch.stack([finer.target, finer.source]), torch.stack([rows, rows])], dim=1),
        torch.cat([share[finer.target], 1.0 - share * degree]),
        (finer.nodes, finer.nodes),
        device=values.device,
    ).coalesce()
    for _ in range(2):
        sparse = torch.sparse.mm(average, sparse).coalesce()
    rows, columns = sparse.indices()
    return SparseMap(rows, columns, sparse.values(), shape)


def _clusters(source: np.ndarray, target: np.ndarray, nodes: int) -> np.ndarray:
    """Return the cluster of each node, numbered from 0: greedy roots three edges apart, and what is nearest."""
    root = greedy_roots(source, target, nodes)
    cluster = np.full(nodes, -1)
    cluster[root] = np.arange(np.count_nonzero(root))
    for _ in range(2):
        joined = _maximum(source, target, cluster)
        cluster = np.where(cluster < 0, joined, cluster)
    return cluster


def greedy_roots(
    source: np.ndarray,
    target: np.ndarray,
    nodes: int,
    *,
    forced: np.ndarray | None = None,
    allowed: np.ndarray | None = None,
) -> np.ndarray:
    """Return which nodes are roots: at least three edges apart, as many as fit, chosen by pseudo-random priority.

    Parameters
    ----------
    source, target
        Start and end of each edge in both directions, shape (E,), sorted by end.
    nodes
        Number of nodes.
    forced
        Nodes that are roots in any case, shape (nodes,), bool.
    allowed
        Nodes that may become roots, shape (nodes,), bool; all if None.

    Returns
    -------
    numpy.ndarray
        Shape (nodes,), bool.
    """
    # Distinct priorities; 0 for nodes that are decided.
    undecided = np.random.default_rng(nodes).permutation(nodes) + 1
    root = np.zeros(nodes, dtype=bool) if forced is None else forced.copy()
    if allowed is not None:
        undecided[~allowed] = 0
    chosen = root
    while True:
        undecided[within(source, target, chosen, hops=2)] = 0
        if not undecided.any():
            return root
        near = _maximum(source, target, _maximum(source, target, undecided))
        chosen = (undecided > 0) & (undecided == near)
        root |= chosen


def within(source: np.ndarray, target: np.ndarray, marked: np.ndarray, *, hops: int) -> np.ndarray:
    """Return which nodes are at most so many edges from a marked one, shape (nodes,), bool."""
    reached = marked.astype(np.int64)
    for _ in range(hops):
        reached = _maximum(source, target, reached)
    return reached > 0


def _maximum(source: np.ndarray, target: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the greatest value of each node and its neighbours."""
    result = values.copy()
    if len(target):
        ends, first = np.unique(target, return_index=True)
        result[ends] = np.maximum(result[ends], np.maximum.reduceat(values[source], first))
    return result
