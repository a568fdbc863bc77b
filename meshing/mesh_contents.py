"""What a mesh file of any format says, checked: cells, boundary markers, fields in the vertices."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import meshio
import numpy as np

from meshing.simplex import simplex_volumes

# What has been seen to come back exactly, markers included; all but the last two keep fields (tests/meshing).
WRITABLE = (".msh", ".vtu", ".vtk", ".xdmf", ".xmf", ".med", ".mesh", ".meshb")
# Cell data that carry boundary markers, in the order of preference; else the first integer data of the facets.
_MARKERS = ("gmsh:physical", "medit:ref", "cell_tags", "gmsh:geometrical")
# Cells by what they are; what is missing here is of higher order.
_FACETS = {"triangle": "line", "tetra": "triangle"}
_OTHER = {"quad": "quadrilaterals", "hexahedron": "hexahedra", "wedge": "wedges", "pyramid": "pyramids"}
# A cell is without volume if its volume is below this share of the cube (square) of its longest edge.
_NO_VOLUME = 1e-14
# A mesh lies in a plane if z varies by no more than this share of its extent.
_FLAT = 1e-12


@dataclass(frozen=True)
class MeshContents:
    """A mesh of simplices as a file has it.

    Attributes
    ----------
    file
        All of the file.
    points
        Vertices, shape (N, d), without the third coordinate of meshes in the plane [m].
    cells
        Shape (K, d + 1), vertex numbers.
    facets, markers
        Marked facets, shape (B, d), and their markers, shape (B,), positive. If the file marks none, the whole
        boundary, with marker 1. Interfaces between groups of cells that have no marker get the next one.
    fields
        Fields in the vertices by name, shape (N,) or (N, k), float64.
    """

    file: meshio.Mesh
    points: np.ndarray
    cells: np.ndarray
    facets: np.ndarray
    markers: np.ndarray
    fields: dict[str, np.ndarray]


def read_contents(path: Path) -> MeshContents:
    """Read and check a mesh file of any format that meshio reads.

    Raises
    ------
    ValueError
        With one line: for a file that is absent, of unknown format or broken, for anything but straight triangles in
        the plane or tetrahedra in space, for vertices without a cell, for cells without volume or vertices.
    """
    file = _read(path)
    kind = _kind(path, file)
    blocks = [block.data for block in file.cells if block.type == kind]
    cells = np.concatenate(blocks).astype(np.int64)
    # Some formats repeat a cell for each group that it belongs to.
    _, first = np.unique(np.sort(cells, axis=1), axis=0, return_index=True)
    kept = np.sort(first)
    cells = cells[kept]
    points = np.asarray(file.points, dtype=float)
    if kind == "triangle" and points.shape[1] == 3:
        if np.ptp(points[:, 2]) > _FLAT * np.ptp(points, axis=0).max():
            raise ValueError(
                f"{path}: got triangles that do not lie in a plane of constant z, expected a mesh of the plane or "
                "tetrahedra; curved surfaces cannot be moved"
            )
        points = points[:, :2]
    _check(path, points, cells)
    facets, markers = _markers(file, _FACETS[kind])
    if not len(facets):
        facets = _boundary(cells)
        markers = np.ones(len(facets), dtype=np.int64)
    between = _interfaces(file, kind, cells, kept)
    known = {tuple(facet) for facet in np.sort(facets, axis=1).tolist()}
    between = between[[tuple(facet) not in known for facet in between.tolist()]] if len(between) else between
    facets = np.concatenate([facets, between])
    markers = np.concatenate([markers, np.full(len(between), markers.max() + 1)])
    data = {name: np.asarray(values) for name, values in file.point_data.items() if not name.startswith("gmsh:")}
    fields = {
        name: values.reshape(len(values), -1).astype(float) if values.ndim > 1 else values.astype(float)
        for name, values in data.items()
        if np.issubdtype(values.dtype, np.number) and not np.iscomplexobj(values)
    }
    return MeshContents(file, points, cells, facets, markers, fields)


def check_format(path: Path, *, write: bool) -> None:
    """Check that files with this suffix can be read, or written without loss.

    Raises
    ------
    ValueError
        If they cannot.
    """
    suffix = path.suffix.lower()
    if write and suffix not in WRITABLE:
        raise ValueError(
            f"{path}: got suffix {suffix!r}, expected one of {', '.join(WRITABLE)}, the formats that keep points, "
            "cells and markers exactly; `meshio convert` makes others of them"
        )
    suffixes = ["".join(path.suffixes[i:]).lower() for i in range(len(path.suffixes))]
    if not any(suffix in meshio.extension_to_filetypes for suffix in suffixes):
        raise ValueError(
            f"{path}: got no suffix of a mesh format that meshio reads, expected one such as .msh, .vtu, .xdmf, .vtk; "
            "`meshio convert` makes them of others"
        )


def _read(path: Path) -> meshio.Mesh:
    check_format(path, write=False)
    if not path.is_file():
        raise ValueError(f"{path}: got no such file, expected a mesh file; check the path")
    said = io.StringIO()
    try:
        # meshio prints why it cannot read a file, and ends the process.
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return meshio.read(path)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) if isinstance(error, Exception) else " ".join(said.getvalue().split())
        raise ValueError(
            f"{path}: got a file that meshio cannot read as {path.suffix} ({reason or type(error).__name__}), expected "
            "a mesh; check the file and its suffix"
        ) from None


def _kind(path: Path, file: meshio.Mesh) -> str:
    """Return the type of the cells, triangle or tetra; those of lower dimension are facets."""
    counts: dict[str, int] = {}
    for block in file.cells:
        counts[block.type] = counts.get(block.type, 0) + len(block.data)
    found = {name: count for name, count in counts.items() if count and name not in ("vertex", "line")}
    listed = ", ".join(f"{count} {_OTHER.get(name, name)}" for name, count in found.items()) or "no cells"
    if set(found) == {"triangle"}:
        return "triangle"
    if "tetra" in found and set(found) <= {"tetra", "triangle"}:
        return "tetra"
    remedy = "split the other cells into simplices"
    if any(name.startswith(("triangle", "tetra")) and name not in ("triangle", "tetra") for name in found):
        remedy = "write the mesh with straight cells of first order (gmsh: -order 1)"
    elif not found:
        remedy = "mesh the domain first"
    raise ValueError(
        f"{path}: got {listed}, expected triangles only (in 2D), or tetrahedra with triangles on the boundary; {remedy}"
    )


def _check(path: Path, points: np.ndarray, cells: np.ndarray) -> None:
    if not np.isfinite(points).all():
        raise ValueError(f"{path}: got coordinates that are not finite, expected numbers; mend the file")
    if cells.min() < 0 or cells.max() >= len(points):
        raise ValueError(
            f"{path}: got a cell with vertex {cells.max()} of {len(points)}, expected numbers of vertices in the file"
        )
    dangling = np.setdiff1d(np.arange(len(points)), cells)
    if len(dangling):
        place = ", ".join(f"{x:.6g}" for x in points[dangling[0]])
        raise ValueError(
            f"{path}: got {len(dangling)} vertices that no cell has, the first number {dangling[0]} at ({place}), "
            "expected none; in gmsh save physical groups only, or remove orphaned nodes (meshio: "
            "mesh.remove_orphaned_nodes())"
        )
    corners = points[cells]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    _, uses = np.unique(np.sort(_all_facets(cells), axis=1), axis=0, return_counts=True)
    if uses.max() > 2:
        raise ValueError(
            f"{path}: got {int((uses > 2).sum())} facets that more than two cells share, expected cells that do not "
            "overlap; mesh again"
        )
    flat = np.abs(simplex_volumes(points, cells)) <= _NO_VOLUME * longest ** points.shape[1]
    if flat.any():
        first = int(np.flatnonzero(flat)[0])
        raise ValueError(
            f"{path}: got {int(flat.sum())} cells without volume, the first number {first} with vertices "
            f"{cells[first].tolist()}, expected none; mesh again or merge the vertices"
        )


def _all_facets(cells: np.ndarray) -> np.ndarray:
    """Return the facets of all cells, shape (K (d + 1), d), those inside twice."""
    corners = cells.shape[1]
    return np.concatenate([np.delete(cells, corner, axis=1) for corner in range(corners)])


def _boundary(cells: np.ndarray) -> np.ndarray:
    """Return the facets that only one cell has."""
    facets = _all_facets(cells)
    _, first, uses = np.unique(np.sort(facets, axis=1), axis=0, return_index=True, return_counts=True)
    return facets[first[uses == 1]]


def _markers(file: meshio.Mesh, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the facets of the file and their markers."""
    blocks = [index for index, block in enumerate(file.cells) if block.type == kind and len(block.data)]
    width = {"line": 2, "triangle": 3}[kind]
    count = sum(len(file.cells[index].data) for index in blocks)
    found = {}
    for name, data in file.cell_data.items():
        parts = [np.asarray(data[index]).reshape(len(data[index]), -1) for index in blocks]
        if parts and all(np.issubdtype(part.dtype, np.integer) and part.shape[1] == 1 for part in parts):
            values = np.abs(np.concatenate(parts)[:, 0].astype(np.int64))  # families of MED are negative
            # Zero is no group, and data of unknown meaning that differ everywhere number the facets.
            if values.any() and (name in _MARKERS or len(np.unique(values)) < count):
                found[name] = values
    names = [name for name in _MARKERS if name in found] or list(found)
    if not names:
        return np.zeros((0, width), dtype=np.int64), np.zeros(0, dtype=np.int64)
    facets = np.concatenate([file.cells[index].data for index in blocks]).astype(np.int64)
    markers = found[names[0]]
    return facets[markers > 0], markers[markers > 0]


def _interfaces(file: meshio.Mesh, kind: str, cells: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the facets between cells of different groups, which may not move off the interface."""
    groups = [file.cell_data[name] for name in _MARKERS if name in file.cell_data]
    if not groups:
        return np.zeros((0, cells.shape[1] - 1), dtype=np.int64)
    parts = [np.asarray(groups[0][index]).ravel() for index, block in enumerate(file.cells) if block.type == kind]
    group = np.concatenate(parts)[kept]
    facets, owner = np.sort(_all_facets(cells), axis=1), np.tile(np.arange(len(cells)), cells.shape[1])
    order = np.lexsort(facets.T)
    facets, group = facets[order], group[owner[order]]
    twice = (facets[1:] == facets[:-1]).all(axis=1)
    return facets[1:][twice & (group[1:] != group[:-1])]
