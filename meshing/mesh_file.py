"""Mesh files of any format in, and out again with the vertices moved and everything else kept."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import meshio
import numpy as np
from firedrake import COMM_WORLD, Function, FunctionSpace, VectorFunctionSpace

from meshing.collective import on_first_rank
from meshing.mesh_contents import MeshContents, check_format, read_contents
from meshing.plex import mesh_from_cells


@dataclass(frozen=True)
class MeshFile:
    """A mesh that came from a file.

    Attributes
    ----------
    mesh
        Firedrake's mesh; facet markers of the file are its markers. Without any the whole boundary has marker 1.
    point_fields
        Fields in the vertices by name, P1 functions on the mesh: scalars, or vectors of as many components as the
        file has.
    vertices
        Number in the file of each vertex that this rank knows, in the order of the coordinates, shape (N,).
    contents
        What the file says, on the first rank; None on others.
    """

    mesh: Any
    point_fields: dict[str, Function]
    vertices: np.ndarray
    contents: MeshContents | None

    def in_file_order(self, function: Function) -> np.ndarray | None:
        """Return the values of a P1 function in the order of the file's vertices on the first rank; None on others."""
        own = function.dat.data_ro
        parts = self.mesh.comm.gather((self.vertices[: len(own)], own))
        if parts is None:
            return None
        values = np.empty((sum(len(numbers) for numbers, _ in parts), *own.shape[1:]))
        for numbers, part in parts:
            values[numbers] = part
        return values


def read_mesh(path: str | Path, comm=COMM_WORLD) -> MeshFile:
    """Read a mesh of simplices from a file of any format that meshio reads.

    Parameters
    ----------
    path
        File: .msh, .vtu, .xdmf, .vtk, ... Triangles, in the plane (z constant), with lines as marked facets; or
        tetrahedra with triangles. Markers are the integer cell data ``gmsh:physical``, ``medit:ref``, ``cell_tags``,
        ``gmsh:geometrical``, or the first others of the facets.
    comm
        Ranks over which the mesh is distributed. The first reads.

    Returns
    -------
    MeshFile
        Coordinates are those of the file bit for bit, whatever the number of ranks; vertices at the same place stay
        apart.

    Raises
    ------
    ValueError
        On all ranks, with one line; see ``meshing.mesh_contents.read_contents``.
    """
    contents = on_first_rank(comm, lambda: read_contents(Path(path)))
    arrays: tuple[np.ndarray | None, ...] = (None,) * 4
    if contents is not None:
        arrays = (contents.points, contents.cells, contents.facets, contents.markers)
    points, cells, facets, markers = arrays
    mesh = mesh_from_cells(points, cells, facets, markers, comm, Path(path).stem)
    shapes = None if contents is None else {name: values.shape[1:] for name, values in contents.fields.items()}
    vertices = _file_vertices(mesh, comm)
    fields = {}
    for name, shape in comm.bcast(shapes).items():
        space = VectorFunctionSpace(mesh, "CG", 1, shape[0]) if shape else FunctionSpace(mesh, "CG", 1)
        values = comm.bcast(None if contents is None else contents.fields[name])
        fields[name] = Function(space, name=name)
        data = fields[name].dat.data_wo_with_halos
        data[:] = values[vertices].reshape(data.shape)
    return MeshFile(mesh, fields, vertices, contents)


def write_mesh(
    path: str | Path, mesh_file: MeshFile, coordinates: Function, point_fields: Mapping[str, Function]
) -> None:
    """Write a mesh that came from a file with its vertices moved, in any format that meshio writes.

    Parameters
    ----------
    path
        File to write; the suffix says the format.
    mesh_file
        The mesh as read. Order of vertices and cells, markers and other data of cells, names of groups are kept.
    coordinates
        Vertices, in the space of the mesh's coordinates [m].
    point_fields
        Fields to write, P1 functions in the order of the mesh's vertices, by name.

    Raises
    ------
    ValueError
        On all ranks, with one line, if the format cannot be written.
    """
    points = mesh_file.in_file_order(coordinates)
    fields = {name: mesh_file.in_file_order(function) for name, function in point_fields.items()}
    on_first_rank(mesh_file.mesh.comm, lambda: _write(Path(path), mesh_file.contents, points, fields))


def _write(
    path: Path, contents: MeshContents | None, points: np.ndarray | None, fields: dict[str, np.ndarray | None]
) -> None:
    check_format(path, write=True)
    assert contents is not None and points is not None
    file = contents.file
    all_points = np.array(file.points, dtype=float)
    all_points[:, : points.shape[1]] = points
    data = {}
    for name, values in fields.items():
        assert values is not None
        shape = np.shape(file.point_data.get(name, values))
        values = values.reshape(shape) if np.prod(shape) == values.size else values
        # Vectors of the plane get a third component, as most formats have no others.
        data[name] = np.pad(values, ((0, 0), (0, 1))) if values.shape[1:] == (2,) else values
    mesh = meshio.Mesh(
        all_points,
        file.cells,
        point_data=data,
        cell_data=file.cell_data,
        field_data=file.field_data,
        cell_sets=file.cell_sets,
    )
    try:
        # Of the formats that share this suffix the one that keeps markers cell by cell.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            mesh.write(path, file_format="gmsh22" if path.suffix.lower() == ".msh" else None)
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{path}: got a mesh that meshio cannot write there ({reason}), expected fields for this format and a "
            "folder to write in; .vtu and .xdmf take everything"
        ) from None


def _file_vertices(mesh, comm) -> np.ndarray:
    """Return the number in the file of each vertex this rank knows."""
    section = FunctionSpace(mesh, "CG", 1).dm.getLocalSection()
    topology = mesh.topology
    first, last = topology.topology_dm.getDepthStratum(0)
    nodes = np.array([section.getOffset(point) for point in range(first, last)], dtype=np.int64)
    points = np.arange(first, last)
    if topology.sfBC is not None:
        # From points of this rank to points of the mesh before it was distributed.
        _, leaves, roots = topology.sfBC.getGraph()
        original = np.full(topology.topology_dm.getChart()[1], -1)
        original[np.arange(len(roots)) if leaves is None else leaves] = roots[:, 1]
        points = original[points]
    # In a plex made of a list of cells the vertices come after the cells, in the order given.
    vertices = np.empty(len(nodes), dtype=np.int64)
    vertices[nodes] = points - comm.allreduce(mesh.cell_set.size)
    return vertices
