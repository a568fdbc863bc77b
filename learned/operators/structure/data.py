"""Plain data of a problem as the tensors and linear maps that structures use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from learned.csr import to_csr
from learned.sparse import sparse_map

Numbers: TypeAlias = float | np.ndarray | Tensor
# Sparse of scipy in the first place, whose classes carry no types.
Matrix: TypeAlias = Any


@dataclass(frozen=True)
class LinearMap:
    """A linear map with its transpose.

    Attributes
    ----------
    shape
        Numbers of rows and columns.
    apply
        A x of features of shape (columns, m), float64, differentiable.
    transposed
        A^T y of features of shape (rows, m).
    """

    shape: tuple[int, int]
    apply: Callable[[Tensor], Tensor]
    transposed: Callable[[Tensor], Tensor]


def as_columns(name: str, values: Numbers, rows: int) -> Tensor:
    """Return numbers as float64 columns; gradients pass to tensors.

    Parameters
    ----------
    name
        Name of the argument, for errors.
    values
        One number for all rows, shape (rows,), or (rows, m): a column for each right-hand side.
    rows
        Number of rows.

    Returns
    -------
    Tensor
        Shape (rows, 1) or (rows, m), on the CPU; a copy of arrays.

    Raises
    ------
    ValueError
        For other shapes, and numbers that are not real.
    """
    tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    fits = tensor.ndim == 0 or (tensor.ndim in (1, 2) and tensor.shape[0] == rows)
    if not fits or tensor.is_complex() or tensor.device.type != "cpu":
        raise ValueError(
            f"{name}: got {_described(tensor)}, expected real numbers of shape (), ({rows},) or ({rows}, m) on cpu; "
            "give one for each row"
        )
    tensor = tensor.to(torch.float64)
    if tensor.ndim == 0:
        return tensor.expand(rows, 1)
    return tensor if tensor.ndim == 2 else tensor[:, None]


def as_numbers(name: str, numbers: np.ndarray | Tensor, size: int | None = None) -> Tensor:
    """Return numbers of degrees of freedom, each given once, as int64.

    Parameters
    ----------
    name
        Name of the argument, for errors.
    numbers
        Integers from 0, shape (n,), in any order.
    size
        How many degrees of freedom there are; unknown if None.

    Raises
    ------
    ValueError
        For other types and shapes, numbers out of range or given twice.
    """
    array = np.asarray(numbers)
    whole = np.issubdtype(array.dtype, np.integer) or array.size == 0
    if array.ndim != 1 or not whole:
        raise ValueError(
            f"{name}: got {array.dtype} of shape {array.shape}, expected integers of shape (n,); "
            "of a mask give np.flatnonzero"
        )
    if len(np.unique(array)) < len(array):
        raise ValueError(f"{name}: got degrees of freedom twice, expected each once; take np.unique of them")
    if array.size and (array.min() < 0 or (size is not None and array.max() >= size)):
        end = "" if size is None else f" to {size - 1}"
        raise ValueError(
            f"{name}: got numbers from {array.min()} to {array.max()}, expected 0{end or ' and more'}; "
            "number degrees of freedom, not nodes, of vector fields"
        )
    return torch.from_numpy(array.astype(np.int64))


def as_sparse(name: str, matrix, shape: tuple[int | None, int | None], *, symmetric: bool = False) -> sparse.csr_array:
    """Return a real sparse matrix in CSR form, its entries ordered, each once; a copy.

    Parameters
    ----------
    name
        Name of the argument, for errors.
    matrix
        Sparse matrix of scipy.
    shape
        Numbers of rows and columns; None fits any.
    symmetric
        Whether it must be symmetric, to 1e-10 of its largest entry.

    Raises
    ------
    ValueError
        For other matrices.
    """
    fits = sparse.issparse(matrix) and not np.iscomplexobj(matrix)
    if not fits or any(wanted not in (None, got) for wanted, got in zip(shape, matrix.shape, strict=True)):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{name}: got {type(matrix).__name__} of shape {tuple(getattr(matrix, 'shape', ()))}, "
            f"expected a real sparse matrix of scipy of shape ({sizes})"
        )
    result = to_csr(matrix)
    if not np.isfinite(result.data).all():
        raise ValueError(f"{name}: got entries that are not finite, expected finite ones; check what computed them")
    if symmetric and not is_symmetric(result):
        raise ValueError(f"{name}: got a matrix that is not symmetric, expected one that is; check its form")
    return result


def is_symmetric(matrix: sparse.csr_array) -> bool:
    """Return whether a matrix is square and symmetric to 1e-10 of its largest entry."""
    return matrix.shape[0] == matrix.shape[1] and bool(abs(matrix - matrix.T).max() <= 1e-10 * abs(matrix).max())


def as_map(name: str, matrix: Matrix | LinearMap, rows: int) -> LinearMap:
    """Return a matrix as a linear map with its transpose; gradients pass to the entries of tensors.

    Parameters
    ----------
    name
        Name of the argument, for errors.
    matrix
        Sparse matrix of scipy, dense array, dense or sparse COO tensor on the CPU, or the map itself.
    rows
        Number of rows it must have.

    Raises
    ------
    ValueError
        For other types and shapes.
    """
    if isinstance(matrix, LinearMap) and matrix.shape[0] == rows:
        return matrix
    if sparse.issparse(matrix):
        entries = as_sparse(name, matrix, (rows, None))
        return LinearMap(entries.shape, sparse_map(entries), sparse_map(sparse.csr_array(entries.T)))
    tensor = as_matrix(name, matrix, rows)
    # Transposed at the call: tensors that carry gradients do so in each.
    return LinearMap((rows, tensor.shape[1]), lambda x: tensor @ x, lambda y: tensor.t() @ y)


def as_matrix(name: str, matrix, rows: int) -> Tensor:
    """Return a dense array, or a dense or sparse COO tensor, as a float64 tensor of shape (rows, any).

    Raises
    ------
    ValueError
        For other types and shapes.
    """
    if isinstance(matrix, np.ndarray):
        matrix = torch.from_numpy(np.array(matrix))
    fits = isinstance(matrix, Tensor) and matrix.is_floating_point() and matrix.device.type == "cpu"
    if not fits or matrix.ndim != 2 or len(matrix) != rows or matrix.layout not in (torch.strided, torch.sparse_coo):
        raise ValueError(
            f"{name}: got {_described(matrix)}, expected a matrix of shape ({rows}, any), floating point: sparse of "
            "scipy, an array, or a dense or sparse COO tensor on cpu"
        )
    return matrix.to(torch.float64)


def as_entries(name: str, matrix: Matrix, rows: int) -> tuple[np.ndarray, np.ndarray, Tensor, int]:
    """Return the places and values of the stored entries of a matrix, all of a dense one, and its number of columns.

    Parameters
    ----------
    name
        Name of the argument, for errors.
    matrix
        Sparse matrix of scipy, dense array, or dense or sparse COO tensor, whose gradients pass.
    rows
        Number of rows it must have.

    Returns
    -------
    tuple
        Rows and columns, shape (n,), int64; values, shape (n,), float64; number of columns.

    Raises
    ------
    ValueError
        For other types and shapes.
    """
    if sparse.issparse(matrix):
        entries = sparse.coo_array(as_sparse(name, matrix, (rows, None)))
        places = (place.astype(np.int64) for place in entries.coords)
        return *places, torch.from_numpy(entries.data), entries.shape[1]
    tensor = as_matrix(name, matrix, rows)
    columns = int(tensor.shape[1])
    if tensor.layout == torch.sparse_coo:
        tensor = tensor.coalesce()
        return *tensor.indices().numpy(), tensor.values(), columns
    row, column = np.divmod(np.arange(rows * columns), columns)
    return row, column, tensor.reshape(-1), columns


def largest(values: Tensor) -> float:
    """Return the largest absolute value, 0 of none, NaN if there is one."""
    return float(values.detach().abs().max()) if values.numel() else 0.0


def relative(defect: float, scale: float) -> float:
    """Return a defect relative to a scale; 0 if there is none, whatever the scale."""
    if defect == 0.0:
        return 0.0
    return defect / scale if scale > 0.0 else float("inf")


def _described(value) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)} on {value.device}"
    return type(value).__name__
