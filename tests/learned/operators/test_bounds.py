"""Bounds: exact in floating point, for raw values of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import normal, triangles
from hypothesis import given
from hypothesis import strategies as st

from learned.operators.structure import Bounds

RAW = st.lists(st.floats(allow_nan=False, allow_subnormal=False), min_size=1, max_size=8)
BOUND = st.floats(-1e150, 1e150, allow_subnormal=False)


@given(raw=RAW, one=BOUND, other=BOUND)
def test_bounds_are_kept_bit_for_bit(raw: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    u = Bounds(low, high)(torch.tensor(raw, dtype=torch.float64))
    assert bool(((u >= low) & (u <= high)).all())
    assert bool((Bounds(low, None)(torch.tensor(raw, dtype=torch.float64)) >= low).all())
    assert bool((Bounds(None, high)(torch.tensor(raw, dtype=torch.float64)) <= high).all())


@given(low=st.floats(-10, 10, allow_subnormal=False), ulps=st.integers(0, 3), raw=RAW)
def test_bounds_a_few_bits_apart_are_kept(low: float, ulps: int, raw: list[float]) -> None:
    high = low
    for _ in range(ulps):
        high = float(np.nextafter(high, np.inf))
    u = Bounds(low, high)(torch.tensor(raw, dtype=torch.float64))
    assert bool(((u >= low) & (u <= high)).all())


@given(
    raw=st.lists(st.floats(-700, 700, allow_subnormal=False), max_size=8),
    low=st.floats(-10, 10, allow_subnormal=False),
    width=st.floats(0.1, 10, allow_subnormal=False),
)
def test_the_map_is_the_logistic_function_and_does_not_fall(raw: list[float], low: float, width: float) -> None:
    ordered = np.sort(np.array(raw, dtype=float))
    u = Bounds(low, low + width)(torch.from_numpy(ordered)).numpy()
    np.testing.assert_allclose(u, low + width / (1.0 + np.exp(-ordered)), rtol=0, atol=1e-14 * (abs(low) + width))
    assert (np.diff(u) >= 0).all()
    above, below = Bounds(low, None)(torch.from_numpy(ordered)), Bounds(None, low)(torch.from_numpy(ordered))
    np.testing.assert_allclose(above, low + np.logaddexp(0.0, ordered), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(below, low - np.logaddexp(0.0, ordered), rtol=1e-14, atol=1e-14)


def test_piecewise_linear_fields_are_bounded_at_every_point() -> None:
    mesh = triangles("holes", moved=True)
    low, high = normal(mesh.nodes, seed=1), normal(mesh.nodes, seed=1) + 0.3
    u = Bounds(low, high, size=mesh.nodes)(50.0 * normal(mesh.nodes)).numpy()
    shares = np.random.default_rng(0).dirichlet(np.ones(3), size=(len(mesh.cells), 20))
    for part, sign in ((low, 1.0), (high, -1.0)):
        inside = sign * (shares * (u - part.numpy())[mesh.cells][:, None]).sum(axis=2)
        assert inside.min() >= 0.0


def test_gradients_reach_bounds_and_stay_finite_far_out() -> None:
    arguments = [part.requires_grad_() for part in (normal(4, 2), normal(4) - 3.0, normal(4, 2, seed=1) + 3.0)]
    assert torch.autograd.gradcheck(lambda raw, low, high: Bounds(low, high, size=4)(raw), arguments)
    far = torch.tensor([-1e300, 1e300, -800.0, 40.0], dtype=torch.float64).requires_grad_()
    for structure in (Bounds(0.0, 1.0), Bounds(0.0, None), Bounds(None, 0.0)):
        assert bool(torch.autograd.grad(structure(far).sum(), far)[0].isfinite().all())


def test_the_residual_is_the_excess() -> None:
    assert Bounds(0.0, 1.0).residual(torch.tensor([0.0, 1.0, 0.5])) == 0.0
    assert Bounds(0.0, 1.0).residual(torch.tensor([-0.5, 2.0, 0.5])) == 0.5
    assert Bounds(0.0, None).residual(torch.tensor([-0.5, 2.0, 0.5])) == 0.25
    assert Bounds(None, 1.0).residual(torch.tensor([-0.5, 1.25, 0.5])) == 0.2


@given(seed=st.integers(0, 1000))
def test_renumbered_degrees_of_freedom_give_the_renumbered_field(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(9)
    low, raw = normal(9, seed=seed), normal(9, 2, seed=seed + 1)
    u = Bounds(low, low + 1.0, size=9)(raw)
    torch.testing.assert_close(Bounds(low[order], low[order] + 1.0, size=9)(raw[order]), u[order], rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (None, None, "low, high: got None for both, expected a bound"),
        (1.0, 0.5, "low, high: got low above high by 0.5, expected low <= high; exchange them"),
        (0.0, np.inf, "high: got bounds that are not finite, expected finite ones; None is no bound"),
        (np.nan, 1.0, "low: got bounds that are not finite"),
        (np.zeros(3), 1.0, r"low: got float64 of shape \(3,\) on cpu, expected real numbers of shape \(\), \(1,\)"),
    ],
)
def test_other_bounds_are_refused(low, high, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bounds(low, high)
