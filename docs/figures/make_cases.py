"""Run cases on a moving mesh and keep the picture of each for its page.

python docs/figures/make_cases.py                # all whose picture is not there
python docs/figures/make_cases.py swirl monai    # these anew
"""

# ruff: noqa: E402
from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# PETSc would read the names of the cases.
ASKED_FOR, sys.argv = sys.argv[1:], sys.argv[:1]
os.environ.setdefault("OMP_NUM_THREADS", "1")

from PIL import Image

from cases.errors import InputError
from cases.registry import CASES, get_case
from cases.run import RunRequest, execute

HERE = Path(__file__).parent / "cases"
# The figure of a run that shows most, best first.
SHOWN = ("meshes.png", "snapshots.png", "maximum.png", "fields.png")
WIDTH = 1400


def make(name: str) -> None:
    """Run a case with its defaults and keep its figure."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        mover = "mmpde" if get_case(name).has_mesh else None
        status = execute(RunRequest(name, mover=mover, out=out), quiet=True)
        found = [out / "figures" / file for file in SHOWN if (out / "figures" / file).is_file()]
        if status != "done" or not found:
            print(f"{name}: {status}, no picture")
            return
        image = Image.open(found[0]).convert("RGB")
        image.thumbnail((WIDTH, 10 * WIDTH))
        file = HERE / f"{name}.webp"
        image.save(file, quality=80, method=6)
        print(f"{name}: {found[0].name}, {file.stat().st_size // 1024} kB", flush=True)


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for case in ASKED_FOR or [name for name in CASES if not (HERE / f"{name}.webp").is_file()]:
        try:
            make(case)
        except InputError as error:
            print(f"{case}: {error}")
