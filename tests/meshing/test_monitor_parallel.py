"""On two ranks monitor functions are what they are on one, whatever the partition."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.parallel

MONITORS = Path(__file__).with_name("monitors.py")
KINDS = ("arc length", "gradient", "hessian", "metric", "field", "expression", "sum", "tensor")
NAMES = ("slope", "curvature", *KINDS, *(f"{kind}, moved" for kind in KINDS))


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
    outcome = mpiexec(ranks, [sys.executable, MONITORS, *folders])
    assert (outcome.code, outcome.err) == (0, "")
    return folders


@pytest.mark.parametrize("partition", ["usual", "dealt"])
@pytest.mark.parametrize("dimension", [2, 3])
def test_two_ranks_have_the_values_of_one(dimension: int, partition: str, one: Path, two: dict[str, Path]) -> None:
    serial, parallel = (np.load(folder / f"{dimension}.npz") for folder in (one, two[partition]))
    order = [np.lexsort(fields["place"].round(9).T) for fields in (serial, parallel)]
    np.testing.assert_allclose(parallel["place"][order[1]], serial["place"][order[0]], rtol=0, atol=1e-15)
    assert set(serial) == {"place", *NAMES}
    for name in NAMES:
        expected = serial[name][order[0]]
        size = np.abs(expected).max()
        assert np.ptp(expected) > 0.02 * size
        np.testing.assert_allclose(parallel[name][order[1]], expected, rtol=0, atol=1e-10 * size, err_msg=name)
