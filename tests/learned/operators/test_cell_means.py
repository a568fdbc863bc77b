"""Cell means and bounds together: Zhang and Shu's scaling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from assembly import normal, triangles
from hypothesis import given
from hypothesis import strategies as st

from learned.operators.structure import CellMeans


def cells_of(count: int, seed: int = 0) -> np.ndarray:
    """Return degrees of freedom of triangles in a random order."""
    return np.random.default_rng(seed).permutation(3 * count).reshape(count, 3)


@given(seed=st.integers(0, 1000), scale=st.floats(-6, 300, allow_subnormal=False))
def test_bounds_are_exact_and_means_are_kept_for_raw_values_of_any_size(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    cells, low = cells_of(20, seed), rng.normal(size=20)
    high = low + rng.uniform(0.0, 2.0, 20)
    means = low + rng.uniform(0.0, 1.0, 20) * (high - low)
    u = CellMeans(cells, means, low, high)(10.0**scale * normal(60, seed=seed)).numpy()[cells]
    assert (u >= low[:, None]).all() and (u <= high[:, None]).all()
    for values, mean in zip(u, means, strict=True):
        assert abs(math.fsum(values) / 3.0 - mean) <= 1e-13 * max(abs(mean), abs(values).max())


def test_fields_within_bounds_keep_their_slopes_and_others_their_direction() -> None:
    cells, means = cells_of(12), np.full(12, 0.5)
    raw = 0.1 * normal(36)
    shift = means[:, None] - raw.numpy()[cells].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(CellMeans(cells, means, 0.0, 1.0)(raw).numpy()[cells], raw.numpy()[cells] + shift, 1e-13)
    steep = CellMeans(cells, means, 0.0, 1.0)(100.0 * raw).numpy()[cells] - 0.5
    # One degree of freedom of each cell is at a bound, and deviations are those of the raw values in proportion.
    np.testing.assert_array_equal(abs(steep).max(axis=1), 0.5)
    deviations = raw.numpy()[cells] + shift - 0.5
    np.testing.assert_allclose(steep * deviations[:, :1], deviations * steep[:, :1], atol=1e-14)


def test_weights_are_those_of_the_mean() -> None:
    cells = np.arange(8).reshape(2, 4)
    weights = np.random.default_rng(1).uniform(0.1, 1.0, (2, 4))
    u = CellMeans(cells, np.array([0.2, 0.9]), 0.0, 1.0, weights)(5.0 * normal(8)).numpy()[cells]
    np.testing.assert_allclose((weights * u).sum(axis=1) / weights.sum(axis=1), [0.2, 0.9], rtol=1e-13)


def test_means_at_the_bounds_leave_constants() -> None:
    cells = cells_of(3)
    u = CellMeans(cells, np.array([0.0, 1.0, 0.5]), 0.0, 1.0)(normal(9)).numpy()[cells]
    np.testing.assert_array_equal(u[:2], [[0.0] * 3, [1.0] * 3])
    constant = CellMeans(cells, 0.5, 0.0, 1.0)(torch.ones(9))
    np.testing.assert_array_equal(constant, np.full(9, 0.5))


def test_one_bound_is_enough() -> None:
    cells = cells_of(30)
    positive = CellMeans(cells, 0.1, 0.0, None)(normal(90)).numpy()
    assert positive.min() >= 0.0 and positive.max() > 0.2
    negative = CellMeans(cells, -0.1, None, 0.0)(normal(90)).numpy()
    assert negative.max() <= 0.0 and negative.min() < -0.2


@given(seed=st.integers(0, 1000))
def test_renumbered_cells_and_degrees_of_freedom_give_the_same_field(seed: int) -> None:
    mesh = triangles("holes", moved=True)
    rng = np.random.default_rng(seed)
    cells, means = cells_of(len(mesh.cells)), rng.uniform(0.0, 1.0, len(mesh.cells))
    raw, turn, order = normal(cells.size, 2, seed=seed), rng.permutation(3), rng.permutation(len(cells))
    u = CellMeans(cells, means, 0.0, 1.0)(raw)
    v = CellMeans(cells[order][:, turn], means[order], 0.0, 1.0)(raw)
    torch.testing.assert_close(v, u, rtol=0, atol=1e-14)


def test_gradients_reach_means_and_bounds() -> None:
    cells = cells_of(4)
    arguments = [
        part.requires_grad_() for part in (2.0 * normal(12, 2), 0.1 * normal(4, 2), normal(4) - 3.0, normal(4) + 3.0)
    ]
    assert torch.autograd.gradcheck(lambda raw, means, low, high: CellMeans(cells, means, low, high)(raw), arguments)
    # Where raw values are constant in cells the share is 1, and derivatives are finite.
    flat = torch.ones(12, dtype=torch.float64).requires_grad_()
    assert bool(torch.autograd.grad(CellMeans(cells, 0.5, 0.0, 1.0)(flat)[0], flat)[0].isfinite().all())


@pytest.mark.parametrize(
    ("cells", "means", "weights", "message"),
    [
        (np.arange(6), 0.5, None, r"cells: got shape \(6,\), expected \(K, n\)"),
        ([[0, 1, 2], [2, 3, 4]], 0.5, None, "cells: got degrees of freedom twice, expected each once"),
        ([[0, 1, 2], [3, 4, 6]], 0.5, None, "cells: got numbers from 0 to 6, expected 0 to 5"),
        ([[0, 1, 2]], 1.5, None, "means: got some out of the bounds by 0.333 of the largest, expected all between"),
        ([[0, 1, 2]], 0.5, [[1.0, 1.0, 0.0]], r"weights: got shape \(1, 3\), expected positive ones of shape \(1, 3\)"),
    ],
)
def test_other_data_are_refused(cells, means, weights, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CellMeans(np.array(cells), means, 0.0, 1.0, weights)
