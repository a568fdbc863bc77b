"""A coarse mesh of the same domain, of some of a fine mesh's vertices: to make the long ways there at little cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import Delaunay, QhullError
from torch import Tensor

from learned.background import BackgroundMonitor
from learned.domains import graph_of
from learned.geometry import volumes, widths
from learned.graph import MeshGraph
from learned.hierarchy import greedy_roots, within
from learned.prepared import PreparedMesh, prepare_meshes
from learned.sparse import SparseMap

# Simplices narrower than this share of their size are flat.
_FLAT = 0.01
# A coarse mesh that is off the domain's volume by more than this share, or has cells narrower than this share of their
# size, is none.
_VOLUME, _NARROWEST = 0.05, 0.1
_ASKED = 0.1


@dataclass(frozen=True)
class CoarseMesh:
    """A coarse mesh under a fine one.

    Attributes
    ----------
    mesh
        The coarse mesh; its vertices are vertices of the fine one, its units those of the fine one's domain.
    vertices
        Numbers of its vertices in the fine mesh, shape (n,), int64.
    prolong
        Interpolation of values in its vertices to those of the fine mesh, (N, n), in the computational mesh.
    gather
        Mean of the values of the fine vertices near each of its vertices, (n, N).
    """

    mesh: PreparedMesh
    vertices: Tensor
    prolong: SparseMap
    gather: SparseMap


def coarse_mesh(graph: MeshGraph, fine: PreparedMesh, *, most: int = 3000) -> CoarseMesh | None:
    """Return a coarse mesh of the domain of a fine one.

    Vertices are chosen at least three edges apart, corners and the boundary first, and triangulated by Delaunay; again,
    until there are few enough.

    Parameters
    ----------
    graph
        The fine computational mesh.
    fine
        The same, prepared; both on the CPU, ``to_device`` moves what is returned.
    most
        Largest number of vertices.

    Returns
    -------
    CoarseMesh or None
        None if the fine mesh has so few vertices itself, or if its domain has parts too narrow for a coarse mesh.
    """
    if len(graph.pos) <= most:
        return None
    exact = fine.inside(graph.pos).T.double()
    forced = torch.zeros(len(exact), dtype=torch.bool, device=exact.device)
    forced[fine.boundary.vertices] = fine.boundary.fixed
    found = _coarsened(exact, graph, forced, most)
    if found is None:
        return None
    coarse, chosen = found
    mesh = prepare_meshes([coarse], ["integral"], dtype=fine.reference.dtype, own_units=False)
    mesh = mesh.with_shape(fine.energy.huang)
    walk = BackgroundMonitor(mesh.topology, mesh.reference, mesh.reference[0])
    cell, weights = walk.locate(fine.reference)
    rows, corners = torch.arange(len(exact), device=exact.device), mesh.topology.cells[cell]
    shape = (len(exact), len(chosen))
    prolong = SparseMap(rows.repeat_interleave(weights.shape[1]), corners.reshape(-1), weights.reshape(-1), shape)
    near = corners.gather(1, weights.argmax(1, keepdim=True))[:, 0]
    near[chosen] = torch.arange(len(chosen), device=exact.device)
    count = torch.bincount(near, minlength=len(chosen)).to(weights.dtype)
    gather = SparseMap(near, rows, 1.0 / count[near], (len(chosen), len(exact)))
    # What the fine cells in a coarse cell are asked to hold, it is asked to hold; a little more where there are none.
    middle = fine.topology.corners(fine.reference).mean(1)
    inside, _ = walk.locate(middle, cell[fine.topology.cells[:, 0]])
    none = torch.zeros(mesh.topology.count, dtype=weights.dtype, device=weights.device)
    asked = none.index_add_(0, inside, fine.energy.shares)
    return CoarseMesh(mesh.with_weights(asked + _ASKED * asked.mean()), chosen, prolong, gather)


def _coarsened(exact: Tensor, graph: MeshGraph, forced: Tensor, most: int) -> tuple[MeshGraph, Tensor] | None:
    """Return a mesh of at most so many of the vertices (N, d), and their numbers; None if there is no good one."""
    fine_volume = float(volumes(exact.T[:, graph.cells.T]).sum())
    coarse, chosen = graph, torch.arange(len(exact), device=exact.device)
    while len(chosen) > most:
        chosen = chosen[_thinned(coarse.cells, coarse.facets, forced[chosen])]
        found = _triangulated(exact, graph.cells, chosen)
        if found is None or abs(float(volumes(found.pos.T[:, found.cells.T]).sum()) / fine_volume - 1.0) > _VOLUME:
            return None
        coarse = found
    return coarse, chosen


def _thinned(cells: Tensor, facets: Tensor, forced: Tensor) -> Tensor:
    """Return the numbers of the vertices to keep: those forced, some of the boundary, then some of the rest."""
    count = len(forced)
    along = _pairs(facets, count)
    bound = torch.zeros_like(forced)
    bound[facets.reshape(-1)] = True
    roots = greedy_roots(*along, count, forced=forced.numpy(), allowed=bound.numpy())
    # Between two roots on the boundary there are up to five edges: a vertex as near to it as half of that would come to
    # lie between them on the coarse boundary.
    across = _pairs(cells, count)
    inner = ~within(*across, bound.numpy(), hops=2)
    roots = greedy_roots(*across, count, forced=roots, allowed=inner)
    return torch.from_numpy(np.flatnonzero(roots))


def _pairs(simplices: Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and ends of the edges of simplices in both directions, sorted by end."""
    corners = simplices.shape[1]
    both = [simplices[:, [i, j]] for i in range(corners) for j in range(corners) if i != j]
    numbers = torch.unique(torch.cat([pair[:, 1] * count + pair[:, 0] for pair in both]))
    return (numbers % count).numpy(), (numbers // count).numpy()


def _triangulated(points: Tensor, cells: Tensor, chosen: Tensor) -> MeshGraph | None:
    """Return the Delaunay mesh of some vertices of a mesh without what lies outside of it; None if it is a bad one."""
    places = points[chosen]
    try:
        simplices = torch.from_numpy(Delaunay(places.numpy()).simplices.astype(np.int64))
    except QhullError:
        return None
    dimension = points.shape[1]
    # Points on a straight side have flat simplices between them.
    corners = places.T[:, simplices.T]
    simplices = simplices[widths(corners) > _FLAT * volumes(corners).abs() ** (1.0 / dimension)]
    corners = places.T[:, simplices.T]
    # A walk through the fine mesh from a corner to the middle; what lies outside ends at the boundary.
    walk = BackgroundMonitor.of_cells(points.T.contiguous(), cells)
    around = cells.new_empty(len(points))
    around[cells.T.reshape(-1)] = torch.arange(len(cells), device=cells.device).repeat(dimension + 1)
    inside = walk.reaches(corners.mean(1), around[chosen[simplices[:, 0]]])
    simplices = simplices[inside]
    if len(torch.unique(simplices)) != len(chosen):
        return None
    corners = places.T[:, simplices.T]
    if float((widths(corners) / volumes(corners).abs() ** (1.0 / dimension)).min()) < _NARROWEST:
        return None
    return graph_of(places.numpy(), simplices.numpy())
