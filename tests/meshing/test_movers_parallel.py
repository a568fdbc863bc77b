"""On two ranks every mover puts the vertices where it puts them on one."""

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
    assert len(runs[0]) == 2 * 3 * 4 * 2
    for key, serial in runs[0].items():
        np.testing.assert_allclose(runs[1][key], serial, rtol=0, atol=1e-8, err_msg=key)
        assert key.startswith("numbers") or np.isfinite(serial).all()
