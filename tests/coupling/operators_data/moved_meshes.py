"""Moved meshes and random functions for the tests of this folder."""

from __future__ import annotations

import numpy as np
from firedrake import Function, Mesh, MeshHierarchy, PointEvaluator


def moved(mesh):
    """Return a mesh with its vertices moved smoothly, the boundary with them."""
    coordinates = mesh.coordinates.copy(deepcopy=True)
    x = coordinates.dat.data
    x += 0.06 * np.sin(3.0 * x[:, ::-1] + 1.0)
    return Mesh(coordinates)


def random(space, seed: int = 0) -> Function:
    """Return a function of random degrees of freedom."""
    function, rng = Function(space), np.random.default_rng(seed)
    for part in function.subfunctions:
        part.dat.data_wo[...] = rng.normal(size=part.dat.data_ro.shape)
    return function


def moved_hierarchy(base, levels: int):
    """Return a hierarchy moved by way of the coarse vertices; ``MeshHierarchy`` refines a mesh as it was made."""
    meshes = MeshHierarchy(base, levels)
    step = Function(base.coordinates.function_space())
    step.dat.data_wo[:] = 0.06 * np.sin(3.0 * base.coordinates.dat.data_ro[:, ::-1] + 1.0)
    steps = [PointEvaluator(base, mesh.coordinates.dat.data_ro).evaluate(step) for mesh in meshes]
    for mesh, by in zip(meshes, steps, strict=True):
        mesh.coordinates.dat.data[:] += by
    return meshes
