"""A ring in a swirling flow that turns back: LeVeque's test of advection, exact at all times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ellipj, ellipkm1, elliprf

# Beyond this k the modulus of the elliptic functions is 1 to too many digits; such points are within 1e-5 or so of
# the boundary, where the flow is so slow that a few steps of Runge-Kutta are exact to round-off.
LARGEST_ELLIPTIC = 1e9
STEPS_AT_BOUNDARY = 100


@dataclass(frozen=True, kw_only=True)
class Swirl:
    r"""Hold a thin ring in the swirling flow on the unit square.

    .. math::
        \partial_t u + \nabla\cdot(a u) = 0, \quad
        a = c \cos(\pi t/T)\, \big(\sin^2(\pi x) \sin(2 \pi y),\; -\sin^2(\pi y) \sin(2 \pi x)\big), \quad
        u(\cdot, 0) = \exp\big(-(|x - x_0| - r_0)^2 / (2 \sigma^2)\big)

    The ring is drawn out until T/2 and is back at T. The velocity vanishes on the boundary. By default it is drawn
    out as far as in the test of Zhang et al. (2024), whose flow, 1.5 times the bracket, turns abruptly at T/2 = 0.5;
    one that turns smoothly keeps the order of the time stepping.

    Parameters
    ----------
    speed : float
        c, greatest speed [m/s].
    period : float
        T [s].
    centre : tuple of two floats
        x_0 [m].
    radius, width : float
        r_0 and sigma of the ring [m].

    Raises
    ------
    ValueError
        If a parameter that must be positive is not.

    References
    ----------
    R. J. LeVeque, SIAM J. Numer. Anal. 33, 1996, 627, for the flow; M. Zhang et al., arXiv 2407.00382, 2024, for the
    ring.
    """

    speed: float = 0.75 * np.pi
    period: float = 1.0
    centre: tuple[float, float] = (0.25, 0.25)
    radius: float = 0.2
    width: float = 0.05 / 6

    def __post_init__(self) -> None:
        for name in ("speed", "period", "radius", "width"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected a positive number; give it in SI units")

    def velocity(self, points: ArrayLike, t: float) -> NDArray:
        """Return a [m/s], (N, 2), at points (N, 2) [m] and time t [s]."""
        return self.speed * np.cos(np.pi * t / self.period) * _unit_velocity(np.asarray(points, dtype=float))

    def initial(self, points: ArrayLike) -> NDArray:
        """Return the ring, (N,), at points (N, 2) [m]."""
        distance = np.linalg.norm(np.asarray(points, dtype=float) - self.centre, axis=1)
        return np.exp(-0.5 * ((distance - self.radius) / self.width) ** 2)

    def departure(self, points: ArrayLike, t: float) -> NDArray:
        """Return where what is at points (N, 2) of the unit square [m] at time t [s] was at time 0, to 1e-10 m.

        Time only scales the velocity, so that the points go back along the steady flow for a time of
        ``(T / pi) sin(pi t / T)``.
        """
        steady_time = self.period / np.pi * np.sin(np.pi * t / self.period)
        return steady_flow(points, -self.speed * steady_time)

    def exact(self, points: ArrayLike, t: float) -> NDArray:
        """Return the solution, (N,), at points (N, 2) of the unit square [m] and time t [s]."""
        return self.initial(self.departure(points, t))


def steady_flow(points: ArrayLike, duration: float) -> NDArray:
    r"""Carry points along the steady flow :math:`(\sin^2(\pi x)\sin(2\pi y), -\sin^2(\pi y)\sin(2\pi x))`.

    With :math:`X = \cot \pi x`, :math:`Y = \cot \pi y` the flow is :math:`X' = -2 \pi Y (1 + X^2) / k`,
    :math:`Y' = 2 \pi X (1 + Y^2) / k` and keeps :math:`k = (1 + X^2)(1 + Y^2)`, hence

    .. math::
        X = \sqrt{k - 1}\, \mathrm{cn}(w, m), \quad Y = \sqrt{k - 1}\, \frac{\mathrm{sn}(w, m)}{\sqrt{1 + X^2}},
        \quad w = w_0 + \frac{2 \pi t}{\sqrt k}, \quad m = 1 - \frac1k

    by the differential equation of Jacobi's cn.

    Parameters
    ----------
    points
        (N, 2), in the unit square.
    duration
        t, negative for back in time.

    Returns
    -------
    ndarray
        (N, 2), to 1e-10 for \|t\| <= 1; points of the boundary stay where they are.
    """
    points = np.asarray(points, dtype=float)
    moved = points.copy()
    sines = np.sin(np.pi * points)
    with np.errstate(divide="ignore"):
        invariant = (sines.prod(axis=1)) ** -2.0
    elliptic = invariant < LARGEST_ELLIPTIC
    slow = (invariant >= LARGEST_ELLIPTIC) & np.isfinite(invariant)
    moved[elliptic] = _along_ellipse(points[elliptic], duration)
    moved[slow] = _runge_kutta(points[slow], duration, STEPS_AT_BOUNDARY)
    return moved


def _along_ellipse(points: NDArray, duration: float) -> NDArray:
    X, Y = (1.0 / np.tan(np.pi * points)).T
    square = X * X + Y * Y + X * X * Y * Y  # k - 1 without cancellation
    k = 1.0 + square
    m, root = square / k, np.sqrt(square)
    amplitude = np.arctan2(Y * np.sqrt(1.0 + X * X), X)
    # Not 1 / k: of the same m as the functions that invert it, to the last digit.
    sn, cn, _, _ = ellipj(_first_kind(amplitude, 1.0 - m) + 2.0 * np.pi * duration / np.sqrt(k), m)
    X = root * cn
    Y = root * sn / np.sqrt(1.0 + X * X)
    return np.arctan2(1.0, np.stack([X, Y], axis=1)) / np.pi


def _first_kind(amplitude: NDArray, rest: NDArray) -> NDArray:
    r"""Return the incomplete elliptic integral of the first kind, of what the parameter m is less than 1.

    .. math:: F(\varphi, m) = 2 j K(m) + \sin\psi\, R_F(\cos^2 \psi, (1 - m) + m \cos^2 \psi, 1),
              \quad \psi = \varphi - j \pi, \quad |\psi| \le \pi / 2

    SciPy's ``ellipkinc`` (1.17.1) is wrong in one of 300 points on the diagonals of the square, by up to 1.
    Carlson, Numer. Algorithms 10 (1995), 13.
    """
    turns = np.round(amplitude / np.pi)
    sine, cosine = np.sin(amplitude - turns * np.pi), np.cos(amplitude - turns * np.pi)
    return 2.0 * turns * ellipkm1(rest) + sine * elliprf(cosine**2, rest + (1.0 - rest) * cosine**2, 1.0)


def _unit_velocity(points: NDArray) -> NDArray:
    sine, cosine = np.sin(np.pi * points), np.cos(np.pi * points)
    along = 2.0 * sine * cosine
    return np.stack([sine[:, 0] ** 2 * along[:, 1], -(sine[:, 1] ** 2) * along[:, 0]], axis=1)


def _runge_kutta(points: NDArray, duration: float, steps: int) -> NDArray:
    """Carry points by the classical scheme of fourth order."""
    h = duration / steps
    for _ in range(steps):
        a = _unit_velocity(points)
        b = _unit_velocity(points + 0.5 * h * a)
        c = _unit_velocity(points + 0.5 * h * b)
        d = _unit_velocity(points + h * c)
        points = points + h / 6.0 * (a + 2.0 * b + 2.0 * c + d)
    return points
