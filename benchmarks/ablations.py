"""Train drift without this and that, move a hundred meshes with each, and write the tables into docs/benchmarks.md.

python benchmarks/ablations.py --out results/train/ablations     # an hour, ten minutes once trained
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from benchmark_document import DOCUMENT, machine, replace_section

from cases.run_folder import commit, versions
from learned.ablations import VARIANTS, ablations


def main() -> None:
    """Train what is not trained yet in the given folder, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=2200)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = machine()
    text = ablations(options.out, updates=options.updates, variants=options.variants, report=partial(print, flush=True))
    stamp = (
        f"Measured by `benchmarks/ablations.py` on {found['date']}: {found['cpu']}, {found['cores']} cores, "
        f"load {found['load']} at the start; driftmesh {versions()['driftmesh']}, commit {commit()}, "
        f"torch {torch.__version__}."
    )
    replace_section(DOCUMENT, "ablations", f"{stamp}\n\n{text}")


if __name__ == "__main__":
    main()
