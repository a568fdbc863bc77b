"""A run of operator networks: geometry by geometry, with all networks on each, so that it can stop after any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from cases.case import Case
from cases.case_run import CaseRun
from cases.moving import FIXED
from cases.operators.operator_case import OperatorSetup
from cases.operators.records import (
    GeometryRecord,
    drop_records,
    measure,
    metrics_of,
    read_record,
    write_record,
)
from cases.progress import is_a_terminal


class OperatorSimulation(CaseRun):
    """One run: what each network does on each geometry, and one of these in pictures.

    Parameters
    ----------
    case
        Case the run belongs to.
    setup
        What to solve, and the networks.
    out
        Folder to write into; it exists.
    checkpoint
        None: what has been found out about geometries is in files of its own.
    mover
        Name of the mover: ``none``.
    """

    def __init__(self, case: Case, setup: OperatorSetup, out: Path, checkpoint: None = None, *, mover: str = FIXED):
        super().__init__(case, None, out, mover=mover)
        self.setup = setup
        self.records: list[GeometryRecord] = []

    @property
    def made_of(self) -> dict[str, Any]:
        """What a record depends on besides its number; numbers as JSON has them."""
        options = self.setup.options.model_dump(exclude={"geometries", "weights"})
        weights = {name: one.checksum for name, one in self.setup.networks.items()}
        return {**options, "seed": self.seed, "weights": weights}

    def _work(self, console: Console) -> str:
        if not self.resume:
            drop_records(self.out)
        count, watched = self.setup.options.geometries, not console.quiet and is_a_terminal(console)
        for number in track(range(count), self.case.name, console=console, transient=True, disable=not watched):
            self.records.append(self._record(number))
            if self._is_to_stop() and number + 1 < count:
                return "interrupted"
        return "done"

    def _record(self, number: int) -> GeometryRecord:
        """Return what is known of a geometry, from an earlier part of the run or from now."""
        from cases.operators.networks import MAIN

        known = read_record(self.out, number, self.made_of) if self.resume else None
        if known is not None:
            self.elapsed_before += known.seconds
            return known
        record = measure(
            lambda: self.setup.draw(number, self.seed),
            self.setup.networks,
            tested=MAIN,
            made_of=self.made_of,
            moved=self.setup.is_moved(number),
        )
        write_record(self.out, number, record)
        return record

    # -- outputs ----------------------------------------------------------------------------------------------

    def _write_results(self) -> None:
        from cases.operators.shown import write_shown

        if self.records:
            write_shown(self.out, self.setup, self.records, self.seed)

    def _sizes(self) -> dict[str, int]:
        return {name: sum(getattr(one, name) for one in self.records) for name in ("cells", "dofs")}

    def _counts(self) -> dict[str, Any]:
        network_s = sum(one.network_s for one in self.records)
        # There is no mover; what is drawn is moved already.
        return {
            "steps": len(self.records),
            "moves": 0,
            "solver_s": sum(one.seconds for one in self.records) - network_s,
            "network_s": network_s,
            "mover_s": None,
            "monitor_s": None,
            "transfer_s": None,
        }

    def _metrics(self) -> dict[str, Any]:
        from cases.operators.networks import MAIN

        return metrics_of(self.records, self.setup.networks, MAIN)

    def _draw(self, metrics: Mapping[str, Any]) -> Sequence[tuple[Path, str]]:
        from cases.operators.figures import write_operator_figures

        return write_operator_figures(self.out, self.records, metrics, self.setup.look) if metrics else []

    def _say_results(self, summary: Mapping[str, Any], console: Console) -> None:
        metrics = summary["metrics"]
        console.print(
            f"{summary['case']}: {summary['status']} after {summary['steps']} geometries with "
            f"{self.setup.options.right_sides} right-hand sides each, {summary['dofs']} unknowns in all, "
            f"{summary['wall_s']:.1f} s"
        )
        for name, one in metrics.get("networks", {}).items():
            error, residuals = one["error"], one["residuals"]
            console.print(
                f"  {name}: error {100 * error['mean']:.3g} % (worst {100 * error['worst']:.3g} %), "
                f"{1e3 * one['prepare_s']:.3g} + {1e3 * one['solve_s']:.3g} ms, "
                + ", ".join(f"{key} {value:.1e}" for key, value in residuals.items())
            )
        if metrics:
            console.print(f"  finite elements, direct: {1e3 * metrics['fem']['solve_s']:.3g} ms")
