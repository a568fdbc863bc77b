"""Steady adaptation: solve, estimate the error, move the mesh to where it asks for cells, and solve again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np
from firedrake import Function
from firedrake.exceptions import ConvergenceError
from firedrake.petsc import PETSc

from coupling.driver import try_move
from fem.steady import SteadySolution
from meshing.computational import computational_points
from meshing.mover import Mover, MoveStatus

# What solvers raise, on all ranks together, where they find no solution. Anything else is an error of the code.
SOLVER_FAILURES = (ConvergenceError, PETSc.Error)

Solve = Callable[[Function | None], SteadySolution]
"""Solves on the mesh as it is, from a state of it before the last move, or from nothing."""


@dataclass(frozen=True)
class Round:
    """One solve, and the move that led to its mesh.

    Attributes
    ----------
    estimate, error
        Of the solution, see ``SteadySolution``; NaN where there is none.
    unknowns
        Their number.
    min_jacobian_ratio
        Least ratio of a cell's volume to that before the move; 1 for no move.
    status
        How the move ended; None for none.
    solver_s, mover_s
        Wall time [s].
    """

    estimate: float
    error: float
    unknowns: int
    min_jacobian_ratio: float = 1.0
    status: MoveStatus | None = None
    solver_s: float = 0.0
    mover_s: float = 0.0


@dataclass
class SteadyAdaptation:
    r"""The loop over a mesh that is moved in place.

    After each solve the mesh is moved to the monitor function of the solution. It ends, ``reason`` says why,

    - ``tolerance``: the estimated error is at most the tolerance,
    - ``estimate``: the estimate has not fallen by the least gain against the best mesh before,
    - ``rounds``: as many moves as allowed are done,
    - ``mover``: the mover has failed,
    - ``solver``: the solver has failed on the mesh moved,

    and the mesh of the least estimate is put back. Where there is no estimate all rounds are done, and the last
    mesh is kept.

    Parameters
    ----------
    mesh
        Mesh of the problem, moved in place. As it is, it becomes the computational mesh, unless one is set already.
    solve
        See ``Solve``.
    mover
        Where the vertices go; None for a fixed mesh, which is solved on once.
    rounds
        Most moves.
    tolerance
        In the unit of the estimate.
    least_gain
        Share by which the estimate has to fall for another round.

    Attributes
    ----------
    rounds_done
        What has been done. To be restored, with ``best``, on going on.
    best
        Number of the round whose mesh is the best so far, and its vertices [m], of this rank, halos included.
    reason
        See above; empty before the end.

    Raises
    ------
    ValueError
        For a negative number of rounds, or a tolerance that is negative.
    """

    mesh: Any
    solve: Solve
    mover: Mover | None
    rounds: int = 6
    tolerance: float = 0.0
    least_gain: float = 0.02
    rounds_done: list[Round] = field(default_factory=list)
    best: tuple[int, np.ndarray] | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.rounds < 0:
            raise ValueError(f"rounds: got {self.rounds}, expected 0 moves or more")
        if not self.tolerance >= 0.0:
            raise ValueError(f"tolerance: got {self.tolerance}, expected 0 (none) or more")
        computational_points(self.mesh)

    def run(self) -> Iterator[SteadySolution]:
        """Do rounds until the end, and give each solution on its mesh; the last one given is that on the best mesh.

        Collective. Between two solutions the caller may stop for good: what is done is whole then. Going on with the
        mesh, ``rounds_done`` and ``best`` as they were begins with a solve on that mesh again.
        """
        going_on = bool(self.rounds_done)
        ratio, status, mover_s, start = 1.0, None, 0.0, None
        best_solution: SteadySolution | None = None
        while True:
            began = perf_counter()
            try:
                solution = self.solve(start)
            except SOLVER_FAILURES:
                if self.best is None:
                    raise
                self.reason = "solver"
                break
            solver_s = perf_counter() - began
            if not going_on:
                error = np.nan if solution.error is None else solution.error
                unknowns = solution.state.function_space().dim()
                done = Round(solution.estimate, error, unknowns, ratio, status, solver_s, mover_s)
                gain = self._gain(solution.estimate)
                self.rounds_done.append(done)
                if gain > 0.0:
                    places = self.mesh.coordinates.dat.data_ro_with_halos.copy()
                    self.best = (len(self.rounds_done) - 1, places)
            else:
                gain, going_on = self._gain_of_last(), False
            if self.best is not None and self.best[0] == len(self.rounds_done) - 1:
                best_solution = solution
            self.reason = self._ends(solution.estimate, gain)
            if self.reason:
                break
            yield solution
            began = perf_counter()
            assert self.mover is not None, "without a mover the first round is the last"
            result = try_move(self.mover, self.mesh, solution.monitor)
            if result is None or result.status is MoveStatus.FAILED:
                self.reason = "mover"
                break
            mover_s, ratio, status = perf_counter() - began, result.min_jacobian_ratio, result.status
            self._place(result.coordinates.dat.data_ro_with_halos)
            start = solution.state
        assert self.best is not None, "the first round is the best of one"
        self._place(self.best[1])
        # Solved anew only where the best mesh is of a run before.
        yield best_solution or self.solve(None)

    def _place(self, places: np.ndarray) -> None:
        self.mesh.coordinates.dat.data_wo_with_halos[:] = places

    def _gain(self, estimate: float) -> float:
        """Return by which share an estimate is below the best before; infinity for the first, and for none."""
        if self.best is None or not isfinite(estimate):
            return np.inf
        before = self.rounds_done[self.best[0]].estimate
        return 1.0 - estimate / before if before > 0.0 else -np.inf

    def _gain_of_last(self) -> float:
        """Return the gain of the last round done, as it was found then."""
        *earlier, last = (done.estimate for done in self.rounds_done)
        known = [estimate for estimate in earlier if isfinite(estimate)]
        return 1.0 - last / min(known) if known and isfinite(last) and min(known) > 0.0 else np.inf

    def _ends(self, estimate: float, gain: float) -> str:
        if estimate <= self.tolerance:
            return "tolerance"
        if self.mover is None or len(self.rounds_done) > self.rounds:
            return "rounds"
        return "estimate" if gain < self.least_gain else ""
