"""Exact dam breaks over a flat bed without friction: Stoker (wet bed) and Ritter (dry bed)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq


class MiddleState(NamedTuple):
    """Constant state between rarefaction and shock: depth [m], velocity [m/s], shock speed [m/s]."""

    depth: float
    velocity: float
    shock_speed: float


def stoker_middle_state(*, left_depth: float, right_depth: float, gravity: float) -> MiddleState:
    r"""Solve for the constant state between the rarefaction and the shock of a dam break over a wet bed.

    With ``c = sqrt(g h)``, the depth ``h_m`` is the root in ``(h_r, h_l)`` of

    .. math:: 2 (c_l - c_m) = (h_m - h_r) \sqrt{g (h_m + h_r) / (2 h_m h_r)} = u_m,

    the left side from the Riemann invariant ``u + 2 c`` of the rarefaction, the right side from the jump
    conditions; the shock moves at ``S = h_m u_m / (h_m - h_r)``.

    Parameters
    ----------
    left_depth, right_depth : float
        Depths ``h_l > h_r > 0`` on the two sides of the dam [m].
    gravity : float
        ``g`` [m/s^2].

    Returns
    -------
    MiddleState
        ``h_m`` [m], ``u_m`` [m/s], ``S`` [m/s], to rounding.

    Raises
    ------
    ValueError
        If the depths or gravity are out of order.

    References
    ----------
    J. J. Stoker, Water Waves, 1957, section 10.8; O. Delestre et al., SWASHES, 2013, section 4.1.1.
    """
    if not left_depth > right_depth > 0.0:
        raise ValueError(
            f"got left_depth={left_depth}, right_depth={right_depth}; expected left_depth > right_depth > 0; "
            "mirror x for a dam break to the left, use ritter for a dry bed"
        )
    _check_gravity(gravity)
    left_celerity = np.sqrt(gravity * left_depth)

    def shock_velocity(depth: float) -> float:
        return (depth - right_depth) * np.sqrt(0.5 * gravity * (depth + right_depth) / (depth * right_depth))

    def mismatch(depth: float) -> float:
        return shock_velocity(depth) - 2.0 * (left_celerity - np.sqrt(gravity * depth))

    depth = brentq(mismatch, right_depth, left_depth, xtol=1e-15 * left_depth, rtol=1e-14)
    # S = h_m u_m / (h_m - h_r), with the vanishing factor cancelled
    shock_speed = depth * np.sqrt(0.5 * gravity * (depth + right_depth) / (depth * right_depth))
    return MiddleState(float(depth), float(shock_velocity(depth)), float(shock_speed))


def stoker(
    x: ArrayLike,
    t: ArrayLike,
    *,
    left_depth: float,
    right_depth: float,
    dam_position: float,
    gravity: float,
) -> tuple[NDArray, NDArray]:
    r"""Evaluate the dam break over a wet bed: rarefaction, constant state, shock.

    With ``s = (x - x_0) / t`` and the middle state ``(h_m, u_m, S)`` of `stoker_middle_state`,

    .. math::
        (h, u) = \begin{cases}
            (h_l, 0) & s \le -c_l \\
            ((2 c_l - s)^2 / (9 g),\; 2 (c_l + s) / 3) & -c_l < s \le u_m - c_m \\
            (h_m, u_m) & u_m - c_m < s \le S \\
            (h_r, 0) & S < s
        \end{cases}

    Parameters
    ----------
    x
        Positions [m].
    t
        Times since the dam broke [s], not negative, of a shape that broadcasts with `x`.
    left_depth, right_depth : float
        Depths ``h_l > h_r > 0`` on the two sides of the dam [m].
    dam_position : float
        ``x_0`` [m].
    gravity : float
        ``g`` [m/s^2].

    Returns
    -------
    depth, velocity : ndarray, float
        ``h`` [m] and ``u`` [m/s], of the broadcast shape; at t = 0 the two still states.

    Raises
    ------
    ValueError
        If the depths or gravity are out of order, or a time is negative.

    References
    ----------
    J. J. Stoker, Water Waves, 1957, section 10.8; O. Delestre et al., SWASHES, 2013, section 4.1.1.
    """
    middle = stoker_middle_state(left_depth=left_depth, right_depth=right_depth, gravity=gravity)
    offset, t = _offset_and_time(x, t, dam_position)
    middle_celerity = np.sqrt(gravity * middle.depth)
    fan_depth, fan_velocity, still = _rarefaction(offset, t, left_depth, gravity)
    in_fan = offset <= (middle.velocity - middle_celerity) * t
    in_middle = offset <= middle.shock_speed * t
    depth = np.select([still, in_fan, in_middle], [left_depth, fan_depth, middle.depth], right_depth)
    velocity = np.select([still, in_fan, in_middle], [0.0, fan_velocity, middle.velocity], 0.0)
    return depth, velocity


def ritter(x: ArrayLike, t: ArrayLike, *, depth: float, dam_position: float, gravity: float) -> tuple[NDArray, NDArray]:
    r"""Evaluate the dam break over a dry bed: one rarefaction down to a dry front.

    With ``s = (x - x_0) / t`` and ``c = sqrt(g h_0)``,

    .. math::
        (h, u) = \begin{cases}
            (h_0, 0) & s \le -c \\
            ((2 c - s)^2 / (9 g),\; 2 (c + s) / 3) & -c < s < 2 c \\
            (0, 0) & 2 c \le s
        \end{cases}

    Parameters
    ----------
    x
        Positions [m].
    t
        Times since the dam broke [s], not negative, of a shape that broadcasts with `x`.
    depth : float
        ``h_0 > 0``, to the left of the dam [m].
    dam_position : float
        ``x_0`` [m].
    gravity : float
        ``g`` [m/s^2].

    Returns
    -------
    depth, velocity : ndarray, float
        ``h`` [m] and ``u`` [m/s], of the broadcast shape; the velocity of dry bed is 0.

    Raises
    ------
    ValueError
        If depth or gravity are not positive, or a time is negative.

    References
    ----------
    A. Ritter, Z. Ver. Dtsch. Ing. 36, 1892; O. Delestre et al., SWASHES, 2013, section 4.1.2.
    """
    if not depth > 0.0:
        raise ValueError(f"got depth={depth}; expected depth > 0; give the depth of the reservoir in m")
    _check_gravity(gravity)
    offset, t = _offset_and_time(x, t, dam_position)
    fan_depth, fan_velocity, still = _rarefaction(offset, t, depth, gravity)
    in_fan = offset < 2.0 * np.sqrt(gravity * depth) * t
    wave = [still, in_fan]
    return np.select(wave, [depth, fan_depth], 0.0), np.select(wave, [0.0, fan_velocity], 0.0)


def _check_gravity(gravity: float) -> None:
    if not gravity > 0.0:
        raise ValueError(f"got gravity={gravity}; expected gravity > 0; give it in m/s^2, 9.81 on Earth")


def _offset_and_time(x: ArrayLike, t: ArrayLike, dam_position: float) -> tuple[NDArray, NDArray]:
    """Return x - x_0 and t, broadcast; refuse negative times."""
    offset, t = np.broadcast_arrays(np.asarray(x, dtype=float) - dam_position, np.asarray(t, dtype=float))
    if np.any(t < 0.0):
        raise ValueError(f"got t={t.min()}; expected t >= 0; the solution starts when the dam breaks")
    return offset, t


def _rarefaction(offset: NDArray, t: NDArray, depth: float, gravity: float) -> tuple[NDArray, NDArray, NDArray]:
    """Return depth and velocity of the rarefaction into still water, and where the water is still."""
    celerity = np.sqrt(gravity * depth)
    still = offset <= -celerity * t
    similarity = np.divide(offset, t, out=np.zeros_like(offset), where=t > 0.0)
    return (2.0 * celerity - similarity) ** 2 / (9.0 * gravity), 2.0 * (celerity + similarity) / 3.0, still
