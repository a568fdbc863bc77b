"""Cases of scalar laws on the unit square whose solution is known: what one has to give."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from firedrake import Constant, Function, UnitSquareMesh, assemble, dx

from cases.case import Case, ScalarSetup
from cases.scalar_options import ScalarOptions, movement
from fem.scalar_law import ScalarLaw

# How far the area and the corners of a mesh from a file may be from those of the unit square.
_SAME_SQUARE = 1e-6


class ScalarCase(Case):
    """A scalar law on the unit square with an exact solution, which it begins with and is compared with."""

    t_start: ClassVar[float] = 0.0
    t_half: ClassVar[float]

    @abstractmethod
    def problem(self, options: Any, mesh) -> ScalarLaw:
        """Return the equation on a mesh."""

    @abstractmethod
    def exact(self, options: Any) -> Callable[[np.ndarray, float], np.ndarray]:
        """Return the solution: of points (N, 2) [m] and time [s] to (N,)."""

    def mesh(self, options: ScalarOptions):
        """Return ``resolution`` squares a side, each cut into four triangles by its diagonals."""
        return UnitSquareMesh(options.resolution, options.resolution, diagonal="crossed")

    def check_mesh(self, options: ScalarOptions, mesh) -> None:
        """See :meth:`cases.case.Case.check_mesh`; the solutions are those in the unit square."""
        points = mesh.coordinates.dat.data_ro
        low = mesh.comm.allreduce(points.min(initial=np.inf), min)
        high = mesh.comm.allreduce(points.max(initial=-np.inf), max)
        area = assemble(Constant(1.0) * dx(domain=mesh)) if points.shape[1] == 2 else np.nan
        if not max(abs(low), abs(high - 1.0), abs(area - 1.0)) < _SAME_SQUARE:
            raise ValueError(
                f"option mesh: got coordinates from {low:.4g} to {high:.4g} and area {area:.4g}, expected a mesh of "
                f"the unit square, where the solution of {self.name} is known; scale or move it"
            )

    def build(self, options: Any, mesh) -> ScalarSetup:
        """See :meth:`cases.case.Case.build`."""
        problem = self.problem(options, mesh)
        state = Function(problem.space(), name="u")
        return ScalarSetup(
            problem=problem,
            initial=state,
            exact=self.exact(options),
            t_start=self.t_start,
            t_end=options.t_end,
            t_half=self.t_half,
            tableau=options.scheme,
            courant=options.courant,
            output_interval=options.output_interval,
            checkpoint_interval=options.checkpoint_interval,
            movement=movement(state, options),
            exact_output=options.exact_output,
        )
