"""Smooth fields with sharp features, their gradients and Laplacians: exact solutions to manufacture problems from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Derivatives(NamedTuple):
    """A field at points: its value (N,), gradient (N, d) [1/m] and Laplacian (N,) [1/m^2]."""

    value: NDArray
    gradient: NDArray
    laplacian: NDArray


class ExactField(Protocol):
    """A field that is known everywhere."""

    def __call__(self, points: ArrayLike) -> Derivatives:
        """Return value, gradient and Laplacian at points (N, d) [m]."""


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    r"""A bump :math:`u = a\, e^{-|A (x - c)|^2 / 2}`.

    Parameters
    ----------
    amplitude
        a.
    centre
        c, (d,) [m].
    frame
        A, (d, d) [1/m]: its rows are the axes over the widths.
    """

    amplitude: float
    centre: NDArray
    frame: NDArray

    def __call__(self, points: ArrayLike) -> Derivatives:
        """See ``ExactField``."""
        offsets = np.asarray(points, dtype=float) - self.centre
        turned = offsets @ self.frame.T
        value = self.amplitude * np.exp(-0.5 * (turned**2).sum(axis=1))
        slopes = -turned @ self.frame
        laplacian = value * ((slopes**2).sum(axis=1) - (self.frame**2).sum())
        return Derivatives(value, value[:, None] * slopes, laplacian)


@dataclass(frozen=True, kw_only=True)
class Ring:
    r"""A step across a circle, :math:`u = a \tanh s` with :math:`s = (|x - c|^2 - r^2) / (2 r w)`.

    On the circle \|grad s\| = 1 / w; unlike the distance to it, s is smooth in the centre.

    Parameters
    ----------
    amplitude
        a, half of the step.
    centre
        c, (d,) [m].
    radius, width
        r and w [m]; from 10 to 90 % of the step are 2.2 w.
    """

    amplitude: float
    centre: NDArray
    radius: float
    width: float

    def __call__(self, points: ArrayLike) -> Derivatives:
        """See ``ExactField``."""
        offsets = np.asarray(points, dtype=float) - self.centre
        scale = self.radius * self.width
        phase = ((offsets**2).sum(axis=1) - self.radius**2) / (2.0 * scale)
        return _step(self.amplitude, phase, offsets / scale, np.full(len(phase), offsets.shape[1] / scale))


@dataclass(frozen=True, kw_only=True)
class Front:
    r"""A step across a line that may wave, :math:`u = a \tanh s`, :math:`s = (y_1 + b \sin k y_2) / w`, y = R (x - c).

    Parameters
    ----------
    amplitude
        a, half of the step.
    centre
        c, (2,) [m].
    frame
        R, (2, 2), a rotation.
    width
        w [m]; from 10 to 90 % of the step are 2.2 w, less where the line waves.
    wave, wave_number
        b [m] and k [1/m].
    """

    amplitude: float
    centre: NDArray
    frame: NDArray
    width: float
    wave: float = 0.0
    wave_number: float = 0.0

    def __call__(self, points: ArrayLike) -> Derivatives:
        """See ``ExactField``."""
        across, along = ((np.asarray(points, dtype=float) - self.centre) @ self.frame.T).T
        sine, cosine = np.sin(self.wave_number * along), np.cos(self.wave_number * along)
        slopes = np.stack([np.ones_like(along), self.wave * self.wave_number * cosine], axis=1) @ self.frame
        curvature = -self.wave * self.wave_number**2 * sine
        return _step(
            self.amplitude, (across + self.wave * sine) / self.width, slopes / self.width, curvature / self.width
        )


def _step(amplitude: float, phase: NDArray, slopes: NDArray, curvature: NDArray) -> Derivatives:
    """Return those of a tanh s, given s, its gradient and its Laplacian."""
    tangent = np.tanh(phase)
    first = amplitude * (1.0 - tangent**2)
    second = -2.0 * tangent * first
    laplacian = first * curvature + second * (slopes**2).sum(axis=1)
    return Derivatives(amplitude * tangent, first[:, None] * slopes, laplacian)


@dataclass(frozen=True)
class Sum:
    """A sum of fields.

    Parameters
    ----------
    parts
        One or more fields.
    """

    parts: Sequence[ExactField]

    def __call__(self, points: ArrayLike) -> Derivatives:
        """See ``ExactField``."""
        found = [part(points) for part in self.parts]
        return Derivatives(*(np.sum(column, axis=0) for column in zip(*found, strict=True)))


def random_field(rng: np.random.Generator, places: NDArray, *, size: float, spacing: float) -> Sum:
    r"""Return a random exact solution as those that mesh movers are tested with: bumps, rings, fronts.

    One to three of them, each a Gaussian (2 in 5; two widths at an angle), a step across a circle (2 in 5) or across a
    line (1 in 5, half of them waving), of amplitude 1/2 to 1, either sign. Each has its middle near one of the places;
    its thickness (2 sigma, 2 w) is 2 cells to a fifth of the domain, uniform in the logarithm: of thinner ones a mesh
    of so many cells sees nothing.

    Parameters
    ----------
    rng
        Source of randomness.
    places
        Points of the domain, (n, 2) [m].
    size
        Diameter of the domain [m].
    spacing
        Length of the cells [m].

    References
    ----------
    Gaussians at random places as in M. Zhang et al., arXiv 2407.00382, 2024; rings of tanh as in Huang and Russell,
    Adaptive Moving Mesh Methods, 2011; fronts that wave to have curvatures of both signs.
    """
    return Sum([_random_part(rng, places, size, spacing) for _ in range(int(rng.integers(1, 4)))])


def _random_part(rng: np.random.Generator, places: NDArray, size: float, spacing: float) -> ExactField:
    kind = rng.choice(3, p=(0.4, 0.4, 0.2))
    centre = places[rng.integers(len(places))]
    amplitude = rng.uniform(0.5, 1.0) * rng.choice([-1.0, 1.0])
    thinnest = 2.0 * spacing
    width = 0.5 * np.exp(rng.uniform(np.log(thinnest), np.log(max(0.2 * size, thinnest))))
    angle = rng.uniform(0.0, 2.0 * np.pi)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if kind == 0:
        widths = np.array([width, width * np.exp(rng.uniform(0.0, 1.0))])
        return Gaussian(amplitude=amplitude, centre=centre, frame=rotation / widths[:, None])
    if kind == 1:
        # No smaller than three widths: else the middle would be part of the step.
        radius = max(rng.uniform(0.1, 0.4) * size, 3.0 * width)
        return Ring(amplitude=amplitude, centre=centre, radius=radius, width=width)
    wave = rng.choice([0.0, 1.0]) * rng.uniform(0.02, 0.08) * size
    wave_number = 2.0 * np.pi / (rng.uniform(0.4, 1.0) * size)
    return Front(
        amplitude=amplitude, centre=centre, frame=rotation, width=width, wave=float(wave), wave_number=wave_number
    )
