"""Thacker's exact oscillations with a moving shoreline in a paraboloid, as parametrised by SWASHES."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True)
class ParaboloidBasin(ABC):
    r"""Hold the basin that both solutions share, and what follows from depth and velocity.

    The bed, positive up and zero at the still shoreline, is

    .. math:: z(x, y) = -h_0 (1 - r^2 / a^2), \quad r^2 = (x - x_c)^2 + (y - y_c)^2.

    Methods take x and y [m] and t [s], of shapes that broadcast, and return float arrays of that shape.
    Depth is never negative; velocity is 0 where the bed is dry.

    Parameters
    ----------
    central_depth : float
        ``h_0``, still depth at the centre [m].
    basin_radius : float
        ``a``, radius of the still shoreline [m].
    centre : tuple of two floats
        ``(x_c, y_c)`` [m]; by default the middle of the square (0, L)^2 with L = 4 m.
    gravity : float
        ``g`` [m/s^2].

    Raises
    ------
    ValueError
        If a length or gravity is not positive.

    References
    ----------
    W. C. Thacker, J. Fluid Mech. 107, 1981; O. Delestre et al., SWASHES, Int. J. Numer. Meth. Fluids 72,
    2013, section 4.2.2.
    """

    central_depth: float = 0.1
    basin_radius: float = 1.0
    centre: tuple[float, float] = (2.0, 2.0)
    gravity: float = 9.81

    def __post_init__(self) -> None:
        for name in ("central_depth", "basin_radius", "gravity"):
            self._check_positive(name)

    def _check_positive(self, name: str) -> None:
        value = getattr(self, name)
        if not value > 0.0:
            raise ValueError(f"got {name}={value}; expected {name} > 0; give it in SI units")

    @property
    @abstractmethod
    def angular_frequency(self) -> float:
        """Return ``omega`` [1/s]."""

    @abstractmethod
    def depth(self, x: ArrayLike, y: ArrayLike, t: ArrayLike) -> NDArray:
        """Return the water depth ``h`` [m]."""

    @abstractmethod
    def _wet_velocity(self, dx: NDArray, dy: NDArray, t: NDArray) -> tuple[NDArray, NDArray]:
        """Return both velocity components [m/s] at offsets from the centre, as if wet everywhere."""

    @property
    def period(self) -> float:
        """Return ``2 pi / omega`` [s]."""
        return 2.0 * np.pi / self.angular_frequency

    @property
    def volume(self) -> float:
        """Return the water volume ``pi h_0 a^2 / 2`` [m^3], the same at all times."""
        return 0.5 * np.pi * self.central_depth * self.basin_radius**2

    def bathymetry(self, x: ArrayLike, y: ArrayLike) -> NDArray:
        """Return the bed elevation ``z`` [m], positive up."""
        dx, dy = self._offsets(x, y)
        return -self.central_depth * (1.0 - (dx**2 + dy**2) / self.basin_radius**2)

    def velocity(self, x: ArrayLike, y: ArrayLike, t: ArrayLike) -> tuple[NDArray, NDArray]:
        """Return the velocity components ``(u, v)`` [m/s], 0 where dry."""
        depth = self.depth(x, y, t)
        u, v = self._wet_velocity(*self._offsets(x, y), np.asarray(t, dtype=float))
        return np.where(depth > 0.0, u, 0.0), np.where(depth > 0.0, v, 0.0)

    def elevation(self, x: ArrayLike, y: ArrayLike, t: ArrayLike) -> NDArray:
        """Return the free surface ``h + z`` [m], the bed where dry."""
        return self.depth(x, y, t) + self.bathymetry(x, y)

    def _offsets(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        return np.asarray(x, dtype=float) - self.centre[0], np.asarray(y, dtype=float) - self.centre[1]


@dataclass(frozen=True, kw_only=True)
class PlanarOscillation(ParaboloidBasin):
    r"""Evaluate the planar surface that rotates about the basin's axis.

    With ``dx = x - x_c``, ``dy = y - y_c``, ``omega = sqrt(2 g h_0) / a`` and amplitude ``eta``,

    .. math::
        h + z &= \eta (h_0 / a^2) (2\,dx \cos\omega t + 2\,dy \sin\omega t - \eta), \\
        (u, v) &= \eta \omega (-\sin\omega t, \cos\omega t).

    Evaluated as ``h = h_0 (1 - |(dx, dy) - eta (cos, sin)|^2 / a^2)``: the water is a disc of radius ``a``
    whose centre turns at distance ``eta``.

    Parameters
    ----------
    amplitude : float
        ``eta`` [m]; see `ParaboloidBasin` for the rest.

    References
    ----------
    As `ParaboloidBasin`; SWASHES case 2 1 1 2.
    """

    amplitude: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_positive("amplitude")

    @property
    def angular_frequency(self) -> float:
        """Return ``omega = sqrt(2 g h_0) / a`` [1/s]."""
        return np.sqrt(2.0 * self.gravity * self.central_depth) / self.basin_radius

    def depth(self, x: ArrayLike, y: ArrayLike, t: ArrayLike) -> NDArray:
        """Return the water depth ``h`` [m], 0 where dry."""
        dx, dy = self._offsets(x, y)
        phase = self.angular_frequency * np.asarray(t, dtype=float)
        dx, dy = dx - self.amplitude * np.cos(phase), dy - self.amplitude * np.sin(phase)
        return np.maximum(self.central_depth * (1.0 - (dx**2 + dy**2) / self.basin_radius**2), 0.0)

    def _wet_velocity(self, dx: NDArray, dy: NDArray, t: NDArray) -> tuple[NDArray, NDArray]:
        phase = self.angular_frequency * t
        speed = self.amplitude * self.angular_frequency
        return -speed * np.sin(phase), speed * np.cos(phase)


@dataclass(frozen=True, kw_only=True)
class AxisymmetricOscillation(ParaboloidBasin):
    r"""Evaluate the radially symmetric oscillation.

    With ``A = (a^2 - r_0^2) / (a^2 + r_0^2)``, ``s = sqrt(1 - A^2)``, ``q = 1 - A cos(omega t)`` and
    ``omega = sqrt(8 g h_0) / a``,

    .. math::
        h + z &= h_0 (s / q - 1 - (r^2 / a^2) (s^2 / q^2 - 1)), \\
        (u, v) &= \omega A \sin(\omega t) / (2 q) \; (dx, dy).

    Evaluated as ``h = h_0 (s / q) (1 - (r^2 / a^2) s / q)``: the shoreline is the circle of radius
    ``a sqrt(q / s)``.  For this ``A``, which is SWASHES', that radius is ``sqrt(a r_0)`` at t = 0; with
    fourth powers in place of the squares it would be ``r_0``.

    Parameters
    ----------
    radius_parameter : float
        ``r_0`` [m], less than ``a`` where the water starts heaped up; see `ParaboloidBasin` for the rest.

    References
    ----------
    As `ParaboloidBasin`; SWASHES case 2 1 1 1.
    """

    radius_parameter: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_positive("radius_parameter")

    @property
    def angular_frequency(self) -> float:
        """Return ``omega = sqrt(8 g h_0) / a`` [1/s]."""
        return np.sqrt(8.0 * self.gravity * self.central_depth) / self.basin_radius

    @property
    def _modulation(self) -> float:
        """Return ``A``."""
        a_squared, r0_squared = self.basin_radius**2, self.radius_parameter**2
        return (a_squared - r0_squared) / (a_squared + r0_squared)

    def depth(self, x: ArrayLike, y: ArrayLike, t: ArrayLike) -> NDArray:
        """Return the water depth ``h`` [m], 0 where dry."""
        dx, dy = self._offsets(x, y)
        radius_squared = self.shoreline_radius(t) ** 2
        peak = self.central_depth * self.basin_radius**2 / radius_squared
        return np.maximum(peak * (1.0 - (dx**2 + dy**2) / radius_squared), 0.0)

    def shoreline_radius(self, t: ArrayLike) -> NDArray:
        """Return the radius of the wet disc ``a sqrt(q / s)`` [m]."""
        A = self._modulation
        q = 1.0 - A * np.cos(self.angular_frequency * np.asarray(t, dtype=float))
        return self.basin_radius * np.sqrt(q / np.sqrt(1.0 - A**2))

    def _wet_velocity(self, dx: NDArray, dy: NDArray, t: NDArray) -> tuple[NDArray, NDArray]:
        A, phase = self._modulation, self.angular_frequency * t
        rate = self.angular_frequency * A * np.sin(phase) / (2.0 * (1.0 - A * np.cos(phase)))
        return rate * dx, rate * dy
