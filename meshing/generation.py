"""Built-in domains, meshed by gmsh: rectangles, boxes, discs, balls, L-shapes, polygons, a channel with a cylinder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import gmsh
import numpy as np
from firedrake import COMM_WORLD, Mesh

from meshing.boundary import attach_boundary
from meshing.curves import Circle
from meshing.gmsh_mesh import Side, gmsh_mesh
from meshing.loops import checked_loops
from meshing.surfaces import Sphere


def rectangle(
    *, width: float = 1.0, height: float = 1.0, size: float, comm=COMM_WORLD, save: str | Path | None = None
) -> Mesh:
    """Mesh the rectangle from (0, 0) to (width, height) with triangles.

    Parameters
    ----------
    width, height
        More than 0 [m].
    size
        Length of edges, about [m].
    comm
        Ranks over which the mesh is distributed.
    save
        File .msh to write it to as well; see ``meshing.gmsh_mesh.gmsh_mesh``.

    Returns
    -------
    Mesh
        Markers: 1 left, 2 right, 3 bottom, 4 top. Vertices on the sides are there bit for bit.

    Raises
    ------
    ValueError
        For a length that is not positive.
    """
    check_lengths("rectangle", {"width": width, "height": height, "size": size})
    corners = np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])
    names = {3: "bottom", 2: "right", 4: "top", 1: "left"}
    return gmsh_mesh("rectangle", 2, lambda: _plane([corners], size, list(names), names), comm, save)


def box(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    height: float = 1.0,
    size: float,
    comm=COMM_WORLD,
    save: str | Path | None = None,
) -> Mesh:
    """Mesh the box from (0, 0, 0) to (width, depth, height) with tetrahedra.

    Parameters
    ----------
    width, depth, height
        Lengths in x, y and z, more than 0 [m].
    size
        Length of edges on the boundary, about; inside they are a third longer [m].
    comm
        Ranks over which the mesh is distributed.
    save
        File .msh to write it to as well; see ``meshing.gmsh_mesh.gmsh_mesh``.

    Returns
    -------
    Mesh
        Markers: 1 and 2 for x = 0 and width, 3 and 4 for y = 0 and depth, 5 and 6 for z = 0 and height. Vertices on
        the sides are there bit for bit.

    Raises
    ------
    ValueError
        For a length that is not positive.
    """
    check_lengths("box", {"width": width, "depth": depth, "height": height, "size": size})
    lengths = np.array([width, depth, height])
    names = ("left", "right", "front", "back", "bottom", "top")

    def build() -> dict[int, Side]:
        gmsh.model.occ.addBox(0, 0, 0, width, depth, height)
        _synchronize(size)
        sides = {}
        for _, tag in gmsh.model.getEntities(2):
            # In the middle of a side one coordinate, as a share of the length, is 0 or 1, and the others are 1/2.
            share = np.array(gmsh.model.occ.getCenterOfMass(2, tag)) / lengths
            axis = int(np.argmax(np.abs(share - 0.5)))
            number = 2 * axis + int(share[axis] > 0.5)
            sides[number + 1] = Side(names[number], [tag])
        return sides

    return gmsh_mesh("box", 3, build, comm, save)


def disc(*, radius: float = 1.0, size: float, comm=COMM_WORLD, save: str | Path | None = None) -> Mesh:
    """Mesh the disc around the origin with triangles.

    Parameters
    ----------
    radius
        More than 0 [m].
    size
        Length of edges, about [m].
    comm
        Ranks over which the mesh is distributed.
    save
        File .msh to write it to as well; see ``meshing.gmsh_mesh.gmsh_mesh``.

    Returns
    -------
    Mesh
        Marker 1 on the circle, along which boundary vertices slide: it is attached, see
        ``meshing.boundary.attach_boundary``.

    Raises
    ------
    ValueError
        For a length that is not positive.
    """
    check_lengths("disc", {"radius": radius, "size": size})

    def build() -> dict[int, Side]:
        gmsh.model.occ.addDisk(0, 0, 0, radius, radius)
        return _whole_boundary("circle", 2, size)

    mesh = gmsh_mesh("disc", 2, build, comm, save)
    attach_boundary(mesh, {1: Circle((0.0, 0.0), radius)})
    return mesh


def ball(*, radius: float = 1.0, size: float, comm=COMM_WORLD, save: str | Path | None = None) -> Mesh:
    """Mesh the ball around the origin with tetrahedra.

    Parameters
    ----------
    radius
        More than 0 [m].
    size
        Length of edges on the boundary, about; inside they are a third longer [m].
    comm
        Ranks over which the mesh is distributed.
    save
        File .msh to write it to as well; see ``meshing.gmsh_mesh.gmsh_mesh``.

    Returns
    -------
    Mesh
        Marker 1 on the sphere, on which boundary vertices slide: it is attached, see
        ``meshing.boundary.attach_boundary``.

    Raises
    ------
    ValueError
        For a length that is not positive.
    """
    check_lengths("ball", {"radius": radius, "size": size})

    def build() -> dict[int, Side]:
        gmsh.model.occ.addSphere(0, 0, 0, radius)
        return _whole_boundary("sphere", 3, size)

    mesh = gmsh_mesh("ball", 3, build, comm, save)
    attach_boundary(mesh, {1: Sphere((0.0, 0.0, 0.0), radius)})
    return mesh


def l_shape(*, side: float = 1.0, size: float, comm=COMM_WORLD, save: str | Path | None = None) -> Mesh:
    """Mesh the square from (0, 0) to (side, side) without its upper right quarter with triangles.

    Parameters
    ----------
    side
        More than 0 [m].
    size
        Length of edges, about [m].
    comm
        Ranks over which the mesh is distributed.
    save
        File .msh to write it to as well; see ``meshing.gmsh_mesh.gmsh_mesh``.

    Returns
    -------
    Mesh
        Markers: 1 left, 2 right, 3 bottom, 4 top, 5 below and 6 beside the quarter that is missing.

    Raises
    ------
    ValueError
        For a length that is not positive.
    """
    check_lengths("l_shape", {"side": side, "size": size})
    corners = side * np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.5], [0.5, 0.5], [0.5, 1.0], [0.0, 1.0]])
    names = {3: "bottom", 2: "right", 5: "inner top", 6: "inner right", 4: "top", 1: "left"}
    return gmsh_mesh("l_shape", 2, lambda: _plane([corners], size, list(names), names), comm, save)


def polygon(
    outline,
    holes: Sequence = (),
    *,
    size: float,
    markers: Sequence[int] | None = None,
    comm=COMM_WORLD,
    save: str | Path | None = None,
) -> Mesh:
    """Mesh a polygon, with holes or without, with triangles.

    Parameters
    ----------
    outline
        Corners in order, in either sense, the last joined to the first, shape (n, 2) [m].
    holes
        Corners of each hole, shape (n_k, 2) each [m].
    size
        Length of edges, about [m].
    markers
        Marker of each side, of the outline's first and then of the holes', hole by hole: the side from a corner to the
        next. Positive. By default 1 for the outline and 2, 3, ... for the holes.
    comm
        Ranks over which the mesh is distributed.
    save
        File .msh to write it to as well; see ``meshing.gmsh_mesh.gmsh_mesh``.

    Returns
    -------
    Mesh
        With these markers.

    Raises
    ------
    ValueError
        For outlines that do not bound a domain, see ``meshing.loops.checked_loops``; a size or a marker that is not
        positive; another number of markers.
    """
    check_lengths("polygon", {"size": size})
    loops = checked_loops("polygon", outline, holes)
    sides = [number + 1 for number, loop in enumerate(loops) for _ in loop]
    names = {1: "outline"} | {number + 1: f"hole {number}" for number in range(1, len(loops))}
    if markers is not None:
        given = [int(marker) for marker in markers]
        if len(given) != len(sides) or min(given) < 1:
            raise ValueError(f"polygon: got markers {given}, expected {len(sides)} positive ones, one for each side")
        sides, names = given, {marker: f"side {marker}" for marker in given}
    return gmsh_mesh("polygon", 2, lambda: _plane(loops, size, sides, names), comm, save)


def channel_with_cylinder(
    *,
    length: float = 2.2,
    height: float = 0.41,
    centre: tuple[float, float] = (0.2, 0.2),
    radius: float = 0.05,
    size: float = 0.04,
    cylinder_size: float = 0.01,
    comm=COMM_WORLD,
    save: str | Path | None = None,
) -> Mesh:
    """Mesh a channel from (0, 0) to (length, height) around a cylinder with triangles.

    The domain is that of the benchmark 2D-1 of Schäfer and Turek (1996), Benchmark computations of laminar flow around
    a cylinder, Notes on Numerical Fluid Mechanics 52, figure 1, unless something else is given.

    Parameters
    ----------
    length, height
        More than 0 [m].
    centre, radius
        Of the cylinder, which lies in the channel [m].
    size
        Length of edges in the channel, about [m].
    cylinder_size
        Length of edges at the cylinder, about [m]; in between it changes smoothly.
    comm
        Ranks over which the mesh is distributed.
    save
        File .msh to write it to as well; see ``meshing.gmsh_mesh.gmsh_mesh``.

    Returns
    -------
    Mesh
        Markers: 1 inflow (left), 2 outflow (right), 3 bottom, 4 top, 5 cylinder, along whose circle boundary vertices
        slide: it is attached, see ``meshing.boundary.attach_boundary``.

    Raises
    ------
    ValueError
        For a length that is not positive, a cylinder that is not in the channel.
    """
    check_lengths(
        "channel_with_cylinder",
        {"length": length, "height": height, "radius": radius, "size": size, "cylinder_size": cylinder_size},
    )
    x, y = (float(coordinate) for coordinate in centre)
    if not min(x, y, length - x, height - y) > radius:
        raise ValueError(
            f"channel_with_cylinder: got a cylinder of radius {radius:g} around ({x:g}, {y:g}), expected it inside the "
            f"channel of {length:g} by {height:g} with space around it"
        )
    corners = np.array([[0.0, 0.0], [length, 0.0], [length, height], [0.0, height]])
    names = {3: "bottom", 2: "outflow", 4: "top", 1: "inflow"}

    def build() -> dict[int, Side]:
        circle = gmsh.model.occ.addCircle(x, y, 0, radius)
        gmsh.model.occ.synchronize()
        gmsh.model.mesh.setSize(gmsh.model.getEntities(0), cylinder_size)
        hole = gmsh.model.occ.addCurveLoop([circle])
        return _plane([corners], size, list(names), names, [hole]) | {5: Side("cylinder", [circle])}

    mesh = gmsh_mesh("channel_with_cylinder", 2, build, comm, save)
    attach_boundary(mesh, {5: Circle((x, y), radius)})
    return mesh


def check_lengths(name: str, lengths: Mapping[str, float]) -> None:
    """Check that lengths are positive.

    Raises
    ------
    ValueError
        For the first that is not, or not finite.
    """
    for quantity, length in lengths.items():
        if not 0.0 < length < np.inf:
            raise ValueError(f"{name}: got {quantity} {length}, expected a positive length in m")


def _plane(
    loops: Sequence[np.ndarray],
    size: float,
    markers: Sequence[int],
    names: Mapping[int, str],
    holes: Sequence[int] = (),
) -> dict[int, Side]:
    """Build the plane domain within a loop and outside others; return its straight sides by marker.

    ``holes`` are curve loops that gmsh has already.
    """
    occ = gmsh.model.occ
    tags: dict[int, list[int]] = {}
    marker_of_side = iter(markers)
    curve_loops = []
    for loop in loops:
        points = [occ.addPoint(x, y, 0, size) for x, y in loop.tolist()]
        lines = [occ.addLine(start, end) for start, end in zip(points, points[1:] + points[:1], strict=True)]
        for line in lines:
            tags.setdefault(next(marker_of_side), []).append(line)
        curve_loops.append(occ.addCurveLoop(lines))
    occ.addPlaneSurface([*curve_loops, *holes])
    occ.synchronize()
    return {marker: Side(names[marker], tags[marker]) for marker in sorted(tags)}


def _synchronize(size: float) -> None:
    """Let gmsh know the model, with one mesh size everywhere."""
    gmsh.model.occ.synchronize()
    gmsh.model.mesh.setSize(gmsh.model.getEntities(0), size)


def _whole_boundary(name: str, dimension: int, size: float) -> dict[int, Side]:
    _synchronize(size)
    return {1: Side(name, [tag for _, tag in gmsh.model.getEntities(dimension - 1)])}
