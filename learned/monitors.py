"""Random monitor functions to train and test movers with: bumps, rings, fronts and waves of many sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

MonitorFunction = Callable[[Tensor], Tensor]


class FeatureMonitor:
    r"""A sum of bumps and layers.

    .. math:: m(x) = 1 + \sum_k a_k \phi_k,\qquad
              \phi = e^{-|A (x - c)|^2 / 2} \quad\text{or}\quad \operatorname{sech}^2(s(x) / w)

    s is the distance to a circle (sphere) about c for rings, to a plane for fronts, which wave if w' > 0.

    Parameters
    ----------
    centres
        c, shape (n, d).
    amplitudes
        a, positive, shape (n,).
    kinds
        0 bump, 1 ring, 2 front, shape (n,).
    frames
        Rows: directions; for bumps over their widths, A, shape (n, d, d).
    radii, thicknesses, waves
        Radius of rings, w of rings and fronts, amplitude of the waves of fronts, shape (n,).
    """

    def __init__(self, centres, amplitudes, kinds, frames, radii, thicknesses, waves):
        self.parts = (centres, amplitudes, kinds, frames, radii, thicknesses, waves)

    def __call__(self, points: Tensor) -> Tensor:
        """Return m at points, shape (d, n), as shape (n,)."""
        total = torch.ones_like(points[0])
        for centre, amplitude, kind, frame, radius, thickness, wave in zip(*self.parts, strict=True):
            offset = points - torch.as_tensor(centre, dtype=points.dtype, device=points.device)[:, None]
            turned = torch.as_tensor(frame, dtype=points.dtype, device=points.device) @ offset
            if kind == 0:
                total = total + float(amplitude) * torch.exp(-0.5 * turned.square().sum(0))
                continue
            if kind == 1:
                distance = turned.square().sum(0).clamp_min(1e-12).sqrt() - float(radius)
            else:
                distance = turned[0] + float(wave) * torch.sin(turned[1] * (2.0 * np.pi / (4.0 * float(radius))))
            decay = torch.exp(-2.0 * (distance / float(thickness)).abs().clamp_max(40.0))
            total = total + float(amplitude) * 4.0 * decay / (1.0 + decay).square()
        return total

    def in_units(self, origin: np.ndarray, size: float) -> FeatureMonitor:
        """Return the same function of places in units of a size [m] from an origin, shape (d,) [m]."""
        centres, amplitudes, kinds, frames, radii, thicknesses, waves = map(np.asarray, self.parts)
        # Frames of bumps are over their widths.
        frames = np.where(kinds[:, None, None] == 0, frames * size, frames)
        return FeatureMonitor(
            (centres - origin) / size, amplitudes, kinds, frames, radii / size, thicknesses / size, waves / size
        )


def random_monitor(
    rng: np.random.Generator, anchors: np.ndarray, *, size: float, spacing: float, strongest: float = 50.0
) -> FeatureMonitor:
    """Return a random monitor function for a domain.

    Parameters
    ----------
    rng
        Source of randomness.
    anchors
        Places in the domain, shape (n, d), one of which each feature is near.
    size
        Size of the domain.
    spacing
        Size of the cells: features are not thinner than about two of them.
    strongest
        Largest amplitude.

    Returns
    -------
    FeatureMonitor
        One to five features, of amplitude 1 to ``strongest``, of about 2 spacings to a third of the domain.
    """
    count, dimension = int(rng.integers(1, 6)), anchors.shape[1]
    kinds = rng.choice(3, count, p=(0.45, 0.35, 0.2))
    thin, thick = np.log(max(1.5 * spacing, 0.02 * size)), np.log(0.3 * size)
    thickness = np.exp(rng.uniform(thin, max(thick, thin), count))
    frames = np.stack([_rotation(rng, dimension) for _ in range(count)])
    for number in np.flatnonzero(kinds == 0):
        widths = np.clip(thickness[number] * np.exp(rng.uniform(0.0, 1.2, dimension)), None, 0.4 * size)
        frames[number] /= widths[:, None]
    return FeatureMonitor(
        centres=anchors[rng.integers(len(anchors), size=count)] + rng.normal(0.0, 0.05 * size, (count, dimension)),
        amplitudes=np.exp(rng.uniform(0.0, np.log(strongest), count)) / np.sqrt(count),
        kinds=kinds,
        frames=frames,
        radii=rng.uniform(0.1, 0.4, count) * size,
        thicknesses=0.5 * thickness,
        waves=rng.choice([0.0, 1.0], count) * rng.uniform(0.0, 0.1, count) * size,
    )


def _rotation(rng: np.random.Generator, dimension: int) -> np.ndarray:
    matrix, triangle = np.linalg.qr(rng.normal(size=(dimension, dimension)))
    return matrix * np.sign(np.diag(triangle))
