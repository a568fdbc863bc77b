"""Curves that boundary vertices slide along: the closest point on them, and their direction there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline

from meshing.nearest import nearest_tree
from meshing.simplex import vector_lengths

# Samples of a spline between two of its nodes, from the nearest of which its closest point is looked for.
_SAMPLES = 8
# Newton steps on a spline; convergence is quadratic and takes three to five from the nearest sample.
_NEWTON_STEPS = 12
# Step of the differences that show the tangent space of a closest-point map, as a share of its distance.
_DIFFERENCE = 1e-5


class BoundaryGeometry(ABC):
    """Exact shape of a piece of the boundary: a curve in the plane or in space, or a surface in space.

    Attributes
    ----------
    smooth
        Whether the tangent turns continuously, so that a corner of the polygon of the vertices is none of the shape.
    exact
        Whether ``closest`` gives back, bit for bit, what lies on the shape already.
    dimension
        Dimension of the space that the shape is in; None for any.
    """

    smooth: bool = True
    exact: bool = False
    dimension: int | None = None

    @abstractmethod
    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest point of the shape to each of the points, shape (N, d) [m]; any of them if several."""

    @abstractmethod
    def projectors(self, points: np.ndarray) -> np.ndarray:
        r"""Return the orthogonal projector onto the tangent space at the closest point to each of the points.

        :math:`t t^T` for a curve with direction t, :math:`I - n n^T` for a surface with normal n.

        Parameters
        ----------
        points
            Shape (N, d) [m].

        Returns
        -------
        numpy.ndarray
            Shape (N, d, d), dimensionless.
        """


class BoundaryCurve(BoundaryGeometry):
    """A curve in the plane or in space."""

    @abstractmethod
    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return the unit tangent at the closest point to each of the points, shape (N, d), of either sense."""

    def projectors(self, points: np.ndarray) -> np.ndarray:
        """Return t t^T, shape (N, d, d)."""
        direction = self.directions(points)
        return direction[:, :, None] * direction[:, None, :]


class Line(BoundaryCurve):
    """The straight line from one point to another, and no further.

    Parameters
    ----------
    start, end
        Its ends, shape (d,) each [m].

    Raises
    ------
    ValueError
        If the ends are the same point or not of the plane or space.
    """

    def __init__(self, start, end):
        self.start, self.end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        if self.start.shape not in ((2,), (3,)) or self.end.shape != self.start.shape:
            raise ValueError(f"Line: got ends {start} and {end}, expected two points of the plane or of space")
        self.dimension = len(self.start)
        self.length = float(vector_lengths(self.end - self.start))
        if not 0.0 < self.length < np.inf:
            raise ValueError(f"Line: got ends {start} and {end}, expected two different points")
        self.direction = (self.end - self.start) / self.length
        axes = np.flatnonzero(self.end != self.start)
        self._axis = int(axes[0]) if len(axes) == 1 else None
        self.exact = self._axis is not None

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points, shape (N, d) [m]; bit for bit in all coordinates if parallel to an axis."""
        if self._axis is not None:
            result = np.tile(self.start, (len(points), 1))
            ends = sorted((self.start[self._axis], self.end[self._axis]))
            result[:, self._axis] = np.clip(points[:, self._axis], *ends)
            return result
        along = np.clip((points - self.start) @ self.direction, 0.0, self.length)[:, None]
        # From the nearer end, so that both are met bit for bit.
        return np.where(
            along < 0.5 * self.length,
            self.start + along * self.direction,
            self.end - (self.length - along) * self.direction,
        )

    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return the direction, shape (N, d)."""
        return np.broadcast_to(self.direction, points.shape)


class Circle(BoundaryCurve):
    """A circle in the plane.

    Parameters
    ----------
    centre
        Shape (2,) [m].
    radius
        More than 0 [m].

    Raises
    ------
    ValueError
        If the centre is no point of the plane or the radius not positive.
    """

    dimension = 2

    def __init__(self, centre, radius: float):
        self.centre, self.radius = np.asarray(centre, dtype=float), float(radius)
        if self.centre.shape != (2,):
            raise ValueError(f"Circle: got centre {centre}, expected a point of the plane; in space, use Cylinder")
        if not 0.0 < self.radius < np.inf:
            raise ValueError(f"Circle: got radius {radius}, expected more than 0")

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points, shape (N, 2) [m]; to the centre, one of them."""
        return self.centre + self.radius * unit_vectors(points - self.centre)

    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return the unit tangents, shape (N, 2)."""
        outward = unit_vectors(points - self.centre)
        return np.stack([-outward[:, 1], outward[:, 0]], axis=1)


class ParametricCurve(BoundaryCurve):
    r"""A curve given by a parameter.

    .. math:: (S(u) - x) \cdot S'(u) = 0

    The closest point to x is a root of this equation, found by Newton's method from the nearest of many samples and
    kept between the two next to it.

    Parameters
    ----------
    samples
        Parameters of the samples, ascending, shape (n,); from end to end unless closed.
    period
        Parameter after which a closed curve is back at its start; None for one with ends.
    """

    def __init__(self, samples: np.ndarray, period: float | None):
        gaps = np.diff(samples)
        if period is None:
            self._before, self._after = np.append(0.0, gaps), np.append(gaps, 0.0)
        else:
            last = samples[0] + period - samples[-1]
            self._before, self._after = np.append(last, gaps), np.append(gaps, last)
        self._samples = samples
        places = self._at(samples, 0)
        self._tree = nearest_tree(places)
        # A curve that comes back to its start with a corner there: near to it, both ends have to be tried.
        self._loop = period is None and bool((places[0] == places[-1]).all())

    @abstractmethod
    def _at(self, parameters: np.ndarray, order: int) -> np.ndarray:
        """Return the curve, or its first or second derivative, at parameters, shape (N,): shape (N, d)."""

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points, shape (N, d) [m]."""
        return self._at(self._parameters(points), 0)

    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return the unit tangents, shape (N, d)."""
        return unit_vectors(self._at(self._parameters(points), 1))

    def _parameters(self, points: np.ndarray) -> np.ndarray:
        nearest, last = self._tree.query(points)[1], len(self._samples) - 1
        parameter, square = self._newton(points, nearest)
        if self._loop:
            ends = np.flatnonzero((nearest == 0) | (nearest == last))
            other, other_square = self._newton(points[ends], last - nearest[ends])
            parameter[ends] = np.where(other_square < square[ends], other, parameter[ends])
        return parameter

    def _newton(self, points: np.ndarray, nearest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the parameters of the closest points beside samples, and the squares of the distances."""
        start = self._samples[nearest]
        low, high = start - self._before[nearest], start + self._after[nearest]
        parameter, away = start, self._tree.data[nearest] - points
        first_square = np.einsum("ni,ni->n", away, away)
        # Half a unit of the parameter's last digit.
        rounding = 2e-16 * max(abs(self._samples[0]), abs(self._samples[-1]))
        for _ in range(_NEWTON_STEPS):
            slope = self._at(parameter, 1)
            steepness = np.einsum("ni,ni->n", slope, slope)
            # Beyond the centre of curvature Newton's method would climb: there, the tangent alone decides.
            curvature = steepness + np.einsum("ni,ni->n", away, self._at(parameter, 2))
            change = np.einsum("ni,ni->n", away, slope) / np.maximum(curvature, 0.3 * steepness)
            following = np.clip(parameter - change, low, high)
            settled = np.abs(following - parameter).max(initial=0.0) <= rounding
            parameter, away = following, self._at(following, 0) - points
            if settled:
                break
        square = np.einsum("ni,ni->n", away, away)
        worse = square > first_square
        return np.where(worse, start, parameter), np.where(worse, first_square, square)


class SplineCurve(ParametricCurve):
    r"""The cubic spline through points, parametrised by the length of the chords between them.

    .. math:: S(u_k) = x_k,\qquad u_{k+1} - u_k = |x_{k+1} - x_k|

    Twice continuously differentiable, periodic if closed, with the not-a-knot condition at the ends else. Between
    nodes h apart it follows a smooth curve to O(h^4).

    Parameters
    ----------
    nodes
        x_k in their order along the curve, shape (n, d) [m]; n at least 2, if closed 3.
    closed
        Whether the curve leads from the last node back to the first.

    Raises
    ------
    ValueError
        For too few nodes, and for neighbours at the same place.

    Notes
    -----
    de Boor (2001), A Practical Guide to Splines, chapter IV: not-a-knot condition. Epstein (1976), On the influence of
    parametrization in parametric interpolation, SIAM J. Numer. Anal. 13, 261-268: chord length.
    """

    def __init__(self, nodes: np.ndarray, *, closed: bool = False):
        nodes = np.asarray(nodes, dtype=float)
        if nodes.ndim != 2 or nodes.shape[1] not in (2, 3) or len(nodes) < (3 if closed else 2):
            raise ValueError(
                f"SplineCurve: got nodes of shape {nodes.shape}, expected (n, 2) or (n, 3), n at least 2, closed 3"
            )
        if closed:
            nodes = np.vstack([nodes, nodes[:1]])
        chords = vector_lengths(np.diff(nodes, axis=0))
        if not chords.min() > 0.0:
            raise ValueError("SplineCurve: got two neighbours at one place, expected different nodes")
        self.dimension = nodes.shape[1]
        knots = np.concatenate([[0.0], np.cumsum(chords)])
        spline = CubicSpline(knots, nodes, bc_type="periodic" if closed else "not-a-knot")
        self._derivatives = (spline, spline.derivative(1), spline.derivative(2))
        samples = (knots[:-1, None] + chords[:, None] * np.arange(_SAMPLES) / _SAMPLES).ravel()
        super().__init__(samples if closed else np.append(samples, knots[-1]), knots[-1] if closed else None)

    def _at(self, parameters: np.ndarray, order: int) -> np.ndarray:
        return self._derivatives[order](parameters)


class ClosestPoint(BoundaryGeometry):
    """A curve in the plane or a surface in space given by the closest point on it.

    Parameters
    ----------
    function
        Gives for points, shape (N, d) [m], the closest points of the shape, shape (N, d) [m]. It should be accurate
        to rounding, and smooth near the shape but for its corners.
    """

    smooth = False

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]):
        self._function = function

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points, shape (N, d) [m].

        Raises
        ------
        ValueError
            If the function gives values of another shape or such that are not finite.
        """
        found = np.asarray(self._function(points), dtype=float)
        if found.shape != points.shape or not np.isfinite(found).all():
            raise ValueError(
                f"ClosestPoint: got values of shape {found.shape} or not finite, expected finite ones of shape "
                f"{points.shape}; mend the function"
            )
        return found

    def projectors(self, points: np.ndarray) -> np.ndarray:
        """Return the projectors, shape (N, d, d): on the shape, the derivative of the closest point is just that."""
        at = self.closest(points)
        count, dimension = at.shape
        if not count:
            return np.zeros((0, dimension, dimension))
        step = _DIFFERENCE * max(float(np.ptp(at, axis=0).max()), float(np.abs(at).max()), np.finfo(float).tiny)
        shifts = step * np.eye(dimension)
        sides = [self.closest((at[:, None] + sign * shifts).reshape(-1, dimension)) for sign in (1.0, -1.0)]
        derivative = ((sides[0] - sides[1]) / (2.0 * step)).reshape(count, dimension, dimension)
        # The normal is the direction that a closest point does not follow at all.
        normal = np.linalg.eigh(0.5 * (derivative + derivative.swapaxes(1, 2)))[1][:, :, 0]
        return np.eye(dimension) - normal[:, :, None] * normal[:, None, :]


class CurvePiece(BoundaryCurve):
    """The piece of a curve between the ends of a chain of vertices.

    Parameters
    ----------
    curve
        The whole curve.
    nodes
        Vertices of the chain in their order, shape (n, d) [m].
    """

    def __init__(self, curve: BoundaryGeometry, nodes: np.ndarray):
        self.curve, self.smooth = curve, curve.smooth
        self._nodes, self._tree = nodes, nearest_tree(nodes)

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points of the curve, shape (N, d) [m]; an end for what lies beyond it."""
        result = self.curve.closest(points)
        nearest = self._tree.query(points)[0]
        ends, inside = self._nodes[[0, -1]], self._nodes[[1, -2]]
        beyond = [
            (vector_lengths(points - end) <= nearest * (1.0 + 1e-12)) & ((points - end) @ (end - next_to_it) >= 0.0)
            for end, next_to_it in zip(ends, inside, strict=True)
        ]
        if (ends[0] == ends[1]).all():
            # Beyond one end of a loop may be on the other side of its corner.
            beyond = [beyond[0] & beyond[1]] * 2
        for end, those in zip(ends, beyond, strict=True):
            result[those] = end
        return result

    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return the unit tangents, shape (N, d)."""
        if isinstance(self.curve, BoundaryCurve):
            return self.curve.directions(points)
        return np.linalg.eigh(self.curve.projectors(points))[1][:, :, -1]


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return vectors, shape (N, d), divided by their lengths; the first axis in place of zero."""
    length = vector_lengths(vectors)[:, None]
    axis = np.zeros_like(vectors)
    axis[:, 0] = 1.0
    return np.divide(vectors, length, out=axis, where=length > 0.0)
