"""Nodes of a finite-element space as networks see them: lengths, couplings and shares of volume, no frame of axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.spatial import cKDTree
from torch import Tensor

from learned.sparse import SparseMap, sparse_map

# Numbers a network is told of each edge, and of each node besides the coefficients of the problem.
EDGE_FEATURES, NODE_FEATURES = 6, 4
# A regular triangle has edges this much longer than the root of the area that falls to a vertex, about.
_USUAL_LENGTH = 1.1


@dataclass(frozen=True)
class NodeGraph:
    """The graph of the nodes, and what networks are told of it.

    Attributes
    ----------
    points
        Places, shape (n, d).
    weights
        Share of the volume that falls to each node, shape (n,).
    source, target
        Start and end of each edge in both directions, sorted by end, shape (E,), int64.
    edges
        What networks are told of them, shape (E, 6), between -1 and 1.
    nodes
        What they are told of the nodes, shape (n, 4 + k): the problem's own features last.
    starts
        Sum over the edges that start at a node, (n, E).
    gather
        Mean over the edges that end at a node, weighted by the shares of volume of where they start, (n, E).
    """

    points: Tensor
    weights: Tensor
    source: Tensor
    target: Tensor
    edges: Tensor
    nodes: Tensor
    starts: SparseMap
    gather: SparseMap


def node_graph(
    points: np.ndarray,
    stiffness: sparse.csr_array | None,
    mass: sparse.csr_array,
    fixed: np.ndarray,
    boundary: np.ndarray,
    features: np.ndarray,
    *,
    neighbours: np.ndarray | None = None,
    dtype: torch.dtype = torch.float32,
) -> NodeGraph:
    """Return the graph of the nodes that share a cell; see ``OperatorProblem`` for the arguments.

    Of nonlinear problems, which have no one stiffness matrix, couplings are those of the mass matrix. ``neighbours``
    are pairs of nodes in both directions, shape (2, E), where the mass matrix does not tell them: of discontinuous
    elements. ``boundary`` may be a number between 0 and 1.

    All that is told of it stays the same, to rounding, when the domain is moved, turned or mirrored, and when it is
    enlarged.
    """
    n, c = fixed.shape
    weights = node_weights(mass)
    if neighbours is None:
        neighbours = np.stack(sparse.coo_array(mass).coords)
        neighbours = neighbours[:, neighbours[0] != neighbours[1]]
    end, start = neighbours.astype(np.int64)
    order = np.lexsort((start, end))
    end, start = end[order], start[order]
    blocks = mass if stiffness is None else sum(stiffness[part::c, part::c] for part in range(c))
    diagonal = blocks.diagonal()
    coupling = np.asarray(sparse.csr_array(blocks)[end, start]).ravel() / np.sqrt(diagonal[end] * diagonal[start])
    sizes = weights ** (1.0 / points.shape[1])
    lengths = np.linalg.norm(points[start] - points[end], axis=1)
    held = fixed.any(axis=1).astype(float)
    edges = np.tanh(
        np.stack(
            [
                lengths / sizes[end] - _USUAL_LENGTH,
                lengths / sizes[start] - _USUAL_LENGTH,
                4.0 * coupling,
                np.log(weights[start] / weights[end]),
                held[start],
                held[end],
            ],
            axis=1,
        )
    )
    extent = weights.sum() ** (1.0 / points.shape[1])
    near = np.exp(-10.0 * distances(points, points[held > 0]) / extent)
    told = [held, boundary.astype(float), np.tanh(np.log(weights / weights.mean())), near, *np.tanh(features.T / 2.0)]
    count = np.arange(len(end))
    around = np.bincount(end, weights[start], n)
    return NodeGraph(
        points=torch.from_numpy(points).to(dtype),
        weights=torch.from_numpy(weights).to(dtype),
        source=torch.from_numpy(start),
        target=torch.from_numpy(end),
        edges=torch.from_numpy(edges).to(dtype),
        nodes=torch.from_numpy(np.stack(told, axis=1)).to(dtype),
        starts=sparse_map(sparse.coo_array((np.ones(len(end)), (start, count)), shape=(n, len(end))), dtype),
        gather=sparse_map(sparse.coo_array((weights[start] / around[end], (end, count)), shape=(n, len(end))), dtype),
    )


def node_weights(mass: sparse.csr_array) -> np.ndarray:
    r"""Return the volume's share of each node, shape (n,), positive for elements of any degree.

    .. math:: w_i = M_{ii}\, |\Omega| \Big/ \sum_j M_{jj}

    Hinton, Rock and Zienkiewicz, A note on mass lumping, Earthq. Eng. Struct. Dyn. 4 (1976).
    """
    diagonal = mass.diagonal()
    return diagonal * (mass.sum() / diagonal.sum())


def distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance of each point to the nearest of some others, shape (n,); the points' extent if none."""
    if len(others) == 0:
        # Whatever the axes.
        return np.full(len(points), 2.0 * np.linalg.norm(points - points.mean(axis=0), axis=1).max())
    # As in meshing.nearest: the search for medians does not end beside code compiled with -ffast-math.
    return cKDTree(others, balanced_tree=False).query(points)[0]
