"""Run a script on the ranks of mpiexec and end them together, as our commands do: ``ranks.py SCRIPT ARGUMENTS``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from mpi4py import MPI

from cases.errors import end_together

if __name__ == "__main__":
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
    end_together(MPI.COMM_WORLD)
