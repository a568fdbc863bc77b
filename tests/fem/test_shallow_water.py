"""The shallow-water solver: still water, conservation, positivity, order, published solutions."""

import tracemalloc

import numpy as np
import pytest
from firedrake import (
    Function,
    RectangleMesh,
    SpatialCoordinate,
    TestFunction,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    assemble,
    div,
    dx,
    inner,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.validation.experiments import (
    advance,
    basin,
    dam_break,
    distorted_square,
    fitted_rate,
    lake_at_rest,
    manufactured,
)
from fem.analytic.thacker import AxisymmetricOscillation, PlanarOscillation
from fem.bathymetry import bathymetry
from fem.boundary import Open, Wall
from fem.maximum import MaximumElevation
from fem.problems.shallow_water import ShallowWater
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import TABLEAUX, StepStatus

ROUND_OFF = 1e-12


@pytest.mark.parametrize("degree", [0, 1])
def test_still_water_stays_still_around_an_emerged_bump(degree):
    found = lake_at_rest(distorted_square(12), degree=degree)
    print(found)
    assert found.speed <= ROUND_OFF
    assert found.elevation <= ROUND_OFF
    assert found.mass_drift <= ROUND_OFF


@pytest.mark.parametrize(("degree", "rate"), [(1, 1.9), (0, 0.9)])
def test_smooth_solution_converges_at_the_order_of_the_method(degree, rate):
    cells = (8, 16, 32)
    errors = [manufactured(n, degree=degree).error for n in cells]
    measured = fitted_rate([1 / n for n in cells], errors)
    print(f"P{degree}: errors {errors}, rate {measured:.3f}")
    assert measured > rate


@pytest.mark.parametrize(("wet", "name"), [(True, "Stoker"), (False, "Ritter")])
def test_dam_break_converges_in_l1(wet, name):
    cells = (50, 100, 200)
    found = [dam_break(n, wet=wet) for n in cells]
    measured = fitted_rate([1 / n for n in cells], [f.error for f in found])
    print(f"{name}: errors {[f.error for f in found]}, rate {measured:.3f}")
    assert measured > 0.9
    assert max(f.mass_drift for f in found) <= ROUND_OFF


def test_state_behind_the_shock_is_stokers():
    depth, discharge = dam_break(100, wet=True).probe
    # Stoker (1957) for 10 m over 1 m at g = 9.81 m/s^2: 3.96175 m and 7.34077 m/s
    assert depth == pytest.approx(3.96175, abs=0.02)
    assert discharge / depth == pytest.approx(7.34077, abs=0.04)


@pytest.mark.parametrize("exact", [PlanarOscillation(), AxisymmetricOscillation()], ids=lambda e: type(e).__name__)
def test_moving_shore_converges_and_keeps_the_mass(exact):
    cells = (16, 32, 64)
    found = [basin(exact, n, periods=0.5) for n in cells]
    measured = fitted_rate([1 / n for n in cells], [f.error for f in found])
    print(f"{type(exact).__name__}: errors {[f.error for f in found]}, rate {measured:.3f}")
    assert measured > 1.3
    assert max(f.mass_drift for f in found) <= ROUND_OFF
    assert min(f.least_depth for f in found) >= 0.0


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    dry_share=st.floats(0, 0.9, allow_subnormal=False),
    roughness=st.floats(0, 1.0, allow_subnormal=False),
    speed=st.floats(0, 5, allow_subnormal=False),
    degree=st.sampled_from([0, 1]),
)
def test_depth_stays_nonnegative_and_mass_stays_from_any_state(seed, dry_share, roughness, speed, degree):
    rng = np.random.default_rng(seed)
    mesh = _square()
    bed = bathymetry(mesh, 0.0, degree=degree)
    bed.dat.data[:] = roughness * rng.standard_normal(bed.dat.data.shape)
    problem = ShallowWater(bathymetry=bed, manning=0.03)
    state = Function(problem.space())
    per_cell = 3 if degree else 1
    cells = len(bed.dat.data_ro) // per_cell
    wet = np.repeat(rng.random(cells) >= dry_share, per_cell)
    depth = wet * rng.exponential(0.5, len(wet))
    state.dat.data[:, 0] = depth
    state.dat.data[:, 1:] = depth[:, None] * speed * rng.standard_normal((len(wet), 2))
    stepper = ShallowWaterStepper(problem, state)
    mass = stepper.mass()
    for _ in range(8):
        result = stepper.step(0.0, 1.0)
        assert result.status is StepStatus.DONE
        assert state.dat.data_ro[:, 0].min() >= 0.0
        assert np.isfinite(state.dat.data_ro).all()
    assert abs(stepper.mass() - mass) <= ROUND_OFF * max(mass, 1e-3)


_SQUARE = []


def _square():
    if not _SQUARE:
        _SQUARE.append(UnitSquareMesh(5, 5, diagonal="crossed"))
    return _SQUARE[0]


def test_friction_alone_follows_the_exact_decay():
    mesh = UnitSquareMesh(2, 2)
    depth, velocity, manning, t_end = 0.5, 1.2, 0.1, 2.0
    problem = ShallowWater(bathymetry=bathymetry(mesh, 0.0), manning=manning)
    state = Function(problem.space()).interpolate(as_vector([depth, depth * velocity, 0]))
    stepper = ShallowWaterStepper(problem, state)
    stepper._rub(t_end)
    # u' = -k |u| u with k = g n^2 / h^(4/3) has u(t) = u0 / (1 + k u0 t)
    exact = velocity / (1 + 9.81 * manning**2 / depth ** (4 / 3) * velocity * t_end)
    assert state.dat.data_ro[:, 1] / depth == pytest.approx(exact, rel=1e-13)


def test_friction_field_acts_where_it_is():
    mesh = RectangleMesh(8, 2, 4.0, 1.0)
    bed = bathymetry(mesh, 0.0)
    x, _ = SpatialCoordinate(mesh)
    manning = Function(bed.function_space()).interpolate(0.05 * x)
    problem = ShallowWater(bathymetry=bed, manning=manning)
    state = Function(problem.space()).interpolate(as_vector([1.0, 1.0, 0]))
    stepper = ShallowWaterStepper(problem, state)
    stepper._rub(1.0)
    nodes = Function(bed.function_space()).interpolate(x).dat.data_ro
    assert state.dat.data_ro[:, 1] == pytest.approx(1 / (1 + 9.81 * (0.05 * nodes) ** 2), rel=1e-13)


def test_steady_flow_down_a_plane_is_mannings():
    """Uniform flow: u = h^(2/3) sqrt(S) / n (Manning's formula) is kept by fluxes, bed slope and friction together."""
    mesh = RectangleMesh(20, 2, 20.0, 1.0)
    slope, manning, depth = 0.01, 0.03, 0.5
    x, _ = SpatialCoordinate(mesh)
    velocity = depth ** (2 / 3) * slope**0.5 / manning
    problem = ShallowWater(bathymetry=bathymetry(mesh, -slope * x), manning=manning)
    state = Function(problem.space()).interpolate(as_vector([depth, depth * velocity, 0]))
    stepper = ShallowWaterStepper(problem, state)
    advance(stepper, 0.5)
    middle = np.abs(Function(problem.bathymetry.function_space()).interpolate(x).dat.data_ro - 10.0) < 2.0
    found = state.dat.data_ro[middle, 1] / state.dat.data_ro[middle, 0]
    assert found == pytest.approx(velocity, rel=2e-4)


@pytest.mark.parametrize("scheme", TABLEAUX)
def test_every_scheme_keeps_still_water_and_mass(scheme):
    mesh = _square()
    x, _ = SpatialCoordinate(mesh)
    bed = bathymetry(mesh, -0.5 + 0.7 * x)
    problem = ShallowWater(bathymetry=bed)
    state = Function(problem.space())
    state.dat.data[:, 0] = np.maximum(-bed.dat.data_ro, 0)
    stepper = ShallowWaterStepper(problem, state, tableau=scheme)
    mass = stepper.mass()
    for _ in range(20):
        assert stepper.step(0.0, 1.0).status is StepStatus.DONE
    assert np.abs(state.dat.data_ro[:, 1:]).max() <= ROUND_OFF
    assert abs(stepper.mass() - mass) <= ROUND_OFF * mass


@pytest.mark.parametrize("scheme", TABLEAUX)
def test_tableau_has_its_order_on_a_linear_equation(scheme):
    tableau = TABLEAUX[scheme]

    def error(steps):
        u, dt = 1.0, 1.0 / steps
        for _ in range(steps):
            stage = u
            for keep, scale in zip(tableau.keep, tableau.scale, strict=True):
                stage = keep * u + (1 - keep) * (stage - scale * dt * stage)
            u = stage
        return abs(u - np.exp(-1.0))

    rate = np.log2(error(40) / error(80))
    print(f"{scheme}: rate {rate:.3f}")
    assert rate > tableau.order - 0.1


@pytest.mark.parametrize("scheme", TABLEAUX)
def test_tableau_abscissae_are_those_of_its_stages(scheme):
    """u' = 1 must give u = c_i at the start of stage i."""
    tableau = TABLEAUX[scheme]
    stage, starts = 0.0, []
    for keep, scale in zip(tableau.keep, tableau.scale, strict=True):
        starts.append(stage)
        stage = (1 - keep) * (stage + scale)
    assert starts == pytest.approx(tableau.abscissae)
    assert stage == pytest.approx(1.0)


def test_a_step_that_overdraws_a_cell_is_taken_back_and_halved():
    mesh = _square()
    problem = ShallowWater(bathymetry=bathymetry(mesh, 0.0))
    state = Function(problem.space())
    rng = np.random.default_rng(3)
    state.dat.data[:, 0] = rng.exponential(0.5, len(state.dat.data_ro))
    state.dat.data[:, 1:] = 5 * state.dat.data_ro[:, :1] * rng.standard_normal((len(state.dat.data_ro), 2))
    stepper = ShallowWaterStepper(problem, state, tableau="ssp-rk2", courant=20.0)
    mass = stepper.mass()
    result = stepper.step(0.0, 1.0)
    assert result.status is StepStatus.DONE
    assert result.retries > 0
    assert state.dat.data_ro[:, 0].min() >= 0
    assert abs(stepper.mass() - mass) <= ROUND_OFF * mass


def test_the_state_is_untouched_when_no_step_is_valid(monkeypatch):
    mesh = _square()
    problem = ShallowWater(bathymetry=bathymetry(mesh, 0.0))
    state = Function(problem.space()).interpolate(as_vector([1.0, 0.3, 0]))
    stepper = ShallowWaterStepper(problem, state)
    before = state.dat.data_ro.copy()
    monkeypatch.setattr(stepper, "_run_stages", lambda t, dt: False)
    assert stepper.step(0.0, 1.0).status is StepStatus.FAILED
    assert (state.dat.data_ro == before).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gravity": -9.81}, "gravity: got -9.81, expected a positive number"),
        ({"dry_depth": 0.0}, "dry_depth: got 0.0, expected a positive number"),
        ({"manning": -0.1}, "manning: got -0.1, expected n >= 0"),
        ({"boundaries": {7: Wall()}}, r"boundary markers: got \[7\], expected among \[1, 2, 3, 4\]"),
    ],
)
def test_bad_parameters_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        ShallowWater(bathymetry=bathymetry(_square(), 0.0), **change)


def test_bad_states_and_schemes_are_named():
    problem = ShallowWater(bathymetry=bathymetry(_square(), 0.0))
    state = Function(problem.space()).assign(1.0)
    with pytest.raises(ValueError, match="scheme: got 'rk9'"):
        ShallowWaterStepper(problem, state, tableau="rk9")
    state.dat.data[3, 0] = np.nan
    with pytest.raises(ValueError, match="initial state: got NaN"):
        ShallowWaterStepper(problem, state)
    with pytest.raises(ValueError, match="order: got polynomial degree 2"):
        bathymetry(_square(), 0.0, degree=2)


def test_the_time_loop_allocates_nothing_of_the_size_of_a_field():
    mesh = RectangleMesh(40, 40, 1.0, 1.0, diagonal="crossed")
    x, y = SpatialCoordinate(mesh)
    problem = ShallowWater(bathymetry=bathymetry(mesh, 0.1 * x - 0.05), manning=0.02, boundaries={2: Open()})
    state = Function(problem.space()).interpolate(as_vector([0.3 + 0.1 * x * y, 0, 0]))
    stepper, highest = ShallowWaterStepper(problem, state), MaximumElevation(problem, state)

    def steps():
        for _ in range(5):
            stepper.step(0.0, 1.0)
            highest.update()

    steps()
    tracemalloc.start()
    steps()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    field = problem.bathymetry.dat.data_ro.nbytes
    print(f"peak {peak} bytes, a scalar field {field} bytes")
    assert peak < 0.1 * field


def test_maximum_is_the_highest_surface_and_the_bed_where_it_stayed_dry():
    problem = ShallowWater(bathymetry=bathymetry(_square(), SpatialCoordinate(_square())[0]))
    state, bed = Function(problem.space()), problem.bathymetry.dat.data_ro
    highest = MaximumElevation(problem, state)
    for depth in (0.0, 0.3, 0.1, 0.5 * problem.dry_depth):
        state.dat.data[: len(bed) // 2, 0] = depth
        highest.update()
    found = highest.elevation.dat.data_ro
    assert found[: len(bed) // 2] == pytest.approx(bed[: len(bed) // 2] + 0.3, abs=1e-15)
    assert (found[len(bed) // 2 :] == bed[len(bed) // 2 :]).all()


@pytest.mark.parametrize("degree", [0, 1])
def test_mesh_velocity_only_dilates_a_constant_state(degree):
    """With U constant, the terms of a mesh velocity w sum to (div w) U, by which a cell that grows keeps U constant."""
    mesh = distorted_square(6)
    x, y = SpatialCoordinate(mesh)
    bump = x * (1 - x) * y * (1 - y)
    velocity = Function(VectorFunctionSpace(mesh, "CG", 1)).interpolate(as_vector([bump * (1 + y), -2 * bump * x]))
    problem = ShallowWater(bathymetry=bathymetry(mesh, 0.0, degree=degree))
    state = Function(problem.space()).interpolate(as_vector([0.7, 0.2, -0.3]))
    test = TestFunction(problem.space())
    moving = assemble(problem.residual(state, test, mesh_velocity=velocity)).dat.data_ro
    fixed = assemble(problem.residual(state, test)).dat.data_ro
    dilation = assemble(div(velocity) * inner(state, test) * dx).dat.data_ro
    assert np.abs(dilation).max() > 1e-4
    assert moving - fixed == pytest.approx(dilation, abs=1e-14)


@pytest.mark.parametrize(("courant", "stable"), [(None, True), (0.3, False)])
def test_default_courant_number_is_stable_without_the_limiter(courant, stable):
    """Small noise on still water over a flat bed: waves may disperse, none may grow."""
    problem = ShallowWater(bathymetry=bathymetry(RectangleMesh(10, 7, 5.0, 3.5, diagonal="crossed"), -0.1))
    state = Function(problem.space())
    noise = 1e-6 * np.random.default_rng(0).standard_normal(len(state.dat.data_ro))
    state.dat.data[:, 0] = 0.1 + noise
    stepper = ShallowWaterStepper(problem, state, **({} if courant is None else {"courant": courant}))
    stepper._bounds = [(bound, -empty) for bound, empty in stepper._bounds]  # bounds that limit nothing
    for _ in range(200):
        stepper.step(0.0, 1.0)
    grown = np.abs(state.dat.data_ro[:, 0] - 0.1).max() / np.abs(noise).max()
    print(f"noise times {grown:.2g}")
    assert (grown < 1) == stable


@pytest.mark.parametrize("component", [0, 1, 2])
@pytest.mark.parametrize("degree", [0, 1])
def test_a_value_that_is_not_finite_fails_the_step(degree, component):
    problem = ShallowWater(bathymetry=bathymetry(_square(), -1.0, degree=degree))
    state = Function(problem.space()).interpolate(as_vector([1.0, 0.1, 0]))
    stepper = ShallowWaterStepper(problem, state)
    assert stepper.step(0.0, 1.0).status is StepStatus.DONE
    state.dat.data[5, component] = np.nan
    assert stepper.step(0.0, 1.0).status is StepStatus.FAILED
