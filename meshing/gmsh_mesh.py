"""Meshes that gmsh makes of a model, on the first rank, handed to Firedrake with their markers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import gmsh
import numpy as np
from firedrake import Mesh

from meshing.collective import on_first_rank
from meshing.plex import mesh_from_cells

# What makes a mesh, set each time: whoever has gmsh open already may have set it to something else.
_OPTIONS = {
    "General.Terminal": 0,
    "General.NumThreads": 1,
    "Geometry.Tolerance": 1e-8,
    "Mesh.Algorithm": 6,  # frontal Delaunay
    "Mesh.Algorithm3D": 1,  # Delaunay
    "Mesh.ElementOrder": 1,
    "Mesh.MaxNumThreads1D": 1,
    "Mesh.MaxNumThreads2D": 1,
    "Mesh.MaxNumThreads3D": 1,
    "Mesh.MeshSizeExtendFromBoundary": 1,
    "Mesh.MeshSizeFactor": 1,
    "Mesh.MeshSizeFromCurvature": 0,
    "Mesh.MeshSizeFromPoints": 1,
    "Mesh.MeshSizeMax": 1e22,
    "Mesh.MeshSizeMin": 0,
    "Mesh.MshFileVersion": 4.1,
    "Mesh.RandomFactor": 1e-9,
    "Mesh.RandomFactor3D": 1e-12,
    "Mesh.RandomSeed": 1,
    "Mesh.RecombineAll": 0,
    "Mesh.SaveAll": 0,
    "Mesh.Smoothing": 1,
    "Mesh.SubdivisionAlgorithm": 0,
}
# Types of simplices in gmsh by their dimension.
_TYPES = {1: 1, 2: 2, 3: 4}


class Side(NamedTuple):
    """Name and gmsh's curves (2D) or surfaces (3D) of the part of the boundary with one marker."""

    name: str
    tags: Sequence[int]


def gmsh_mesh(
    name: str, dimension: int, build: Callable[[], Mapping[int, Side]], comm, save: str | Path | None = None
) -> Mesh:
    """Make a mesh of a model that gmsh knows, distributed over the ranks; collective.

    Parameters
    ----------
    name
        Name of the mesh, and of what calls in errors.
    dimension
        Dimension d of the domain, 2 or 3.
    build
        Builds a model in gmsh's OpenCASCADE kernel, lengths in m, with mesh sizes at its points, and returns the sides
        by marker. Only the first rank calls it.
    comm
        Ranks over which the mesh is distributed.
    save
        File to write the mesh to as well, .msh, with the names of the sides; the CAD model goes beside it as .brep, in
        which ``meshing.cad_boundary.attach_cad`` finds the shape of the boundary.

    Returns
    -------
    Mesh
        The same for the same model, but for the distribution; gmsh is left as it was found.

    Raises
    ------
    ValueError
        On all ranks, if the file cannot be written or gmsh cannot make a mesh.
    """
    path = None if save is None else Path(save)
    arrays = on_first_rank(comm, lambda: _generate(name, dimension, build, path))
    points, cells, facets, markers = arrays or (None, None, None, None)
    return mesh_from_cells(points, cells, facets, markers, comm, name)


def _generate(
    name: str, dimension: int, build: Callable[[], Mapping[int, Side]], save: Path | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return points, cells, facets and markers of the mesh of a model."""
    if save is not None and (save.suffix != ".msh" or not save.parent.is_dir()):
        raise ValueError(f"{name}: got {save} to save to, expected a file .msh in a folder that is there")
    with _model(f"driftmesh {name}"):
        try:
            sides = build()
            gmsh.model.occ.synchronize()
            for marker, side in sides.items():
                gmsh.model.addPhysicalGroup(dimension - 1, list(side.tags), marker, name=side.name)
            domain = [tag for _, tag in gmsh.model.getEntities(dimension)]
            gmsh.model.addPhysicalGroup(dimension, domain, 1, name="domain")
            gmsh.model.mesh.generate(dimension)
            if save is not None:
                gmsh.write(str(save))
                gmsh.write(str(save.with_suffix(".brep")))
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{name}: got no mesh from gmsh ({reason}), expected one; try another size, and lengths from 1e-6 to "
                "1e6"
            ) from None
        return _arrays(dimension, sides)


@contextmanager
def _model(name: str) -> Iterator[None]:
    """Have an empty model of gmsh for a while; who has gmsh open already finds it as it was."""
    started = not gmsh.isInitialized()
    if started:
        gmsh.initialize(readConfigFiles=False, interruptible=False)
    options = {option: gmsh.option.getNumber(option) for option in _OPTIONS}
    before = gmsh.model.getCurrent()
    for option, value in _OPTIONS.items():
        gmsh.option.setNumber(option, value)
    gmsh.model.add(name)
    try:
        yield
    finally:
        gmsh.model.remove()
        for option, value in options.items():
            gmsh.option.setNumber(option, value)
        gmsh.model.setCurrent(before)
        if started:
            gmsh.finalize()


def _arrays(dimension: int, sides: Mapping[int, Side]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return points, cells, facets and markers of the current mesh."""
    tags, places, _ = gmsh.model.mesh.getNodes()
    cells = gmsh.model.mesh.getElementsByType(_TYPES[dimension])[1].astype(np.int64).reshape(-1, dimension + 1)
    facets, markers = [np.zeros((0, dimension), dtype=np.int64)], []
    for marker, side in sides.items():
        for tag in side.tags:
            found = gmsh.model.mesh.getElementsByType(_TYPES[dimension - 1], tag)[1].astype(np.int64)
            facets.append(found.reshape(-1, dimension))
            markers += [marker] * len(facets[-1])
    # Nodes without a cell, such as the centre of a circle, are left out.
    used, cells = np.unique(cells, return_inverse=True)
    order = np.argsort(tags)
    points = places.reshape(-1, 3)[order[np.searchsorted(tags[order], used)], :dimension]
    numbers = np.searchsorted(used, np.concatenate(facets))
    return points.copy(), cells.reshape(-1, dimension + 1), numbers, np.array(markers, dtype=np.int64)
