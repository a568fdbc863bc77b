"""Small trajectories on random meshes, made here: of water in cells, and of displacements in nodes."""

from __future__ import annotations

import numpy as np
from assembly import Triangles, triangles
from problems import nested
from scipy import sparse

from learned.operators.problem import CoarseLevel
from learned.operators.trajectory import OperatorTrajectory


def water(*, nodes: int = 12, seed: int = 0, steps: int = 6, levels: int = 2) -> OperatorTrajectory:
    """Return random states of water in cells, all of one volume."""
    meshes, _ = nested(triangles("square", nodes=nodes, seed=seed, moved=True), levels)
    mesh, rng = meshes[-1], np.random.default_rng(seed)
    cells = len(mesh.cells)
    depths = rng.uniform(0.05, 1.0, (steps, cells))
    depths *= 0.4 * mesh.areas.sum() / (depths @ mesh.areas)[:, None]
    fields = np.concatenate([depths[..., None], 0.1 * rng.normal(size=(steps, cells, 2))], axis=2)
    return OperatorTrajectory(
        points=centres(mesh),
        edges=neighbours(mesh),
        mass=sparse.csr_array(sparse.diags_array(mesh.areas)),
        fixed=np.zeros((cells, 3), dtype=bool),
        features=np.zeros((cells, 0)),
        times=np.linspace(0.0, 0.6, steps),
        fields=fields,
        parameters={"inside": 1.0},
        coarse=tuple(CoarseLevel(centres(coarse), children(coarse)) for coarse in meshes[-2::-1]),
        kind="dam_break",
    )


def beam(*, nodes: int = 20, seed: int = 0, steps: int = 5, levels: int = 1) -> OperatorTrajectory:
    """Return random displacements in linear elements, that of some nodes on the boundary given."""
    meshes, ways = nested(triangles("square", nodes=nodes, seed=seed, moved=True), levels)
    mesh, rng = meshes[-1], np.random.default_rng(seed)
    fixed = np.zeros((mesh.nodes, 2), dtype=bool)
    fixed[mesh.fixed[: len(mesh.fixed) // 2]] = True
    mass = mesh.mass()
    pattern = sparse.coo_array(mass)
    apart = pattern.row != pattern.col
    return OperatorTrajectory(
        points=mesh.points,
        edges=np.stack([pattern.row[apart], pattern.col[apart]]).astype(np.int64),
        mass=mass,
        fixed=fixed,
        features=rng.normal(size=(mesh.nodes, 2)),
        times=np.arange(1, steps + 1) / steps,
        fields=rng.normal(size=(steps, mesh.nodes, 2)),
        parameters={"height": 0.1, "pressure": 2.0, "shortening": 0.3},
        coarse=tuple(CoarseLevel(one.points, way) for one, way in zip(meshes[-2::-1], ways[::-1], strict=True)),
        kind="hyperelastic",
    )


def centres(mesh: Triangles) -> np.ndarray:
    return mesh.points[mesh.cells].mean(axis=1)


def neighbours(mesh: Triangles) -> np.ndarray:
    """Return the pairs of cells with a side in common, in both directions, shape (2, E)."""
    sides = abs(mesh.divergence())
    pairs = sparse.coo_array(sides @ sides.T)
    apart = pairs.row != pairs.col
    return np.stack([pairs.row[apart], pairs.col[apart]]).astype(np.int64)


def children(mesh: Triangles) -> sparse.csr_array:
    """Return which cells a mesh's cells become when each is cut in four, as ``problems.refined`` numbers them."""
    cells = len(mesh.cells)
    return sparse.csr_array((np.ones(4 * cells), (np.arange(4 * cells), np.tile(np.arange(cells), 4))))


def energy(areas: np.ndarray, state: np.ndarray) -> float:
    """Return that of a state of water with g = 1, as the shallow water equations have it."""
    h, q = state.reshape(-1, 3)[:, 0], state.reshape(-1, 3)[:, 1:]
    wet = h > 0.0
    kinetic = (q[wet] ** 2).sum(axis=1) / (2.0 * h[wet])
    return float(areas @ h**2 / 2.0 + areas[wet] @ kinetic)
