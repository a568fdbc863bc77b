"""A network's inverse on vectors of Firedrake's solvers: symmetric, positive, exact where given; what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from firedrake import (
    DirichletBC,
    EquationBC,
    Function,
    FunctionSpace,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    assemble,
    dx,
    grad,
    inner,
)
from hybrid_problems import Hybrid, darcy, elasticity

from coupling.operator_inverse import OperatorInverse, operator_problem
from coupling.operator_matrices import csr
from learned.operators.prepared import prepare_for
from learned.operators.problem import OperatorProblem
from learned.operators.spon import SPON

SCRIPT = Path(__file__).with_name("parallel_inverse.py")


@pytest.fixture(scope="module", params=[darcy, elasticity])
def hybrid(request) -> Hybrid:
    return request.param(size=8)


def test_the_operator_is_symmetric_and_positive_definite_on_all_degrees_of_freedom(hybrid: Hybrid) -> None:
    dense = hybrid.inverse(np.eye(hybrid.inverse.size))
    assert np.abs(dense - dense.T).max() <= 1e-12 * np.abs(dense).max()
    eigenvalues = np.linalg.eigvalsh(0.5 * (dense + dense.T))
    assert eigenvalues[0] > 1e-12 * eigenvalues[-1]


def test_it_is_the_identity_where_values_are_fixed_and_reaches_nothing_else(hybrid: Hybrid) -> None:
    fixed = np.setdiff1d(np.arange(hybrid.inverse.size), hybrid.free)
    on_them = np.zeros(hybrid.inverse.size)
    on_them[fixed] = np.random.default_rng(1).normal(size=len(fixed))
    np.testing.assert_array_equal(hybrid.inverse(on_them), on_them)
    # Three sides of nine nodes; one of nine held along both axes and one of seventeen along one. Corners count once.
    assert len(fixed) == {1: 25, 2: 34}[hybrid.space.block_size]


def test_the_network_of_the_same_problem_gives_the_same_solution(hybrid: Hybrid) -> None:
    values = hybrid.given()[:, None]
    loads = assemble(hybrid.load).dat.data_ro.copy().reshape(-1, 1)
    whole = OperatorProblem(**{**vars(hybrid.problem), "loads": loads, "values": values})
    with torch.no_grad():
        expected = hybrid.network(prepare_for(hybrid.network, whole)).numpy()
    residual = np.zeros_like(loads)
    residual[hybrid.free, 0] = hybrid.lifted()
    found = values + hybrid.inverse(residual)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_many_vectors_at_once_give_what_each_gives_alone(hybrid: Hybrid) -> None:
    vectors = np.random.default_rng(2).normal(size=(hybrid.inverse.size, 5))
    for operator in (hybrid.inverse, hybrid.inverse.coarse):
        together = operator(vectors)
        alone = np.stack([operator(vector) for vector in vectors.T], axis=1)
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12 * np.abs(alone).max())


def test_a_start_is_the_solve_in_the_span_of_the_functions_in_single_precision(hybrid: Hybrid) -> None:
    vectors = np.random.default_rng(3).normal(size=(hybrid.inverse.size, 3))
    exact, found = hybrid.inverse.coarse(vectors), hybrid.inverse.start(vectors)
    # A few thousand roundings of 6e-8 each, of which most cancel.
    np.testing.assert_allclose(found[hybrid.free], exact[hybrid.free], rtol=0, atol=1e-5 * np.abs(exact).max())
    fixed = np.setdiff1d(np.arange(hybrid.inverse.size), hybrid.free)
    np.testing.assert_array_equal(found[fixed], vectors[fixed])
    np.testing.assert_array_equal(hybrid.inverse.start(vectors[:, 0])[fixed], vectors[fixed, 0])


def test_a_start_for_typical_right_hand_sides_is_as_good_for_these_and_never_worse_than_zero(hybrid: Hybrid) -> None:
    rng, free, size = np.random.default_rng(5), hybrid.free, hybrid.inverse.size
    kinds = np.zeros((size, 4))
    kinds[free] = rng.normal(size=(len(free), 4))
    start = hybrid.inverse.start_for(kinds @ rng.normal(size=(4, 30)))
    # What is made of the same few directions loses rounding in single precision only.
    likely = kinds @ rng.normal(size=(4, 5))
    expected = hybrid.inverse.start(likely)
    np.testing.assert_allclose(start(likely), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    # Others are solved in the span of some functions, to rounding in single precision: x.Ax = x.b.
    other = np.zeros(size)
    other[free] = rng.normal(size=len(free))
    x, stiffness = start(other), csr(hybrid.form)
    assert 0.0 < x @ stiffness @ x == pytest.approx(x @ other, rel=1e-4)
    # It has as many directions as there are kinds, and no more.
    whole, part = (np.linalg.svd(one(np.eye(size))[np.ix_(free, free)])[1] for one in (hybrid.inverse.start, start))
    assert part[3] > 1e-4 * whole[0] > part[4] and whole[4] > 1e-4 * whole[0]


def test_what_is_typical_has_to_be_something(hybrid: Hybrid) -> None:
    with pytest.raises(ValueError, match=r"^typical: got nothing but zeros, expected right-hand sides; give some "):
        hybrid.inverse.start_for(np.zeros((hybrid.inverse.size, 3)))
    with pytest.raises(ValueError, match=r"^residuals: got shape \(3, 2\), expected"):
        hybrid.inverse.start_for(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"^rest: got 1.0, expected at least 0 and less than 1; "):
        hybrid.inverse.start_for(np.ones((hybrid.inverse.size, 1)), rest=1.0)


def test_vectors_of_other_spaces_are_refused(hybrid: Hybrid) -> None:
    n = hybrid.inverse.size
    with pytest.raises(ValueError, match=rf"^residuals: got shape \(3,\), expected \({n},\) or \({n}, m\)$"):
        hybrid.inverse(np.zeros(3))


def poisson(space):
    return inner(grad(TrialFunction(space)), grad(TestFunction(space))) * dx


def test_forms_that_networks_are_not_made_for_are_refused() -> None:
    mesh = UnitSquareMesh(3, 3)
    space = FunctionSpace(mesh, "CG", 1)
    u, v, whole = TrialFunction(space), TestFunction(space), Function(space)
    with pytest.raises(ValueError, match=r"^form: got a defect of symmetry of .*, expected a symmetric form$"):
        operator_problem(poisson(space) + u.dx(0) * v * dx)
    with pytest.raises(ValueError, match=r"^features: got shape \(3, 1\), expected \(16, k\), a row for each node$"):
        operator_problem(poisson(space), features=np.zeros((3, 1)))
    equation = EquationBC(inner(u, v) * dx == v * dx, whole, 1)
    with pytest.raises(ValueError, match=r"^bcs: got EquationBC, expected DirichletBC; put other conditions into"):
        operator_problem(poisson(space), [equation])
    with pytest.raises(ValueError, match=r"^form: got one on .*, expected a space of scalars or vectors$"):
        operator_problem(poisson(space * space))


def test_a_network_on_a_coarse_level_asks_for_that_level() -> None:
    space = FunctionSpace(UnitSquareMesh(4, 4), "CG", 1)
    problem = operator_problem(poisson(space), [DirichletBC(space, 0, 1)])
    with pytest.raises(ValueError, match=r"^problem: got 0 coarse levels, expected 1; make it with more$"):
        OperatorInverse(SPON(landmarks=4, level=1), problem)


@pytest.mark.parallel
def test_several_ranks_are_refused_by_all_of_them_in_one_line(mpiexec, tmp_path: Path) -> None:
    outcome = mpiexec(2, [sys.executable, SCRIPT, tmp_path])
    assert (outcome.code, outcome.err) == (0, "")
    expected = (
        "form: got one divided over 2 ranks, expected one rank; networks see whole problems: run without mpiexec, "
        "or make the mesh with comm=COMM_SELF"
    )
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == [expected] * 2
