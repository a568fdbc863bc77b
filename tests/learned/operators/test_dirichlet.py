"""Boundary values: bit for bit, whatever the raw values are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import normal, triangles
from hypothesis import given
from hypothesis import strategies as st

from learned.operators.structure import Dirichlet

ANY = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=False)


@given(
    raw=st.lists(ANY, min_size=6, max_size=6),
    values=st.lists(st.floats(allow_nan=False, allow_subnormal=False), min_size=2, max_size=2),
)
def test_fixed_values_are_exact_and_others_stay_also_beside_what_is_not_finite(raw, values) -> None:
    u = Dirichlet(np.array([4, 1]), np.array(values))(torch.tensor(raw, dtype=torch.float64)).numpy()
    assert u[[4, 1]].tobytes() == np.array(values).tobytes()
    assert u[[0, 2, 3, 5]].tobytes() == np.array(raw)[[0, 2, 3, 5]].tobytes()


@given(seed=st.integers(0, 1000))
def test_renumbered_degrees_of_freedom_give_the_renumbered_field(seed: int) -> None:
    mesh = triangles("holes", moved=True)
    order = np.random.default_rng(seed).permutation(mesh.nodes)
    place = np.argsort(order)
    raw, values = normal(mesh.nodes, 2, seed=seed), normal(len(mesh.fixed), 2, seed=seed + 1)
    u = Dirichlet(mesh.fixed, values)(raw)
    assert torch.equal(Dirichlet(place[mesh.fixed], values)(raw[order]), u[order])


def test_gradients_reach_the_values() -> None:
    raw, values = normal(5, 3).requires_grad_(), normal(2, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda r, v: Dirichlet([3, 0], v)(r), (raw, values))


def test_the_residual_is_relative_to_the_field() -> None:
    structure = Dirichlet([0], 2.0)
    assert structure.residual(torch.tensor([2.5, 5.0])) == 0.1
    assert structure.residual(torch.tensor([2.0, 5.0])) == 0.0
    assert Dirichlet([0]).residual(torch.zeros(3)) == 0.0
    assert Dirichlet(np.zeros(0)).residual(normal(3)) == 0.0


@pytest.mark.parametrize(
    ("fixed", "values", "size", "message"),
    [
        ([True, False], 0.0, None, r"fixed: got bool of shape \(2,\), expected integers .* give np.flatnonzero"),
        ([[1, 2]], 0.0, None, r"fixed: got int64 of shape \(1, 2\), expected integers of shape \(n,\)"),
        ([1, 1], 0.0, None, "fixed: got degrees of freedom twice, expected each once; take np.unique"),
        ([0, 7], 0.0, 7, "fixed: got numbers from 0 to 7, expected 0 to 6; number degrees of freedom, not nodes"),
        ([-1], 0.0, None, "fixed: got numbers from -1 to -1, expected 0 and more"),
        ([1, 2], [1.0, 2.0, 3.0], None, r"values: got float64 of shape \(3,\).*\(\), \(2,\) or \(2, m\) on cpu; give"),
        ([1], 1j, None, r"values: got complex128 of shape \(\) on cpu, expected real"),
    ],
)
def test_other_data_are_refused(fixed, values, size, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dirichlet(np.array(fixed), np.array(values), size=size)


def test_fields_without_the_fixed_degrees_of_freedom_are_refused() -> None:
    with pytest.raises(ValueError, match="got 4 degrees of freedom, expected more than 6, which is fixed"):
        Dirichlet([2, 6])(normal(4))
