"""Run a script on the ranks of mpiexec and end them together, as our commands do: ``ranks.py SCRIPT ARGUMENTS``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    del sys.argv[0]
    # The script's folder in place of ours, before any import of ours: next to this file lies a folder ``cases``, which
    # Python would take for the package where that is found by the editable installation only.
    sys.path[0] = str(Path(sys.argv[0]).parent)
    from mpi4py import MPI

    from cases.errors import end_together

    runpy.run_path(sys.argv[0], run_name="__main__")
    end_together(MPI.COMM_WORLD)
