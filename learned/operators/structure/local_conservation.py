"""The content of every cell changes by what crosses its facets, and by nothing else."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from learned.operators.structure.base import Structure
from learned.operators.structure.data import Numbers, as_columns, as_sparse, largest, relative
from learned.operators.structure.dirichlet import Dirichlet
from learned.sparse import sparse_map


class LocalConservation(Structure):
    r"""Advance the contents of cells by predicted fluxes through facets.

    .. math:: m^{n+1} = m^n - \Delta t\,B q

    The fluxes q are degrees of freedom of the lowest Raviart-Thomas element, B is its divergence integrated over cells:
    for each cell +1 or -1 at its facets, outward positive. u is the mixed field of contents and fluxes, contents first.
    Raw are fluxes alone, or a mixed field, as a network without the structure predicts it; its contents are not used.

    Guaranteed: each cell's budget, :math:`|m^{n+1} - m^n + \Delta t B q| \le 10^{-13} (|m^n| + |m^{n+1}|
    + \Delta t |B| |q|)` (rounding of one step); hence the total changes by the flux through the boundary only, and not
    at all if it is closed. Given fluxes are exact.

    The residual is the largest defect of a budget over the bracket, and the residual of given fluxes.

    Parameters
    ----------
    divergence
        B, sparse, shape (cells, facets), dimensionless.
    content
        m^n: integral of the density over each cell, shape (cells,) or (cells, m) [kg].
    dt
        Time step [s].
    fixed
        Numbers of facets with given fluxes, shape (n,), integers: those of a closed boundary; none if None.
    fluxes
        Fluxes there: a number, shape (n,) or (n, m) [kg/s].

    Raises
    ------
    ValueError
        For other shapes.

    Notes
    -----
    LeVeque (2002), Finite Volume Methods for Hyperbolic Problems, equation 4.4.
    """

    name = "local conservation"

    def __init__(
        self,
        divergence,
        content: Numbers,
        dt: float,
        fixed: np.ndarray | Tensor | None = None,
        fluxes: Numbers = 0.0,
    ):
        matrix = as_sparse("divergence", divergence, (None, None))
        self.cells, self.facets = matrix.shape
        self.dt = float(dt)
        self.before = as_columns("content", content, self.cells)
        self.given = Dirichlet(np.zeros(0, int) if fixed is None else fixed, fluxes, size=self.facets)
        self._divergence, self._size_of_terms = sparse_map(matrix), sparse_map(sparse.csr_array(abs(matrix)))
        super().__init__(raw_size=None, size=self.cells + self.facets, data=(self.before, self.given.values))

    def split(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return contents, shape (cells, ...), and fluxes, shape (facets, ...), of a mixed field."""
        return u[: self.cells], u[self.cells :]

    def _impose(self, raw: Tensor) -> Tensor:
        if len(raw) not in (self.facets, self.cells + self.facets):
            raise ValueError(
                f"raw: got {len(raw)} degrees of freedom, expected {self.facets} fluxes, or {self.cells} contents "
                "before them"
            )
        fluxes = self.given(raw[-self.facets :])
        return torch.cat([self.before - self.dt * self._divergence(fluxes), fluxes])

    def _violation(self, u: Tensor) -> float:
        after, fluxes = self.split(u)
        defect = (after - self.before + self.dt * self._divergence(fluxes)).abs()
        scale = after.abs() + self.before.abs() + abs(self.dt) * self._size_of_terms(fluxes.abs())
        worst = relative(largest(torch.where(defect == 0, 0.0, defect / scale)), 1.0)
        return float(np.max([worst, self.given.residual(fluxes)]))
