r"""A symmetric positive definite approximate inverse that a network parametrises: coarse space and local part."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Of columns, (N, m) to (N, m).
Map = Callable[[Tensor], Tensor]

# Of the energy of a function: share that is added before Cholesky's factorisation, some roundings for each function,
# and how often it may grow tenfold where rounding is worse.
_JITTER, _TRIES = 1e-15, 8
# Share of the energy that combinations of functions have of what was added: if it is less, they are rounding.
_ROUNDING = 1e-12


class BalancedInverse:
    r"""Approximate the inverse of a symmetric positive definite matrix.

    .. math:: S = Q + (I - Q A)\, M\, (I - A Q),\qquad Q = \Phi (\Phi^T A \Phi)^{-1} \Phi^T,\qquad M = D^2

    Guarantees, whatever network has made the functions Phi and the positive diagonal D: S is symmetric and positive
    definite; u = S b meets :math:`\Phi^T (b - A u) = 0`, to 1e-12 :math:`|b|` with columns of Phi of length one, also
    if they are nearly dependent or dependent; what Phi can express is solved exactly; where Phi and D vanish, u does.
    To rounding, in float64. Of functions that are not finite, neither is u.

    Parameters
    ----------
    apply
        A as a map of columns, (N, m) to (N, m), symmetric, differentiable.
    basis
        Phi, shape (N, R), float64.
    local
        M: a positive diagonal, shape (N,), or a map of columns.

    Attributes
    ----------
    basis
        Phi.

    Notes
    -----
    Mandel, Balancing domain decomposition, Comm. Numer. Meth. Eng. 9 (1993); Tang, Nabben, Vuik and Erlangga,
    Comparison of two-level preconditioners, J. Sci. Comput. 39 (2009), method BNN. Nearly dependent functions: Fukaya,
    Kannan, Nakatsukasa, Yamamoto and Yanagisawa, Shifted Cholesky QR, SIAM J. Sci. Comput. 42 (2020).
    """

    def __init__(self, apply: Map, basis: Tensor, local: Tensor | Map):
        self._apply, self._local = apply, local
        self.basis = basis
        # The span alone matters: combinations of functions that make them nearly orthonormal have no gradient.
        change = _orthonormal(apply, basis.detach())
        functions = basis @ change
        energy = _energy(apply, functions)
        # Where not all eigenvalues are about one, something has been lost in what is added.
        if float(energy.detach().trace()) < len(energy) - 0.5:
            functions = basis @ (change @ _independent(energy.detach()))
            energy = _energy(apply, functions)
        self._functions, self._factor = functions, _factorised(energy)

    def __call__(self, right_sides: Tensor) -> Tensor:
        """Return S b, shape (N, m), of b, shape (N, m) or (N,)."""
        b = right_sides if right_sides.ndim == 2 else right_sides[:, None]
        coarse = self.coarse(b)
        left = b - self._apply(coarse)
        local = self._local[:, None] * left if isinstance(self._local, Tensor) else self._local(left)
        result = coarse + local - self.coarse(self._apply(local))
        return result if right_sides.ndim == 2 else result[:, 0]

    def coarse(self, b: Tensor) -> Tensor:
        """Return Q b, shape (N, m); improved once, as rounding in A is larger than in b."""
        once = self._once(b)
        return once + self._once(b - self._apply(once))

    def half(self) -> Tensor:
        """Return H, shape (N, R), with Q = H H^T but for rounding: the functions, orthonormal in energy."""
        return torch.linalg.solve_triangular(self._factor, self._functions.T, upper=False).T

    def _once(self, b: Tensor) -> Tensor:
        return self._functions @ torch.cholesky_solve(self._functions.T @ b, self._factor)


def _orthonormal(apply: Map, basis: Tensor) -> Tensor:
    """Return combinations of functions that are orthonormal in energy as far as rounding lets it, shape (R, R)."""
    # Energies of one, so that nothing depends on the functions' sizes.
    image = apply(basis)
    scale = (basis * image).sum(0).clamp_min(1e-300).rsqrt()
    energy = (basis * scale).T @ (image * scale)
    return scale[:, None] * torch.linalg.inv_ex(_factorised(energy))[0].T


def _independent(energy: Tensor) -> Tensor:
    """Return orthonormal combinations by their energies, shape (R, k), without those that are rounding.

    With ``_orthonormal`` before, each of the two gains half of the digits.
    """
    values, vectors = torch.linalg.eigh(energy)
    kept = values > _ROUNDING
    return vectors[:, kept] * values[kept].rsqrt()


def _energy(apply: Map, basis: Tensor) -> Tensor:
    return basis.T @ apply(basis)


def _factorised(energy: Tensor) -> Tensor:
    """Return the lower factor of a positive semidefinite matrix and a little more; not a number if there is none."""
    unit = torch.eye(len(energy), dtype=energy.dtype, device=energy.device)
    for more in range(_TRIES):
        factor, failed = torch.linalg.cholesky_ex(0.5 * (energy + energy.T) + _JITTER * 10.0**more * len(energy) * unit)
        if not int(failed):
            return factor
    return torch.full_like(energy, torch.nan)
