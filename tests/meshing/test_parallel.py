"""On two ranks the limiter, the moves and the quality are what they are on one, whatever the partition."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.parallel

MOVES = Path(__file__).with_name("moves.py")
# The relative form sums over the cells around a vertex, in an order that depends on the partition; a move repeats it.
TOLERANCE = {"boundary": 0.0, "absolute": 1e-15, "sweepless": 1e-14, "relative": 1e-14, "moved": 1e-12}


@pytest.fixture(scope="module")
def one(mpiexec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run on one rank."""
    return _run(mpiexec, 1, [tmp_path_factory.mktemp("one")])[0]


@pytest.fixture(scope="module")
def two(mpiexec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of runs on two ranks: the usual partition, and cells dealt out at random."""
    folders = [tmp_path_factory.mktemp(name) for name in ("usual", "dealt")]
    return dict(zip(("usual", "dealt"), _run(mpiexec, 2, folders), strict=True))


def _run(mpiexec, ranks: int, folders: list[Path]) -> list[Path]:
    outcome = mpiexec(ranks, [sys.executable, MOVES, *folders])
    assert (outcome.code, outcome.err) == (0, "")
    return folders


@pytest.mark.parametrize("partition", ["usual", "dealt"])
@pytest.mark.parametrize("dimension", [2, 3])
def test_two_ranks_move_as_one_does(dimension: int, partition: str, one: Path, two: dict[str, Path]) -> None:
    serial, parallel = (np.load(folder / f"{dimension}.npz") for folder in (one, two[partition]))
    order = [np.lexsort(fields["place"].round(9).T) for fields in (serial, parallel)]
    np.testing.assert_allclose(parallel["place"][order[1]], serial["place"][order[0]], rtol=0, atol=1e-15)
    for name, tolerance in TOLERANCE.items():
        assert np.ptp(serial[name]) > 0.01
        np.testing.assert_allclose(
            parallel[name][order[1]], serial[name][order[0]], rtol=0, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize("partition", ["usual", "dealt"])
@pytest.mark.parametrize("dimension", [2, 3])
def test_two_ranks_measure_what_one_does(dimension: int, partition: str, one: Path, two: dict[str, Path]) -> None:
    serial, parallel = (json.loads((folder / f"{dimension}.json").read_text()) for folder in (one, two[partition]))
    assert (serial.pop("ranks"), parallel.pop("ranks")) == (1, 2)
    assert (serial["status"], serial["tangled"]) == ("limited", 0)
    for name, value in serial.items():
        expected = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        assert parallel[name] == expected, name
