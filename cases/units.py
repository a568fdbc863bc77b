"""Numbers with units in option models: ``"5 cm"`` and ``0.05`` mean the same length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema


@cache
def _registry():
    import pint  # slow to import, and only needed when a value comes with a unit

    return pint.UnitRegistry()


@dataclass(frozen=True)
class Unit:
    """Annotation of a float field: the unit it is kept in.

    ``Annotated[float, Unit("m")]`` takes a number in metres or a text such as ``"5 cm"``, and raises a
    ValueError (got / expected / remedy) for a text that is no quantity or has another dimension.
    """

    name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Convert texts before the number itself, with its bounds, is validated."""
        return core_schema.no_info_before_validator_function(self.convert, handler(source))

    def convert(self, value: Any) -> Any:
        """Return the value as a number in this unit if it is a text; anything else as it is."""
        if not isinstance(value, str):
            return value
        try:
            return float(value)
        except ValueError:
            pass  # no bare number: a quantity with its unit
        try:
            return float(_registry().Quantity(value).to(self.name).magnitude)
        except Exception as error:  # pint lets its tokenizer's, its arithmetic's and its own errors through
            raise ValueError(f"got {value!r}, expected a number in {self.name or '1'}") from error
