"""What the elliptic cases on the unit square share: their mesh, and the degree of their elements."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from firedrake import RectangleMesh
from mpi4py import MPI
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


# Beyond the square by less counts as rounding [m].
_ROUNDING = 1e-9


class SquareCase(SteadyCase):
    """A steady case on the unit square, cut evenly."""

    smallest: ClassVar[dict[str, Any]] = {"resolution": 20, "rounds": 1}

    def mesh(self, options: SquareOptions):
        """Return ``resolution`` squares a side, cut into triangles; markers 1 x = 0, 2 x = 1, 3 y = 0, 4 y = 1."""
        return RectangleMesh(options.resolution, options.resolution, 1.0, 1.0)

    def check_mesh(self, options: SquareOptions, mesh) -> None:
        """See :meth:`cases.case.Case.check_mesh`; solutions are known in the unit square, on any part of it."""
        check_in_unit_square(self.name, mesh)


def check_in_unit_square(name: str, mesh) -> None:
    """Check that a mesh from a file is of triangles and lies in the unit square; collective.

    Raises
    ------
    ValueError
        If not, on all ranks.
    """
    kind, points = mesh.ufl_cell().cellname, mesh.coordinates.dat.data_ro
    low = mesh.comm.allreduce(float(points.min(initial=np.inf)), MPI.MIN)
    high = mesh.comm.allreduce(float(points.max(initial=-np.inf)), MPI.MAX)
    if kind != "triangle" or low < -_ROUNDING or high > 1.0 + _ROUNDING:
        raise ValueError(
            f"option mesh: got a mesh of {kind} cells, coordinates from {low:.4g} to {high:.4g}, expected triangles in "
            f"the unit square, where the solution of {name} is known; scale or move it"
        )
