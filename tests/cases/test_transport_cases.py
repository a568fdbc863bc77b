"""Rotation and Burgers in two dimensions: their solutions found in other ways, and runs that keep what they must."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from firedrake import Constant, Function, FunctionSpace, SpatialCoordinate, UnitSquareMesh, VectorFunctionSpace

from cases.exact_error import error_norm
from cases.registry import get_case
from cases.run import RunRequest, execute
from fem.analytic.four_states import FourStates
from fem.analytic.rotation import CONE, CYLINDER, HUMP, Rotation
from fem.problems.advection import Advection, turning_flow
from fem.problems.burgers import four_states

CASES = ("swirl", "rotation", "burgers", "burgers-2d")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cases.scalar_figures.write_scalar_figures", lambda *_, **__: [])


def _run(case: str, out: Path, mover: str = "none", **options) -> dict:
    assignments = tuple(f"{key}={value}" for key, value in (get_case(case).smallest | options).items())
    assert execute(RunRequest(case, mover=mover, assignments=assignments, out=out), quiet=True) == "done"
    return json.loads((out / "run.json").read_text())


# -- the solutions ----------------------------------------------------------------------------------------------


def test_the_bodies_have_their_volumes() -> None:
    """By the midpoint rule: cone pi r^2 / 3, hump (pi / 2) r^2 (1/2 - 2/pi^2), cylinder pi r^2 less its slot."""
    n = 1000
    x, y = np.meshgrid(*2 * [(np.arange(n) + 0.5) / n])
    points = np.column_stack([x.ravel(), y.ravel()])
    u = Rotation().initial(points)
    nearest = np.argmin([np.hypot(*(points - body).T) for body in (HUMP, CONE, CYLINDER)], axis=0)
    # The slot: a strip from the circle below up to 0.85, its lower end by the integral of the circle.
    half, r = 0.025, 0.15
    below = half * np.sqrt(r * r - half * half) + r * r * np.arcsin(half / r)
    volumes = {
        "hump": (u[nearest == 0], 0.5 * np.pi * r**2 * (0.5 - 2 / np.pi**2)),
        "cone": (u[nearest == 1], np.pi * r**2 / 3),
        "cylinder": (u[nearest == 2], np.pi * r**2 - below - 2 * half * 0.1),
    }
    for name, (values, expected) in volumes.items():
        assert values.sum() / n**2 == pytest.approx(expected, rel=2e-3), name
    assert u.min() == 0.0 and u.max() == 1.0


def test_the_bodies_turn_counterclockwise() -> None:
    rotation = Rotation(period=2.0)
    start = np.random.default_rng(1).random((200, 2))
    turned = (start - 0.5) @ np.array([1, 1j]) * np.exp(2j * np.pi * 0.3 / 2.0) + 0.5 * (1 + 1j)
    there = np.column_stack([turned.real, turned.imag])
    np.testing.assert_allclose(rotation.departure(there, 0.3), start, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(rotation.exact(start, 6.0), rotation.initial(start))


def test_the_discrete_flow_is_the_rotation() -> None:
    mesh = UnitSquareMesh(3, 3)
    problem = Advection(mesh=mesh, potential=turning_flow(period=2.0), boundary=lambda x, t: Constant(0.0))
    problem.set_time(0.0)
    space = VectorFunctionSpace(mesh, "DG", 1)
    found, places = Function(space).interpolate(problem.velocity), Function(space).interpolate(SpatialCoordinate(mesh))
    x, y = places.dat.data_ro.T
    np.testing.assert_allclose(found.dat.data_ro, np.pi * np.column_stack([0.5 - y, x - 0.5]), rtol=0, atol=1e-13)


@pytest.mark.parametrize("t", [0.1, 0.3, 0.5])
def test_four_states_are_what_lax_and_oleinik_say(t: float) -> None:
    """On a line of direction (1, 1) the least of U(s) + (s - s_0)^2 / 2t is where the value comes from."""
    points = np.random.default_rng(2).random((150, 2))
    s = np.linspace(-1.0, 1.0, 20_001)
    for point, found in zip(points, FourStates().exact(points, t), strict=True):
        x, y = point[0] + s, point[1] + s
        initial = np.select([(x < 0.5) & (y > 0.5), (x > 0.5) & (y > 0.5), (x < 0.5) & (y < 0.5)], [-0.2, -1, 0.5], 0.8)
        primitive = np.concatenate([[0.0], np.cumsum(0.5 * (initial[1:] + initial[:-1]) * np.diff(s))])
        departure = s[np.argmin(primitive + s**2 / (2 * t))]
        # As fine as the grid of departures, 1e-4, over the least time.
        assert found == pytest.approx(-departure / t, abs=2e-3), point


@pytest.mark.parametrize("t", [0.0, 0.2, 0.5])
def test_the_boundary_has_the_same_four_states(t: float) -> None:
    mesh = UnitSquareMesh(9, 7)
    space = FunctionSpace(mesh, "CG", 1)
    found = Function(space).interpolate(four_states(SpatialCoordinate(mesh), Constant(t)))
    places = Function(VectorFunctionSpace(mesh, "CG", 1)).interpolate(SpatialCoordinate(mesh)).dat.data_ro
    np.testing.assert_allclose(found.dat.data_ro, FourStates().exact(places, t), rtol=0, atol=1e-14)


def test_the_error_in_l1() -> None:
    """Against 1 by hand: the integral of |x - 1| is 1/2; that of (x - 1)^2 is 1/3."""
    u = Function(FunctionSpace(UnitSquareMesh(3, 4), "DG", 1)).assign(1.0)
    for power, expected in ((1, 0.5), (2, (1 / 3) ** 0.5)):
        found = error_norm(u, lambda points, t: points[:, 0], 0.0, power=power)
        assert found == pytest.approx(expected, rel=1e-13)


# -- runs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mover", ["none", "mmpde"])
@pytest.mark.parametrize(("case", "least", "greatest"), [("rotation", 0.0, 1.0), ("burgers-2d", -1.0, 0.8)])
def test_mass_and_bounds_are_kept(case: str, least: float, greatest: float, mover: str, tmp_path: Path) -> None:
    """The maximum principle, on meshes that move too, and what flows in and out accounted for to rounding."""
    metrics = _run(case, tmp_path, mover)["metrics"]
    assert metrics["mass_drift_rel"] <= 1e-12 and metrics["tangled_moves"] == 0
    assert least - 1e-12 <= metrics["least"] < metrics["greatest"] <= greatest + 1e-12


def test_order_at_shocks(tmp_path: Path) -> None:
    """One in L1, a half in L2: shocks as wide as some cells."""
    runs = [_run("burgers-2d", tmp_path / str(n), resolution=n, t_end=0.25)["metrics"] for n in (8, 32)]
    rates = {key: np.log(runs[0][key] / runs[1][key]) / np.log(4) for key in ("error", "error_l1")}
    assert rates["error_l1"] > 0.85 and rates["error"] > 0.4, rates


@pytest.mark.parametrize("case", ["rotation", "burgers-2d"])
def test_a_moving_mesh_pays(case: str, tmp_path: Path) -> None:
    """Edges thinner than cells: cells that go there take a tenth off the error at least."""
    errors = {
        mover: _run(case, tmp_path / mover, mover, resolution=14, t_end=0.1)["metrics"]["error"]
        for mover in ("none", "mmpde")
    }
    assert errors["mmpde"] < 0.9 * errors["none"]
