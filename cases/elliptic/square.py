"""What the elliptic cases on the unit square share: their mesh, and the degree of their elements."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from firedrake import RectangleMesh
from pydantic import Field

from cases.steady_case import SteadyCase, SteadyOptions


class SquareOptions(SteadyOptions):
    """Options of every case on the unit square."""

    resolution: int = Field(
        32, ge=2, le=1000, description="squares a side, each cut into two triangles; n give (n + 1)^2 vertices"
    )


class LagrangeOptions(SquareOptions):
    """Options of those whose elements are continuous."""

    degree: Literal[1, 2] = Field(1, description="degree of the elements")


class SquareCase(SteadyCase):
    """A steady case on the unit square, cut evenly."""

    smallest: ClassVar[dict[str, Any]] = {"resolution": 12, "rounds": 1}

    def mesh(self, options: SquareOptions):
        """Return ``resolution`` squares a side, cut into triangles; markers 1 x = 0, 2 x = 1, 3 y = 0, 4 y = 1."""
        return RectangleMesh(options.resolution, options.resolution, 1.0, 1.0)
