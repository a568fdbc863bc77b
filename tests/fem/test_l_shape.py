"""The L-shape: the singular solution, its rate on even meshes, and the optimal one on moved meshes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from firedrake import Constant, Mesh, assemble, dx, grad, inner

from cases.validation.experiments import fitted_rate
from coupling.registry import get_mover
from fem.analytic.corner import CornerSingularity, l_shape_corner
from fem.error_estimate import recovery_estimate, wanted_density
from fem.problems.elliptic import EllipticSolver, Poisson
from meshing.generation import l_shape
from meshing.monitor import FieldMonitor
from meshing.shaping import Shaping

PROBLEM = Poisson(exact=l_shape_corner())
SIZES = (1 / 12, 1 / 24, 1 / 48)


def test_the_solution_is_harmonic_and_its_gradient_that_of_its_values():
    exact, step = l_shape_corner(2.0), 1e-4
    points = np.random.default_rng(0).uniform(0.0, 2.0, (400, 2))
    points = points[~(points > 0.95).all(axis=1) & (np.linalg.norm(points - 1.0, axis=1) > 0.1)]
    shifts = step * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    right, left, up, down = (exact(points + shift).value for shift in shifts)
    found = exact(points)
    slopes = np.stack([right - left, up - down], axis=1) / (2 * step)
    np.testing.assert_allclose(found.gradient, slopes, atol=1e-6)
    np.testing.assert_allclose((right + left + up + down - 4 * found.value) / step**2, 0.0, atol=1e-5)
    assert (found.laplacian == 0.0).all()


def test_the_solution_is_zero_on_the_sides_of_the_corner_and_known_on_the_bisector():
    exact = l_shape_corner()
    out = np.linspace(0.0, 0.5, 6)
    for direction in ((1.0, 0.0), (0.0, 1.0)):
        assert np.abs(exact(0.5 + out[:, None] * direction).value).max() < 1e-15
    # Half way round: sin(pi / 2) = 1.
    middle = exact(0.5 - out[:, None] * np.sqrt([0.5, 0.5])).value
    np.testing.assert_allclose(middle, out ** (2 / 3), rtol=1e-14, atol=1e-15)
    # A crack has 1/2, a half plane nothing singular.
    crack = CornerSingularity(corner=(0.0, 0.0), start=0.0, opening=2.0 * np.pi)
    np.testing.assert_allclose(crack([[-4.0, 0.0]]).value, 2.0, rtol=1e-14)
    plane = CornerSingularity(corner=(0.0, 0.0), start=0.0, opening=np.pi)
    np.testing.assert_allclose(plane([[-4.0, 3.0]]).value, 3.0, rtol=1e-14)


@pytest.mark.parametrize("opening", [0.0, 6.3])
def test_messages(opening):
    with pytest.raises(ValueError) as caught:
        CornerSingularity(corner=(0.0, 0.0), start=0.0, opening=opening)
    assert str(caught.value) == f"opening: got {opening}, expected more than 0 and at most 2 pi rad"


def energy_by_boundary(mesh, u):
    r"""Return the error's H1 seminorm from integrals that are not singular.

    As the exact w is harmonic and 0 at the corner's sides, as is u: |grad(w - u)|^2 = int_outer dw/dn (w - 2 u) +
    |grad u|^2, where w is smooth. Of Gauss points of the sides, with the line through the vertices as u.
    """
    exact, total = l_shape_corner(), assemble(inner(grad(u), grad(u)) * dx)
    points, weights = np.polynomial.legendre.leggauss(6)
    places, values = mesh.coordinates.dat.data_ro, u.dat.data_ro
    # Of sides x = 0, x = 1, y = 0 and y = 1 of the square around it.
    for axis, side in ((0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0)):
        on = np.flatnonzero(np.abs(places[:, axis] - side) < 1e-12)
        on = on[np.argsort(places[on, 1 - axis])]
        for a, b in pairwise(on):
            share = 0.5 * (1.0 + points)[:, None]
            found = exact(places[a] + share * (places[b] - places[a]))
            normal = found.gradient[:, axis] * (1.0 if side else -1.0)
            line = values[a] + share[:, 0] * (values[b] - values[a])
            length = np.linalg.norm(places[b] - places[a])
            total += 0.5 * length * weights @ (normal * (found.value - 2.0 * line))
    return np.sqrt(total)


def solve_and_move(mover, size, rounds=4):
    """Return the unknowns, the error's energy norm and the estimated one, after so many moves, and the mesh."""
    mesh = l_shape(size=size)
    for turn in range(rounds + 1):
        solver = EllipticSolver(PROBLEM, mesh)
        u = solver.solve()
        estimate = recovery_estimate(mesh, grad(u), 1)
        if turn < rounds:
            monitor = FieldMonitor(wanted_density(estimate, 1), Shaping(smoothing=0.5))
            mesh = Mesh(mover.move(mesh, monitor).coordinates)
    return u.function_space().dim(), energy_by_boundary(mesh, u), estimate.total, solver.errors(u).h1, mesh


@pytest.mark.parametrize(("name", "least", "most"), [("none", 0.6, 0.75), ("mmpde", 0.9, 1.2), ("drift", 0.9, 1.2)])
def test_rate_in_the_energy_norm(name, least, most):
    """Of the unknowns' root: 2/3 on even meshes, 1 on moved ones, as where there is no corner."""
    unknowns, errors, estimates, by_quadrature, meshes = zip(
        *(solve_and_move(get_mover(name), size, 0 if name == "none" else 4) for size in SIZES), strict=True
    )
    rate = -fitted_rate(np.sqrt(unknowns), errors)
    print(f"L-shape, {name}: {', '.join(f'{error:.4f}' for error in errors)} with {unknowns}: rate {rate:.2f}")
    assert least < rate < most
    np.testing.assert_allclose(estimates, errors, rtol=0.1)
    # Quadrature misses some of the corner.
    np.testing.assert_allclose(by_quadrature, errors, rtol=0.03)
    assert assemble(Constant(1.0) * dx(domain=meshes[-1])) == pytest.approx(0.75, rel=1e-12)
