"""On two ranks learned movers put the vertices where they put them on one, and fail together."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.parallel

SCRIPT = Path(__file__).with_name("parallel_movers.py")


def test_two_ranks_move_as_one_does(mpiexec, tmp_path: Path) -> None:
    runs = []
    for ranks in (1, 2):
        outcome = mpiexec(ranks, [sys.executable, SCRIPT, tmp_path / f"{ranks}.npz"])
        assert (outcome.code, outcome.err) == (0, "")
        runs.append(dict(np.load(tmp_path / f"{ranks}.npz")))
    assert [int(run.pop("ranks")) for run in runs] == [1, 2]
    for ranks, run in enumerate(runs, 1):
        refused = run.pop("refused").tolist()
        assert refused == ["target: got 'volume', expected one of integral, relative"] * ranks
    serial, parallel = runs
    assert serial.keys() == parallel.keys() and len(serial) == 4 * (4 + 3 + 3)
    for key, values in serial.items():
        # The graph is the same bit for bit, and so are monitor functions of places; boundaries to rounding.
        np.testing.assert_allclose(parallel[key], values, rtol=0, atol=1e-6, err_msg=key)
