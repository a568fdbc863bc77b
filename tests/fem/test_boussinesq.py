"""The heated cavity: orders of the forms, published Nusselt numbers, balance of heat, symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    PointEvaluator,
    RectangleMesh,
    SpatialCoordinate,
    TestFunctions,
    as_vector,
    assemble,
    cos,
    div,
    dot,
    dx,
    errornorm,
    exp,
    grad,
    inner,
    sin,
    solve,
    sqrt,
)

from cases.validation.experiments import distorted_square, fitted_rate
from fem.problems.boussinesq import PUBLISHED, HeatedCavity, convection_residual, convection_space
from fem.solver_parameters import NEWTON_LU

CAVITY = HeatedCavity()


def graded_square(cells):
    """Return a mesh of the unit square that is finer near its sides."""
    mesh = RectangleMesh(cells, cells, 1.0, 1.0)
    places = mesh.coordinates.dat.data_ro
    mesh.coordinates.dat.data[:] = places - 0.8 * np.sin(2.0 * np.pi * places) / (2.0 * np.pi)
    return mesh


def test_orders():
    """A flow that is known, driven by forces and sources of heat that follow from the strong form."""
    rayleigh, prandtl = Constant(50.0), Constant(0.7)
    sizes, errors = (4, 8, 16), []
    for cells in sizes:
        mesh = distorted_square(cells)
        x, y = SpatialCoordinate(mesh)
        u = as_vector([sin(2 * x) * cos(2 * y), -cos(2 * x) * sin(2 * y)])
        p, temperature = sin(x) * y, cos(x) * exp(0.5 * y)
        upward = as_vector([0.0, rayleigh * prandtl * temperature])
        force = dot(grad(u), u) + grad(p) - prandtl * div(grad(u)) - upward
        heat = dot(u, grad(temperature)) - div(grad(temperature))
        space = convection_space(mesh)
        w = Function(space)
        v, _, s = TestFunctions(space)
        form = convection_residual(w, rayleigh, prandtl) - (inner(force, v) + heat * s) * dx(degree=8)
        sides = "on_boundary"
        conditions = [DirichletBC(space.sub(0), u, sides), DirichletBC(space.sub(2), temperature, sides)]
        # The pressure's constant: given on the boundary's every node it would be wrong, in one it is not.
        pin = DirichletBC(space.sub(1), p, sides)
        pin.nodes = pin.nodes[:1]
        solve(form == 0, w, bcs=[*conditions, pin], solver_parameters=NEWTON_LU)
        found = w.subfunctions
        errors.append(
            (
                errornorm(u, found[0], degree_rise=2),
                float(sqrt(assemble((found[1] - p) ** 2 * dx))),
                float(sqrt(assemble((found[2] - temperature) ** 2 * dx(degree=8)))),
            )
        )
    rates = [-fitted_rate(sizes, norms) for norms in zip(*errors, strict=True)]
    print("rates {:.2f} of the velocity, {:.2f} of the pressure, {:.2f} of the temperature".format(*rates))
    assert rates[0] > 2.9 and rates[1] > 1.9 and rates[2] > 2.9


def test_published_nusselt_numbers():
    mesh, w = graded_square(24), None
    # Le Quere's for the last, which is not as de Vahl Davis had it, from 81 nodes a side.
    better = PUBLISHED | {1e6: 8.8252}
    for rayleigh, published in PUBLISHED.items():
        w = CAVITY.solve(mesh, rayleigh, start=w)
        mean, hot, cold = CAVITY.nusselt(w), -CAVITY.wall_nusselt(w, 1), CAVITY.wall_nusselt(w, 2)
        print(f"Ra = {rayleigh:g}: Nu {mean:.4f}, published {published:.3f}; at the walls {hot:.4f}, {cold:.4f}")
        assert mean == pytest.approx(better[rayleigh], rel=2e-3)
        assert hot == pytest.approx(cold, rel=1e-6)
        assert hot == pytest.approx(mean, rel=0.02)


def test_from_rest_as_from_nearby():
    mesh = graded_square(8)
    near = CAVITY.solve(mesh, 5e4)
    direct, followed = CAVITY.solve(mesh, 1e5), CAVITY.solve(mesh, 1e5, start=near)
    assert CAVITY.nusselt(direct) == pytest.approx(CAVITY.nusselt(followed), rel=1e-8)
    assert CAVITY.nusselt(direct) > 1.1 * CAVITY.nusselt(near)


def test_slow_flow_conducts():
    """The Nusselt number is 1 and a multiple of Ra^2 more, as both ways round the cavity carry the same."""
    # On cells all alike the errors of flow to the left and to the right cancel; they go like Ra.
    mesh, excess = RectangleMesh(8, 8, 1.0, 1.0), []
    for rayleigh in (10.0, 20.0):
        excess.append(CAVITY.nusselt(CAVITY.solve(mesh, rayleigh)) - 1.0)
    assert 0.0 < excess[0] < 1e-3
    assert excess[1] / excess[0] == pytest.approx(4.0, rel=0.01)


def test_symmetry_and_pressure():
    w = CAVITY.solve(graded_square(12), 1e4)
    u, p, temperature = w.subfunctions
    points = np.random.default_rng(2).uniform(0.05, 0.95, (20, 2))
    mesh = u.function_space().mesh()
    here, there = PointEvaluator(mesh, points), PointEvaluator(mesh, 1.0 - points)
    np.testing.assert_allclose(here.evaluate(temperature) + there.evaluate(temperature), 1.0, atol=2e-3)
    speeds = here.evaluate(u)
    np.testing.assert_allclose(speeds + there.evaluate(u), 0.0, atol=0.02 * np.abs(speeds).max())
    assert abs(assemble(p * dx)) < 1e-8 * np.abs(p.dat.data_ro).max()
    # Up along the hot wall.
    assert PointEvaluator(mesh, [(0.1, 0.5)]).evaluate(u)[0][1] > 10.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HeatedCavity(prandtl=0.0), "prandtl: got 0.0, expected more than 0, such as 0.71 for air"),
        (lambda: CAVITY.solve(None, 0.0), "rayleigh: got 0.0, expected more than 0"),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message
