"""Chebyshev polynomials of matrices: their values, what bounds them, and the diagonal that is larger than a matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.polynomial.chebyshev import Chebyshev
from problems import PROBLEMS, elasticity
from scipy import sparse

from learned.operators.chebyshev import chebyshev, diagonal_bound
from learned.operators.prepared import prepare


def values(points: np.ndarray, degree: int, least: float) -> np.ndarray:
    """Return p in some points, by a diagonal matrix."""
    diagonal = torch.from_numpy(points)[:, None]
    return chebyshev(lambda x: diagonal * x, torch.ones(len(points), 1, dtype=torch.float64), degree, least)[
        :, 0
    ].numpy()


@pytest.mark.parametrize(("degree", "least"), [(0, 0.1), (1, 0.2), (5, 0.05), (16, 0.01), (40, 0.001)])
def test_it_is_the_polynomial_that_is_one_at_zero_and_smallest_above(degree: int, least: float) -> None:
    points = np.linspace(0.0, 1.0, 401)
    found = values(points, degree, least)
    polynomial = Chebyshev.basis(degree, domain=(least, 1.0))
    np.testing.assert_allclose(found, polynomial(points) / polynomial(0.0), rtol=0, atol=1e-13 * (1 + degree))
    assert found[0] == pytest.approx(1.0, abs=1e-14) and np.abs(found).max() <= 1.0 + 1e-14
    # Of all with p(0) = 1 none is smaller: it takes its largest value degree + 1 times with changing sign there.
    extremes = values(
        0.5 * (1 + least) + 0.5 * (1 - least) * np.cos(np.pi * np.arange(degree + 1) / max(degree, 1)), degree, least
    )
    np.testing.assert_allclose(extremes * (-1.0) ** np.arange(degree + 1), extremes[0], rtol=1e-9)


@pytest.mark.parametrize("name", PROBLEMS)
def test_no_stiffness_is_larger_than_the_bound_on_its_diagonal(name: str) -> None:
    problem = PROBLEMS[name]()
    prepared = prepare(problem, landmark_count=4)
    stiffness = prepared.stiffness(torch.eye(len(prepared.bound), dtype=torch.float64)).numpy()
    root = np.sqrt(prepared.bound.numpy())
    largest = np.linalg.eigvalsh(root[:, None] * stiffness * root)[-1]
    # Nor is the bound far from it: what it takes for eigenvalues is not small.
    assert 0.3 < largest <= 1.0 + 1e-14


def test_the_bound_turns_with_the_body_and_is_hardly_more_than_the_spectral_norms() -> None:
    problem = elasticity(nodes=40)
    matrix = sparse.csr_array(problem.stiffness)
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    wide = sparse.kron(sparse.eye_array(len(problem.points)), turn)
    bound = diagonal_bound(matrix, 2)
    np.testing.assert_allclose(diagonal_bound(sparse.csr_array(wide @ matrix @ wide.T), 2), bound, rtol=1e-12)
    dense = matrix.toarray().reshape(len(bound), 2, len(bound), 2).transpose(0, 2, 1, 3)
    spectral = np.linalg.norm(dense, ord=2, axis=(2, 3)).sum(axis=1)
    assert (bound >= spectral * (1 - 1e-14)).all() and (bound <= 2**0.125 * spectral).all()
