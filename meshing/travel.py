"""Follow a displacement: whole where that is valid, else in limited steps as far as the mesh stays valid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshing.limiter import clip_differences, clip_lengths, largest_differences
from meshing.patches import VertexPatches
from meshing.simplex import path_volume_ratios, simplex_volumes, simplex_widths


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
    patches: VertexPatches, points: np.ndarray, displacement: np.ndarray, limits: TravelLimits, held: np.ndarray
) -> Travel:
    r"""Follow a displacement, whole or in limited steps.

    .. math:: x_{k+1} = x_k + L_k(x_0 + \delta - x_k),\qquad
              r_K = \min\big(2 f w_K(x_k),\; w_K(x_k) - \epsilon\, w_K(x_0)\big)

    The bound of the limiter suffices for a valid mesh but is not necessary: neighbours may well part by many widths.
    Hence a displacement on whose straight path no element is inverted is taken as it is. Another is followed in
    steps of the limiter L with room r, f the fraction and epsilon the narrowest share, while the straight path from
    x_0 to x_k inverts no element.

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

    Returns
    -------
    Travel
        No element is inverted on the straight path from x_0 to the points, and none is narrower at its end than
        epsilon of its first width. On arrival the points are x_0 + delta.

    Raises
    ------
    ValueError
        If an element has no volume to begin with, or for other cells than simplices.
    """
    cells = patches.cells
    volumes, narrowest = simplex_volumes(points, cells), limits.narrowest * simplex_widths(points, cells)
    if not patches.smallest(np.abs(volumes)) > 0.0:
        raise ValueError("mesh: got a cell without volume, expected cells that are not degenerate; mend the mesh first")

    def least_ratio(moved: np.ndarray) -> float:
        way = path_volume_ratios(points, moved - points, cells)
        # Far away, coordinates are rounded by more than their difference from the start tells.
        with np.errstate(over="ignore", invalid="ignore"):
            end = simplex_volumes(moved, cells) / volumes
        return patches.smallest(np.minimum(way, end))

    def arrived_at(moved: np.ndarray, arrived: bool) -> Travel:
        return Travel(moved, arrived, patches.smallest(simplex_volumes(moved, cells) / volumes))

    target = points + displacement
    # On the way, too, an element keeps the volume that it would have when as narrow as allowed in all directions.
    valid = least_ratio(target) > limits.narrowest ** points.shape[1]
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
        if not least_ratio(reached + step) > 0.0:
            break
        reached = reached + step
    return arrived_at(reached, False)
