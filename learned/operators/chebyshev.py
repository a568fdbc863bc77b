"""Chebyshev polynomials of matrices, which leave what has little energy and take away what has much."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

# Squarings of a block before its norm is taken: with 2 it is right to 2^(1/8) for two components.
_SQUARINGS = 2


def chebyshev(apply: Callable[[Tensor], Tensor], columns: Tensor, degree: int, least: Tensor | float) -> Tensor:
    r"""Return p(B) x, of the polynomial p of a degree with p(0) = 1 that is smallest on [least, 1].

    .. math:: p(\lambda) = T_s\Big(\frac{1 + a - 2\lambda}{1 - a}\Big) \Big/ T_s\Big(\frac{1 + a}{1 - a}\Big)

    For a matrix B with eigenvalues in [0, 1] all of p(B) are between -1 and 1.

    Parameters
    ----------
    apply
        B, a map of columns, (V, m) to (V, m).
    columns
        x, shape (V, m).
    degree
        s.
    least
        a, between 0 and 1.

    Notes
    -----
    The residuals in the three-term recurrence of Saad, Iterative Methods for Sparse Linear Systems (2003), algorithm
    12.1: stable for any degree, which products over the roots are not.
    """
    middle, half = (1.0 + least) / 2.0, (1.0 - least) / 2.0
    rho = half / middle
    step = columns / middle
    for _ in range(degree):
        columns = columns - apply(step)
        following = 1.0 / (2.0 * middle / half - rho)
        step = following * rho * step + (2.0 * following / half) * columns
        rho = following
    return columns


def relaxed(
    apply: Callable[[Tensor], Tensor], diagonal: Tensor, degree: int, least: Tensor | float
) -> Callable[[Tensor], Tensor]:
    r"""Return the map M with :math:`I - M A = p(D A)`, see ``chebyshev``: so many steps towards :math:`A^{-1}`.

    Symmetric, and positive definite as p is less than 1 but for :math:`p(0) = 1`: a polynomial of D A times D.

    Parameters
    ----------
    apply
        A, symmetric and positive definite, a map of columns, (V, m) to (V, m).
    diagonal
        D, positive, shape (V, 1), with eigenvalues of D A up to 1.
    degree, least
        See ``chebyshev``.
    """

    def local(left: Tensor) -> Tensor:
        # The sum of the steps by which p(D A) is made of residuals.
        total = torch.zeros_like(left)

        def scaled(step: Tensor) -> Tensor:
            nonlocal total
            total = total + step
            return diagonal * apply(step)

        chebyshev(scaled, diagonal * left, degree, least)
        return total

    return local


def diagonal_bound(matrix: sparse.csr_array, components: int) -> np.ndarray:
    r"""Return a diagonal r, one number a node, with :math:`A \preceq \mathrm{diag}(r)`, shape (n,).

    .. math:: r_i = \sum_j \|A_{ij}\|,\qquad |x_i \cdot A_{ij} x_j| \le \tfrac12 \|A_{ij}\| (|x_i|^2 + |x_j|^2)

    with the blocks of the components of two nodes, whose Schatten norms of order 8 are hardly larger than the spectral
    ones. So r turns with the domain. Gershgorin's theorem, in blocks.

    Parameters
    ----------
    matrix
        A, symmetric, shape (n c, n c).
    components
        c, those of a node one after the other.
    """
    blocks = sparse.bsr_array(matrix, blocksize=(components, components))
    powers = blocks.data
    for _ in range(_SQUARINGS):
        powers = powers.transpose(0, 2, 1) @ powers
    norms = np.sqrt((powers**2).sum(axis=(1, 2))) ** (0.5**_SQUARINGS)
    return np.add.reduceat(norms, blocks.indptr[:-1])
