"""Poisson and Helmholtz with exact solutions: order, exactness, errors in closed form, meshes moved in place.

As a script, ``test_elliptic.py FILE``, it solves on the ranks there are and writes the errors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from firedrake import Mesh, RectangleMesh, SpatialCoordinate, UnitCubeMesh, UnitSquareMesh, assemble

from cases.validation.experiments import distorted_square, fitted_rate
from fem.analytic.features import Derivatives, Gaussian, Ring, Sum, random_field
from fem.problems.elliptic import EllipticSolver, Helmholtz, Poisson
from fem.solver_parameters import SOLVER_PARAMETERS, solver_parameters

BUMP = Gaussian(amplitude=1.0, centre=np.array([0.3, 0.6]), frame=np.array([[8.0, 0.0], [1.0, 4.0]]))
SMOOTH = Sum([BUMP, Ring(amplitude=0.5, centre=np.array([0.6, 0.4]), radius=0.4, width=0.2)])
PROBLEMS = {
    "poisson": Poisson,
    "helmholtz": lambda **options: Helmholtz(reaction=30.0, **options),
}


def polynomial(order):
    """Return a field of degree 1 or 2 in any dimension."""

    def field(points):
        points = np.asarray(points)
        slopes = 1.0 + np.arange(points.shape[1])
        value, gradient, laplacian = points @ slopes, np.tile(slopes, (len(points), 1)), np.zeros(len(points))
        if order == 2:
            value = value + points[:, 0] * (points[:, 1] + 0.5 * points[:, 0])
            gradient[:, 0] += points[:, 0] + points[:, 1]
            gradient[:, 1] += points[:, 0]
            laplacian = laplacian + 1.0
        return Derivatives(value, gradient, laplacian)

    return field


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("degree", [1, 2])
def test_orders(name, degree):
    sizes, errors = (8, 16, 32), []
    for cells in sizes:
        solver = EllipticSolver(PROBLEMS[name](exact=SMOOTH, degree=degree), distorted_square(cells))
        errors.append(solver.errors(solver.solve()))
    rates = [-fitted_rate(sizes, norms) for norms in zip(*errors, strict=True)]
    print(f"{name}, P{degree}: rates {rates[0]:.2f} in L2, {rates[1]:.2f} in H1")
    assert rates[0] > degree + 1 - 0.1 and rates[1] > degree - 0.1


@pytest.mark.parametrize("solver", SOLVER_PARAMETERS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_exact_where_the_space_has_the_solution(name, solver):
    for degree, mesh in ((1, distorted_square(5)), (2, distorted_square(5)), (1, UnitCubeMesh(3, 3, 3))):
        found = EllipticSolver(PROBLEMS[name](exact=polynomial(degree), degree=degree), mesh, solver)
        errors = found.errors(found.solve())
        assert errors.l2 < 1e-8 and errors.h1 < 1e-7
        assert found.errors(found.interpolant()).h1 < 1e-12


def test_forms_and_sources_are_those_of_the_equations():
    mesh = UnitSquareMesh(3, 3)
    exact = Derivatives(np.array([2.0]), np.array([[5.0, 7.0]]), np.array([3.0]))
    poisson, helmholtz = Poisson(exact=SMOOTH), Helmholtz(exact=SMOOTH, reaction=4.0)
    assert helmholtz.reaction == 4.0 and Helmholtz(exact=SMOOTH).reaction == 1.0
    assert (poisson.source(exact)[0], helmholtz.source(exact)[0]) == (-3.0, 5.0)
    x, y = SpatialCoordinate(mesh)
    # The gradients' product of x and x + y is 1, and the integral of x (x + y) 1/3 + 1/4.
    assert assemble(poisson.form(x, x + y)) == pytest.approx(1.0, rel=1e-12)
    assert assemble(helmholtz.form(x, x + y)) == pytest.approx(1.0 + 4.0 * 7.0 / 12.0, rel=1e-12)


def test_errors_of_zero_are_the_norms_of_the_solution():
    """In closed form for a Gaussian as thin as a cell: pi s^2 and pi, the squares of u's and grad u's norm."""
    width = 1.0 / 24.0
    bump = Gaussian(amplitude=1.0, centre=np.array([0.51, 0.47]), frame=np.eye(2) / width)
    solver = EllipticSolver(Poisson(exact=bump), UnitSquareMesh(24, 24))
    zero = solver.interpolant().assign(0.0)
    errors = solver.errors(zero)
    assert errors.l2 == pytest.approx(np.sqrt(np.pi) * width, rel=1e-4)
    assert errors.h1 == pytest.approx(np.sqrt(np.pi * (1.0 + width**2)), rel=1e-4)


def test_the_quadrature_gives_four_digits_of_the_errors():
    rng, mesh, worst = np.random.default_rng(7), RectangleMesh(20, 20, 1.0, 1.0), 0.0
    for _ in range(8):
        # Features as thin as random fields have them: two cells.
        exact = random_field(rng, mesh.coordinates.dat.data_ro, size=0.15, spacing=0.05)
        usual, fine = (EllipticSolver(Poisson(exact=exact, quadrature_degree=q), mesh) for q in (10, 20))
        found, better = usual.errors(usual.solve()), fine.errors(fine.solve())
        worst = max(worst, *(abs(one / other - 1.0) for one, other in zip(found, better, strict=True)))
    print(f"largest relative difference to twice the degree {worst:.1e}")
    assert 0.0 < worst < 1e-4


def test_follows_a_mesh_moved_in_place():
    mesh = distorted_square(8)
    solver = EllipticSolver(Helmholtz(exact=SMOOTH), mesh)
    before = solver.errors(solver.solve())
    moved = distorted_square(8, seed=5)
    mesh.coordinates.dat.data_wo[:] = moved.coordinates.dat.data_ro
    fresh = EllipticSolver(Helmholtz(exact=SMOOTH), Mesh(moved.coordinates))
    found, expected = solver.solve(), fresh.solve()
    np.testing.assert_allclose(found.dat.data_ro, expected.dat.data_ro, rtol=0, atol=1e-13)
    assert solver.errors(found) == pytest.approx(fresh.errors(expected), rel=1e-12)
    assert abs(solver.errors(found).l2 / before.l2 - 1.0) > 1e-3


def test_solutions_are_new_functions():
    solver = EllipticSolver(Poisson(exact=SMOOTH), UnitSquareMesh(4, 4))
    first = solver.solve()
    values = first.dat.data_ro.copy()
    first.assign(0.0)
    np.testing.assert_array_equal(solver.solve().dat.data_ro, values)


def test_another_solution_compiles_nothing(monkeypatch):
    for problem in (Poisson, Helmholtz):
        solver = EllipticSolver(problem(exact=SMOOTH), UnitSquareMesh(4, 4))
        solver.errors(solver.solve())

    def compiles(*_, **__):
        raise AssertionError("a kernel was compiled")

    monkeypatch.setattr("firedrake.tsfc_interface.tsfc_compile_form", compiles)
    monkeypatch.setattr("pyop2.compilation.make_so", compiles)
    for problem in (Poisson, Helmholtz):
        solver = EllipticSolver(problem(exact=BUMP), UnitSquareMesh(5, 3))
        assert solver.errors(solver.solve()).l2 > 0.0
    with pytest.raises(Exception, match="a kernel was compiled"):
        solver = EllipticSolver(Poisson(exact=BUMP, quadrature_degree=7), UnitSquareMesh(4, 4))
        solver.errors(solver.solve())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(exact=SMOOTH, degree=3), "degree: got 3, expected 1 or 2"),
        (
            lambda: Poisson(exact=SMOOTH, degree=2, quadrature_degree=3),
            "quadrature_degree: got 3, expected 4 or more for degree 2, such as 10",
        ),
        (
            lambda: Helmholtz(exact=SMOOTH, reaction=-1.0),
            "reaction: got -1.0, expected k >= 0 1/m^2; the form is coercive then",
        ),
        (
            lambda: EllipticSolver(Poisson(exact=SMOOTH), UnitSquareMesh(2, 2), "qr"),
            "solver: got 'qr', expected one of lu, cg-gamg",
        ),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message


def test_options_may_be_changed_by_who_gets_them():
    solver_parameters("lu")["pc_type"] = "none"
    assert solver_parameters("lu")["pc_type"] == "lu"


@pytest.mark.parallel
def test_two_ranks_solve_as_one(mpiexec, tmp_path):
    found = []
    for ranks in (1, 2):
        outcome = mpiexec(ranks, [sys.executable, Path(__file__), tmp_path / f"{ranks}.npy"])
        assert (outcome.code, outcome.err) == (0, "")
        found.append(np.load(tmp_path / f"{ranks}.npy"))
    assert (found[0][0, 0], found[1][0, 0]) == (1, 2)
    np.testing.assert_allclose(found[1][1:], found[0][1:], rtol=1e-7)


def main(out: Path) -> None:
    """Write the number of ranks and the errors with both solvers."""
    mesh = UnitSquareMesh(12, 12)
    rows = [(mesh.comm.size, mesh.comm.size)]
    for name in SOLVER_PARAMETERS:
        solver = EllipticSolver(Helmholtz(exact=SMOOTH), mesh, name)
        rows.append(solver.errors(solver.solve()))
    if mesh.comm.rank == 0:
        np.save(out, np.array(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
