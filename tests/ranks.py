"""Run a script on the ranks of mpiexec and end them together: ``ranks.py SCRIPT ARGUMENTS``.

PETSc waits for ever at its end, once in a while, for ranks that have nothing to free where others do; what a script
leaves behind is freed with the process instead.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from mpi4py import MPI

if __name__ == "__main__":
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.stdout.flush()
    sys.stderr.flush()
    MPI.COMM_WORLD.Barrier()
    MPI.Finalize()
    os._exit(0)
