"""What every family of problems promises, and each family's solutions against Firedrake's own or known energies."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Cofunction,
    DirichletBC,
    Function,
    FunctionSpace,
    TestFunction,
    TrialFunction,
    VectorFunctionSpace,
    assemble,
    dx,
    grad,
    inner,
    solve,
    sym,
)

from coupling.operator_data import FAMILIES
from coupling.operator_problems import darcy, elasticity, poisson
from coupling.operator_problems.geometry import drawn_cells, hierarchy, moved_outline, polygon_outline, random_outline
from coupling.operator_problems.random_fields import random_field, shepard_lifting
from coupling.operator_spaces import node_points
from fem.problems.elasticity import Material
from learned.operators.problem import OperatorProblem, problem_arrays, problem_of

NODES, RIGHT_SIDES = 200, 3


def problem(name: str, seed: int, *, moved: bool = True) -> OperatorProblem:
    return FAMILIES[name](np.random.default_rng(seed), NODES, RIGHT_SIDES, moved)


def free_directions(given: OperatorProblem):
    """Return a matrix whose columns are what may be added to a solution."""
    if "reduction" in given.extras:
        return given.extras["reduction"]
    return np.eye(given.fixed.size)[:, given.free]


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_problem_is_symmetric_solved_and_nested(name: str, moved: bool) -> None:
    for seed in range(3):
        given = problem(name, seed, moved=moved)
        stiffness, directions = given.stiffness, free_directions(given)
        # Symmetric to rounding, and positive definite where it is solved.
        assert abs(stiffness - stiffness.T).max() < 1e-14 * abs(stiffness).max()
        reduced = directions.T @ stiffness @ directions
        assert np.linalg.eigvalsh(reduced.toarray() if hasattr(reduced, "toarray") else reduced).min() > 0
        assert np.linalg.eigvalsh(given.mass.toarray()).min() > 0
        # Rounding of the residual is that of the terms that cancel in it, times a few hundred operations in the solve.
        residual = directions.T @ (given.loads - stiffness @ given.solutions)
        terms = abs(directions).T @ (np.abs(given.loads) + abs(stiffness) @ np.abs(given.solutions))
        assert np.abs(residual).max() < 1e-12 * terms.max()
        fixed = given.fixed.ravel()
        assert np.array_equal(given.solutions[fixed], given.values[fixed]) and fixed.any()
        # Linear functions are in every level's space.
        finer = given.points
        for level in given.coarse:
            np.testing.assert_allclose(level.prolongation @ level.points, finer, rtol=0, atol=1e-14)
            assert len(level.points) < 0.45 * len(finer)
            finer = level.points
        assert len(given.coarse) == 2
        assert given.boundary[given.fixed.any(axis=1)].all() and not given.boundary.all()
        assert given.loads.shape[1] == RIGHT_SIDES and np.isfinite(given.features).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_problem_comes_back_from_its_arrays_bit_for_bit(name: str) -> None:
    arrays = problem_arrays(problem(name, 5))
    again = problem_arrays(problem_of(arrays))
    assert arrays.keys() == again.keys()
    assert all(np.array_equal(arrays[part], again[part]) for part in arrays)


@pytest.fixture
def meshes(monkeypatch: pytest.MonkeyPatch) -> list:
    """Meshes of the finest levels that families make while a test runs."""
    made = []

    def recorded(outline, **options):
        levels = hierarchy(outline, **options)
        made.append(levels[-1])
        return levels

    for family in (poisson, darcy, elasticity):
        monkeypatch.setattr(family, "hierarchy", recorded)
    return made


def solved(space, form, given: OperatorProblem, number: int, conditions) -> np.ndarray:
    load, solution = Cofunction(space.dual()), Function(space)
    load.dat.data_wo[:] = given.loads[:, number].reshape(load.dat.data_ro.shape)
    solve(form == load, solution, bcs=conditions, solver_parameters={"ksp_type": "preonly", "pc_type": "lu"})
    return solution.dat.data_ro.ravel()


@pytest.mark.parametrize("seed", range(3))
def test_solutions_of_poisson_are_those_of_firedrake(meshes: list, seed: int) -> None:
    given = problem("poisson", seed)
    space = FunctionSpace(meshes[-1], "CG", 1)
    form = inner(grad(TrialFunction(space)), grad(TestFunction(space))) * dx
    for number in range(RIGHT_SIDES):
        boundary = Function(space)
        boundary.dat.data_wo[:] = given.values[:, number]
        expected = solved(space, form, given, number, DirichletBC(space, boundary, "on_boundary"))
        np.testing.assert_allclose(given.solutions[:, number], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_solutions_of_darcy_are_those_of_firedrake(meshes: list, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    drawn = []
    draw = darcy._permeability
    monkeypatch.setattr(darcy, "_permeability", lambda *arguments: drawn.append(draw(*arguments)) or drawn[-1])
    given = problem("darcy", seed)
    space, kappa = FunctionSpace(meshes[-1], "CG", 1), Function(FunctionSpace(meshes[-1], "DG", 0))
    kappa.dat.data_wo[:] = drawn[-1]
    assert given.kind == "lognormal" or set(drawn[-1].tolist()) == {darcy.LOW, darcy.HIGH}
    form = inner(kappa * grad(TrialFunction(space)), grad(TestFunction(space))) * dx
    for number in range(RIGHT_SIDES):
        expected = solved(space, form, given, number, DirichletBC(space, 0.0, "on_boundary"))
        np.testing.assert_allclose(given.solutions[:, number], expected, rtol=0, atol=1e-13 / drawn[-1].min())
    # The first is f = 1: loads are the integrals of the hat functions.
    np.testing.assert_allclose(given.loads[:, 0], given.mass.sum(axis=1), rtol=0, atol=1e-17)
    # In a node the mean over its cells of log kappa, weighted with areas.
    corners = meshes[-1].coordinates.dat.data_ro[space.cell_node_list]
    edges = corners[:, 1:] - corners[:, :1]
    areas = np.abs(np.linalg.det(edges))
    sums, weights = np.zeros(space.node_count), np.zeros(space.node_count)
    np.add.at(sums, space.cell_node_list, (areas * np.log(drawn[-1]))[:, None])
    np.add.at(weights, space.cell_node_list, areas[:, None])
    np.testing.assert_allclose(given.features[:, 0], sums / weights, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(4))
def test_elastic_solutions_are_those_of_firedrake_and_energies_those_of_hooke(meshes: list, seed: int) -> None:
    given = problem("elasticity", seed)
    material, space = Material(young=1.0, poisson=1.0 / 3.0, plane="stress"), VectorFunctionSpace(meshes[-1], "CG", 1)
    form = inner(material.stress(TrialFunction(space)), sym(grad(TestFunction(space)))) * dx
    markers = {int(marker) for marker in meshes[-1].exterior_facets.unique_markers}
    held = {3: (0, 1), 4: (0,), 5: (1,)}
    conditions = [DirichletBC(space.sub(axis), 0.0, m) for m in markers & held.keys() for axis in held[m]]
    expected = solved(space, form, given, 0, conditions)
    np.testing.assert_allclose(given.solutions[:, 0], expected, rtol=0, atol=1e-10)
    size = np.abs(given.solutions).max(axis=0)
    assert (size >= 0.5 - 1e-12).all() and (size <= 1.0 + 1e-12).all()
    # Rigid motions cost nothing; a uniform strain costs Hooke's energy in plane stress.
    x, y = given.points.T
    rigid = np.stack([np.ones_like(x), np.zeros_like(x), np.zeros_like(x), np.ones_like(x), -y, x]).reshape(3, 2, -1)
    rigid = rigid.transpose(2, 1, 0).reshape(-1, 3)
    assert np.abs(given.stiffness @ rigid).max() < 1e-13
    a, b, c = 0.3, -0.7, 0.4
    u = np.stack([a * x + c * y, b * y + c * x], axis=1).ravel()
    hooke = (a * a + b * b + 2.0 * a * b / 3.0 + 2.0 * (1.0 - 1.0 / 3.0) * c * c) / (1.0 - 1.0 / 9.0)
    assert u @ given.stiffness @ u == pytest.approx(hooke * given.mass.sum(), rel=1e-12)


@pytest.mark.parametrize("kind", ["square", "l-shape", "holes"])
def test_a_moved_mesh_keeps_its_boundary_and_inverts_no_cell(kind: str) -> None:
    def areas(of) -> np.ndarray:
        a, b, c = (of.points[corner] for corner in of.cells.T)
        return 0.5 * np.linalg.det(np.stack([b - a, c - a], axis=1))

    for seed in range(10):
        rng = np.random.default_rng(seed)
        outline = random_outline(rng, kind, 1200)
        after = moved_outline(rng, outline)
        on = np.unique(outline.facets)
        assert np.array_equal(after.points[on], outline.points[on])
        ratio = areas(after) / areas(outline)
        assert ratio.min() >= 0.25 and np.abs(after.points - outline.points).max() > 0.005
        assert areas(after).sum() == pytest.approx(areas(outline).sum(), abs=1e-13)


def test_polygons_have_about_the_vertices_asked_for_and_their_markers() -> None:
    loop = np.array([[0.0, 0.0], [1.0, 0.0], [1.3, 1.0], [0.0, 0.8]])
    for nodes in (400, 900, 1800):
        outline = polygon_outline([loop], [7, 8, 7, 9], nodes)
        mesh = hierarchy(outline)[-1]
        assert 0.7 * nodes < mesh.num_vertices() < 1.4 * nodes
        ends = outline.points[outline.facets[outline.markers == 9]]
        assert np.abs(ends[:, :, 0]).max() < 1e-15 and set(outline.markers.tolist()) == {7, 8, 9}


def test_random_fields_have_the_covariance_they_are_named_after() -> None:
    rng, places = np.random.default_rng(0), np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.2], [0.3, 0.4]])
    count, length = 4000, 0.2
    values = np.array([random_field(rng, length)(places) for _ in range(count)])
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    expected = np.exp(-((distance / length) ** 2) / 2.0)
    # Five standard deviations of an estimated covariance of normal variables, of variance at most 2 / count.
    tolerance = 5.0 * np.sqrt(2.0 / count)
    np.testing.assert_allclose(values.T @ values / count, expected, rtol=0, atol=tolerance)


def test_liftings_have_the_values_at_the_boundary_and_lie_between_them_elsewhere() -> None:
    rng = np.random.default_rng(0)
    turn = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    places = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    points = np.concatenate([0.7 * rng.uniform(-1.0, 1.0, (50, 2)), places, places * (1.0 - 1e-13)])
    values = rng.normal(size=(40, 2))
    lifted = shepard_lifting(points, places, np.full(40, 0.1), values)
    assert np.array_equal(lifted[50:90], values)
    np.testing.assert_allclose(lifted[90:], values, rtol=0, atol=1e-8)
    assert (lifted <= values.max(axis=0)).all() and (lifted >= values.min(axis=0)).all()
    constant = shepard_lifting(points, places, rng.uniform(0.1, 1.0, 40), np.ones((40, 1)))
    np.testing.assert_allclose(constant, 1.0, rtol=0, atol=1e-14)


@pytest.mark.parametrize("degree", [1, 2])
def test_drawn_triangles_cover_the_mesh_once(degree: int) -> None:
    outline = random_outline(np.random.default_rng(0), "holes", 300)
    space = FunctionSpace(hierarchy(outline)[-1], "CG", degree)
    cells, points = drawn_cells(space), node_points(space)
    a, b, c = (points[corner] for corner in cells.T)
    areas = 0.5 * np.abs(np.linalg.det(np.stack([b - a, c - a], axis=1)))
    # Quadratic cells are cut in four equal parts.
    volumes = assemble(TestFunction(FunctionSpace(space.mesh(), "DG", 0)) * dx).dat.data_ro
    expected = np.repeat(volumes[FunctionSpace(space.mesh(), "DG", 0).cell_node_list[:, 0]], 4 ** (degree - 1))
    np.testing.assert_allclose(areas, expected / 4 ** (degree - 1), rtol=1e-10)
    assert np.array_equal(np.unique(cells), np.arange(len(points)))
