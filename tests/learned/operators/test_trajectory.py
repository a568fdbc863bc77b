"""Trajectories come back from their arrays bit for bit, and refuse what does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from learned.operators.problem import CoarseLevel
from learned.operators.trajectory import OperatorTrajectory, trajectory_arrays, trajectory_of


def example() -> OperatorTrajectory:
    rng = np.random.default_rng(0)
    return OperatorTrajectory(
        points=rng.normal(size=(5, 2)),
        edges=np.array([[0, 1, 1, 2], [1, 0, 2, 1]]),
        mass=sparse.csr_array(np.diag(rng.uniform(1.0, 2.0, 5))),
        fixed=rng.random((5, 2)) < 0.5,
        features=np.zeros((5, 0)),
        times=np.array([0.0, 0.1, 0.3]),
        fields=rng.normal(size=(3, 5, 2)),
        parameters={"speed": 1.0 / 3.0, "y": 0.2},
        coarse=(CoarseLevel(rng.normal(size=(2, 2)), sparse.csr_array(rng.random((5, 2)))),),
        kind="flow",
    )


def test_a_trajectory_comes_back_bit_for_bit() -> None:
    arrays = trajectory_arrays(example())
    back = trajectory_of(arrays)
    again = trajectory_arrays(back)
    assert arrays.keys() == again.keys() and back.steps == 3
    assert all(arrays[name].tobytes() == again[name].tobytes() for name in arrays)
    assert back.parameters == example().parameters and back.kind == "flow" and back.fixed.dtype == bool


def test_fields_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fields: got shape \(2, 5, 2\), expected \(3, 5, 2\) for 5 nodes of 2"):
        replace(example(), fields=np.zeros((2, 5, 2)))
    with pytest.raises(ValueError, match=r"mass: got shape \(4, 4\), expected \(5, 5\)"):
        replace(example(), mass=sparse.csr_array(np.eye(4)))
