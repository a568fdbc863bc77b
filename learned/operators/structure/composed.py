"""Several structures one after the other, and none at all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from learned.operators.structure.base import Structure


class Composed(Structure):
    r"""Apply structures one after the other.

    .. math:: u = S_n(\dots S_2(S_1(N)))

    Only the first may change the space, so that the residuals of all belong to u. Guaranteed: what the last guarantees;
    what an earlier one does stays only as far as the later ones keep it: boundary values do if the later ones know them
    as fixed. Constraints that touch the same degrees of freedom belong in one structure (``AffineConstraints``,
    ``BoundedMass``, ``CellMeans``): one after the other undoes the first, and the residual shows it.

    The residual is the largest of all.

    Parameters
    ----------
    structures
        In the order in which they are applied, at least one.

    Raises
    ------
    ValueError
        For none, and for sizes that do not fit together.
    """

    def __init__(self, structures: Sequence[Structure]):
        self.structures = tuple(structures)
        if not self.structures:
            raise ValueError("structures: got none, expected one at least; Unconstrained is the structure of none")
        for one, other in pairwise(self.structures):
            if None not in (one.size, other.raw_size) and one.size != other.raw_size:
                raise ValueError(
                    f"structures: got {other.name} of {other.raw_size} degrees of freedom behind {one.name} of "
                    f"{one.size}, expected equal numbers; build both on one space"
                )
            if None not in (other.size, other.raw_size) and other.size != other.raw_size:
                raise ValueError(
                    f"structures: got {other.name} behind {one.name}, expected it first, as it changes the space; "
                    "let it take care of its raw values itself"
                )
        self.name = " + ".join(part.name for part in self.structures)
        sizes = [part.size for part in self.structures if part.size is not None]
        super().__init__(raw_size=self.structures[0].raw_size, size=sizes[0] if sizes else None)

    def residuals(self, u: Tensor) -> dict[str, float]:
        """Return the residual of each structure by name, for degrees of freedom as ``residual`` takes them."""
        return {part.name: part.residual(u) for part in self.structures}

    def _impose(self, raw: Tensor) -> Tensor:
        for part in self.structures:
            raw = part(raw)
        return raw

    def _violation(self, u: Tensor) -> float:
        return float(np.max([part.residual(u) for part in self.structures]))


class Unconstrained(Structure):
    r"""Leave raw values as they are: the last operation of a network's unconstrained twin.

    .. math:: u = N

    Guaranteed: nothing but float64. The residual is that of the structure, so that reports show both side by side.

    Parameters
    ----------
    structure
        What the other twin has.
    """

    def __init__(self, structure: Structure):
        self.structure = structure
        self.name = f"{structure.name}: unconstrained"
        super().__init__(raw_size=structure.size, size=structure.size)

    def _impose(self, raw: Tensor) -> Tensor:
        return raw

    def _violation(self, u: Tensor) -> float:
        return self.structure.residual(u)
