"""Closed polygons in the plane as outlines of domains: what makes one usable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def checked_loops(name: str, outline, holes: Sequence) -> list[np.ndarray]:
    """Return the outline of a domain and its holes as arrays, after checking that they bound a domain.

    Parameters
    ----------
    name
        What to call the function that was given them in errors.
    outline
        Corners in order, in either sense, the last joined to the first, shape (n, 2) [m].
    holes
        Corners of each hole, shape (n_k, 2) each [m].

    Returns
    -------
    list[numpy.ndarray]
        The outline and then the holes, float64.

    Raises
    ------
    ValueError
        For less than three corners, numbers that are not finite, a side without length, sides that cross, touch or
        fold back on each other, a hole that is not inside the outline or is inside another.
    """
    loops = [_corners(name, "outline", outline)]
    loops += [_corners(name, f"hole {number}", hole) for number, hole in enumerate(holes)]
    names = ["outline"] + [f"hole {number}" for number in range(len(holes))]
    for label, loop in zip(names, loops, strict=True):
        _check_simple(name, label, loop)
    for i, first in enumerate(loops):
        for j, second in enumerate(loops[:i]):
            meeting = _first(_meet(first, second))
            if meeting is not None:
                raise ValueError(
                    f"{name}: got {names[i]} that meets {names[j]} in its side from {_place(first[meeting[0]])}, "
                    "expected space between them"
                )
    for label, hole in zip(names[1:], loops[1:], strict=True):
        if not _inside(hole[0], loops[0]):
            raise ValueError(f"{name}: got {label} at {_place(hole[0])} outside the outline, expected it inside")
        for other_label, other in zip(names[1:], loops[1:], strict=True):
            if other is not hole and _inside(hole[0], other):
                raise ValueError(f"{name}: got {label} inside {other_label}, expected it outside; leave it out")
    return loops


def _corners(name: str, label: str, given) -> np.ndarray:
    corners = np.array(given, dtype=float)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError(
            f"{name}: got {label} of shape {corners.shape}, expected three corners or more of two coordinates"
        )
    if not np.isfinite(corners).all():
        raise ValueError(f"{name}: got {label} with a coordinate that is not finite, expected numbers")
    return corners


def _check_simple(name: str, label: str, loop: np.ndarray) -> None:
    """Refuse a loop that meets itself."""
    following = np.roll(loop, -1, axis=0)
    same = np.flatnonzero((following == loop).all(axis=1))
    if len(same):
        raise ValueError(
            f"{name}: got {label} with the corner {_place(loop[same[0]])} twice in a row, expected it once; a closed "
            "outline does not repeat its first corner"
        )
    way = following - loop
    turned = np.roll(way, -1, axis=0)
    back = np.flatnonzero((_cross(way, turned) == 0.0) & ((way * turned).sum(axis=1) < 0.0))
    if len(back):
        raise ValueError(f"{name}: got {label} that folds back in {_place(following[back[0]])}, expected no spike")
    meet = _meet(loop, loop)
    number = np.arange(len(loop))
    # Neighbours share a corner.
    meet[number, number] = meet[number, number - 1] = meet[number - 1, number] = False
    meeting = _first(meet)
    if meeting is not None:
        first, second = (_place(loop[side]) for side in meeting)
        raise ValueError(
            f"{name}: got {label} whose sides from {first} and {second} meet, expected no side to meet another; give "
            "the corners in order"
        )


def _meet(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return which sides of two loops have a point in common, shape (n, m), bool."""
    ends = np.roll(second, -1, axis=0)
    # Side by side: all at once would take much memory for outlines of many corners.
    sides = zip(first, np.roll(first, -1, axis=0), strict=True)
    return np.array([_meets(start, end, second, ends) for start, end in sides])


def _meets(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Return which of the segments from c to d have a point in common with that from a to b, shape (m,), bool."""
    apart = (np.maximum(a, b) < np.minimum(c, d)).any(axis=1) | (np.maximum(c, d) < np.minimum(a, b)).any(axis=1)
    of_segments = np.sign(_cross(b - a, c - a)) * np.sign(_cross(b - a, d - a)) <= 0
    of_this = np.sign(_cross(d - c, a - c)) * np.sign(_cross(d - c, b - c)) <= 0
    return ~apart & of_segments & of_this


def _first(meet: np.ndarray) -> tuple[int, int] | None:
    found = np.argwhere(meet)
    return (int(found[0, 0]), int(found[0, 1])) if len(found) else None


def _inside(point: np.ndarray, loop: np.ndarray) -> bool:
    """Return whether a point, not on the loop, is inside: a ray from it crosses the loop an odd number of times."""
    start, end = loop - point, np.roll(loop, -1, axis=0) - point
    straddles = (start[:, 1] > 0) != (end[:, 1] > 0)
    start, end = start[straddles], end[straddles]
    rightwards = _cross(start, end) * np.sign(end[:, 1] - start[:, 1]) > 0
    return bool(rightwards.sum() % 2)


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _place(point: np.ndarray) -> str:
    return "(" + ", ".join(f"{coordinate:.6g}" for coordinate in point) + ")"
