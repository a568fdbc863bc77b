"""What the solution of a steady problem on a mesh is made of, whatever the equation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firedrake import Function

from meshing.monitor import Monitor


@dataclass(frozen=True)
class Quantity:
    """A number that a solve is made for.

    Attributes
    ----------
    value
        What came out [unit].
    unit
        As text; empty for none.
    published
        What is known of it, exactly or from the literature [unit]; None for nothing.
    source
        Where that is from.
    """

    value: float
    unit: str = ""
    published: float | None = None
    source: str = ""

    @property
    def difference(self) -> float | None:
        """Value over published value, less 1; None where nothing is published or that is 0."""
        return self.value / self.published - 1.0 if self.published else None


@dataclass(frozen=True)
class SteadySolution:
    """The solution of a steady problem on a mesh as it is.

    Attributes
    ----------
    state
        The unknowns, from which the next solve on the mesh moved may begin.
    drawn
        A scalar field to draw, its name that of the field; on the same cells, in any element.
    monitor
        Where cells are wanted.
    estimate
        Estimated error, not negative, which tells whether another mesh has been better; NaN where there is none, as
        where layers are thinner than cells.
    error
        Error against what is known, in the norm of the case; None where nothing is.
    quantities
        Numbers by name.
    fields
        Further fields for ParaView.
    """

    state: Function
    drawn: Function
    monitor: Monitor
    estimate: float
    error: float | None = None
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    fields: tuple[Function, ...] = ()
