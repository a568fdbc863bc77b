"""Values between bounds."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from learned.operators.structure.base import Structure
from learned.operators.structure.data import Numbers, as_columns, largest, relative

# Beyond it log(1 + e^x) is x to the last bit.
_LINEAR = 40.0


class Bounds(Structure):
    r"""Map raw values between bounds, smoothly.

    .. math:: u = l + (h - l)\,\frac{1}{1 + e^{-N}},\qquad u = l + \log(1 + e^N),\qquad u = h - \log(1 + e^{N})

    for raw values N with both bounds, the lower one only, the upper one only. Guaranteed: l <= u <= h at every degree
    of freedom, in floating point too, for raw values of any size, infinite ones too; for elements of degree 0 and 1
    this holds at every point of the domain, for others it does not.

    The residual is the largest excess over the largest of |u| and the bounds: 0 if they are kept.

    Parameters
    ----------
    low, high
        l and h: a number, or shape (N,) or (N, m), finite; None for no bound.
    size
        N, if a bound is not one number.

    Raises
    ------
    ValueError
        Without bounds, for bounds that are not finite or in the wrong order, for other shapes.
    """

    name = "bounds"

    def __init__(self, low: Numbers | None, high: Numbers | None, *, size: int | None = None):
        if low is None and high is None:
            raise ValueError("low, high: got None for both, expected a bound; without one leave the structure out")
        self.low = None if low is None else as_columns("low", low, 1 if size is None else size)
        self.high = None if high is None else as_columns("high", high, 1 if size is None else size)
        check_bounds(self.low, self.high)
        super().__init__(raw_size=size, size=size, data=[bound for bound in (self.low, self.high) if bound is not None])

    def _impose(self, raw: Tensor) -> Tensor:
        if self.low is None:
            assert self.high is not None
            return self.high - softplus(raw, threshold=_LINEAR)
        if self.high is None:
            return self.low + softplus(raw, threshold=_LINEAR)
        between = self.low + (self.high - self.low) * torch.sigmoid(raw)
        # Rounding can take the sum past the upper bound by its last bit.
        return clipped(between, self.low, self.high)

    def _violation(self, u: Tensor) -> float:
        return excess(u, self.low, self.high)


def check_bounds(low: Tensor | None, high: Tensor | None) -> None:
    """Refuse bounds that are not finite or in the wrong order.

    Raises
    ------
    ValueError
        If they are refused.
    """
    for name, bound in (("low", low), ("high", high)):
        if bound is not None and not bool(bound.isfinite().all()):
            raise ValueError(f"{name}: got bounds that are not finite, expected finite ones; None is no bound")
    if low is not None and high is not None and bool((low > high).any()):
        worst = float((low - high).detach().max())
        raise ValueError(f"low, high: got low above high by {worst:.6g}, expected low <= high; exchange them")


def clipped(values: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    """Return values clipped to bounds exactly; gradients pass to values between them, and to the bound that is met."""
    if low is not None:
        values = torch.maximum(values, low)
    return values if high is None else torch.minimum(values, high)


def excess(u: Tensor, low: Tensor | None, high: Tensor | None) -> float:
    """Return how far values exceed bounds, over the largest of values and bounds; 0 if they do not."""
    above = [(low - u).clamp_min(0.0)] if low is not None else []
    above += [(u - high).clamp_min(0.0)] if high is not None else []
    scale = max(largest(part) for part in (u, low, high) if part is not None)
    return relative(largest(torch.stack(torch.broadcast_tensors(*above))), scale)
