"""Nearest of many points."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def nearest_tree(points: np.ndarray) -> cKDTree:
    """Return a tree of points, shape (n, d), to search.

    A balanced one splits at the median; where that is zero for more than half of the points, as it is along a side
    x = 0, it goes on to the next greater number, which PyOP2's code, compiled with -ffast-math, has the processor take
    for zero too: the recursion would never end. The middle between least and greatest is safe.
    """
    return cKDTree(points, balanced_tree=False)
