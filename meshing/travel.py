"""Follow a displacement: whole where that is valid, else in limited steps as far as the mesh stays valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meshing.limiter import clip_differences, clip_lengths, largest_differences
from meshing.patches import VertexPatches
from meshing.simplex import path_volume_ratios, simplex_volumes, simplex_widths

# Rounding of widths against their bound.
_ROUNDING = 1e-9
# Rounds in which the vertices of more and more elements are stopped in a step, before all are.
_ROUNDS = 50


@dataclass(frozen=True)
class TravelLimits:
    """How a displacement is followed; no choice of these lets an element be inverted.

    Attributes
    ----------
    fraction
        Limit of each step as a share of the elements' minimum width, between 0 and 1/2.
    relative
        Limit differences within an element instead of displacements; see ``meshing.limiter``.
    sweeps
        Averaging sweeps of the relative form.
    steps
        Most limited steps towards a target that cannot be had whole, 1 or more. In one step, vertices of an element
        move by less than its width relative to each other.
    narrowest
        Least width of an element as a share of its width before, in [0, 1).

    Raises
    ------
    ValueError
        For a number out of its bounds.
    """

    fraction: float = 0.45
    relative: bool = True
    sweeps: int = 4
    steps: int = 10
    narrowest: float = 0.01

    def __post_init__(self) -> None:
        bounds = {
            "fraction": (0.0 < self.fraction < 0.5, "more than 0 and less than 0.5"),
            "sweeps": (self.sweeps >= 0, "0 or more"),
            "steps": (self.steps >= 1, "1 or more"),
            "narrowest": (0.0 <= self.narrowest < 1.0, "0 or more and less than 1"),
        }
        for name, (holds, expected) in bounds.items():
            if not holds:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected {expected}")


@dataclass(frozen=True)
class Travel:
    """Where a displacement has led.

    Attributes
    ----------
    points
        Vertices, shape (N, d) [m].
    arrived
        Whether the displacement has been followed to its end.
    min_jacobian_ratio
        Least ratio of an element's signed volume to the one before; always positive.
    """

    points: np.ndarray
    arrived: bool
    min_jacobian_ratio: float


def follow_displacement(
    patches: VertexPatches,
    points: np.ndarray,
    displacement: np.ndarray,
    limits: TravelLimits,
    held: np.ndarray,
    project: Callable[[np.ndarray], np.ndarray] = np.copy,
) -> Travel:
    r"""Follow a displacement, whole or in limited steps.

    .. math:: x_{k+1} = P(x_k + L_k(P(x_0 + \delta) - x_k)),\qquad
              r_K = \min\big(2 f w_K(x_k),\; w_K(x_k) - \epsilon\, w_K(x_0)\big)

    P brings boundary vertices back onto the boundary. The bound of the limiter suffices for a valid mesh but is not
    necessary: neighbours may well part by many widths. Hence a displacement on whose straight path no element is
    inverted is taken as it is. Another is followed in steps of the limiter L with room r, f the fraction and epsilon
    the narrowest share. In a step, the vertices of an element stay where they are if it would be inverted on the
    straight path from x_0 to x_{k+1}, or be too narrow at its end: the projection comes after the limiter, and many
    valid steps need not add up to a valid straight path.

    Parameters
    ----------
    patches
        Cells around the vertices.
    points
        x_0, vertices of a valid mesh, shape (N, d), d = 2 or 3 [m].
    displacement
        delta, finite, shape (N, d) [m].
    limits
        Limits of the steps.
    held
        Vertices that keep the direction of their displacement, shape (N,), bool: those on boundaries.
    project
        P, from vertices to vertices, shape (N, d) [m]; ``meshing.boundary.Boundary.project``. None are projected if
        not given.

    Returns
    -------
    Travel
        No element is inverted on the straight path from x_0 to the points, and none is narrower at its end than
        epsilon of its first width. On arrival the points are P(x_0 + delta). Vertices that have moved are where P has
        put them.

    Raises
    ------
    ValueError
        If an element has no volume to begin with, or for other cells than simplices.
    """
    cells = patches.cells
    volumes, narrowest = simplex_volumes(points, cells), limits.narrowest * simplex_widths(points, cells)
    if not patches.smallest(np.abs(volumes)) > 0.0:
        raise ValueError("mesh: got a cell without volume, expected cells that are not degenerate; mend the mesh first")

    def least_ratios(moved: np.ndarray) -> np.ndarray:
        way = path_volume_ratios(points, moved - points, cells)
        # Far away, coordinates are rounded by more than their difference from the start tells.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.minimum(way, simplex_volumes(moved, cells) / volumes)

    def is_good(moved: np.ndarray) -> np.ndarray:
        # The limiter leaves widths at their bound but for rounding.
        wide = simplex_widths(moved, cells) >= (1.0 - _ROUNDING) * narrowest
        return ((least_ratios(moved) > 0.0) & wide).astype(float)

    def held_back(moved: np.ndarray, reached: np.ndarray) -> np.ndarray:
        for _ in range(_ROUNDS):
            good = is_good(moved)
            if patches.smallest(good) > 0.0:
                return moved
            # Every round stops a vertex of each bad element, for where all have stopped it is as it was.
            moved = np.where((patches.minimum(good) > 0.0)[:, None], moved, reached)
        return reached

    def arrived_at(moved: np.ndarray, arrived: bool) -> Travel:
        return Travel(moved, arrived, patches.smallest(simplex_volumes(moved, cells) / volumes))

    target = project(points + displacement)
    # On the way, too, an element keeps the volume that it would have when as narrow as allowed in all directions.
    valid = patches.smallest(least_ratios(target)) > limits.narrowest ** points.shape[1]
    if valid and patches.smallest(simplex_widths(target, cells) - narrowest) >= 0.0:
        return arrived_at(target, True)
    reached = points.copy()
    for _ in range(limits.steps):
        room = np.minimum(
            largest_differences(reached, cells, limits.fraction),
            np.maximum(0.0, simplex_widths(reached, cells) - narrowest),
        )
        remaining = target - reached
        if limits.relative:
            step = clip_differences(patches, remaining, room, sweeps=limits.sweeps, held=held)
        else:
            step = clip_lengths(patches, remaining, room)
        reached = held_back(project(reached + step), reached)
    return arrived_at(reached, False)
