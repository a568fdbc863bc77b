"""On two ranks solves have the values and gradients that they have on one; errors reach all ranks."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.parallel

SCRIPT = Path(__file__).with_name("operators.py")


@pytest.fixture(scope="module")
def parts(mpiexec, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list]:
    """Return what each rank wrote, for one rank and for two."""
    result = {}
    for ranks in (1, 2):
        folder = tmp_path_factory.mktemp(f"on_{ranks}")
        outcome = mpiexec(ranks, [sys.executable, SCRIPT, folder])
        assert (outcome.code, outcome.err) == (0, "")
        result[ranks] = [np.load(folder / f"{rank}.npz") for rank in range(ranks)]
    return result


@pytest.mark.parametrize("name", ["field", "gradient", "other_gradient", "node_gradient"])
def test_values_and_gradients_are_those_of_one_rank(name: str, parts: dict[int, list]) -> None:
    ordered = []
    for divided in parts.values():
        places, values = (np.concatenate([part[key] for part in divided]) for key in ("places", name))
        ordered.append(values[np.lexsort(places.round(9).T)])
    assert np.ptp(ordered[0]) > 0
    # Newton stops at a relative residual of 1e-8, and converges quadratically.
    np.testing.assert_allclose(ordered[1], ordered[0], rtol=0, atol=1e-9 * abs(ordered[0]).max())


def test_numbers_are_the_same_on_all_ranks(parts: dict[int, list]) -> None:
    (one,), (first, second) = parts[1], parts[2]
    assert first["value"] == second["value"] == pytest.approx(one["value"], rel=1e-9)


def test_errors_are_raised_on_all_ranks(parts: dict[int, list]) -> None:
    assert (str(parts[1][0]["divided"]), len(parts[2])) == ("none", 2)
    for part in parts[2]:
        assert str(part["divided"]).startswith("matrix: got one divided over 2 ranks, expected one rank")
        assert str(part["wrong"]).startswith("tensor: got float64 of shape")
