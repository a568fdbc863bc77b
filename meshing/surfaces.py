"""Surfaces that boundary vertices slide on, and the curves in which two of them meet."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from meshing.curves import BoundaryCurve, BoundaryGeometry, unit_vectors
from meshing.nearest import nearest_tree
from meshing.simplex import vector_lengths

# Newton steps towards the curve in which two surfaces meet.
_NEWTON_STEPS = 30


class BoundarySurface(BoundaryGeometry):
    """A surface in space."""

    dimension = 3

    @abstractmethod
    def normals(self, points: np.ndarray) -> np.ndarray:
        """Return the unit normal at the closest point to each of the points, shape (N, 3), of either sense."""

    def projectors(self, points: np.ndarray) -> np.ndarray:
        """Return I - n n^T, shape (N, 3, 3)."""
        normal = self.normals(points)
        return np.eye(3) - normal[:, :, None] * normal[:, None, :]


class Plane(BoundarySurface):
    """A plane.

    Parameters
    ----------
    point
        A point of it, shape (3,) [m].
    normal
        A normal of any length, shape (3,).

    Raises
    ------
    ValueError
        If the point is none of space, or the normal zero.
    """

    def __init__(self, point, normal):
        self.point, direction = _vector("Plane", "point", point), _vector("Plane", "normal", normal)
        self.normal = _unit("Plane", "normal", direction)
        axes = np.flatnonzero(direction)
        self._axis = int(axes[0]) if len(axes) == 1 else None
        self.exact = self._axis is not None

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points, shape (N, 3) [m]; bit for bit in all coordinates if normal to an axis."""
        if self._axis is not None:
            result = points.copy()
            result[:, self._axis] = self.point[self._axis]
            return result
        return points - ((points - self.point) @ self.normal)[:, None] * self.normal

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Return the normal, shape (N, 3)."""
        return np.broadcast_to(self.normal, points.shape)


class Sphere(BoundarySurface):
    """A sphere.

    Parameters
    ----------
    centre
        Shape (3,) [m].
    radius
        More than 0 [m].

    Raises
    ------
    ValueError
        If the centre is no point of space or the radius not positive.
    """

    def __init__(self, centre, radius: float):
        self.centre, self.radius = _vector("Sphere", "centre", centre), _radius("Sphere", radius)

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points, shape (N, 3) [m]; to the centre, one of them."""
        return self.centre + self.radius * self.normals(points)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Return the outward normals, shape (N, 3)."""
        return unit_vectors(points - self.centre)


class Cylinder(BoundarySurface):
    """The curved surface of a circular cylinder without ends.

    Parameters
    ----------
    point
        A point of its axis, shape (3,) [m].
    axis
        Direction of its axis, of any length, shape (3,).
    radius
        More than 0 [m].

    Raises
    ------
    ValueError
        If the point is none of space, the axis zero, or the radius not positive.
    """

    def __init__(self, point, axis, radius: float):
        self.point = _vector("Cylinder", "point", point)
        self.axis = _unit("Cylinder", "axis", _vector("Cylinder", "axis", axis))
        self.radius = _radius("Cylinder", radius)
        # What stands for the normal on the axis itself.
        self._aside = np.eye(3)[np.abs(self.axis).argmin()]
        self._aside = _unit("Cylinder", "axis", self._aside - (self._aside @ self.axis) * self.axis)

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points, shape (N, 3) [m]; to a point of the axis, one of them."""
        along = ((points - self.point) @ self.axis)[:, None] * self.axis
        return self.point + along + self.radius * self.normals(points)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Return the outward normals, shape (N, 3)."""
        away = points - self.point
        away = away - (away @ self.axis)[:, None] * self.axis
        length = vector_lengths(away)[:, None]
        return np.divide(away, length, out=np.tile(self._aside, (len(points), 1)), where=length > 0.0)


class Intersection(BoundaryCurve):
    r"""The curve in which two surfaces meet at an angle.

    .. math:: x \leftarrow x + \delta,\quad n_k \cdot \delta = n_k \cdot (P_k(x) - x),\ k = 1, 2,\quad
              \delta \in \operatorname{span}(n_1, n_2)

    P_k is the closest point on surface k and n_k the normal there: Newton's method for both surfaces together, with
    the shortest of all corrections. It leaves points of the curve where they are.

    Parameters
    ----------
    first, second
        The surfaces.
    nodes
        Points of the curve, shape (n, 3) [m].
    """

    def __init__(self, first: BoundaryGeometry, second: BoundaryGeometry, nodes: np.ndarray):
        self._surfaces = (first, second)
        self._nodes, self._tree = nodes, nearest_tree(nodes)
        self._size = float(vector_lengths(np.ptp(nodes, axis=0)))

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return points of the curve near to the points, shape (N, 3) [m]; from afar, the nearest of the nodes."""
        found = self._newton(points)
        with np.errstate(invalid="ignore"):
            off = np.max([vector_lengths(surface.closest(found) - found) for surface in self._surfaces], axis=0)
            away, nearest = self._tree.query(points)
            lost = ~((off <= 1e-14 * np.abs(self._nodes).max()) & (vector_lengths(found - points) <= away + self._size))
        found[lost] = self._nodes[nearest[lost]]
        return found

    def _newton(self, points: np.ndarray) -> np.ndarray:
        found = points.copy()
        for _ in range(_NEWTON_STEPS):
            normals = self._normals(found)
            away = [surface.closest(found) - found for surface in self._surfaces]
            first, second = (np.einsum("ni,ni->n", n, a) for n, a in zip(normals, away, strict=True))
            cosine = np.einsum("ni,ni->n", *normals)
            sine = np.maximum(1.0 - cosine**2, 1e-6)
            change = ((first - cosine * second) / sine)[:, None] * normals[0]
            change += ((second - cosine * first) / sine)[:, None] * normals[1]
            # Where the normals are nearly parallel the steps would lead out of everything.
            longest = self._size / np.maximum(vector_lengths(change), self._size)
            found = found + change * longest[:, None]
            if vector_lengths(change).max(initial=0.0) <= 4e-16 * np.abs(found).max(initial=0.0):
                break
        return found

    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return the unit tangents, shape (N, 3)."""
        first, second = self._normals(self.closest(points))
        return unit_vectors(np.cross(first, second))

    def _normals(self, points: np.ndarray) -> list[np.ndarray]:
        return [surface_normals(surface, points) for surface in self._surfaces]


def surface_normals(surface: BoundaryGeometry, points: np.ndarray) -> np.ndarray:
    """Return unit normals of a surface at the closest points to the points, shape (N, 3)."""
    if isinstance(surface, BoundarySurface):
        return surface.normals(points)
    return np.linalg.eigh(surface.projectors(points))[1][:, :, 0]


def _vector(kind: str, name: str, value) -> np.ndarray:
    vector = np.asarray(value, dtype=float)
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise ValueError(f"{kind}: got {name} {value}, expected three finite numbers")
    return vector


def _unit(kind: str, name: str, vector: np.ndarray) -> np.ndarray:
    length = float(vector_lengths(vector))
    if not length > 0.0:
        raise ValueError(f"{kind}: got {name} {vector.tolist()}, expected a vector that is not zero")
    return vector / length


def _radius(kind: str, radius: float) -> float:
    if not 0.0 < float(radius) < np.inf:
        raise ValueError(f"{kind}: got radius {radius}, expected more than 0")
    return float(radius)
