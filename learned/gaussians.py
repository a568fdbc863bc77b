"""Random monitor functions of anisotropic Gaussians, which UM2N and DMM are trained on."""

from __future__ import annotations

import numpy as np

from learned.monitors import FeatureMonitor

# Standard deviations along the two axes, as shares of the domain's size.
_THINNEST, _WIDEST = 0.04, 0.25
_MOST = 6


def random_gaussians(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, *, strongest: float = 20.0
) -> FeatureMonitor:
    r"""Return the sum of one to six random Gaussians, and 1.

    .. math:: m(x) = 1 + \sum_k a_k e^{-|A_k (x - c_k)|^2 / 2}

    Parameters
    ----------
    rng
        Source of randomness.
    low, high
        Corners of the rectangle or box in which the centres are, shape (d,) [m].
    strongest
        Largest amplitude; the least is 1, drawn evenly in the logarithm.

    Returns
    -------
    FeatureMonitor

    Notes
    -----
    The number of Gaussians is that of Zhang et al. (arXiv 2407.00382), who take their sums as solutions of Helmholtz
    problems and make monitor functions of their derivatives; here they are monitor functions themselves.
    """
    count, dimension = int(rng.integers(1, _MOST + 1)), len(low)
    size = float((high - low).max())
    widths = size * np.exp(rng.uniform(np.log(_THINNEST), np.log(_WIDEST), (count, dimension)))
    frames, _ = np.linalg.qr(rng.normal(size=(count, dimension, dimension)))
    none = np.zeros(count)
    return FeatureMonitor(
        centres=rng.uniform(low, high, (count, dimension)),
        amplitudes=np.exp(rng.uniform(0.0, np.log(strongest), count)),
        kinds=np.zeros(count, dtype=np.int64),
        frames=frames / widths[:, :, None],
        radii=none,
        thicknesses=none,
        waves=none,
    )
