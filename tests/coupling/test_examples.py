"""The scripts that people copy run as they stand, are short, and reach what they say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LONGEST = 60


def printed(mpiexec, name: str, pattern: str) -> list[float]:
    """Run an example; return the numbers in the one line it prints."""
    script = EXAMPLES / name
    assert len(script.read_text().splitlines()) < LONGEST
    outcome = mpiexec(1, [sys.executable, script])
    assert outcome.code == 0, outcome.err
    (line,) = outcome.out.splitlines()
    match = re.fullmatch(pattern, line)
    assert match, line
    return list(map(float, match.groups()))


@pytest.mark.parallel
def test_learn_coefficient(mpiexec) -> None:
    before, after, off = printed(mpiexec, "learn_coefficient.py", r"misfit (\S+) -> (\S+), coefficient off by (\d+) %")
    # A coefficient of zero is 100 % off; what noise-free data leave open is what the optimiser has not reached.
    assert after < 1e-4 * before
    assert off < 10


@pytest.mark.parallel
def test_optimise_nodes(mpiexec) -> None:
    before, after, less, tangled = printed(
        mpiexec, "optimise_nodes.py", r"error (\S+) -> (\S+), (\d+) % less, tangled cells: (\d+)"
    )
    assert after < 0.3 * before and less > 70
    assert tangled == 0


@pytest.mark.parallel
def test_moving_mesh(mpiexec) -> None:
    lines = (EXAMPLES / "moving_mesh.py").read_text().splitlines()
    assert sum(line.endswith("# +") for line in lines) <= 5
    fixed, moved, less = printed(mpiexec, "moving_mesh.py", r"error (\S+) -> (\S+), (\d+) % less")
    assert moved < 0.7 * fixed and less >= 30
