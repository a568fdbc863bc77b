"""Problems on disk: what ``learned.dataset.write_dataset`` has written of ``problem_arrays``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from learned.dataset import read_arrays
from learned.operators.problem import OperatorProblem, problem_of

SCHEMA = "driftmesh-operators"


def read_problems(path: Path) -> Iterator[OperatorProblem]:
    """Yield the problems of a file in order.

    Raises
    ------
    ValueError
        If the file is no such data set.
    """
    yield from map(problem_of, read_arrays(path, SCHEMA))
