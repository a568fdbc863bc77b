"""The figure of a network's balance beside exact arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact import exact_residual
from problems import PROBLEMS, network, twin, unknowns

from learned.operators.evaluation import balance
from learned.operators.prepared import prepare_for


@pytest.mark.parametrize("name", ["fourth order", "islands", "elasticity"])
def test_the_balance_is_that_of_exact_arithmetic_however_little_is_left(name: str) -> None:
    problem = PROBLEMS[name]()
    net = network(problem, power=2 if name == "fourth order" else 1)
    for answering in (net, twin(problem)):
        with torch.no_grad():
            u, prepared = answering(prepare_for(answering, problem)), prepare_for(net, problem)
            functions = net.inverse(prepared).basis.numpy()
            found = balance(net, problem, u)
        left = unknowns(problem).T @ exact_residual(problem.stiffness, problem.loads, u.numpy())
        seen = (
            functions.T.astype(np.longdouble) @ left.astype(np.longdouble) / np.linalg.norm(functions, axis=0)[:, None]
        ).astype(float)
        size = np.linalg.norm(prepared.right_sides.numpy(), axis=0)
        expected = (np.linalg.norm(seen, axis=0) / size).max()
        # Of the exact residual, which is rounded once.
        rounding = np.finfo(float).eps * functions.shape[1] ** 0.5 * (np.linalg.norm(left, axis=0) / size).max()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=float(rounding))
        assert (expected <= 1e-12) == (answering is net)
