"""Large deflections: the stored energy, bars, beams against the elastica, loads without equilibrium."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Constant,
    RectangleMesh,
    SpatialCoordinate,
    UnitSquareMesh,
    as_matrix,
    as_vector,
    assemble,
    dot,
    dx,
    inner,
)
from firedrake.exceptions import ConvergenceError
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, fsolve

from cases.validation.experiments import distorted_square, fitted_rate
from fem.problems.elasticity import Material, value_at
from fem.problems.hyperelasticity import solve_hyperelastic, stored_energy

STEEL = Material(young=2.0, poisson=0.3)


def test_rotation_stores_nothing_and_small_strain_what_is_linear():
    mesh = UnitSquareMesh(1, 1)
    x, turn = SpatialCoordinate(mesh), 0.9
    rotation = as_matrix([[np.cos(turn) - 1.0, -np.sin(turn)], [np.sin(turn), np.cos(turn) - 1.0]])
    assert abs(assemble(stored_energy(dot(rotation, x), STEEL) * dx)) < 1e-14
    small = 1e-5 * as_vector([2 * x[0] + x[1], x[0] - 3 * x[1]])
    linear = 0.5 * inner(STEEL.stress(small), STEEL.strain(STEEL.stress(small)))
    assert assemble(stored_energy(small, STEEL) * dx) == pytest.approx(float(assemble(linear * dx)), rel=1e-4)


@pytest.mark.parametrize("pull", [3.0, -1.0])
def test_bar_under_even_load(pull):
    """Stretches a, b along and across from the law: P_11 = mu (a - 1/a) + lambda ln(a b) / a, and P_22 = 0."""
    shear, lame = STEEL.shear, STEEL.lame

    def forces(stretches):
        a, b = stretches
        swelling = lame * np.log(a * b)
        return shear * (a - 1 / a) + swelling / a - pull, shear * (b - 1 / b) + swelling / b

    a, b = fsolve(forces, (1.0, 1.0), xtol=1e-13)
    u = solve_hyperelastic(
        distorted_square(3),
        STEEL,
        degree=1,
        fixed={1: (0.0, None), 3: (None, 0.0)},
        tractions={2: as_vector([Constant(pull), 0.0])},
        steps=2,
    )
    print(f"stretches {a:.3f}, {b:.3f}")
    assert abs(a - 1.0) > 0.2
    np.testing.assert_allclose(value_at(u, (1.0, 1.0)), [a - 1.0, b - 1.0], rtol=1e-8)


def elastica(load):
    """Return how far the tip of an inextensible beam, E I = L = 1, goes up and back: theta'' = -P cos(theta)."""

    def shot(slope):
        def rates(_, state):
            angle, bend, _, _ = state
            return bend, -load * np.cos(angle), np.sin(angle), 1.0 - np.cos(angle)

        return solve_ivp(rates, (0.0, 1.0), (0.0, slope, 0.0, 0.0), rtol=1e-10, atol=1e-12).y[:, -1]

    slope = brentq(lambda guess: shot(guess)[1], 0.0, np.sqrt(2.0 * load), xtol=1e-12)
    return shot(slope)[2:]


@pytest.mark.parametrize(("load", "published"), [(1.0, (0.30172, 0.05643)), (10.0, (0.81061, 0.55500))])
def test_beam_bends_as_the_elastica(load, published):
    """Published: Mattiasson (1981), Int. J. Numer. Meth. Engng 17, 145, from elliptic integrals."""
    np.testing.assert_allclose(elastica(load), published, atol=6e-6)
    errors, slenderness = [], (25, 50)
    for slender in slenderness:
        height = 1.0 / slender
        u = solve_hyperelastic(
            RectangleMesh(slender, 1, 1.0, height, diagonal="crossed"),
            Material(young=12.0 / height**3, poisson=0.0),
            degree=2,
            fixed={1: (0.0, 0.0)},
            tractions={2: as_vector([0.0, Constant(load / height)])},
            # Too few: some are halved.
            steps=2,
        )
        back, up = value_at(u, (1.0, 0.5 * height))
        errors.append(abs(up - published[0]))
        print(f"P L^2 / E I = {load}, L / h = {slender}: up {up:.5f}, back {-back:.5f}; published {published}")
    assert (up, -back) == pytest.approx(published, rel=2e-3)
    # Shear and stretch, which the elastica does without, go like the square of the thickness.
    assert fitted_rate(slenderness, errors) < -1.7


def test_what_cannot_be_is_said():
    with pytest.raises(ConvergenceError, match=r"^no equilibrium found beyond [5-7]\d\.\d % of the load$"):
        # Pressed to less than nothing.
        solve_hyperelastic(
            UnitSquareMesh(2, 2), STEEL, degree=1, fixed={1: (0.0, None), 2: (-1.5, None), 3: (None, 0.0)}
        )
