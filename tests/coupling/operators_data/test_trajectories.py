"""Trajectories are solutions of their equations at every state, and keep what these keep."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    FacetNormal,
    Function,
    FunctionSpace,
    Identity,
    TestFunction,
    VectorFunctionSpace,
    as_vector,
    assemble,
    derivative,
    det,
    div,
    dot,
    ds,
    dx,
    grad,
    inner,
    ln,
    norm,
)
from firedrake.exceptions import ConvergenceError

from coupling.operator_problems import cylinder, dam_break, hyperelastic
from coupling.operator_problems.geometry import hierarchy
from coupling.operator_trajectories import TRAJECTORIES, TrajectorySettings, make_trajectory
from learned.operators.trajectory import OperatorTrajectory


@pytest.fixture
def meshes(monkeypatch: pytest.MonkeyPatch) -> list:
    """Meshes of the finest levels that families make while a test runs."""
    made = []

    def recorded(outline, **options):
        levels = hierarchy(outline, **options)
        made.append(levels[-1])
        return levels

    for family in (hyperelastic, cylinder, dam_break):
        monkeypatch.setattr(family, "hierarchy", recorded)
    return made


def field(space, values: np.ndarray) -> Function:
    function = Function(space)
    function.dat.data_wo[:] = values
    return function


def nested(given: OperatorTrajectory) -> None:
    finer = given.points
    for level in given.coarse:
        constant = np.ones(len(level.points))
        np.testing.assert_allclose(level.prolongation @ constant, 1.0, rtol=0, atol=1e-14)
        assert level.prolongation.shape == (len(finer), len(level.points))
        finer = level.points
    assert len(given.coarse) == 2


def test_every_state_of_the_beam_is_an_equilibrium_and_the_last_has_buckled(meshes: list) -> None:
    given = hyperelastic.make(np.random.default_rng(4), 150, 3, True)
    nested(given)
    space = VectorFunctionSpace(meshes[-1], "CG", 1)
    young, nu = 1.0, 0.3
    shear, lame = young / (2.0 * (1.0 + nu)), young * nu / ((1.0 + nu) * (1.0 - 2.0 * nu))
    pressed, load = given.features[:, 1] == 1.0, given.parameters["pressure"]
    for share, values in zip(given.times, given.fields, strict=True):
        u = field(space, values)
        gradient = Identity(2) + grad(u)
        swelling = ln(det(gradient))
        energy = 0.5 * shear * (inner(gradient, gradient) - 2.0 - 2.0 * swelling) + 0.5 * lame * swelling**2
        # A pressure on the upper side, marker 4, downward.
        work = dot(as_vector([0.0, -share * load]), u) * ds(4)
        # The quadrature of the solver, as ln has no exact one; on straight triangles gradients are constant.
        residual = assemble(derivative(energy * dx - work, u, TestFunction(space))).dat.data_ro
        # Newton's method ends with a step of 1e-10 of u at the latest, the stiffness is at most about 4 E.
        assert np.abs(residual[~given.fixed]).max() < 4e-10 * np.linalg.norm(values)
        assert np.abs(residual[given.fixed]).max() > 1e-4
        np.testing.assert_allclose(values[pressed], [[-share * given.parameters["shortening"], 0.0]] * pressed.sum())
        clamped = given.fixed.all(axis=1) & ~pressed
        assert np.array_equal(values[clamped], np.zeros((clamped.sum(), 2)))
    # To the side where the pressure pushes, by far more than the pressure alone would.
    across = given.fields[-1, :, 1]
    assert np.sign(across[np.abs(across).argmax()]) == -np.sign(load)
    assert np.abs(across).max() > 0.5 * given.parameters["height"]


def test_water_of_a_dam_break_is_kept_in_every_state(meshes: list) -> None:
    given = dam_break.make(np.random.default_rng(1), 800, 5, True)
    nested(given)
    first = given.fields[0]
    inside, outside, radius = (given.parameters[name] for name in ("inside", "outside", "radius"))
    centre = np.array([given.parameters["x"], given.parameters["y"]])
    deep = np.linalg.norm(given.points - centre, axis=1) < radius
    np.testing.assert_allclose(first[:, 0], np.where(deep, inside, outside), rtol=1e-15)
    assert not first[:, 1:].any()
    volumes = np.array([given.mass @ state for state in given.fields]).sum(axis=1)[:, 0]
    np.testing.assert_allclose(volumes, volumes[0], rtol=1e-13)
    # Energy is lost in shocks, never gained.
    h, q = given.fields[..., 0], given.fields[..., 1:]
    energy = (0.5 * (q**2).sum(axis=-1) / h + 0.5 * h**2) @ given.mass.diagonal()
    assert (np.diff(energy) < 0).all() and h.min() > 0
    # Neighbours are cells with a facet in common, and here those only.
    facets = meshes[-1].interior_facets.facet_cell
    assert given.edges.shape[1] == 2 * len(facets)


def test_flow_around_a_cylinder_has_no_divergence_and_its_inflow(meshes: list) -> None:
    given = cylinder.make(np.random.default_rng(2), 500, 3, False)
    nested(given)
    mesh = meshes[-1]
    space, pressures = VectorFunctionSpace(mesh, "CG", 2), FunctionSpace(mesh, "CG", 1)
    for values in given.fields:
        u = field(space, values)
        # The divergence of the discrete problem is that tested by pressures; Newton's method stops at 1e-8 and below.
        tested = assemble(div(u) * TestFunction(pressures) * dx).dat.data_ro
        weights = assemble(TestFunction(pressures) * dx).dat.data_ro
        assert np.abs(tested / weights).max() < 1e-6 * norm(grad(u))
        assert np.array_equal(values[given.fixed], given.fields[0][given.fixed])
        inflow = assemble(-dot(u, FacetNormal(mesh)) * ds(1))
        assert inflow == pytest.approx(given.parameters["speed"] * cylinder.HEIGHT, rel=1e-12)
    # It is unsteady.
    assert np.abs(given.fields[-1] - given.fields[0]).max() > 0.01
    np.testing.assert_allclose(given.times, [0.0, 0.04, 0.08])


@pytest.mark.parametrize("name", ["hyperelastic", "dam-break"])
def test_a_trajectory_depends_on_its_number_only(name: str) -> None:
    settings = TrajectorySettings(problem=name, nodes=150, steps=2, seed=1)
    first, other, again = (make_trajectory(settings, number) for number in (0, 1, 0))
    assert all(first[part].tobytes() == again[part].tobytes() for part in first)
    assert first["points"].tobytes() != other["points"].tobytes()


def test_what_cannot_be_solved_is_drawn_anew_and_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, drawn = TrajectorySettings(problem="dam-break", nodes=150, steps=2), []

    def fails_first(rng, nodes, steps, moved):
        drawn.append(nodes)
        if len(drawn) < 3:
            raise ConvergenceError("no")
        return dam_break.make(rng, nodes, steps, moved)

    monkeypatch.setitem(TRAJECTORIES, "dam-break", fails_first)
    assert make_trajectory(settings, 0)["fields"].shape[0] == 2 and len(set(drawn)) == 3

    def fails(rng, nodes, steps, moved):
        raise RuntimeError("no equilibrium")

    monkeypatch.setitem(TRAJECTORIES, "dam-break", fails)
    with pytest.raises(RuntimeError, match=r"sample 4: got no dam-break in 10 attempts; take more nodes"):
        make_trajectory(settings, 4)


def test_unknown_trajectories_are_refused() -> None:
    with pytest.raises(ValueError, match=r"problem: got 'wave', expected one of hyperelastic, cylinder, dam-break"):
        TrajectorySettings(problem="wave")
    assert set(TRAJECTORIES) == {"hyperelastic", "cylinder", "dam-break"}
