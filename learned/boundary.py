"""Boundary vertices slide: along straight sides and planes exactly, along curves on the polygon of the first mesh."""

from __future__ import annotations

from math import cos, radians
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from learned.graph import facet_vectors

# A turn of this angle or more is a corner. Less than the 40 degrees of meshing.boundary, which knows curves as splines:
# here vertices slide on a polygon, and one that comes around a sharp bend cuts off a piece of the domain.
_CORNER = cos(radians(20.0))
# Facets are one straight side or plane if the second moments of their unit normals differ by no more than this.
_STRAIGHT = 1e-10


class Boundary(Protocol):
    """How boundary vertices may move.

    Attributes
    ----------
    vertices
        Numbers of the boundary vertices, shape (n,), int64.
    fixed
        Which of them do not move, shape (n,), bool.
    """

    vertices: Tensor
    fixed: Tensor

    def normals(self, points: Tensor) -> Tensor:
        """Return outward unit normals of the boundary vertices, zero where they do not move, shape (d, n)."""

    def tangential(self, points: Tensor, displacement: Tensor) -> Tensor:
        """Return the displacement, shape (d, N), without what leads boundary vertices off the boundary."""

    def project(self, points: Tensor) -> Tensor:
        """Return the points, shape (d, N), with boundary vertices back on the boundary."""


class SlidingBoundary:
    """The boundary of a mesh as its facets have it.

    Vertices between facets in one line or plane slide in it. In 2D others slide along the polygon of the facets unless
    it turns by 20 degrees or more; in 3D they slide along the edge between two planes. Vertices where markers change
    do not move, nor do those on curved surfaces in 3D.

    Parameters
    ----------
    points
        Vertices of the mesh before anything moved them, shape (d, N) [m]; on the CPU, as all that a boundary is made
        of: ``to_device`` moves it when it is made.
    facets
        Boundary facets, turned outward as ``MeshGraph.facets`` are, shape (B, d), int64.
    markers
        Marker of each facet, shape (B,); one marker for all if None.
    dtype
        Floating-point type of what is computed.
    """

    def __init__(
        self, points: Tensor, facets: Tensor, markers: Tensor | None = None, *, dtype: torch.dtype = torch.float32
    ):
        self._dtype, points = dtype, points.double()
        dimension = len(points)
        vectors = facet_vectors(points.T, facets)
        units = (vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)).numpy()
        markers = torch.zeros_like(facets[:, 0]) if markers is None else markers
        self.vertices, place = torch.unique(facets, return_inverse=True)
        count = len(self.vertices)
        # Rank of the normals around a vertex: 1 straight, 2 edge in 3D, d corner or curve.
        moments, sums = np.zeros((count, dimension, dimension)), np.zeros((count, dimension))
        for corner in place.numpy().T:
            np.add.at(moments, corner, units[:, :, None] * units[:, None])
            np.add.at(sums, corner, vectors.numpy())
        values, axes = np.linalg.eigh(moments)
        off = values > _STRAIGHT * values[:, -1:]
        tangents = np.einsum("nai,ni,nbi->nab", axes, (~off).astype(float), axes)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        normals = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)
        kinds = torch.unique(torch.stack([place.reshape(-1), markers.repeat_interleave(dimension)]), dim=1)[0]
        fixed = np.bincount(kinds.numpy(), minlength=count) > off.sum(axis=1)
        tangents[fixed] = 0.0
        self._start = points[:, self.vertices].to(dtype)
        self._curved = torch.from_numpy(np.zeros(0, dtype=np.int64))
        if dimension == 2:
            self._follow(points.numpy(), facets.numpy(), units, place.numpy(), off.sum(axis=1) == 2, ~fixed)
            tangents[self._curved.numpy()] = np.eye(2)
        fixed |= (tangents == 0.0).all(axis=(1, 2))
        normals[fixed] = 0.0
        self.fixed = torch.from_numpy(fixed)
        self._tangents = torch.from_numpy(tangents.transpose(1, 2, 0).copy()).to(dtype)
        self._normals = torch.from_numpy(normals.T.copy()).to(dtype)

    def _follow(self, points, facets, units, place, bent, allowed) -> None:
        """Find the vertices on curves, their neighbours, and the facets of the polygon each may slide on."""
        count = len(self.vertices)
        # Facets turned outward run on with the domain on their left: a vertex ends one and begins another.
        begins, ends = np.full(count, -1), np.full(count, -1)
        begins[place[:, 0]], ends[place[:, 1]] = np.arange(len(facets)), np.arange(len(facets))
        simple = (np.bincount(place.reshape(-1), minlength=count) == 2) & (begins >= 0) & (ends >= 0)
        turn = (units[ends] * units[begins]).sum(axis=1)
        slides = simple & allowed & (turn > _CORNER)
        # Chains of facets between vertices that do not slide.
        chain = np.arange(len(facets))
        joins = np.flatnonzero(slides)
        while True:
            least = np.minimum(chain[ends[joins]], chain[begins[joins]])
            merged = chain.copy()
            np.minimum.at(merged, ends[joins], least)
            np.minimum.at(merged, begins[joins], least)
            merged = merged[merged]
            if (merged == chain).all():
                break
            chain = merged
        # Vertices on a straight part of a chain with bends may come around them.
        winding = np.isin(chain[begins], chain[begins[bent & slides]])
        curved = np.flatnonzero(slides & winding)
        self._curved = torch.from_numpy(curved)
        before, after = place[ends[curved], 0], place[begins[curved], 1]
        self._before, self._after = self.vertices[before], self.vertices[after]
        own = chain[begins[curved]]
        vertex, facet = np.nonzero(own[:, None] == chain[None])
        first = points[:, facets[facet, 0]]
        self._vertex = torch.from_numpy(vertex)
        self._first = torch.from_numpy(first).to(self._dtype)
        along = points[:, facets[facet, 1]] - first
        self._along = torch.from_numpy(along).to(self._dtype)
        self._inverse = torch.from_numpy(1.0 / (along**2).sum(axis=0)).to(self._dtype)

    def normals(self, points: Tensor) -> Tensor:
        """Return outward unit normals of the boundary vertices, zero where they do not move, shape (d, n)."""
        if not len(self._curved):
            return self._normals
        along = self._directions(points)
        return self._normals.index_copy(1, self._curved, torch.stack([along[1], -along[0]]))

    def tangential(self, points: Tensor, displacement: Tensor) -> Tensor:
        """Return the displacement, shape (d, N), without what leads boundary vertices off the boundary."""
        own = displacement[:, self.vertices]
        own = (self._tangents * own).sum(1)
        if len(self._curved):
            along = self._directions(points)
            curved = along * (along * own[:, self._curved]).sum(0)
            own = own.index_copy(1, self._curved, curved)
        return displacement.index_copy(1, self.vertices, own)

    def project(self, points: Tensor) -> Tensor:
        """Return the points, shape (d, N), with boundary vertices back on the boundary."""
        own = points[:, self.vertices]
        back = self._start + (self._tangents * (own - self._start)).sum(1)
        if len(self._curved):
            back = back.index_copy(1, self._curved, self._nearest(own[:, self._curved]))
        return points.index_copy(1, self.vertices, back)

    def _directions(self, points: Tensor) -> Tensor:
        """Return unit tangents at the vertices on curves, shape (2, n): along the chord of their neighbours."""
        chord = points[:, self._after] - points[:, self._before]
        return chord / chord.square().sum(0).clamp_min(torch.finfo(points.dtype).tiny).sqrt()

    def _nearest(self, points: Tensor) -> Tensor:
        """Return the nearest points of the polygon, shape (2, n)."""
        offset = points[:, self._vertex] - self._first
        share = ((offset * self._along).sum(0) * self._inverse).clamp(0.0, 1.0)
        gap = offset - share * self._along
        distance = gap.square().sum(0)
        least = torch.full((points.shape[1],), torch.inf, dtype=points.dtype, device=points.device)
        least = least.scatter_reduce(0, self._vertex, distance.detach(), "amin")
        # Not greater instead of less or equal: what is not finite stays so, and is found by who looks at the energy.
        best = torch.nonzero(~(distance.detach() > least[self._vertex]))[:, 0]
        chosen = torch.empty_like(self._vertex[: points.shape[1]]).index_copy_(0, self._vertex[best], best)
        return points - gap[:, chosen]
