"""How a computed gauge record compares with a reference record."""

from __future__ import annotations

import numpy as np

# A wave has arrived when the elevation first reaches this share of its peak: half of it stands clear of the
# offset and the noise of measured records.
ARRIVAL_SHARE = 0.5


def takacs_split(computed: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    r"""Split the mean square error into a dissipation and a dispersion part.

    .. math::
        \mathrm{MSE} = \underbrace{(\sigma_u - \sigma_v)^2 + (\bar u - \bar v)^2}_\text{dissipation}
                     + \underbrace{2 (1 - \rho)\,\sigma_u \sigma_v}_\text{dispersion}

    Parameters
    ----------
    computed, reference
        u and v at the same times, shape (n,).

    Returns
    -------
    dissipation, dispersion
        The two parts, in the squared unit of the records; their sum is the mean square error.

    References
    ----------
    Takacs (1985), A two-step scheme for the advection equation with minimized dissipation and dispersion errors.
    """
    spread_u, spread_v = computed.std(), reference.std()
    dissipation = (spread_u - spread_v) ** 2 + (computed.mean() - reference.mean()) ** 2
    covariance = ((computed - computed.mean()) * (reference - reference.mean())).mean()
    return float(dissipation), float(2 * (spread_u * spread_v - covariance))


def arrival_time(times: np.ndarray, elevation: np.ndarray) -> float:
    """Return when the elevation first reaches half of its peak [s]."""
    return float(times[np.argmax(elevation >= ARRIVAL_SHARE * elevation.max())])


def compare_gauge(
    times: np.ndarray, computed: np.ndarray, reference_times: np.ndarray, reference: np.ndarray
) -> dict[str, float]:
    """Return the figures of one gauge over the time that both records cover.

    Parameters
    ----------
    times, computed
        Computed record, shape (n,), [s] and [m].
    reference_times, reference
        Reference record, shape (m,), [s] and [m]; interpolated linearly to ``times``.

    Returns
    -------
    dict
        ``rmse`` [m], ``peak`` [m], ``peak_time`` [s], ``reference_peak`` [m], ``reference_peak_time`` [s],
        ``peak_error_pct`` [%], ``arrival_error_s`` [s], ``takacs_dissipation``, ``takacs_dispersion`` [m^2].
    """
    window = (times >= reference_times[0]) & (times <= reference_times[-1])
    t, u = times[window], computed[window]
    v = np.interp(t, reference_times, reference)
    covered = (reference_times >= t[0]) & (reference_times <= t[-1])
    peak_time, peak = reference_times[covered][np.argmax(reference[covered])], reference[covered].max()
    dissipation, dispersion = takacs_split(u, v)
    return {
        "rmse": float(np.sqrt(((u - v) ** 2).mean())),
        "peak": float(u.max()),
        "peak_time": float(t[np.argmax(u)]),
        "reference_peak": float(peak),
        "reference_peak_time": float(peak_time),
        "peak_error_pct": float(100 * (u.max() - peak) / abs(peak)) if peak else float("nan"),
        "arrival_error_s": arrival_time(t, u) - arrival_time(t, v),
        "takacs_dissipation": dissipation,
        "takacs_dispersion": dispersion,
    }
