"""Random domains and meshes to train and test movers on: made here, as ``learned`` knows no mesh generator."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import Delaunay

from learned.graph import MeshGraph, cell_edges, facet_vectors, unit_normals

KINDS = ("square", "lattice", "rectangle", "l-shape", "disc", "ring", "polygon", "holes", "warped")
# Drawn for data sets only: the weights that are shipped have not seen any in training.
AIRFOIL = "airfoil"


def random_mesh(rng: np.random.Generator, *, nodes: int, kind: str | None = None) -> MeshGraph:
    """Return a mesh of a random domain in the plane.

    Parameters
    ----------
    rng
        Source of randomness.
    nodes
        Number of vertices wanted, roughly met.
    kind
        One of ``KINDS``, drawn if None, or ``AIRFOIL``.

    Returns
    -------
    MeshGraph
        Triangles of positive area, each vertex in one; the domain has size about 1.

    Raises
    ------
    ValueError
        For another kind.
    """
    if kind is None:
        kind = str(rng.choice(KINDS))
    if kind not in (*KINDS, AIRFOIL):
        raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(KINDS)}, {AIRFOIL}")
    if kind == "lattice":
        return _lattice(rng, nodes)
    while True:
        loops = _loops(rng, kind)
        area = sum(_area(loop) for loop in loops)
        graph = _triangulate(rng, loops, np.sqrt(2.0 / np.sqrt(3.0) * area / nodes))
        if graph is not None:
            return graph


def box_mesh(rng: np.random.Generator, *, nodes: int) -> MeshGraph:
    """Return a mesh of a box of random sides, cubes cut into six tetrahedra, its inner vertices shaken a little."""
    sides = rng.uniform(0.5, 1.0, 3)
    counts = np.maximum(2, np.round(sides * (nodes / sides.prod()) ** (1 / 3)).astype(int) - 1)
    axes = [np.linspace(0.0, side, count + 1) for side, count in zip(sides, counts, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    number = np.arange(len(points)).reshape(counts + 1)
    low = np.stack(np.meshgrid(*[np.arange(count) for count in counts], indexing="ij"), axis=-1).reshape(-1, 3)
    cells = []
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        place, path = low.copy(), [number[tuple(low.T)]]
        for axis in order:
            place = place + np.eye(3, dtype=int)[axis]
            path.append(number[tuple(place.T)])
        cells.append(np.stack(path, axis=1))
    inner = np.all((points > 1e-9) & (points < sides - 1e-9), axis=1)
    points[inner] += rng.uniform(-0.1, 0.1, (np.count_nonzero(inner), 3)) * sides / counts
    return graph_of(points, np.concatenate(cells))


def graph_of(points: np.ndarray, cells: np.ndarray) -> MeshGraph:
    """Return the graph of points, shape (N, d), and simplices, shape (K, d + 1), turned to positive volume."""
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    cells = cells.astype(np.int64)
    negative = np.linalg.det(edges) < 0
    cells[negative, -2:] = cells[negative, :-3:-1]
    facets = _outer_facets(cells)
    pos, outer = torch.from_numpy(points.astype(float)), torch.from_numpy(facets)
    vectors = facet_vectors(pos, outer)
    sums = torch.zeros(len(pos), pos.shape[1] + 1, dtype=pos.dtype, device=pos.device)
    parts = torch.cat([vectors, torch.linalg.vector_norm(vectors, dim=1, keepdim=True)], dim=1)
    for corner in outer.T:
        sums.index_add_(0, corner, parts)
    markers = torch.full((len(pos),), -2, dtype=torch.int64, device=pos.device)
    markers[outer.reshape(-1)] = 1
    simplices = torch.from_numpy(cells)
    return MeshGraph(
        pos=pos,
        cells=simplices,
        edge_index=cell_edges(simplices),
        facets=outer,
        facet_markers=torch.ones_like(outer[:, 0]),
        vertex_markers=markers,
        normals=unit_normals(sums[:, :-1], sums[:, -1]),
        owned=torch.ones_like(markers, dtype=torch.bool),
    )


def _outer_facets(cells: np.ndarray) -> np.ndarray:
    """Return the facets of one cell only, turned outward."""
    corners = cells.shape[1]
    # The facet opposite to corner i of a cell of positive volume points outward in this order.
    orders = [(1, 2), (2, 0), (0, 1)] if corners == 3 else [(1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1)]
    facets = np.concatenate([cells[:, order] for order in orders])
    _, first, count = np.unique(np.sort(facets, axis=1), axis=0, return_index=True, return_counts=True)
    return facets[first[count == 1]]


def _lattice(rng: np.random.Generator, nodes: int) -> MeshGraph:
    """Return squares cut into triangles: along one diagonal, along alternating ones, or along both."""
    count = max(3, round(np.sqrt(nodes)) - 1)
    line = np.linspace(0.0, 1.0, count + 1)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    number = np.arange(len(points)).reshape(count + 1, count + 1)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    i, j = np.divmod(np.arange(count * count), count)
    falling = {0: np.zeros_like(i, dtype=bool), 1: (i + j) % 2 == 0, 2: np.ones_like(i, dtype=bool)}[
        int(rng.integers(3))
    ]
    rising = ~falling
    cells = [np.stack([a, b, c], 1)[rising], np.stack([a, c, d], 1)[rising]]
    cells += [np.stack([a, b, d], 1)[falling], np.stack([b, c, d], 1)[falling]]
    return graph_of(points, np.concatenate(cells))


def _loops(rng: np.random.Generator, kind: str) -> list[np.ndarray]:
    """Return polygons, the outer one counter-clockwise, holes clockwise."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    if kind == "square":
        return [square]
    if kind == "rectangle":
        return [square * [1.0, rng.uniform(0.25, 0.9)]]
    if kind == "l-shape":
        x, y = rng.uniform(0.3, 0.7, 2)
        return [np.array([[0, 0], [1, 0], [1, y], [x, y], [x, 1], [0, 1]], dtype=float)]
    if kind == "disc":
        return [_ellipse(0.5, rng.uniform(0.3, 0.5))]
    if kind == "ring":
        radius = rng.uniform(0.12, 0.3)
        return [_ellipse(0.5, 0.5), _ellipse(radius, radius)[::-1] + rng.uniform(-0.1, 0.1, 2)]
    if kind == "holes":
        outer = [square, square * [1.0, 0.6], _star(rng)][int(rng.integers(3))]
        return [outer, *_holes(rng, outer)]
    if kind == "airfoil":
        return [square * [1.0, rng.uniform(0.5, 1.0)], _airfoil(rng)]
    if kind == "warped":
        loops = [square, *_holes(rng, square)] if rng.random() < 0.5 else [square]
        phase, strength = rng.uniform(0.0, 2.0 * np.pi, (2, 2)), rng.uniform(0.02, 0.09, 2)
        bend = [np.repeat(loop, 40, axis=0) for loop in loops]
        for loop, fine in zip(loops, bend, strict=True):
            share = np.tile(np.arange(40) / 40.0, len(loop))[:, None]
            fine += share * (np.repeat(np.roll(loop, -1, axis=0), 40, axis=0) - fine)
            fine += np.stack(
                [
                    strength[0] * np.sin(2.0 * np.pi * fine[:, 1] + phase[0, 0]),
                    strength[1] * np.sin(2.0 * np.pi * fine[:, 0] + phase[0, 1]),
                ],
                axis=1,
            )
        return bend
    return [_star(rng)]


def _star(rng: np.random.Generator) -> np.ndarray:
    """Return a polygon of 4 to 9 corners about the origin, often not convex."""
    count = int(rng.integers(4, 10))
    angles = 2.0 * np.pi * (np.arange(count) + rng.uniform(-0.25, 0.25, count)) / count
    radii = rng.uniform(0.28, 0.55, count)
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _holes(rng: np.random.Generator, outer: np.ndarray) -> list[np.ndarray]:
    low, high = outer.min(axis=0), outer.max(axis=0)
    holes: list[np.ndarray] = []
    for _ in range(40):
        if len(holes) >= int(rng.integers(1, 4)):
            break
        centre, radius = rng.uniform(low, high), rng.uniform(0.05, 0.14)
        clear = [np.linalg.norm(centre - hole.mean(axis=0)) > 2.2 * 0.14 + 0.08 for hole in holes]
        around = centre + 1.6 * _ellipse(radius, radius)
        if all(clear) and _inside(around, [outer]).all():
            sides = int(rng.choice([3, 4, 5, 40]))
            holes.append(centre + _ellipse(radius, radius, sides)[::-1])
    return holes


def _airfoil(rng: np.random.Generator) -> np.ndarray:
    """Return a NACA four-digit airfoil with a closed trailing edge, clockwise (Jacobs, Ward and Pinkerton 1933)."""
    thickness, camber, place = rng.uniform(0.10, 0.2), rng.uniform(0.0, 0.06), rng.uniform(0.3, 0.5)
    # From the trailing edge along one side to the leading edge and back, closer where it is bent.
    angle = np.linspace(0.0, 2.0 * np.pi, 120, endpoint=False)
    x, side = 0.5 * (1.0 + np.cos(angle)), np.sign(np.sin(angle))
    # The last coefficient, 0.1015 originally, is such that the two sides meet.
    series = 0.2969 * np.sqrt(x) - 0.1260 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1036 * x**4
    ahead = x < place
    line = np.where(
        ahead, (2.0 * place - x) * x / place**2, (1.0 - 2.0 * place + (2.0 * place - x) * x) / (1 - place) ** 2
    )
    points = np.stack([x - 0.5, camber * line + 5.0 * thickness * side * series], axis=1)
    turn, chord = rng.uniform(-0.2, 0.2), rng.uniform(0.3, 0.5)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (chord * points @ rotation + [0.45, 0.25])[::-1]


def _ellipse(a: float, b: float, count: int = 120) -> np.ndarray:
    angles = 2.0 * np.pi * np.arange(count) / count
    return np.stack([a * np.cos(angles), b * np.sin(angles)], axis=1)


def _area(loop: np.ndarray) -> float:
    after = np.roll(loop, -1, axis=0)
    return 0.5 * float((loop[:, 0] * after[:, 1] - loop[:, 1] * after[:, 0]).sum())


def _inside(points: np.ndarray, loops: list[np.ndarray]) -> np.ndarray:
    """Return which points are inside, by counting how often a ray to the right crosses the loops."""
    crossings = np.zeros(len(points), dtype=int)
    x, y = points.T
    for loop in loops:
        for (ax, ay), (bx, by) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
            if ay != by:
                crossings += ((ay > y) != (by > y)) & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return crossings % 2 == 1


def _resampled(loop: np.ndarray, spacing: float) -> np.ndarray:
    """Return a polygon with its corners, turns of more than 25 degrees, kept and points at equal distances between."""
    ahead = np.roll(loop, -1, axis=0) - loop
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    corners = np.flatnonzero((ahead * np.roll(ahead, 1, axis=0)).sum(axis=1) < np.cos(np.radians(25.0)))
    starts = corners if len(corners) else np.array([0])
    result = []
    for start, end in zip(starts, np.roll(starts, -1), strict=True):
        run = np.arange(start, end + 1 if end > start else end + len(loop) + 1) % len(loop)
        path = loop[run]
        reach = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        places = np.linspace(0.0, reach[-1], max(2, round(reach[-1] / spacing) + 1))[:-1]
        result.append(np.stack([np.interp(places, reach, path[:, axis]) for axis in (0, 1)], axis=1))
    return np.concatenate(result)


def _triangulate(rng: np.random.Generator, loops: list[np.ndarray], spacing: float) -> MeshGraph | None:
    """Return a mesh between loops, or None where Delaunay triangles do not keep to them."""
    loops = [_resampled(loop, spacing) for loop in loops]
    outline = np.concatenate(loops)
    low, high = outline.min(axis=0), outline.max(axis=0)
    rows = np.arange(low[1], high[1], spacing * np.sqrt(3.0) / 2.0)
    columns = np.arange(low[0], high[0], spacing)
    inner = np.stack(np.meshgrid(columns, rows), axis=-1)
    inner[1::2, :, 0] += 0.5 * spacing
    inner = inner.reshape(-1, 2) + rng.normal(0.0, rng.choice([0.02, 0.12]) * spacing, (inner.size // 2, 2))
    inner = inner[_inside(inner, loops)]
    gap = np.linalg.norm(inner[:, None] - outline[None], axis=2).min(axis=1) if len(inner) else np.zeros(0)
    points = np.concatenate([outline, inner[gap > 0.6 * spacing]])
    for _ in range(4):
        cells = Delaunay(points).simplices
        cells = cells[_inside(points[cells].mean(axis=1), loops)]
        cells = cells[_heights(points, cells) > 0.02 * spacing]
        sums, counts = np.zeros_like(points), np.zeros(len(points))
        for corner in cells.T:
            np.add.at(sums, corner, points[cells].mean(axis=1))
            np.add.at(counts, corner, 1.0)
        points[len(outline) :] = (sums / np.maximum(counts, 1.0)[:, None])[len(outline) :]
    cells = Delaunay(points).simplices
    cells = cells[_inside(points[cells].mean(axis=1), loops)]
    cells = cells[_heights(points, cells) > 0.02 * spacing]
    if len(np.unique(cells)) != len(points):
        return None
    graph = graph_of(points, cells)
    expected = sum(len(loop) for loop in loops)
    # All facets on the loops, each loop point between two of them.
    kept = len(graph.facets) == expected and int(graph.facets.max()) < expected
    return graph if kept and _heights(points, cells).min() > 0.15 * spacing else None


def _heights(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return twice the area of each triangle over its longest side."""
    a, b, c = (points[corner] for corner in cells.T)
    first, second, third = b - a, c - a, c - b
    longest = np.sqrt(np.max([(side**2).sum(axis=1) for side in (first, second, third)], axis=0))
    return np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / longest
