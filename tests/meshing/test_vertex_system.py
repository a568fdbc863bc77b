"""The same system has the same solution to the last bit, on one rank and on two, however often it is set up anew."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from vertex_systems import SYSTEMS, solutions

SCRIPT = Path(__file__).with_name("vertex_systems.py")


def _rounding(name: str) -> float:
    """Return what rounding may change, machine epsilon by the condition: eigenvalues from 1 / N to less than 32."""
    return 32.0 * (SYSTEMS[name][0] + 1) ** 2 * float(np.finfo(float).eps)


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_rank_finds_the_same_bits_every_time(name: str) -> None:
    known, found = solutions(*SYSTEMS[name])
    assert np.abs(found - known).max() <= _rounding(name)
    np.testing.assert_array_equal(found, np.broadcast_to(found[0], found.shape))


@pytest.mark.parallel
def test_two_ranks_find_the_same_bits_every_time(mpiexec, tmp_path: Path) -> None:
    outcome = mpiexec(2, [sys.executable, SCRIPT, tmp_path / "two.npz"])
    assert (outcome.code, outcome.err) == (0, "")
    results = dict(np.load(tmp_path / "two.npz"))
    assert results.pop("ranks") == 2 and set(results) == set(SYSTEMS)
    for name, (error, distinct) in results.items():
        assert error <= _rounding(name), name
        assert distinct == 1, name
