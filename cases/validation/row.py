"""One line of a validation table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Row:
    """A measured value beside the published one.

    Attributes
    ----------
    suite, quantity
        What was measured, with its unit.
    relation
        How the measured value has to stand to the published one: ``at most``, ``at least``, or ``within`` the
        tolerance.
    published
        Value in the literature, or the bound that is guaranteed.
    measured
        What this run gave.
    tolerance
        Largest absolute difference of the two that passes; 0 for a bound.
    seconds
        Wall time it took; 0 where an earlier row of the same run has it.
    mesh
        On what it was measured, such as "14,029 unknowns, moved by drift".
    source
        Where the published value is from.
    """

    suite: str
    quantity: str
    relation: Literal["at most", "at least", "within"]
    published: float
    measured: float
    tolerance: float = 0.0
    seconds: float = 0.0
    mesh: str = ""
    source: str = ""

    @property
    def passed(self) -> bool:
        """Whether the measured value is as good as published; a NaN is not."""
        if self.relation == "at most":
            return self.measured <= self.published
        if self.relation == "at least":
            return self.measured >= self.published
        return abs(self.measured - self.published) <= self.tolerance

    @property
    def expectation(self) -> str:
        """The published value as a text."""
        if self.relation == "within":
            return f"{self.published:.7g} ± {self.tolerance:.2g}"
        return f"{'≤' if self.relation == 'at most' else '≥'} {self.published:.4g}"

    def as_dict(self) -> dict:
        """Return the row as validation.json holds it."""
        return {**asdict(self), "pass": self.passed}


def markdown_table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| suite | quantity | mesh | expected | measured | pass | seconds |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        mark = "yes" if row.passed else "**no**"
        seconds = f"{row.seconds:.1f}" if row.seconds else ""
        expectation = f"{row.expectation} ({row.source})" if row.source else row.expectation
        cells = (row.suite, row.quantity, row.mesh, expectation, f"{row.measured:.6g}", mark, seconds)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
