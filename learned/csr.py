"""Sparse matrices of scipy or PETSc as scipy's compressed rows, and these as named arrays for files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

# Names under which a file holds what a matrix is made of.
_PARTS = ("data", "indices", "indptr", "shape")


def to_csr(matrix, *, square: bool = False) -> sparse.csr_array:
    """Return a matrix as ordered compressed rows.

    Parameters
    ----------
    matrix
        Sparse matrix of scipy, or a matrix assembled by Firedrake (``mat_type="aij"``) or PETSc's own on one rank: rows
        and columns in the order of the degrees of freedom, those of a node next to each other.
    square
        Whether others are refused.

    Returns
    -------
    scipy.sparse.csr_array
        A copy in float64, its columns ascending in each row, each entry once.

    Raises
    ------
    ValueError
        For a matrix that is not sparse and real, is not square though it must be, or is divided over several ranks.
    """
    petsc = getattr(matrix, "petscmat", matrix)
    # PETSc itself is not imported: training runs where there is none.
    if hasattr(petsc, "getValuesCSR"):
        if petsc.comm.size > 1:
            raise ValueError(
                f"matrix: got one divided over {petsc.comm.size} ranks, expected one rank; factors are not divided: "
                "run without mpiexec, or use SolveOperator, which solves in parallel"
            )
        if petsc.type != "seqaij":
            raise ValueError(f'matrix: got PETSc type {petsc.type}, expected seqaij; assemble with mat_type="aij"')
        indptr, indices, data = petsc.getValuesCSR()
        matrix = sparse.csr_array((data, indices, indptr), shape=petsc.size)
    if not sparse.issparse(matrix) or np.iscomplexobj(matrix) or (square and matrix.shape[0] != matrix.shape[1]):
        raise ValueError(
            f"matrix: got {type(matrix).__name__} of shape {getattr(matrix, 'shape', '()')}, "
            f"expected a {'square ' if square else ''}real sparse one of scipy or one assembled by Firedrake"
        )
    result = sparse.csr_array(matrix, dtype=np.float64, copy=True)
    result.sum_duplicates()
    return result


def csr_arrays(name: str, matrix) -> dict[str, np.ndarray]:
    """Return what a file holds of a sparse matrix of scipy: its parts under its name."""
    rows = sparse.csr_array(matrix)
    return {f"{name}.{part}": np.asarray(getattr(rows, part)) for part in _PARTS}


def csr_of(arrays: Mapping[str, np.ndarray], name: str) -> sparse.csr_array:
    """Return the matrix of arrays as ``csr_arrays`` gives them."""
    data, indices, indptr, shape = (arrays[f"{name}.{part}"] for part in _PARTS)
    return sparse.csr_array((data, indices, indptr), shape=tuple(int(size) for size in shape))
