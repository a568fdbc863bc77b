"""Time steps of linear systems that do not gain energy: implicit midpoint rule."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from learned.linear_solve import LinearSolve
from learned.operators.structure.data import Matrix, as_entries, as_sparse
from learned.operators.structure.dissipation import Dissipation
from learned.sparse import sparse_map


class Dissipative(Dissipation):
    r"""Step a system with quadratic energy by the implicit midpoint rule.

    .. math:: M \frac{u^{n+1} - u^n}{\Delta t} = (J - L L^T)\,w,\qquad M w = K \frac{u^n + u^{n+1}}{2},\qquad
              E = \tfrac12 u^T K u

    with J = A - A^T; see ``Dissipation``. Guaranteed for any A, L and time step: :math:`E^{n+1} = E^n - \Delta t\,
    |L^T w|^2`, so E does not grow, and without L it is kept, to rounding: 1e-14 of E a step on well-conditioned
    systems.

    The step is d = u^{n+1} - u^n of one sparse system without inverses or products of the matrices, so A and L may be
    of any sparsity and M need not be lumped:

    .. math:: \begin{pmatrix} M & -\Delta t J & \Delta t L\\ -K/2 & M & 0\\ 0 & -L^T & I\end{pmatrix}
              \begin{pmatrix} d\\ w\\ z\end{pmatrix} = \begin{pmatrix} 0\\ K u^n\\ 0\end{pmatrix}

    Parameters
    ----------
    mass
        M, sparse, shape (N, N), symmetric positive definite.
    stiffness
        K, sparse, shape (N, N), symmetric positive semidefinite.
    interaction
        A, shape (N, N): sparse of scipy, dense, or a sparse COO tensor on a fixed pattern; None for J = 0.
    dissipation
        L, shape (N, k), likewise; None for R = 0.
    dt
        Time step [s].

    Raises
    ------
    ValueError
        For other shapes, and matrices that are not symmetric.

    Notes
    -----
    Hairer, Lubich and Wanner (2006), Geometric Numerical Integration, theorem IV.2.1: the midpoint rule keeps quadratic
    invariants. J - R: van der Schaft and Jeltsema (2014), Port-Hamiltonian Systems Theory.
    """

    def __init__(self, mass, stiffness, interaction: Matrix | None, dissipation: Matrix | None, dt: float):
        matrix = as_sparse("mass", mass, (None, None), symmetric=True)
        size = matrix.shape[0]
        energy = as_sparse("stiffness", stiffness, (size, size), symmetric=True)
        apply = sparse_map(energy)
        super().__init__(size=size, energy=lambda u: 0.5 * (u * apply(u)).sum(0), conservative=dissipation is None)
        self.dt = float(dt)
        self._stiffness = apply
        a, b, self._interaction, _ = _entries("interaction", interaction, size, size)
        c, e, self._dissipation, width = _entries("dissipation", dissipation, size, None)
        masses, energies = sparse.coo_array(matrix), sparse.coo_array(energy)
        (i, j), (k, m), unit = masses.coords, energies.coords, np.arange(width)
        rows = [i, i + size, k + size, a, b, c, e + 2 * size, unit + 2 * size]
        columns = [j, j + size, m, b + size, a + size, e + 2 * size, c + size, unit + 2 * size]
        places = np.concatenate(rows).astype(np.int64) * (2 * size + width) + np.concatenate(columns)
        stored, numbers = np.unique(places, return_inverse=True)
        # Ascending places are rows one after the other, columns ascending: the order of LinearSolve's entries.
        self._numbers = torch.from_numpy(numbers)
        pattern = (np.ones(len(stored)), np.divmod(stored, 2 * size + width))
        self._solve = LinearSolve(sparse.csr_array(pattern, shape=(2 * size + width,) * 2))
        self._fixed = torch.from_numpy(np.concatenate([masses.data, masses.data, -0.5 * energies.data]))
        self._width = width
        self._ready = self._values()

    def with_entries(self, interaction: Tensor | None = None, dissipation: Tensor | None = None) -> Dissipative:
        """Return the step with other entries of A and L at the same places, as for a network that makes them anew.

        Parameters
        ----------
        interaction, dissipation
            Entries in the order in which the matrices were given: of dense ones row after row, of sparse COO tensors as
            coalesced. Shape (n,), floating point; those there are if None.

        Raises
        ------
        ValueError
            For another number of entries.
        """
        other = copy(self)
        for name, entries in (("interaction", interaction), ("dissipation", dissipation)):
            if entries is not None:
                expected = getattr(self, f"_{name}").shape
                if entries.shape != expected:
                    raise ValueError(f"{name}: got shape {tuple(entries.shape)}, expected {tuple(expected)}")
                setattr(other, f"_{name}", entries.to(torch.float64))
        other._ready = other._values()
        return other

    def _values(self) -> Tensor:
        """Return the entries of the system's matrix."""
        interaction, dissipation = self.dt * self._interaction, self.dt * self._dissipation
        unit = torch.ones(self._width, dtype=torch.float64)
        parts = [self._fixed, -interaction, interaction, dissipation, -self._dissipation, unit]
        return torch.zeros_like(self._solve.values).index_add(0, self._numbers, torch.cat(parts))

    def _impose(self, raw: Tensor) -> Tensor:
        # Made anew where it has a graph, which a backward pass frees.
        values = self._values() if self._ready.requires_grad and torch.is_grad_enabled() else self._ready.detach()
        zeros = torch.zeros(1, dtype=torch.float64)
        force = self._stiffness(raw).T
        right = torch.cat([zeros.expand_as(force), force, zeros.expand(len(force), self._width)], dim=1)
        return raw + self._solve(right.contiguous(), values)[:, : self.size].T


def _entries(
    name: str, matrix: Matrix | None, rows: int, columns: int | None
) -> tuple[np.ndarray, np.ndarray, Tensor, int]:
    """Return places, values and number of columns of a matrix; none of None."""
    if matrix is None:
        none = np.zeros(0, dtype=np.int64)
        return none, none, torch.zeros(0, dtype=torch.float64), 0
    result = as_entries(name, matrix, rows)
    if columns not in (None, result[3]):
        raise ValueError(f"{name}: got shape ({rows}, {result[3]}), expected ({rows}, {columns}); it is square")
    return result
