"""Residuals of sparse maps beside exact arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact import exact_residual
from scipy import sparse

from learned.sparse import SparseMap, sparse_map

FLOAT, DOUBLE = torch.float32, torch.float64


def matrix(rows: int = 20, columns: int = 16, seed: int = 0, spread: float = 3.0) -> sparse.csr_array:
    """Return a matrix with entries of many sizes, an empty row and a full one."""
    generator = np.random.default_rng(seed)
    entries = generator.normal(size=(rows, columns)) * 10.0 ** generator.uniform(-spread, spread, (rows, columns))
    entries *= generator.random((rows, columns)) < 0.4
    entries[3], entries[4] = 0.0, generator.normal(size=columns)
    return sparse.csr_array(entries)


def nearly_solved(a: np.ndarray, kind: torch.dtype, m: int = 3, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x, its columns of different sizes, and b = A x with a few of its digits changed."""
    generator = np.random.default_rng(seed)
    x = torch.from_numpy(generator.normal(size=(a.shape[1], m)) * 10.0 ** np.arange(m)).to(kind)
    b = torch.from_numpy(a) @ x.double()
    return (b * (1.0 + 1e-10 * torch.from_numpy(generator.normal(size=b.shape)))).to(kind), x


def bound(a: np.ndarray, x: np.ndarray, left: np.ndarray, kind: torch.dtype) -> np.ndarray:
    """Return the bound of the error that is documented."""
    roundoff, n = torch.finfo(kind).eps / 2.0, (a != 0).sum(axis=1).max()
    whole = n**2 * roundoff * abs(a).max() * abs(x).max(axis=0)
    return 3.0 * roundoff * abs(left) + 10.0 * np.sqrt(n * roundoff) * whole


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
@pytest.mark.parametrize("seed", range(4))
def test_residuals_have_the_digits_that_a_product_loses(kind: torch.dtype, seed: int) -> None:
    a = torch.from_numpy(matrix(seed=seed).toarray()).to(kind)
    b, x = nearly_solved(a.double().numpy(), kind)
    stored = sparse.csr_array(a.numpy())
    places = sparse.coo_array(stored)
    rows, columns = (torch.from_numpy(part.astype(np.int64)) for part in (places.row, places.col))
    product = SparseMap(rows, columns, torch.from_numpy(places.data), stored.shape)
    found = product.residual(b, x)
    assert found.dtype == kind
    left = exact_residual(stored.astype(float), b.double().numpy(), x.double().numpy())
    errors, plain = (abs(part.double().numpy() - left) for part in (found, b - product(x)))
    assert (errors <= bound(a.double().numpy(), x.double().numpy(), left, kind)).all()
    # Half of a double's digits are won beside a product, of a single's one or two.
    assert errors.max() < (1e-5 if kind == DOUBLE else 1e-1) * plain.max()


def test_one_right_hand_side_is_a_column_and_no_gradient_is_made() -> None:
    a = sparse_map(matrix())
    b, x = nearly_solved(matrix().toarray(), DOUBLE)
    whole = a.residual(b, x.requires_grad_())
    assert not whole.requires_grad
    # Twice the bound.
    torch.testing.assert_close(a.residual(b[:, 1], x[:, 1]), whole[:, 1], rtol=1e-15, atol=5e-16)


def test_maps_in_another_type_have_their_own_digits() -> None:
    a = sparse_map(matrix())
    b, x = nearly_solved(matrix().toarray(), DOUBLE)
    a.residual(b, x)
    single = a.to(dtype=FLOAT).residual(b.float(), x.float())
    rounded = matrix().astype(np.float32).astype(float)
    left = exact_residual(rounded, b.float().double().numpy(), x.float().double().numpy())
    assert single.dtype == FLOAT
    assert (abs(single.double().numpy() - left) <= bound(rounded.toarray(), x.numpy(), left, FLOAT)).all()


def test_zeros_and_what_is_not_finite_stay_so() -> None:
    a = sparse_map(matrix())
    b, x = nearly_solved(matrix().toarray(), DOUBLE)
    assert torch.equal(a.residual(b, torch.zeros_like(x)), b)
    x[0, 0], x[0, 1] = torch.nan, torch.inf
    assert torch.isnan(a.residual(b, x)[4, :2]).all() and torch.isfinite(a.residual(b, x)[:, 2]).all()
