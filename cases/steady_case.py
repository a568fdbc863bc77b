"""Cases without time: what one has to give, and the options that all of them have."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from firedrake import Function
from pydantic import Field

from cases.case import Case
from cases.errors import InputError
from cases.options import MESH, CaseOptions, FilePath
from fem.steady import SteadySolution
from meshing.monitor import FieldMonitor, Monitor
from meshing.shaping import Shaping


class SteadyOptions(CaseOptions):
    """Options of every steady case; all but ``mesh`` without effect on a run with the mover ``none``."""

    mesh: Annotated[str, FilePath()] = Field("", description=MESH)
    rounds: int = Field(6, ge=0, le=100, description="most moves; each is followed by a solve")
    tolerance: float = Field(0.0, ge=0, description="estimated error at which to stop; 0 for none")
    least_gain: float = Field(
        0.02, ge=0, le=1, description="share by which the estimated error has to fall for another round"
    )
    monitor_smoothing: float = Field(0.5, ge=0, le=50, description="length of the monitor function's filter [cells]")
    max_size_ratio: float = Field(
        20.0, ge=1, le=1000, description="greatest ratio of cell sizes that the monitor function asks for"
    )


@dataclass(frozen=True)
class SteadySetup:
    """All that a steady run needs, made by :meth:`SteadyCase.build`.

    Attributes
    ----------
    mesh
        Mesh, moved in place.
    solve
        Solves on it as it is, from a state or from nothing.
    rounds, tolerance, least_gain
        See :class:`coupling.steady.SteadyAdaptation`.
    """

    mesh: Any
    solve: Callable[[Function | None], SteadySolution]
    rounds: int
    tolerance: float
    least_gain: float


class SteadyCase(Case):
    """A steady problem: solved, its mesh moved to where its error is, and solved again, until that does not pay.

    A subclass gives the mesh and the solution on it.
    """

    @abstractmethod
    def solve(self, options: Any, mesh, start: Function | None) -> SteadySolution:
        """Solve on a mesh as it is, and say how good the solution is and where cells are wanted; collective.

        Parameters
        ----------
        options
            Of the case.
        mesh
            The mesh, at first that of :meth:`mesh`, later with its vertices moved in place.
        start
            The state of the solution before the last move, in whose degrees of freedom an iteration may begin.
        """

    def build(self, options: Any, mesh) -> SteadySetup:
        """See :meth:`cases.case.Case.build`."""

        def solve(start: Function | None) -> SteadySolution:
            solution = self.solve(options, mesh, start)
            if not isinstance(solution, SteadySolution):
                kind = type(solution).__name__
                raise InputError(f"case {self.name}: got a {kind} from solve, expected a SteadySolution; return it")
            return solution

        return SteadySetup(
            mesh=mesh,
            solve=solve,
            rounds=options.rounds,
            tolerance=options.tolerance,
            least_gain=options.least_gain,
        )


def density_monitor(density: Function, options: SteadyOptions) -> Monitor:
    """Return the monitor function that asks for a density of cells, such as ``wanted_density``, as the options say."""
    return FieldMonitor(density, Shaping(smoothing=options.monitor_smoothing, max_size_ratio=options.max_size_ratio))
