"""Problems as arrays and as networks take them: nothing is lost, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from problems import PROBLEMS, elasticity, islands, poisson, unknowns
from scipy import sparse

from learned.operators.prepared import prepare, reduction
from learned.operators.problem import CoarseLevel, OperatorProblem, problem_arrays, problem_of


def same_matrix(one, other) -> bool:
    parts = ("data", "indices", "indptr")
    return one.shape == other.shape and all(
        np.array_equal(getattr(one, part), getattr(other, part))
        and getattr(one, part).dtype == getattr(other, part).dtype
        for part in parts
    )


@pytest.mark.parametrize("name", PROBLEMS)
def test_arrays_give_the_problem_back_to_the_last_bit(name: str) -> None:
    problem = PROBLEMS[name]()
    again = problem_of(problem_arrays(problem))
    for part in fields(OperatorProblem):
        one, other = getattr(problem, part.name), getattr(again, part.name)
        if isinstance(one, np.ndarray):
            assert np.array_equal(one, other) and one.dtype == other.dtype
        elif sparse.issparse(one):
            assert same_matrix(one, other)
    assert again.kind == problem.kind
    assert set(again.extras) == set(problem.extras)
    assert all(same_matrix(matrix, again.extras[one]) for one, matrix in problem.extras.items())
    assert len(again.coarse) == len(problem.coarse)
    for one, other in zip(problem.coarse, again.coarse, strict=True):
        assert np.array_equal(one.points, other.points) and same_matrix(one.prolongation, other.prolongation)


def test_all_that_files_hold_are_arrays_of_numbers() -> None:
    arrays = problem_arrays(replace(elasticity(levels=1, nodes=20), kind="Cook's membrane, Ω"))
    assert all(isinstance(values, np.ndarray) and values.dtype.kind in "fiub" for values in arrays.values())
    assert problem_of(arrays).kind == "Cook's membrane, Ω"


@pytest.mark.parametrize(
    ("part", "got", "expected"),
    [
        ("points", (3, 2), "({n}, 2)"),
        ("stiffness", (4, 5), "({N}, {N})"),
        ("mass", (4, 4), "({n}, {n})"),
        ("boundary", (4,), "({n},)"),
        ("features", (4, 1), "({n}, 1)"),
        ("values", (4, 3), "({N}, 3)"),
        ("solutions", (4, 3), "({N}, 3)"),
        ("loads", (4, 3), "({N}, 3)"),
    ],
)
def test_parts_of_other_shapes_are_refused_in_one_line(part: str, got: tuple[int, ...], expected: str) -> None:
    problem = elasticity(nodes=20)
    n = len(problem.points)
    wrong = sparse.csr_array(got) if part in ("stiffness", "mass") else np.zeros(got)
    with pytest.raises(ValueError) as caught:
        replace(problem, **{part: wrong})
    assert str(caught.value) == (
        f"{part}: got shape {got}, expected {expected.format(n=n, N=2 * n)} for {n} nodes of 2 components; "
        "order degrees of freedom node after node"
    )


def test_levels_in_another_order_are_refused() -> None:
    problem = poisson(nodes=20, levels=2)
    fine, coarse = problem.coarse
    shape = (len(problem.points), len(coarse.points))
    with pytest.raises(ValueError) as caught:
        replace(problem, coarse=(coarse, fine))
    assert str(caught.value) == (
        f"prolongation: got shape {coarse.prolongation.shape}, expected {shape}; order levels from fine to coarse"
    )
    replace(problem, coarse=(CoarseLevel(coarse.points, problem.prolongation(2)),))


def test_ways_from_coarse_levels_interpolate_linear_functions_of_the_place() -> None:
    problem = poisson(nodes=24, levels=2)
    for number, level in enumerate(problem.coarse, start=1):
        way = problem.prolongation(number)
        assert way.shape == (len(problem.points), len(level.points))
        np.testing.assert_allclose(way @ level.points, problem.points, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", PROBLEMS)
def test_unknowns_lead_to_all_fields_with_the_boundary_values_and_back(name: str) -> None:
    problem = PROBLEMS[name]()
    expand, reduce = reduction(problem)
    assert np.array_equal(expand.toarray(), unknowns(problem).toarray())
    v = np.random.default_rng(0).normal(size=(expand.shape[1], 2))
    u = expand @ v
    np.testing.assert_allclose(reduce @ u, v, rtol=1e-15)
    assert not u[problem.fixed.ravel()].any()
    assert np.array_equal(problem.free, np.flatnonzero(~problem.fixed.ravel()))
    if "reduction" not in problem.extras:
        assert np.array_equal(
            expand @ (reduce @ problem.loads), np.where(problem.fixed.reshape(-1, 1), 0, problem.loads)
        )


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_prepared_has_the_solution(name: str) -> None:
    problem = PROBLEMS[name]()
    prepared = prepare(problem, landmark_count=5)
    unit = torch.eye(len(prepared.right_sides), dtype=torch.float64)
    v = torch.linalg.solve(prepared.stiffness(unit), prepared.right_sides)
    u = prepared.values + prepared.expand(v)
    np.testing.assert_allclose(u, problem.solutions, rtol=0, atol=1e-10 * abs(problem.solutions).max())
    assert float(prepared.error(u).max()) < 1e-10
    if problem.components == 1:
        torch.testing.assert_close(1.0 / prepared.jacobi, prepared.stiffness(unit).diagonal(), rtol=1e-14, atol=0)


def test_the_error_is_that_of_dense_algebra() -> None:
    problem = elasticity(nodes=30)
    prepared = prepare(problem, landmark_count=3)
    wrong = np.random.default_rng(0).normal(size=problem.solutions.shape)
    mass = np.kron(problem.mass.toarray(), np.eye(2))
    expected = [
        np.sqrt(one @ mass @ one) / np.sqrt(u @ mass @ u) for one, u in zip(wrong.T, problem.solutions.T, strict=True)
    ]
    found = prepared.error(torch.from_numpy(problem.solutions + wrong))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_error_of_flows_is_that_of_velocities() -> None:
    problem = islands(nodes=60)
    rotation = sparse.random_array((40, len(problem.points)), density=0.2, rng=np.random.default_rng(0), format="csr")
    velocity_mass = sparse.csr_array(sparse.diags_array(np.linspace(1.0, 2.0, 40)))
    prepared = prepare(
        replace(problem, extras={**problem.extras, "rotation": rotation, "velocity_mass": velocity_mass}),
        landmark_count=3,
    )
    wrong = rotation @ np.random.default_rng(1).normal(size=problem.solutions.shape)
    u = torch.from_numpy(problem.solutions) + torch.from_numpy(
        np.random.default_rng(1).normal(size=(problem.solutions.shape))
    )
    norms = [np.sqrt((np.linspace(1.0, 2.0, 40)[:, None] * w**2).sum(0)) for w in (wrong, rotation @ problem.solutions)]
    np.testing.assert_allclose(prepared.error(u), norms[0] / norms[1], rtol=1e-12)


def test_levels_that_are_not_there_are_refused() -> None:
    problem = poisson(nodes=20, levels=1)
    with pytest.raises(ValueError, match=r"^problem: got 1 coarse levels, expected 2; make it with more$"):
        prepare(problem, landmark_count=3, level=2)
    with pytest.raises(ValueError, match=r"^problem: got 0 coarse levels, expected 1; make it with more$"):
        prepare(poisson(nodes=20), landmark_count=3, hats=True)


def test_solutions_of_the_makers_solve_their_equations() -> None:
    for name, make in PROBLEMS.items():
        problem = make()
        u, expand = problem.solutions, unknowns(problem)
        left = expand.T @ (problem.loads - problem.stiffness @ u)
        rounding = 1e-14 * (abs(expand.T) @ (abs(problem.stiffness) @ abs(u)))
        assert (abs(left) <= rounding.max()).all(), name
        fixed = problem.fixed.ravel()
        assert np.array_equal(u[fixed], problem.values[fixed])


def test_entries_of_islands_are_rounded_once() -> None:
    problem = islands(nodes=300, fourth=True)
    expand = sparse.csc_array(reduction(problem)[0])
    found = prepare(problem, landmark_count=4).stiffness(torch.eye(expand.shape[1], dtype=torch.float64)).numpy()
    many = np.diff(expand.indptr) > 1
    island = int(np.flatnonzero(many)[0])
    members = expand.indices[expand.indptr[island] : expand.indptr[island + 1]]
    rows = problem.stiffness.toarray()[np.ix_(expand.indices[expand.indptr[:-1][~many]], members)]
    exact = np.array([float(sum(map(Fraction, row), Fraction(0))) for row in rows.tolist()])
    assert np.array_equal(found[~many, island], exact)
    # In float64 terms cancel.
    assert not np.array_equal(rows.sum(axis=1), exact)
