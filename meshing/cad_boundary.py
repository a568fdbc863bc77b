"""Which curves or surfaces of a CAD file are the boundary of a mesh that was made from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meshing.boundary import Boundary, attach_boundary
from meshing.cad import CADCurve, CADSurface, cad_tags
from meshing.outline import UNMARKED, mesh_outline
from meshing.simplex import edge_lengths, vector_lengths

# A facet is on an entity if its vertices are within this share of its shortest edge; as ``attach_boundary`` has it.
_TOLERANCE = 1e-2


def attach_cad(mesh, path: str | Path) -> Boundary:
    """Say that a mesh's boundary has the shape of a CAD file, as ``meshing.boundary.attach_boundary`` does.

    Each marker gets the curves (2D) or surfaces (3D) of the file on which all vertices of some facet with it lie.
    Parts of the boundary whose marker is on none are left to be found from their vertices; so are those without marker.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D, in the unit of length of the file.
    path
        File that gmsh reads: .brep, .step, .iges or .geo. Every rank reads it.

    Returns
    -------
    Boundary
        The same shape on any number of ranks.

    Raises
    ------
    ValueError
        If the file cannot be read, if no part of the boundary is on anything in it, or if only a part of the facets
        with a marker is.
    """
    outline, dimension = mesh_outline(mesh), mesh.geometric_dimension
    kind = {2: CADCurve, 3: CADSurface}[dimension]
    corners = outline.points[outline.facets]
    near = _TOLERANCE * edge_lengths(corners).min(axis=1)
    tags: dict[int, list[int]] = {}
    for tag in cad_tags(path, dimension - 1):
        away = vector_lengths(kind(path, tag).closest(outline.points) - outline.points)
        on = away[outline.facets].max(axis=1) <= near
        for marker in np.unique(outline.markers[on & (outline.markers != UNMARKED)]).tolist():
            tags.setdefault(marker, []).append(tag)
    if not tags:
        raise ValueError(
            f"CAD: got {path}, on nothing of which a marked facet of the boundary lies, expected the geometry that "
            "the mesh was made from, in its unit of length"
        )
    return attach_boundary(mesh, {marker: kind(path, tags[marker]) for marker in tags})
