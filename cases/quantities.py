"""Numbers that a run is made for, as run.json holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fem.steady import Quantity


def quantity_entries(quantities: Mapping[str, Quantity]) -> dict[str, dict[str, Any]]:
    """Return quantities by name: value, unit, published value, the difference from it in per cent, and its source."""
    return {
        name: {
            "value": one.value,
            "unit": one.unit,
            "published": one.published,
            "difference_pct": None if one.difference is None else 100.0 * one.difference,
            "source": one.source,
        }
        for name, one in quantities.items()
    }


def quantity_words(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each of :func:`quantity_entries`: what came out, and what is known."""
    lines = []
    for name, one in entries.items():
        known = ""
        if one["published"] is not None:
            known = f" ({one['source'] or 'known'}: {one['published']:.6g}"
            known += f", {one['difference_pct']:+.3g} %)" if one["difference_pct"] is not None else ")"
        lines.append(f"  {name}: {one['value']:.6g} {one['unit']}".rstrip() + known)
    return lines
