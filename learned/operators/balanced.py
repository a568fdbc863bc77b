r"""A symmetric positive definite approximate inverse that a network parametrises: coarse space and local part."""

from __future__ import annotations

import torch
from torch import Tensor

# Share of the diagonal that is added before Cholesky's factorisation, of a basis that is nearly dependent.
_JITTER = 1e-13


class BalancedInverse:
    r"""Approximate the inverse of a symmetric positive definite matrix.

    .. math:: S = Q + (I - Q A)\, M\, (I - A Q),\qquad Q = \Phi (\Phi^T A \Phi)^{-1} \Phi^T,\qquad M = D^2

    Guarantees, whatever network has made the functions Phi and the positive diagonal D: S is symmetric and positive
    definite; u = S b meets :math:`\Phi^T (b - A u) = 0`; what Phi can express is solved exactly; where Phi and D
    vanish, u does. To rounding, in float64.

    Parameters
    ----------
    apply
        A as a map of columns, (N, m) to (N, m), symmetric, differentiable.
    basis
        Phi, shape (N, R), float64.
    diagonal
        D^2, shape (N,), not negative.

    Notes
    -----
    Mandel, Balancing domain decomposition, Comm. Numer. Meth. Eng. 9 (1993); Tang, Nabben, Vuik and Erlangga,
    Comparison of two-level preconditioners, J. Sci. Comput. 39 (2009), method BNN.
    """

    def __init__(self, apply, basis: Tensor, diagonal: Tensor):
        self._apply, self._diagonal = apply, diagonal[:, None]
        image = apply(basis)
        # Columns of energy one, so that the factorisation does not depend on their sizes.
        scale = (basis * image).sum(0).clamp_min(1e-300).rsqrt()
        self._basis = basis * scale
        energy = self._basis.T @ (image * scale)
        unit = torch.eye(len(energy), dtype=basis.dtype, device=basis.device)
        self._factor = torch.linalg.cholesky(0.5 * (energy + energy.T) + _JITTER * len(energy) * unit)

    def __call__(self, right_sides: Tensor) -> Tensor:
        """Return S b, shape (N, m), of b, shape (N, m) or (N,)."""
        b = right_sides if right_sides.ndim == 2 else right_sides[:, None]
        coarse = self.coarse(b)
        local = self._diagonal * (b - self._apply(coarse))
        result = coarse + local - self.coarse(self._apply(local))
        return result if right_sides.ndim == 2 else result[:, 0]

    def coarse(self, b: Tensor) -> Tensor:
        """Return Q b, shape (N, m); applied twice, Q + Q (I - A Q), which takes away what Cholesky's jitter leaves."""
        once = self._once(b)
        return once + self._once(b - self._apply(once))

    def _once(self, b: Tensor) -> Tensor:
        return self._basis @ torch.cholesky_solve(self._basis.T @ b, self._factor)
