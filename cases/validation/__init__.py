"""Published benchmarks and guarantees, measured: ``driftmesh validate``."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from cases.errors import InputError
from cases.run_folder import commit, prepare_folder, versions, write_json
from cases.validation.document import write_sections
from cases.validation.row import Row, markdown_table
from cases.validation.suites import SUITES

__all__ = ["SUITES", "run_suites"]


def run_suites(name: str | None, out: Path, table: Path | None, echo: Callable[[str], None]) -> bool:
    """Run one suite or all; write validation.json and validation.md; return whether every row passes.

    Pages keep the sections of suites that are not run.

    Parameters
    ----------
    name
        Name in :data:`SUITES`, or None for all.
    out
        Folder to write into.
    table
        Markdown file to write besides, or None.
    echo
        Called with a line for each row.

    Raises
    ------
    InputError
        For an unknown suite or a folder that cannot be written.
    """
    if name is not None and name not in SUITES:
        close = difflib.get_close_matches(name, SUITES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "leave it out to run all"
        raise InputError(f"suite: got {name!r}, expected one of {', '.join(SUITES)}; {hint}")
    try:
        prepare_folder(out)
    except ValueError as error:
        raise InputError(str(error)) from None
    all_rows: list[Row] = []
    found = versions()
    for suite in [name] if name else list(SUITES):
        began, rows = time.perf_counter(), []
        for row in SUITES[suite]():
            rows.append(row)
            mark = "pass" if row.passed else "FAIL"
            echo(f"{mark}  {row.suite}: {row.quantity}: {row.measured:.6g} (expected {row.expectation})")
        all_rows += rows
        seconds = time.perf_counter() - began
        about = f"Measured on {date.today()} in {seconds:.0f} s with Firedrake {found.get('firedrake', '?')}, commit "
        section = f"{about}{commit() or '?'}.\n\n{markdown_table(rows)}".rstrip("\n")
        # After each suite: what has been measured is not lost when a later one is stopped.
        write_json(out / "validation.json", {"versions": found, "rows": [row.as_dict() for row in all_rows]})
        for path in filter(None, (out / "validation.md", table)):
            write_sections(path, {suite: section}, SUITES)
    return all(row.passed for row in all_rows)
