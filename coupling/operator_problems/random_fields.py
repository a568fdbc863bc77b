"""Random smooth functions of the place, the same wherever they are evaluated, and smooth liftings of boundary data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_WAVES = 128


@dataclass(frozen=True)
class RandomField:
    r"""A sample of a Gaussian random field with a Gaussian correlation.

    .. math:: f(x) = \sqrt{2/K} \sum_{k=1}^{K} \cos(\omega_k \cdot x + \varphi_k),\qquad
              E[f(x) f(y)] = \exp\left(-\frac{|x - y|^2}{2 \ell^2}\right)

    with mean 0 and variance 1 over samples.

    Attributes
    ----------
    waves
        :math:`\omega_k`, normal with standard deviation :math:`1/\ell`, shape (K, d) [1/m].
    phases
        :math:`\varphi_k`, uniform, shape (K,).

    Notes
    -----
    Source: Rahimi and Recht, Random features for large-scale kernel machines, NIPS 2007, section 3.
    """

    waves: np.ndarray
    phases: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return f, shape (n,), at points of shape (n, d) [m]."""
        return np.sqrt(2.0 / len(self.phases)) * np.cos(points @ self.waves.T + self.phases).sum(axis=1)


def random_field(rng: np.random.Generator, length: float, dimension: int = 2) -> RandomField:
    """Draw a random field.

    Parameters
    ----------
    rng
        Source of randomness.
    length
        Correlation length [m].
    dimension
        Number of coordinates.
    """
    return RandomField(rng.normal(0.0, 1.0 / length, (_WAVES, dimension)), rng.uniform(0.0, 2.0 * np.pi, _WAVES))


def shepard_lifting(points: np.ndarray, places: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    r"""Extend boundary values into the domain by means weighted with the distance.

    .. math:: G(x) = \frac{\sum_i m_i |x - x_i|^{-3} g_i}{\sum_i m_i |x - x_i|^{-3}}

    Parameters
    ----------
    points
        Where to evaluate, shape (n, d) [m].
    places
        Boundary nodes x_i, shape (n_b, d) [m].
    weights
        m_i, the share of the boundary that belongs to each, positive, shape (n_b,) [m].
    values
        g_i, shape (n_b, m).

    Returns
    -------
    numpy.ndarray
        Shape (n, m): exactly g_i at x_i, between the least and the largest of the values elsewhere.

    Notes
    -----
    Source: Shepard, A two-dimensional interpolation function for irregularly-spaced data, ACM 1968.
    """
    distance = np.linalg.norm(points[:, None] - places[None], axis=2)
    nearest = distance.argmin(axis=1)
    there = distance[np.arange(len(points)), nearest] == 0.0
    # Scaled by the nearest distance, as the cube of a small one would overflow what it is divided by.
    scale = np.where(there, 1.0, distance[np.arange(len(points)), nearest])[:, None]
    share = weights * (scale / np.maximum(distance, scale * 1e-3)) ** 3
    result = share @ values / share.sum(axis=1, keepdims=True)
    result[there] = values[nearest[there]]
    return result
