"""Periods of a flow that sheds vortices, from the record of its forces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline


@dataclass(frozen=True)
class Shedding:
    """What the last periods of a record say.

    Attributes
    ----------
    period
        [s].
    drag, lift
        Greatest in the periods, in the unit of the record.
    lift_amplitude
        Half the difference between the greatest and the least lift.
    pressure_difference
        Half a period after the first greatest lift.
    spread
        Greatest less least of the greatest lifts of these periods: how far the flow is from periodic.
    """

    period: float
    drag: float
    lift: float
    lift_amplitude: float
    pressure_difference: float
    spread: float


def shedding(times: np.ndarray, values: np.ndarray, periods: int = 2) -> Shedding | None:
    """Return what the last periods of a record say, or None if there are not as many.

    Periods go from greatest lift to greatest lift; between samples the record is a cubic spline.

    Parameters
    ----------
    times
        Increasing, shape (n,) [s].
    values
        Drag, lift and pressure difference, shape (n, 3).
    periods
        How many, 1 or more.

    Notes
    -----
    The quantities of the benchmark 2D-2: M. Schaefer, S. Turek (1996), Notes on Numerical Fluid Mechanics 52, 547,
    section 2.2.
    """
    if len(times) < 4:
        return None
    spline = CubicSpline(times, values)
    drag, lift = CubicSpline(times, values[:, 0]), CubicSpline(times, values[:, 1])
    turns = lift.derivative().roots(extrapolate=False)
    # What a disturbance makes between two great ones is none. The jump of a beginning says nothing of how great.
    late = values[len(values) // 2 :, 1]
    level = 0.5 * (late.max() + late.mean())
    peaks = turns[(lift(turns) > level) & (lift(turns, 2) < 0.0)]
    if len(peaks) <= periods:
        return None
    first, last = peaks[-1 - periods], peaks[-1]
    period = float(last - first) / periods
    greatest = lift(peaks[-1 - periods :])
    least = lift(turns[(turns >= first) & (turns <= last)]).min()
    of_drag = drag.derivative().roots(extrapolate=False)
    of_drag = np.append(of_drag[(of_drag >= first) & (of_drag <= last)], [first, last])
    return Shedding(
        period=period,
        drag=float(drag(of_drag).max()),
        lift=float(greatest.max()),
        lift_amplitude=0.5 * float(greatest.max() - least),
        pressure_difference=float(spline(first + 0.5 * period)[2]),
        spread=float(np.ptp(greatest)),
    )
