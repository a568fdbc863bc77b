"""Fixed sparse linear maps on tensors, fast on CPUs and differentiable."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


class SparseMap:
    r"""A sparse matrix as a linear map of features.

    .. math:: y = A x,\qquad \bar x = A^T \bar y

    Both directions are products in compressed rows: on a CPU several times faster than scattering, and, summing in a
    fixed order, the same bits every time.

    Parameters
    ----------
    rows, columns
        Places of the entries, shape (n,), int64; entries at one place add up.
    values
        The entries, shape (n,), floating point.
    shape
        Numbers of rows and columns.
    """

    # Leading digits of the entries and the rest, once ``residual`` has needed them.
    _parts: tuple[Tensor, Tensor, int] | None = None

    def __init__(self, rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]):
        self.shape = shape
        self._forward = _compressed(rows, columns, values, shape)
        self._backward = _compressed(columns, rows, values, (shape[1], shape[0]))

    def __call__(self, features: Tensor) -> Tensor:
        """Return A x.

        Parameters
        ----------
        features
            x, shape (columns,) or (columns, channels), of the type of the entries.

        Returns
        -------
        Tensor
            Shape (rows,) or (rows, channels).
        """
        if features.requires_grad and torch.is_grad_enabled():
            return _Product.apply(features, self._forward, self._backward)
        return self._forward @ features

    def residual(self, right_sides: Tensor, features: Tensor) -> Tensor:
        r"""Return b - A x as if A x were not rounded, without gradient.

        .. math:: A = A_1 + A_2,\qquad x = x_1 + x_2,\qquad b - A x = (b - A_1 x_1) - A_1 x_2 - A_2 x

        with so few leading bits in :math:`A_1` and :math:`x_1` that their product has no rounding. With n entries in
        the longest row and the unit roundoff :math:`\epsilon`, the error is at most

        .. math:: 3 \epsilon |b - A x| + 10 \sqrt{n \epsilon} \cdot n^2 \epsilon \max |A_{ij}| \max |x_j|

        where A x alone can have :math:`n^2 \epsilon \max |A_{ij}| \max |x_j|`. It takes three products, on any device.

        Parameters
        ----------
        right_sides, features
            b, shape (rows,) or (rows, channels), and x, of as many channels, of the type of the entries.

        Returns
        -------
        Tensor
            The shape of b.

        Notes
        -----
        Slices whose products are exact: Ozaki, Ogita, Oishi and Rump (2012), Error-free transformations of matrix
        multiplication by using fast routines of matrix multiplication and its applications, Numer. Algorithms 59.
        """
        if self._parts is None:
            self._parts = _divided(self._forward)
        leading, rest, bits = self._parts
        x = features.detach()
        first = _leading(x, bits)
        # What is large goes first, so that the rest is rounded as small numbers are.
        return ((right_sides.detach() - leading @ first) - leading @ (x - first)) - rest @ x

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> SparseMap:
        """Return the map on another device or in another floating-point type."""
        moved = object.__new__(SparseMap)
        moved.shape = self.shape
        moved._forward = self._forward.to(device=device, dtype=dtype)
        moved._backward = self._backward.to(device=device, dtype=dtype)
        return moved


def sparse_map(matrix, dtype: torch.dtype = torch.float64) -> SparseMap:
    """Return a matrix of scipy as a map of tensors; entries at one place add up."""
    rows = sparse.csr_array(matrix)
    result = object.__new__(SparseMap)
    result.shape = rows.shape
    # Sorting is left to scipy, which is several times faster than torch at it.
    result._forward, result._backward = _of_scipy(rows, dtype), _of_scipy(sparse.csr_array(rows.T), dtype)
    return result


def take(values: Tensor, numbers: Tensor, total: SparseMap, *, axis: int = 0) -> Tensor:
    """Return the values of the given numbers, with a backward that sums in compressed rows instead of scattering.

    Parameters
    ----------
    values
        Shape (n, channels), or (channels, n) for axis 1; or (n,).
    numbers
        Which to take, shape (E,), int64.
    total
        The sum over equal numbers, (n, E): what taking is the transpose of.
    axis
        The axis of the n.

    Returns
    -------
    Tensor
        Shape (E, channels), (channels, E) or (E,).
    """
    if values.requires_grad and torch.is_grad_enabled():
        return _Take.apply(values, numbers, total, axis)
    return torch.index_select(values, axis, numbers)


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, numbers: Tensor, total: SparseMap, axis: int) -> Tensor:
        ctx.total, ctx.axis = total, axis
        return torch.index_select(values, axis, numbers)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        if ctx.axis == 0:
            return ctx.total(gradient.contiguous()), None, None, None
        return torch.stack([ctx.total(component.contiguous()) for component in gradient]), None, None, None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        ctx.transposed = backward
        return forward @ features

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return ctx.transposed @ gradient.contiguous(), None, None


def _compressed(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Ss]parse.*")
        places = torch.stack([rows, columns])
        matrix = torch.sparse_coo_tensor(places, values, shape, device=values.device).coalesce().to_sparse_csr()
    # The library behind products has 32-bit numbers, to which others are converted in every one.
    return _csr_tensor(matrix.crow_indices().int(), matrix.col_indices().int(), matrix.values(), shape)


def _divided(matrix: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return the leading bits of the entries and the rest, and how many bits they are: see ``SparseMap.residual``."""
    crow, column, values = matrix.crow_indices(), matrix.col_indices(), matrix.values()
    longest = max(int(crow.diff().max()), 1)
    digits = 2 - math.frexp(torch.finfo(values.dtype).eps)[1]
    # Sums of so many products of two such integers are integers that the type holds.
    bits = (digits - math.ceil(math.log2(longest))) // 2
    first, shape = _leading(values, bits), (matrix.shape[0], matrix.shape[1])
    rest = _csr_tensor(crow, column, values - first, shape)
    return _csr_tensor(crow, column, first, shape), rest, bits


def _leading(values: Tensor, bits: int) -> Tensor:
    """Return values (n,) or (n, channels) rounded to multiples of one power of two in each channel, of so many bits."""
    # Not smaller, as subnormal numbers may be flushed to zero.
    largest = values.abs().amax(0).clamp_min(torch.finfo(values.dtype).tiny ** 0.5)
    unit = largest / torch.frexp(largest).mantissa * 2.0**-bits
    return torch.round(values / unit) * unit


def _of_scipy(matrix: sparse.csr_array, dtype: torch.dtype) -> Tensor:
    # A copy: what is summed up must not be the caller's.
    rows = sparse.csr_array(matrix, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    crow, column = (torch.from_numpy(part.astype(np.int32)) for part in (rows.indptr, rows.indices))
    return _csr_tensor(crow, column, torch.from_numpy(rows.data).to(dtype), rows.shape)


def _csr_tensor(crow: Tensor, column: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        # torch says at the first one in a process that compressed rows are in beta.
        warnings.filterwarnings("ignore", message=".*[Ss]parse.*")
        return torch.sparse_csr_tensor(crow, column, values, shape, device=values.device)
