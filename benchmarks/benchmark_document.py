"""Write generated sections into docs/benchmarks.md, and describe the machine they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"

INTRODUCTION = """# Benchmarks

What driftmesh costs, and where its time goes. The sections between markers are written by the scripts that
measured them; their numbers hold for the machine, versions and date stated in each. To measure again:

    make benchmark                                  # Monai beside ANUGA, makes ANUGA's own environment
    python benchmarks/profile_shallow_water.py      # where the time of a step goes
    python benchmarks/movers.py                     # time and equidistribution of the movers
    python benchmarks/error_reduction.py            # what they do to errors, on polygons and in running solves
    python benchmarks/every_case.py                 # error reduction of every mover in every case, an hour
    python benchmarks/operators.py                  # operator networks, their baselines, finite elements
    python benchmarks/operator_solvers.py           # operator networks inside Krylov solvers
    python benchmarks/ablations.py                  # what the parts of drift are good for; trains variants, an hour

Nothing else should run on the machine meanwhile; the scripts print the load they find when they start.
"""

HEADINGS = {
    "monai": "Monai Valley beside ANUGA",
    "profile": "Where the time goes",
    "movers": "Movers",
    "error-reduction": "Error reduction",
    "cases": "Every case with every mover",
    "ablations": "Ablations of drift",
    "operators": "Operator networks",
    "operator-solvers": "Operator networks inside solvers",
}


def replace_section(document: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name:begin -->`` and ``<!-- name:end -->``, and nothing else.

    A document that is absent, or has no such markers, gets them first.

    Raises
    ------
    ValueError
        If only one of the two markers is there, or one of them twice, or the end comes first.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    content = document.read_text() if document.is_file() else INTRODUCTION
    if begin not in content and end not in content:
        content = f"{content.rstrip()}\n\n## {HEADINGS[name]}\n\n{begin}\n{end}\n"
    if not (content.count(begin) == content.count(end) == 1 and content.index(begin) < content.index(end)):
        raise ValueError(f"{document}: got broken markers, expected {begin} and then {end}, once each; mend the file")
    before, after = content.partition(begin)[0], content.partition(end)[2]
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, first column left, the others right."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> dict[str, str | int | float]:
    """Return processor, cores, system, date and the load of the last minute."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}",
        "date": date.today().isoformat(),
        "load": round(os.getloadavg()[0], 2),
    }


def warn_if_busy(found: dict[str, str | int | float]) -> None:
    """Say so when something else keeps a processor busy."""
    if float(found["load"]) > 0.5:
        print(f"warning: the load is {found['load']}; something else runs here, and the times will be too long")
