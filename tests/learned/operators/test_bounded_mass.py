"""Bounds and total together: the shift against a root finder, and the projection's conditions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from assembly import normal, triangles
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from learned.operators.structure import BoundedMass

SHARE = st.floats(0.0, 1.0, allow_subnormal=False)


def problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights of a moved mesh, and bounds that differ from node to node."""
    mesh, rng = triangles("holes", moved=True), np.random.default_rng(seed)
    low = rng.normal(size=mesh.nodes)
    return mesh.integrals(), low, low + rng.uniform(0.0, 2.0, mesh.nodes)


@given(seed=st.integers(0, 1000), scale=st.floats(-6, 300, allow_subnormal=False), share=SHARE)
def test_bounds_are_exact_and_the_total_is_right_for_raw_values_of_any_size(seed, scale, share) -> None:
    weights, low, high = problem(seed)
    total = float(weights @ low + share * (weights @ (high - low)))
    u = BoundedMass(weights, total, low, high)(10.0**scale * normal(len(low), seed=seed)).numpy()
    assert (u >= low).all() and (u <= high).all()
    assert abs(math.fsum(weights * u) - total) <= 1e-13 * max(math.fsum(weights * abs(u)), abs(total))


@given(seed=st.integers(0, 1000), share=st.floats(0.01, 0.99, allow_subnormal=False))
def test_the_shift_is_the_root_found_by_brent(seed: int, share: float) -> None:
    weights, low, high = problem(seed)
    total, raw = float(weights @ low + share * (weights @ (high - low))), normal(len(low), seed=seed).numpy()
    root = brentq(lambda s: weights @ np.clip(raw + s, low, high) - total, -20.0, 20.0, xtol=1e-15, rtol=1e-15)
    u = BoundedMass(weights, total, low, high)(torch.from_numpy(raw)).numpy()
    np.testing.assert_allclose(u, np.clip(raw + root, low, high), rtol=0, atol=1e-12)


@given(seed=st.integers(0, 1000), share=SHARE)
def test_without_an_upper_bound_all_totals_above_the_lower_are_met(seed: int, share: float) -> None:
    weights, low, _ = problem(seed)
    total = float(weights @ low) + 10.0 * share
    u = BoundedMass(weights, total, low, None)(normal(len(low), seed=seed)).numpy()
    assert (u >= low).all()
    assert abs(math.fsum(weights * u) - total) <= 1e-13 * max(math.fsum(weights * abs(u)), abs(total))


def test_fields_that_fit_are_left_as_they_are() -> None:
    weights, low, high = problem(0)
    inside = low + np.random.default_rng(1).uniform(0.1, 0.9, len(low)) * (high - low)
    u = BoundedMass(weights, float(weights @ inside), low, high)(torch.from_numpy(inside)).numpy()
    np.testing.assert_allclose(u, inside, rtol=0, atol=1e-14)


def test_no_field_between_the_bounds_with_the_total_is_nearer() -> None:
    weights, low, high = problem(3)
    total, raw = float(0.5 * weights @ (low + high)), normal(len(low)).numpy()
    u = BoundedMass(weights, total, low, high)(torch.from_numpy(raw)).numpy()
    rng = np.random.default_rng(4)
    for _ in range(50):
        other = low + rng.uniform(0.0, 1.0, len(low)) * (high - low)
        # Towards a bound, until the total is right.
        end = high if weights @ other < total else low
        other = other + (total - weights @ other) / (weights @ (end - other)) * (end - other)
        # The condition of a projection on a convex set.
        assert weights @ ((raw - u) * (other - u)) <= 1e-12


@given(seed=st.integers(0, 1000))
def test_renumbered_degrees_of_freedom_give_the_renumbered_field(seed: int) -> None:
    weights, low, high = problem(seed)
    order = np.random.default_rng(seed).permutation(len(low))
    raw, total = normal(len(low), 2, seed=seed), float(0.5 * weights @ (low + high))
    u = BoundedMass(weights, total, low, high)(raw)
    v = BoundedMass(weights[order], total, low[order], high[order])(raw[order])
    torch.testing.assert_close(v, u[order], rtol=0, atol=1e-13)


@pytest.mark.parametrize("upper", [True, False])
def test_gradients_reach_total_and_bounds(upper: bool) -> None:
    weights = problem(0)[0][:8]
    raw, low = normal(8, 2), normal(8, seed=1) - 0.5
    high, total = low + 1.0, torch.tensor([0.5, 0.3]).double() * weights.sum() + float(weights @ low.numpy())
    data = (raw, total, low, high) if upper else (raw, total, low)

    def bounded(raw, total, low, high=None):
        return BoundedMass(weights, total, low, high)(raw)

    assert torch.autograd.gradcheck(bounded, [part.clone().requires_grad_() for part in data])


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_totals_at_the_ends_of_the_reach_give_the_bounds(end: float) -> None:
    weights, low, high = problem(5)
    bound = high if end else low
    raw = normal(len(low), seed=6).requires_grad_()
    u = BoundedMass(weights, float(weights @ bound), low, high)(raw)
    np.testing.assert_allclose(u.detach(), bound, rtol=0, atol=1e-12)
    assert bool(torch.autograd.grad(u.sum(), raw)[0].isfinite().all())


def test_the_residual_sees_bounds_and_total() -> None:
    structure = BoundedMass(np.ones(4), 2.0, 0.0, 1.0)
    assert structure.residual(torch.full((4,), 0.5)) == 0.0
    assert structure.residual(torch.full((4,), 0.25)) == 0.5
    assert structure.residual(torch.tensor([1.5, 0.5, 0.0, 0.0])) == pytest.approx(1.0 / 3.0)


@pytest.mark.parametrize(
    ("weights", "total", "low", "high", "message"),
    [
        (np.ones(4), 5.0, 0.0, 1.0, r"total: got \[5.0\], expected from 0 to 4, which the bounds can hold"),
        (np.ones(4), [1.0, -1.0], 0.0, None, r"total: got \[1.0, -1.0\], expected from 0 to any, which"),
        (np.array([1.0, 0.0]), 1.0, 0.0, 1.0, r"weights: got shape \(2,\), expected positive ones of shape \(N,\)"),
        (np.ones((2, 2)), 1.0, 0.0, 1.0, r"weights: got shape \(2, 2\)"),
        (np.ones(2), 1.0, 1.0, 0.0, "low, high: got low above high by 1"),
    ],
)
def test_other_data_are_refused(weights, total, low, high, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoundedMass(weights, np.array(total), low, high)
