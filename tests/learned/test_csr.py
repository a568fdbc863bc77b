"""Sparse matrices come as ordered compressed rows, and back from their arrays bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from learned.csr import csr_arrays, csr_of, to_csr


def test_entries_are_ordered_each_once_and_a_copy() -> None:
    given = sparse.coo_array((np.array([1.0, 2.0, 3.0, 4.0]), ([1, 0, 1, 1], [2, 1, 0, 2])), shape=(2, 3))
    found = to_csr(given)
    assert np.array_equal(found.toarray(), [[0.0, 2.0, 0.0], [3.0, 0.0, 5.0]])
    assert found.indices.tolist() == [1, 0, 2] and found.data.tolist() == [2.0, 3.0, 5.0]
    rows = sparse.csr_array(given)
    to_csr(rows).data[:] = 0.0
    assert rows.data.any()


def test_a_matrix_comes_back_from_its_arrays_bit_for_bit() -> None:
    matrix = sparse.random_array((5, 4), density=0.4, rng=np.random.default_rng(0), format="csr")
    arrays = csr_arrays("mass", matrix)
    back = csr_of(arrays | {"other": np.zeros(1)}, "mass")
    assert back.shape == (5, 4) and back.data.tobytes() == matrix.data.tobytes()
    assert np.array_equal(back.toarray(), matrix.toarray())


def test_other_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"matrix: got ndarray of shape \(2, 2\), expected a real sparse one of scipy"):
        to_csr(np.eye(2))
    with pytest.raises(ValueError, match=r"matrix: got csr_array of shape \(2, 3\), expected a square real sparse one"):
        to_csr(sparse.csr_array((2, 3)), square=True)
    with pytest.raises(ValueError, match=r"expected a real sparse one"):
        to_csr(sparse.csr_array(1j * np.eye(2)))
