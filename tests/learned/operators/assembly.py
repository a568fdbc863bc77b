"""Matrices of P1, DG0 and RT0 on random meshes, assembled here: no Firedrake."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from learned_meshes import shaken, some_mesh
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from learned.geometry import widths


@dataclass(frozen=True)
class Triangles:
    """A mesh of triangles: vertices, shape (N, 2), and cells, shape (K, 3), counter-clockwise."""

    points: np.ndarray
    cells: np.ndarray
    boundary: np.ndarray  # facets, shape (B, 2)

    @property
    def nodes(self) -> int:
        return len(self.points)

    @property
    def fixed(self) -> np.ndarray:
        """Nodes on the boundary."""
        return np.unique(self.boundary)

    @cached_property
    def areas(self) -> np.ndarray:
        a, b, c = (self.points[corner] for corner in self.cells.T)
        (ux, uy), (vx, vy) = (b - a).T, (c - a).T
        return 0.5 * (ux * vy - uy * vx)

    @cached_property
    def gradients(self) -> np.ndarray:
        """Of the barycentric coordinates, shape (K, 3, 2)."""
        corners = self.points[self.cells]
        opposite = np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1)
        return np.stack([-opposite[..., 1], opposite[..., 0]], axis=-1) / (2.0 * self.areas[:, None, None])

    def mass(self) -> sparse.csr_array:
        return self._assembled(self.areas[:, None, None] * (1.0 + np.eye(3)) / 12.0)

    def stiffness(self, coefficient: np.ndarray | float = 1.0) -> sparse.csr_array:
        scale = (coefficient * self.areas)[:, None, None]
        return self._assembled(scale * self.gradients @ self.gradients.transpose(0, 2, 1))

    def integrals(self) -> np.ndarray:
        """Of the basis functions: the lumped mass matrix and the load vector of the source 1."""
        return np.bincount(self.cells.ravel(), np.repeat(self.areas / 3.0, 3), self.nodes)

    @cached_property
    def facets(self) -> np.ndarray:
        """Vertices of each facet, the lower number first, shape (F, 2)."""
        return np.unique(np.sort(self._sides(), axis=1), axis=0)

    def divergence(self) -> sparse.csr_array:
        """Flux out of each cell, shape (K, F): facets are crossed from the left of their direction to the right."""
        sides = self._sides()
        signs = np.where(sides[:, 0] < sides[:, 1], 1.0, -1.0)
        places = self.facets @ [self.nodes, 1]
        columns = np.searchsorted(places, np.sort(sides, axis=1) @ [self.nodes, 1])
        rows = np.repeat(np.arange(len(self.cells)), 3)
        return sparse.csr_array((signs, (rows, columns)), shape=(len(self.cells), len(self.facets)))

    def rotation(self) -> sparse.csr_array:
        """Flux of rot psi through each facet, shape (F, N): the difference of psi at its ends."""
        rows = np.arange(len(self.facets))
        entries = np.repeat([-1.0, 1.0], len(rows))
        return sparse.csr_array((entries, (np.tile(rows, 2), self.facets.T.ravel())), (len(rows), self.nodes))

    def outer_facets(self) -> np.ndarray:
        places = np.sort(self.boundary, axis=1) @ [self.nodes, 1]
        return np.searchsorted(self.facets @ [self.nodes, 1], places)

    def components(self) -> list[np.ndarray]:
        """Nodes of each connected part of the boundary."""
        ends = self.boundary.T
        pairs = sparse.csr_array((np.ones(len(self.boundary)), (ends[0], ends[1])), shape=(self.nodes,) * 2)
        labels = connected_components(pairs, directed=False)[1]
        return [np.flatnonzero(labels == label) for label in np.unique(labels[self.fixed])]

    def coarse(self, count: int = 3) -> sparse.csr_array:
        """Return hat functions inside a grid of count x count squares, at the nodes: a prolongation."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        places = (self.points - low) / (high - low) * count
        number = np.arange(1, count)
        one, other = (np.maximum(0.0, 1.0 - abs(places[:, [axis]] - number)) for axis in (0, 1))
        return sparse.csr_array((one[:, :, None] * other[:, None]).reshape(self.nodes, -1))

    def _sides(self) -> np.ndarray:
        """Sides of each cell, counter-clockwise, shape (3 K, 2)."""
        return np.stack([self.cells, np.roll(self.cells, -1, axis=1)], axis=-1).reshape(-1, 2)

    def _assembled(self, blocks: np.ndarray) -> sparse.csr_array:
        rows, columns = np.repeat(self.cells, 3, axis=1).ravel(), np.tile(self.cells, 3).ravel()
        return sparse.csr_array((blocks.ravel(), (rows, columns)), shape=(self.nodes,) * 2)


@cache
def triangles(kind: str = "square", *, nodes: int = 60, seed: int = 0, moved: bool = False) -> Triangles:
    """Return a random mesh, to be read only; its nodes, if asked for, moved at random without tangling."""
    graph = some_mesh(2, nodes=nodes, seed=seed, kind=kind)
    points = graph.pos.T.contiguous()
    if moved:
        width = float(widths(points[:, graph.cells.T]).min())
        points = shaken(points, width, seed)
    mesh = Triangles(points.T.numpy().copy(), graph.cells.numpy(), graph.facets.numpy())
    assert mesh.areas.min() > 0
    return mesh


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return random numbers, as an untrained network may give them."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))
