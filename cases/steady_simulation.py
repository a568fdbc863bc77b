"""A steady run: rounds of solve, estimate and move, each with its map and checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from firedrake import Function, FunctionSpace, Mesh
from rich.console import Console

from cases.case import Case
from cases.case_file_errors import place_in_words
from cases.case_run import CaseRun
from cases.checkpoint import Checkpoint, save_checkpoint
from cases.errors import in_one_line
from cases.maps import ScalarMapWriter
from cases.moving import FIXED
from cases.quantities import quantity_entries, quantity_words
from cases.steady_case import SteadySetup
from coupling.registry import get_mover
from coupling.steady import SOLVER_FAILURES, Round, SteadyAdaptation
from fem.steady import SteadySolution
from meshing.computational import computational_points, set_computational_mesh
from meshing.mover import MoveStatus

_STATUSES = (None, *MoveStatus)
_REASONS = {
    "tolerance": "the estimated error is as small as asked for",
    "estimate": "the estimated error falls no more",
    "rounds": "all rounds are done",
    "mover": "the mover has failed",
    "solver": "the solver has failed on a moved mesh",
}


class SteadySimulation(CaseRun):
    """One run: rounds, their maps and their numbers.

    Parameters
    ----------
    case
        Case the run belongs to.
    setup
        What to solve.
    out
        Folder to write into; it exists.
    checkpoint
        To go on from, on the mesh of ``setup``.
    mover
        Name of the mover; with ``none`` there is one solve.
    """

    def __init__(
        self, case: Case, setup: SteadySetup, out: Path, checkpoint: Checkpoint | None = None, *, mover: str = FIXED
    ):
        super().__init__(case, setup.mesh, out, mover=mover)
        if checkpoint is not None:
            set_computational_mesh(Mesh(checkpoint.fields["computational_points"]))
        method = None if mover == FIXED else get_mover(mover)
        self._loop = SteadyAdaptation(
            setup.mesh,
            setup.solve,
            method,
            rounds=setup.rounds,
            tolerance=setup.tolerance,
            least_gain=setup.least_gain,
        )
        self._maps: ScalarMapWriter | None = None
        # What is drawn, as the corners of cells have it.
        self._shown = Function(FunctionSpace(setup.mesh, "DG", 1, variant="equispaced"), name="u")
        self._solution: SteadySolution | None = None
        self.state = self._shown
        self._resumed = checkpoint is not None
        if checkpoint is not None:
            self._restore(checkpoint, method)

    def _work(self, console: Console) -> str:
        try:
            return self._rounds(console)
        except SOLVER_FAILURES as error:
            # The first solve: later ones end the rounds.
            reason = place_in_words(error, self.case.file) or in_one_line(error)
            console.print(f"  the solver has failed: {reason}", markup=False)
            return "failed"

    def _rounds(self, console: Console) -> str:
        # On going on, the first solve is that of the last round done, whose map is there.
        said = len(self._loop.rounds_done)
        written = set(range(said))
        for solution in self._loop.run():
            self._solution, self.state = solution, solution.state
            assert self._loop.best is not None, "there has been a round"
            # The last is of the best round, which is often not the last one, and may have been shown.
            number = self._loop.best[0] if self._loop.reason else len(self._loop.rounds_done) - 1
            self._show(solution, None if number in written else number)
            written.add(number)
            for one in range(said, len(self._loop.rounds_done)):
                self._say_round(one, console)
            said = len(self._loop.rounds_done)
            self._save()
            if not self._loop.reason and self._is_to_stop():
                return "interrupted"
        return "done"

    def _say_round(self, number: int, console: Console) -> None:
        done = self._loop.rounds_done[number]
        estimate = f"estimated error {done.estimate:.4g}" if isfinite(done.estimate) else "no estimate"
        error = f", error {done.error:.4g}" if isfinite(done.error) else ""
        console.print(f"  round {number}: {estimate}{error}")

    # -- going on ---------------------------------------------------------------------------------------------

    def _save(self) -> None:
        loop, space = self._loop, self.mesh.coordinates.function_space()
        assert loop.best is not None, "there has been a round"
        fields = {}
        for name, places in (("best_points", loop.best[1]), ("computational_points", computational_points(self.mesh))):
            fields[name] = Function(space, name=name)
            fields[name].dat.data_wo_with_halos[:] = places
        if loop.mover is not None:
            memory = loop.mover.memory(self.mesh)
            fields |= {"mover_" + name: function for name, function in memory.items()}
        rounds = [{**asdict(one), "status": _STATUSES.index(one.status)} for one in loop.rounds_done]
        arrays = {"round_" + key: np.array([float(one[key]) for one in rounds]) for key in rounds[0]}
        scalars = {"best_round": float(loop.best[0]), "loop_s": self._elapsed()}
        save_checkpoint(self.out, Checkpoint(self._shown, fields, scalars, arrays))

    def _restore(self, checkpoint: Checkpoint, method) -> None:
        saved = {key.removeprefix("round_"): values for key, values in checkpoint.arrays.items()}
        for values in zip(*saved.values(), strict=True):
            one = dict(zip(saved, map(float, values), strict=True))
            status, unknowns = _STATUSES[int(one.pop("status"))], int(one.pop("unknowns"))
            self._loop.rounds_done.append(Round(**one, status=status, unknowns=unknowns))
        places = checkpoint.fields["best_points"].dat.data_ro_with_halos.copy()
        self._loop.best = (int(checkpoint.scalars["best_round"]), places)
        self.elapsed_before = checkpoint.scalars["loop_s"]
        of_mover = {n.removeprefix("mover_"): f for n, f in checkpoint.fields.items() if n.startswith("mover_")}
        if method is not None:
            method.remember(self.mesh, of_mover)

    # -- outputs ----------------------------------------------------------------------------------------------

    def _show(self, solution: SteadySolution, number: int | None) -> None:
        """Bring the field to the corners of cells, and write it as the map of a round; None for none."""
        on_this = FunctionSpace(solution.drawn.function_space().mesh(), self._shown.function_space().ufl_element())
        values = Function(on_this).interpolate(solution.drawn)
        self._shown.dat.data_wo_with_halos[:] = values.dat.data_ro_with_halos
        if self._maps is None:
            after = float(len(self._loop.rounds_done) - 1) if self._resumed else None
            moves = self._loop.mover is not None
            self._maps = ScalarMapWriter(self.out, self._shown, after=after, moves=moves, label=solution.drawn.name())
        if number is not None:
            self._maps.write(float(number), solution.fields)

    def _write_results(self) -> None:
        """Nothing besides."""

    def _counts(self) -> dict[str, Any]:
        rounds = self._loop.rounds_done
        solver_s, mover_s = (sum(getattr(one, part) for one in rounds) for part in ("solver_s", "mover_s"))
        moves = max(len(rounds) - 1, 0)
        times = {"solver_s": solver_s, "mover_s": mover_s, "monitor_s": 0.0, "transfer_s": 0.0}
        return {"steps": len(rounds), "moves": moves, **times}

    def _metrics(self) -> dict[str, Any]:
        solution, rounds = self._solution, self._loop.rounds_done
        if solution is None or self._loop.best is None:
            return {}
        return {
            "error": solution.error,
            "estimate": solution.estimate,
            "stopped": self._loop.reason,
            "best_round": self._loop.best[0],
            "min_jacobian_ratio": min(one.min_jacobian_ratio for one in rounds),
            "tangled_moves": sum(not one.min_jacobian_ratio > 0.0 for one in rounds),
            "not_converged_moves": sum(one.status is MoveStatus.NOT_CONVERGED for one in rounds),
            "quantities": quantity_entries(solution.quantities),
            "rounds": [{"estimate": one.estimate, "error": one.error} for one in rounds],
        }

    def _draw(self, metrics: Mapping[str, Any]) -> Sequence[tuple[Path, str]]:
        from cases.steady_figures import write_steady_figures

        if not metrics:
            return []
        return write_steady_figures(self.out, rounds=metrics["rounds"], best=metrics["best_round"])

    def _say_results(self, summary: Mapping[str, Any], console: Console) -> None:
        metrics = summary["metrics"]
        if not metrics:
            return
        error = "" if metrics["error"] is None else f", error {metrics['error']:.4g}"
        console.print(
            f"{summary['case']}: {summary['status']} after {summary['moves']} moves by {self.mover}, "
            f"{summary['cells']} cells, {summary['dofs']} unknowns, {summary['wall_s']:.1f} s{error}"
        )
        if self._loop.reason and self._loop.mover is not None:
            console.print(f"  {_REASONS[self._loop.reason]}; the mesh is that of round {metrics['best_round']}")
        for line in quantity_words(metrics["quantities"]):
            console.print(line)
