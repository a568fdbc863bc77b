"""Discontinuous fields with given cell means, between bounds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from learned.operators.structure.base import Structure
from learned.operators.structure.bounds import check_bounds, clipped, excess
from learned.operators.structure.data import Numbers, as_columns, as_numbers, largest


class CellMeans(Structure):
    r"""Scale each cell's values about a given mean until they are between bounds.

    .. math:: u = \bar u + \theta\,(N - \bar N),\qquad
              \theta = \min\Big(1,\ \frac{h - \bar u}{\max (N - \bar N)},\ \frac{l - \bar u}{\min (N - \bar N)}\Big)

    in each cell, with raw values N and their mean. Guaranteed: l <= u <= h at every degree of freedom, in floating
    point too, hence for DG1 at every point; each cell's mean is the given one to 1e-13 of the largest of |u| and |mean|
    in the cell (rounding). With means from ``LocalConservation`` (content over volume) the field is conservative and
    bounded at once.

    The residual is the larger of the excess over the bounds, as in ``Bounds``, and the defects of means, as above.

    Parameters
    ----------
    cells
        Degrees of freedom of each cell, shape (K, n), integers; each degree of freedom in one cell.
    means
        Mean of each cell, between the bounds, shape (K,) or (K, m).
    low, high
        l and h: a number, or for each cell, shape (K,) or (K, m), finite; None for no bound.
    weights
        Integral of each basis function over its cell, shape (K, n), positive, of any scale; equal if None, as they are
        for DG1 on simplices.

    Raises
    ------
    ValueError
        For means out of the bounds, bounds as in ``Bounds``, other shapes.

    Notes
    -----
    The linear scaling limiter: Zhang and Shu (2010), On maximum-principle-satisfying high order schemes for scalar
    conservation laws, J. Comput. Phys. 229, 3091-3120.
    """

    name = "cell means and bounds"

    def __init__(
        self,
        cells: np.ndarray | Tensor,
        means: Numbers,
        low: Numbers | None,
        high: Numbers | None,
        weights: np.ndarray | Tensor | None = None,
    ):
        table = np.asarray(cells)
        if table.ndim != 2:
            raise ValueError(f"cells: got shape {table.shape}, expected (K, n): the degrees of freedom of each cell")
        self._cells = as_numbers("cells", table.reshape(-1), table.size)
        self._shape = table.shape
        shares = np.ones(table.shape) if weights is None else np.asarray(weights, dtype=float)
        if shares.shape != table.shape or not (shares > 0).all():
            raise ValueError(f"weights: got shape {shares.shape}, expected positive ones of shape {table.shape}")
        self._shares = torch.from_numpy(shares / shares.sum(axis=1, keepdims=True))[:, :, None]
        count = len(table)
        self.means = as_columns("means", means, count)
        self.low = None if low is None else as_columns("low", low, count)
        self.high = None if high is None else as_columns("high", high, count)
        check_bounds(self.low, self.high)
        outside = excess(self.means, self.low, self.high)
        if outside > 0.0:
            raise ValueError(
                f"means: got some out of the bounds by {outside:.3g} of the largest, expected all between them; "
                "clip them, or take smaller steps of what made them"
            )
        data = [part for part in (self.means, self.low, self.high) if part is not None]
        super().__init__(raw_size=table.size, size=table.size, data=data)

    def _impose(self, raw: Tensor) -> Tensor:
        values = raw[self._cells].reshape(*self._shape, -1)
        deviations = values - (self._shares * values).sum(1, keepdim=True)
        theta = torch.ones_like(self.means)
        if self.high is not None:
            theta = torch.minimum(theta, _share(self.high - self.means, deviations.amax(1)))
        if self.low is not None:
            theta = torch.minimum(theta, _share(self.means - self.low, -deviations.amin(1)))
        u = clipped(self.means[:, None] + theta[:, None] * deviations, *self._bounds())
        return torch.empty_like(raw).index_copy(0, self._cells, u.reshape(raw.shape))

    def _violation(self, u: Tensor) -> float:
        values = u[self._cells].reshape(*self._shape, -1)
        defect = ((self._shares * values).sum(1) - self.means).abs()
        scale = torch.maximum(values.abs().amax(1), self.means.abs())
        of_means = largest(torch.where(defect == 0, 0.0, defect / scale))
        return float(np.max([of_means, excess(values, *self._bounds())]))

    def _bounds(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the bounds for values of shape (K, n, m)."""
        return None if self.low is None else self.low[:, None], None if self.high is None else self.high[:, None]


def _share(room: Tensor, reach: Tensor) -> Tensor:
    """Return room over reach, 1 where nothing is reached for; gradients stay finite there."""
    reaches = reach > 0
    return torch.where(reaches, room / torch.where(reaches, reach, 1.0), 1.0)
