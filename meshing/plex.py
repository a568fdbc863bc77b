"""Firedrake's mesh from arrays of vertices, cells and marked facets."""

from __future__ import annotations

import numpy as np
from firedrake import COMM_WORLD, Mesh
from firedrake.mesh import plex_from_cell_list

# Name of the label from which Firedrake takes the markers of facets.
_LABEL = "Face Sets"


def mesh_from_cells(
    points: np.ndarray | None,
    cells: np.ndarray | None,
    facets: np.ndarray | None,
    markers: np.ndarray | None,
    comm=COMM_WORLD,
    name: str | None = None,
) -> Mesh:
    """Make a mesh of simplices from arrays, distributed over the ranks.

    Parameters
    ----------
    points
        Vertices, each of some cell, shape (N, d), float [m]. The arrays of the first rank count; others may give None.
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers, of either orientation.
    facets
        Vertex numbers of each facet that has a marker, shape (B, d), integers. Facets inside may be among them; a
        facet may come twice.
    markers
        Marker of each of these facets, shape (B,), integers, not negative.
    comm
        Ranks over which the mesh is distributed; all of them call.
    name
        Name of the mesh.

    Returns
    -------
    Mesh
        Coordinates and markers are those given, bit for bit, on any number of ranks: ``ds(marker)`` integrates over
        the facets with this marker, or ``dS(marker)`` inside. Facets that are not named have no marker.

    Raises
    ------
    ValueError
        On all ranks: for a vertex that no cell has or that is not there, a facet that is not one of a cell's, a facet
        with two markers, a negative marker.
    """
    message = _wrong(points, cells, facets, markers) if comm.rank == 0 else None
    _raise_everywhere(message, comm)
    dimension = comm.bcast(points.shape[1] if points is not None else None)
    plex = plex_from_cell_list(dimension, cells, points, comm)
    plex.createLabel(_LABEL)
    message = _label(plex, facets, markers) if comm.rank == 0 else None
    _raise_everywhere(message, comm)
    return Mesh(plex, comm=comm) if name is None else Mesh(plex, comm=comm, name=name)


def _raise_everywhere(message: str | None, comm) -> None:
    """Raise what the first rank has to say on all."""
    message = comm.bcast(message)
    if message is not None:
        raise ValueError(message)


def _wrong(points, cells, facets, markers) -> str | None:
    """Return what is wrong with the arrays."""
    for name, numbers in (("cells", cells), ("facets", facets)):
        outside = numbers[(numbers < 0) | (numbers >= len(points))]
        if len(outside):
            return f"{name}: got vertex {outside[0]} of {len(points)}, expected numbers from 0 to {len(points) - 1}"
    without = np.setdiff1d(np.arange(len(points)), cells)
    if len(without):
        return (
            f"points: got {len(without)} vertices that no cell has, the first number {without[0]}, expected none; "
            "leave them out"
        )
    if len(markers) and markers.min() < 0:
        return f"markers: got {markers.min()}, expected no negative marker; give facets without marker no entry"
    return None


def _label(plex, facets, markers) -> str | None:
    """Put the markers on the facets; return what is wrong with a facet."""
    first = plex.getDepthStratum(0)[0]
    low, high = plex.getHeightStratum(1)
    label = plex.getLabel(_LABEL)
    for facet, marker in zip(facets.tolist(), markers.tolist(), strict=True):
        join = plex.getFullJoin([first + vertex for vertex in facet])
        if len(join) != 1 or not low <= join[0] < high:
            return f"facets: got vertices {facet}, expected the facet of a cell; leave others out"
        before = label.getValue(join[0])
        if before not in (-1, marker):
            return f"markers: got {before} and {marker} for the facet {facet}, expected one marker for each facet"
        label.setValue(join[0], marker)
    return None
