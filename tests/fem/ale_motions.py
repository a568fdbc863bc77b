"""Where meshes of the unit square and cube go, and what moves with them, for the tests of moving meshes."""

from __future__ import annotations

import numpy as np
from firedrake import Function, SpatialCoordinate, exp

from fem.bathymetry import bathymetry
from fem.problems.advection import Advection, swirling_flow
from meshing.limiter import limit_displacement

LEVEL = 0.5


def limited(mesh, places: np.ndarray) -> Function:
    """Return where the vertices get when they want to go to these places."""
    target = Function(mesh.coordinates.function_space())
    target.dat.data_wo[:] = places - mesh.coordinates.dat.data_ro
    target = limit_displacement(mesh, target, relative=True)
    target.dat.data_wo[:] = target.dat.data_ro + mesh.coordinates.dat.data_ro
    return target


def somewhere(mesh, first: np.ndarray, seed: int, size: float = 0.05, rough: float = 0.1) -> Function:
    """Return a target on the unit square or cube: smooth, and a little at random inside; sides slide."""
    rng = np.random.default_rng(seed)
    shift = np.zeros_like(first)
    for axis in range(first.shape[1]):
        wave = np.cos((5 + axis) * first[:, (axis + 1) % first.shape[1]] + rng.uniform(0, 6))
        shift[:, axis] = size * rng.uniform(-1, 1) * np.sin(np.pi * first[:, axis]) * wave
    inside = ((first > 0) & (first < 1)).all(axis=1, keepdims=True)
    return limited(mesh, first + shift + inside * rough * rng.uniform(-1, 1, first.shape) / len(first) ** 0.5)


def first_places(mesh) -> np.ndarray:
    return mesh.coordinates.dat.data_ro.copy()


def swirl(mesh, degree: int = 1, **change) -> Advection:
    return Advection(mesh=mesh, degree=degree, potential=swirling_flow(speed=1.0, period=1.5), **change)


def island(mesh, degree: int) -> Function:
    """A bed with an island that emerges, and a slope."""
    x = SpatialCoordinate(mesh)
    return bathymetry(
        mesh, 1.3 * exp(-30 * ((x[0] - 0.45) ** 2 + (x[1] - 0.55) ** 2)) - 0.2 + 0.05 * x[0], degree=degree
    )
