"""Data sets of operators: the same bits in any process and order, stored and read."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from operator_makers import third_sample

from coupling.operator_data import FAMILIES, OperatorSettings, make_operator
from learned.dataset import read_arrays, write_dataset
from learned.operators.problem import SCHEMA, problem_arrays, problem_of
from learned.stream import stream


def settings(name: str, samples: int = 3) -> OperatorSettings:
    return OperatorSettings(problem=name, samples=samples, seed=2, nodes=150, right_sides=2)


def differing(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
    """Return the names of arrays that are not the same bit for bit."""
    return [name for name in one | other if name not in one or one[name].tobytes() != other[name].tobytes()]


def test_a_sample_depends_on_its_number_only_whatever_came_before_in_whichever_process() -> None:
    every = [settings(name) for name in FAMILIES]
    here = []
    for of in every:
        third, first = (make_operator(of, number) for number in (2, 0))
        assert differing(first, third)
        here.append(third)
    # A process that starts with what is the last here.
    numbers = list(range(len(every)))[::-1]
    with closing(stream(third_sample, every, numbers, processes=1)) as samples:
        for number, there in samples:
            assert differing(there, here[number]) == []
            assert differing(make_operator(replace(every[number], samples=5), 2), there) == []


def test_a_file_holds_the_problems_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "operators.h5"
    assert write_dataset(path, settings("stokes", 2), make=make_operator, schema=SCHEMA) == 2
    assert write_dataset(path, settings("stokes", 3), make=make_operator, schema=SCHEMA) == 1
    for number, arrays in enumerate(read_arrays(path, SCHEMA)):
        assert differing(problem_arrays(problem_of(arrays)), make_operator(settings("stokes"), number)) == []
    with pytest.raises(ValueError, match=r"got operators.h5 made with problem = stokes, expected darcy; name another"):
        write_dataset(path, settings("darcy"), make=make_operator, schema=SCHEMA)


def test_the_share_of_moved_meshes_and_the_number_of_nodes_are_those_asked_for() -> None:
    few = OperatorSettings(problem="poisson", nodes=300, right_sides=1, moved=0.0)
    many = OperatorSettings(problem="poisson", nodes=300, right_sides=1, moved=1.0)
    for number in range(6):
        still, moved = (make_operator(of, number)["points"] for of in (few, many))
        # The same domain and mesh, of which only one has been moved.
        assert still.shape == moved.shape and not np.array_equal(still, moved)
        assert np.array_equal(still.min(axis=0), moved.min(axis=0))
        assert 100 < len(still) < 900


def test_unknown_problems_are_refused() -> None:
    with pytest.raises(ValueError, match=r"problem: got 'wave', expected one of poisson, "):
        OperatorSettings(problem="wave")


@pytest.mark.parametrize("name", ["poisson", "darcy", "elasticity", "stokes"])
def test_the_triangles_to_be_drawn_cover_the_domain(name: str) -> None:
    arrays = make_operator(settings(name), 1)
    problem = problem_of(arrays)
    corners = problem.points[problem.cells]
    areas = 0.5 * np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1]))
    assert areas.min() > 0.0
    assert areas.sum() == pytest.approx(problem.mass.sum(), rel=1e-12)
    assert np.array_equal(np.unique(problem.cells), np.arange(len(problem.points)))
    # Files from before have none.
    del arrays["cells"]
    assert problem_of(arrays).cells.shape == (0, 3)
