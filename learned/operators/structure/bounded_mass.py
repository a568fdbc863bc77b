"""Bounds and total mass together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from learned.operators.structure.base import Structure
from learned.operators.structure.bounds import check_bounds, clipped, excess
from learned.operators.structure.data import Numbers, as_columns


class BoundedMass(Structure):
    r"""Shift and clip raw values so that they are between bounds and have a given total.

    .. math:: u_i = \min(\max(N_i + s,\ l_i),\ h_i),\qquad \sum_i w_i u_i = m

    with raw values N. The shift s is the root of a function that is piecewise linear and does not fall: u is the field
    nearest to N, with the weights w, among those between the bounds with that total. Gradients are those of the root,
    by the implicit function theorem. What rounding leaves of the total, much where raw values are so large that the
    shift is lost beside them, is made up by moving all values the same share of their way to a bound.

    Guaranteed: l <= u <= h bit for bit, for finite raw values of any size, and
    :math:`|w \cdot u - m| \le 10^{-13}\,w \cdot |u|` (rounding).

    The residual is the larger of the excess over the bounds, as in ``Bounds``, and that defect over the larger of
    :math:`w \cdot |u|` and |m|.

    Parameters
    ----------
    weights
        w: integral of each basis function, shape (N,), positive: of P1 the lumped mass matrix.
    total
        m: a number, or shape (m,), one for each right-hand side.
    low, high
        l and h: a number, or shape (N,) or (N, m), finite; high may be None for no upper bound.

    Raises
    ------
    ValueError
        For totals out of reach of the bounds, bounds as in ``Bounds``, weights that are not positive, other shapes.

    Notes
    -----
    The projection on a box and a hyperplane: Pardalos and Kovoor (1990), Mathematical Programming 46, 321-328.
    """

    name = "bounds and mass"

    def __init__(self, weights: np.ndarray | Tensor, total: Numbers, low: Numbers, high: Numbers | None):
        array = np.asarray(weights, dtype=float)
        if array.ndim != 1 or not (array > 0).all():
            raise ValueError(
                f"weights: got shape {array.shape}, expected positive ones of shape (N,); lump the mass matrix"
            )
        size = len(array)
        self.weights = torch.from_numpy(array.copy())[:, None]
        row = total if isinstance(total, Tensor) else torch.from_numpy(np.array(total))
        self.total = as_columns("total", row if row.ndim == 0 else row[None], 1)
        self.low = as_columns("low", low, size)
        self.high = None if high is None else as_columns("high", high, size)
        check_bounds(self.low, self.high)
        self._check_reach()
        super().__init__(
            raw_size=size, size=size, data=[part for part in (self.total, self.low, self.high) if part is not None]
        )

    def _check_reach(self) -> None:
        # Totals at the ends are computed as these are and differ by rounding.
        slack = 1e-14 * self.weights.sum()
        least = (self.weights * self.low).sum(0)
        out = (self.total < least - slack * self.low.abs().max()).any()
        most = None
        if self.high is not None:
            most = (self.weights * self.high).sum(0)
            out = out | (self.total > most + slack * self.high.abs().max()).any()
        if bool(out):
            end = "any" if most is None else f"{float(most.detach().min()):.6g}"
            raise ValueError(
                f"total: got {self.total.detach().reshape(-1).tolist()}, expected from "
                f"{float(least.detach().max()):.6g} to {end}, which the bounds can hold; check the total or the bounds"
            )

    def _impose(self, raw: Tensor) -> Tensor:
        with torch.no_grad():
            shift = self._root(raw)
        # A step of Newton's method, of no size but for rounding: its derivative is that of the root.
        trial = clipped(raw + shift, self.low, self.high)
        moving = (raw + shift > self.low) & (trial == raw + shift)
        slope = (self.weights * moving).sum(0)
        step = (self.total - (self.weights * trial).sum(0)) / torch.where(slope > 0, slope, 1.0)
        u = clipped(raw + (shift + torch.where(slope > 0, step, 0.0)), self.low, self.high)
        for _ in range(2):
            u = self._repaired(u)
        return u

    def _root(self, raw: Tensor) -> Tensor:
        """Return s, shape (1, m): values of the piecewise linear function at its kinks, then between two of them."""
        kinks = [self.low - raw]
        slopes = [self.weights.expand_as(raw)]
        if self.high is not None:
            kinks.append(self.high - raw)
            slopes.append(-slopes[0])
        places, order = torch.cat(kinks).sort(0)
        slope = torch.cat(slopes).gather(0, order).cumsum(0)
        least = (self.weights * self.low).sum(0, keepdim=True).expand(1, raw.shape[1])
        totals = torch.cat([least, least + (slope[:-1] * places.diff(dim=0)).cumsum(0)])
        last = ((totals <= self.total).sum(0, keepdim=True) - 1).clamp_min(0)
        place, value, steepness = (part.gather(0, last) for part in (places, totals, slope))
        # Behind the last kink, and where only rounding has left a slope, nothing moves.
        moves = steepness > 1e-14 * self.weights.sum()
        return place + torch.where(moves, (self.total - value) / torch.where(moves, steepness, 1.0), 0.0)

    def _repaired(self, u: Tensor) -> Tensor:
        missing = self.total - (self.weights * u).sum(0)
        down = u - self.low
        up = torch.ones_like(u) if self.high is None else self.high - u
        rooms = (self.weights * up).sum(0), (self.weights * down).sum(0)
        share_up, share_down = (
            torch.where(room > 0, missing.mul(sign).clamp_min(0.0) / torch.where(room > 0, room, 1.0), 0.0)
            for room, sign in zip(rooms, (1.0, -1.0), strict=True)
        )
        return clipped(u + share_up * up - share_down * down, self.low, self.high)

    def _violation(self, u: Tensor) -> float:
        defect = ((self.weights * u).sum(0) - self.total).abs()
        scale = torch.maximum((self.weights * u.abs()).sum(0), self.total.abs())
        of_total = float(torch.where(defect == 0, 0.0, defect / scale).max())
        return float(np.max([of_total, excess(u, self.low, self.high)]))
