r"""A symmetric positive definite approximate inverse that a network parametrises: coarse space and local part."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.linalg.lapack import dpstrf, dtrtri
from torch import Tensor

from learned.sparse import SparseMap

# Of columns, (N, m) to (N, m).
Map = Callable[[Tensor], Tensor]

# Of the energy of a function: share that is added before Cholesky's factorisation, some roundings for each function,
# and how often it may grow tenfold where rounding is worse.
_JITTER, _TRIES = 1e-15, 8
# Share of the energy that combinations of functions have of what was added: if it is less, they are rounding.
_ROUNDING = 1e-12


class BalancedInverse:
    r"""Approximate the inverse of a symmetric positive definite matrix.

    .. math:: S = Q + (I - Q A)\, M\, (I - A Q),\qquad Q = \Phi (\Phi^T A \Phi)^{-1} \Phi^T

    Guarantees, whatever network has made the functions Phi and the symmetric positive definite M: S is symmetric and
    positive definite; u = S b meets :math:`\Phi^T (b - A u) = 0`, to 1e-12 :math:`|b|` with columns of Phi of length
    one, also if they are nearly dependent or dependent; what Phi can express is solved exactly; where Phi and M vanish,
    u does. To rounding, in float64. Of functions that are not finite, neither is u.

    Where A u has much larger terms than b, as in slender bodies and equations of fourth order, rounding in A u is more
    than 1e-12 :math:`|b|`. ``refined`` calls take residuals in more digits, and leave what rounding of u alone does, at
    most :math:`\epsilon |\Phi^T A| |u|`.

    Parameters
    ----------
    apply
        A, symmetric, shape (N, N).
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

    def __init__(self, apply: SparseMap, basis: Tensor, local: Tensor | Map):
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

    def __call__(self, right_sides: Tensor, *, refined: bool = False) -> Tensor:
        """Return S b.

        Parameters
        ----------
        right_sides
            b, shape (N, m) or (N,).
        refined
            Whether residuals are taken in more digits, see the class. It takes half as long again for one right-hand
            side, less for each of many.
        """
        b = right_sides if right_sides.ndim == 2 else right_sides[:, None]
        coarse = self.coarse(b, refined=refined)
        left = b - self._apply(coarse)
        local = self._local[:, None] * left if isinstance(self._local, Tensor) else self._local(left)
        result = self._improved(b, coarse + local - self._once(self._apply(local)), refined)
        return result if right_sides.ndim == 2 else result[:, 0]

    def coarse(self, b: Tensor, *, refined: bool = False) -> Tensor:
        """Return Q b, shape (N, m); ``refined`` as in a call."""
        return self._improved(b, self._once(b), refined)

    def half(self) -> Tensor:
        """Return H, shape (N, R), with Q = H H^T but for rounding: the functions, orthonormal in energy."""
        return torch.linalg.solve_triangular(self._factor, self._functions.T, upper=False).T

    def _improved(self, b: Tensor, u: Tensor, refined: bool) -> Tensor:
        r"""Return u + Q (b - A u), which takes away what rounding has left of :math:`\Phi^T (b - A u) = 0`.

        Without gradient: whatever Phi, there is nothing to add but rounding.
        """
        with torch.no_grad():
            more = self._once(self._apply.residual(b, u) if refined else b - self._apply(u))
        return u + more

    def _once(self, b: Tensor) -> Tensor:
        return self._functions @ torch.cholesky_solve(self._functions.T @ b, self._factor)


def _orthonormal(apply: Map, basis: Tensor) -> Tensor:
    """Return combinations of functions that are orthonormal in energy as far as rounding lets it, shape (R, R)."""
    # Energies of one, so that nothing depends on the functions' sizes.
    image = apply(basis)
    scale = (basis * image).sum(0).clamp_min(1e-300).rsqrt()
    energy = (basis * scale).T @ (image * scale)
    return scale[:, None] * _pivoted(energy)


def _pivoted(energy: Tensor) -> Tensor:
    r"""Return combinations E with E^T energy E = 1 but for what is added to the energy, shape (R, R).

    Each takes the function that has most energy beside those before. So a combination with large entries, which is
    rounded much, has as small a share in every function. In another order its share can be large, and functions then
    see hundreds of times more of a residual than rounding where combinations see none.
    """
    for raised, added in _raised(energy):
        factor, order, rank, _ = dpstrf(raised.cpu().numpy(), lower=1, tol=0.5 * added)
        if rank == len(energy):
            combined = np.zeros_like(factor)
            combined[order - 1] = np.tril(dtrtri(factor, lower=1)[0]).T
            return torch.from_numpy(combined).to(energy.device)
    return torch.full_like(energy, torch.nan)


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
    for raised, _ in _raised(energy):
        factor, failed = torch.linalg.cholesky_ex(raised)
        if not int(failed):
            return factor
    return torch.full_like(energy, torch.nan)


def _raised(energy: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Give a symmetric matrix and a little more on its diagonal, and how much more, until rounding cannot matter."""
    unit = torch.eye(len(energy), dtype=energy.dtype, device=energy.device)
    for more in range(_TRIES):
        added = _JITTER * 10.0**more * len(energy)
        yield 0.5 * (energy + energy.T) + added * unit, added
