"""One line of a validation table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """A measured value beside the published one.

    Attributes
    ----------
    suite, quantity
        What was measured, with its unit.
    published
        Value in the literature, or the bound that is guaranteed.
    measured
        What this run gave.
    tolerance
        Largest |measured - published| that passes; None for a bound, see ``at_most`` and ``at_least``.
    at_most, at_least
        Whether ``published`` bounds the value from above or from below.
    seconds
        Wall time.
    """

    suite: str
    quantity: str
    published: float
    measured: float
    tolerance: float | None
    seconds: float
    at_most: bool = False
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the measured value is as good as published; a NaN is not."""
        if self.at_most:
            return self.measured <= self.published
        if self.at_least:
            return self.measured >= self.published
        return self.tolerance is not None and abs(self.measured - self.published) <= self.tolerance

    @property
    def expectation(self) -> str:
        """The published value as a text."""
        if self.at_most or self.at_least:
            return f"{'≤' if self.at_most else '≥'} {self.published:.4g}"
        return f"{self.published:.4g} ± {self.tolerance:.2g}"

    def as_dict(self) -> dict:
        """Return the row as validation.json holds it."""
        content = asdict(self)
        content["pass"] = self.passed
        return content


def markdown_table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| suite | quantity | expected | measured | pass | seconds |", "|---|---|---|---|---|---|"]
    for row in rows:
        mark = "yes" if row.passed else "**no**"
        lines.append(
            f"| {row.suite} | {row.quantity} | {row.expectation} | {row.measured:.4g} | {mark} | {row.seconds:.1f} |"
        )
    return "\n".join(lines) + "\n"
