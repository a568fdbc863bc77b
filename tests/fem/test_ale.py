"""Steps on moving meshes: constants, mass, still water, bounds, the way to the target, and steps that fail."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from firedrake import (
    Constant,
    Function,
    Mesh,
    SpatialCoordinate,
    UnitCubeMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    conditional,
    cos,
    exp,
    sin,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fem.ale import StraightMotion
from fem.bathymetry import bathymetry
from fem.boundary import BoundaryCondition, Open
from fem.problems.advection import Advection, swirling_flow
from fem.problems.burgers import Burgers
from fem.problems.shallow_water import ShallowWater
from fem.riemann import FacetState, hllc_flux
from fem.scalar_stepper import ScalarStepper
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import TABLEAUX, StepStatus, Tableau
from meshing.limiter import limit_displacement
from meshing.simplex import simplex_volumes

MOTIONS = 100
LEVEL = 0.5
FAST_ENOUGH = [name for name, tableau in TABLEAUX.items() if tableau.order > 1]


def limited(mesh, places: np.ndarray) -> Function:
    """Return where the vertices get when they want to go to these places."""
    target = Function(mesh.coordinates.function_space())
    target.dat.data_wo[:] = places - mesh.coordinates.dat.data_ro
    target = limit_displacement(mesh, target, relative=True)
    target.dat.data_wo[:] = target.dat.data_ro + mesh.coordinates.dat.data_ro
    return target


def somewhere(mesh, first: np.ndarray, seed: int, size: float = 0.05, rough: float = 0.1) -> Function:
    """Return a target on the unit square or cube: smooth, and a little at random inside; sides slide."""
    rng = np.random.default_rng(seed)
    shift = np.zeros_like(first)
    for axis in range(first.shape[1]):
        wave = np.cos((5 + axis) * first[:, (axis + 1) % first.shape[1]] + rng.uniform(0, 6))
        shift[:, axis] = size * rng.uniform(-1, 1) * np.sin(np.pi * first[:, axis]) * wave
    inside = ((first > 0) & (first < 1)).all(axis=1, keepdims=True)
    return limited(mesh, first + shift + inside * rough * rng.uniform(-1, 1, first.shape) / len(first) ** 0.5)


def first_places(mesh) -> np.ndarray:
    return mesh.coordinates.dat.data_ro.copy()


def walk(stepper, begin, motions: int, after_step=lambda: None, dt_max: float = 0.05) -> float:
    """Take the mesh along so many motions, each step done; return the time it takes."""
    t = 0.0
    for seed in range(motions):
        begin(seed)
        while stepper.is_moving:
            result = stepper.step(t, dt_max)
            assert result.status is StepStatus.DONE
            t += result.dt
            after_step()
    return t


def swirl(mesh, degree: int = 1, **change) -> Advection:
    return Advection(mesh=mesh, degree=degree, potential=swirling_flow(speed=1.0, period=1.5), **change)


# -- constants ----------------------------------------------------------------------------------------------------


def scalar_laws(mesh, degree: int):
    viscosity = 0.005 if degree else 0.0
    burgers = Burgers(mesh=mesh, degree=degree, viscosity=viscosity, boundary=lambda x, t: Constant(0.7))
    return [burgers] if mesh.geometric_dimension == 3 else [burgers, swirl(mesh, degree)]


@pytest.mark.parametrize("degree", [0, 1])
@pytest.mark.parametrize("dimension", [2, 3])
def test_a_constant_stays_constant_in_scalar_laws(dimension: int, degree: int) -> None:
    mesh = UnitSquareMesh(9, 8) if dimension == 2 else UnitCubeMesh(3, 3, 3)
    first = first_places(mesh)
    for problem in scalar_laws(mesh, degree):
        state = Function(problem.space()).assign(0.7)
        stepper = ScalarStepper(problem, state, tableau="ssp-rk2-3" if dimension == 2 else "ssp-rk3")
        motions = MOTIONS if dimension == 2 else 10
        walk(stepper, lambda seed, to=stepper: to.begin_motion(somewhere(mesh, first, seed)), motions)
        deviation = np.abs(state.dat.data_ro - 0.7).max()
        print(f"{type(problem).__name__} P{degree} in {dimension}D: deviation {deviation:.1e} after {motions} motions")
        assert deviation <= 1e-13


class Same(BoundaryCondition):
    """Outside is a given constant state."""

    def __init__(self, depth: float, velocity: tuple[float, float]):
        self.state = FacetState(Constant(depth), Constant(velocity))

    def flux(self, inside, bed, normal, gravity):
        return hllc_flux(inside, self.state, normal, gravity)


@pytest.mark.parametrize("scheme", FAST_ENOUGH)
@pytest.mark.parametrize("degree", [0, 1])
def test_a_uniform_flow_over_a_flat_bed_stays_uniform(degree: int, scheme: str) -> None:
    mesh = UnitSquareMesh(9, 8)
    first, flat = first_places(mesh), bathymetry(mesh, -0.7, degree=degree)
    problem = ShallowWater(bathymetry=flat, boundaries=dict.fromkeys((1, 2, 3, 4), Same(1.1, (0.4, -0.3))))
    uniform = (1.1, 1.1 * 0.4, -1.1 * 0.3)
    state = Function(problem.space()).interpolate(as_vector(uniform))
    stepper, bed = ShallowWaterStepper(problem, state, tableau=scheme), flat.copy(deepcopy=True)
    motions = MOTIONS if scheme == "ssp-rk2-3" else 10
    walk(stepper, lambda seed: stepper.begin_motion(somewhere(mesh, first, seed), bed, 0.0), motions)
    deviation = np.abs(state.dat.data_ro - uniform).max()
    print(f"P{degree}, {scheme}: deviation {deviation:.1e} after {motions} motions")
    assert deviation <= 1e-13
    assert np.abs(mesh.coordinates.dat.data_ro - first).max() > 1e-2


@pytest.mark.parametrize(("scheme", "exact"), [(name, True) for name in FAST_ENOUGH] + [("euler", False)])
def test_volumes_of_a_scheme_of_second_order_are_those_of_the_cells(scheme: str, exact: bool) -> None:
    """The discrete geometric conservation law; with Euler's scheme it fails, which is why it is refused."""
    mesh, tableau = UnitSquareMesh(5, 4), TABLEAUX[scheme]
    if not exact:
        tableau = Tableau(tableau.keep, tableau.scale, tableau.abscissae, order=2)
    motion = StraightMotion(mesh, tableau, reach="crossed")
    motion.begin(somewhere(mesh, first_places(mesh), 3))
    while motion.is_moving:
        motion.plan(1.0)
        motion.set_out(0.25)
        first = True
        for keep, scale, end in zip(tableau.keep, tableau.scale, tableau.ends, strict=True):
            motion.grow(keep, 0.25 * scale, first=first)
            first = False
            motion.place(end)
        motion.end_step()
    points, cells = mesh.coordinates.dat.data_ro, mesh.coordinates.cell_node_map().values
    error = np.abs(motion.volumes.dat.data_ro[:, 2] / np.abs(simplex_volumes(points, cells)) - 1).max()
    print(f"{scheme}: volumes off by {error:.1e}")
    assert (error < 1e-14) == exact


# -- mass, bounds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, 1])
def test_integral_and_bounds_are_kept_in_a_scalar_law_with_inflow(degree: int) -> None:
    mesh = UnitSquareMesh(9, 8)
    first = first_places(mesh)
    problem = Advection(
        mesh=mesh,
        degree=degree,
        potential=lambda x, t: 0.8 * x[1] - 0.5 * x[0],
        boundary=lambda x, t: 0.5 + 0.5 * sin(5 * t + 3 * x[1]),
    )
    state = Function(problem.space())
    state.dat.data[:] = np.random.default_rng(0).random(len(state.dat.data_ro)).round()
    stepper = ScalarStepper(problem, state)
    mass, drift = stepper.mass(), []

    def check() -> None:
        drift.append(abs(stepper.mass() - mass - stepper.inflow) / mass)
        assert state.dat.data_ro.min() >= -1e-13 and state.dat.data_ro.max() <= 1.0 + 1e-13

    walk(stepper, lambda seed: stepper.begin_motion(somewhere(mesh, first, seed)), MOTIONS, check)
    print(f"P{degree}: drift {max(drift):.1e} in {len(drift)} steps, inflow {stepper.inflow:.3f} of {mass:.3f}")
    assert max(drift) <= 1e-12
    assert abs(stepper.inflow) > 0.05 and np.ptp(state.dat.data_ro) > 0.3


def island(mesh, degree: int) -> Function:
    """A bed with an island that emerges, and a slope."""
    x = SpatialCoordinate(mesh)
    return bathymetry(
        mesh, 1.3 * exp(-30 * ((x[0] - 0.45) ** 2 + (x[1] - 0.55) ** 2)) - 0.2 + 0.05 * x[0], degree=degree
    )


def around_island(mesh, first: np.ndarray, stepper: ShallowWaterStepper):
    """Return what begins a motion of a lake around the island."""

    def begin(seed: int) -> None:
        target = somewhere(mesh, first, seed)
        stepper.begin_motion(target, island(Mesh(target), stepper.problem.degree), LEVEL)

    return begin


@pytest.mark.parametrize("degree", [0, 1])
def test_waves_over_shores_keep_mass_and_depth(degree: int) -> None:
    """Waves run over the island and out through a side along which vertices slide."""
    mesh = UnitSquareMesh(12, 12)
    first, bed = first_places(mesh), island(mesh, degree)
    problem = ShallowWater(bathymetry=bed, boundaries={1: Open(LEVEL)}, manning=0.02)
    state = Function(problem.space()).interpolate(as_vector([0.0, 0.0, 0.0]))
    x, y = (
        Function(VectorFunctionSpace(mesh, bed.function_space().ufl_element()))
        .interpolate(SpatialCoordinate(mesh))
        .dat.data_ro.T
    )
    state.dat.data[:, 0] = np.maximum(LEVEL - 0.1 + 0.3 * np.sin(7 * x) * np.cos(5 * y) - bed.dat.data_ro, 0.0)
    stepper = ShallowWaterStepper(problem, state)
    mass, drift, offsets, dry = stepper.mass(), [], [], []

    def check() -> None:
        drift.append(abs(stepper.mass() - mass - stepper.inflow) / mass)
        offsets.append(abs(stepper.bed_offset))
        depth = state.dat.data_ro[:, 0]
        dry.append((depth == 0.0).sum())
        assert np.isfinite(state.dat.data_ro).all() and (depth >= 0.0).all()

    walk(stepper, around_island(mesh, first, stepper), MOTIONS, check)
    print(f"P{degree}: drift {max(drift):.1e} in {len(drift)} steps, inflow {stepper.inflow / mass:.3f} of the mass")
    assert max(drift) <= 1e-12
    assert abs(stepper.inflow) > 1e-2 * mass and max(dry) > min(dry)
    # The shift of the bed is that of its last sample, of second order in the cell size, and no sum over motions.
    assert 0.0 < max(offsets[-50:]) < 2 * max(offsets[:50]) < 1e-2


@pytest.mark.parametrize(("degree", "dt_max"), [(0, 0.05), (1, 0.05), (1, 1e-9)])
def test_still_water_around_an_island_stays_still(degree: int, dt_max: float) -> None:
    """In steps as long as the waves allow, and in steps so short that the mesh is by far the fastest."""
    mesh = UnitSquareMesh(16, 16)
    first, bed = first_places(mesh), island(mesh, degree)
    problem = ShallowWater(bathymetry=bed, boundaries={1: Open(LEVEL)})
    state = Function(problem.space())
    state.dat.data[:, 0] = np.maximum(LEVEL - bed.dat.data_ro, 0.0)
    stepper = ShallowWaterStepper(problem, state)
    mass, found = stepper.mass(), []

    def check() -> None:
        data, over = state.dat.data_ro, LEVEL - bed.dat.data_ro
        level = np.abs(data[:, 0] - over)[over > 0.0].max()
        found.append(
            (level, np.abs(data[over <= 0.0, 0]).max(), np.abs(data[:, 1:]).max(), abs(stepper.mass() / mass - 1))
        )

    walk(stepper, around_island(mesh, first, stepper), MOTIONS, check, dt_max)
    worst = np.max(found, axis=0)
    print(f"P{degree}: level {worst[0]:.1e} m, land {worst[1]:.1e} m, discharge {worst[2]:.1e}, mass {worst[3]:.1e}")
    assert max(worst) <= 1e-11
    # What stood still is not what was there at first: nodes have been taken out of the water and into it.
    wet = LEVEL - bed.dat.data_ro > 0.0
    assert 0 < (~wet).sum() < len(wet)
    assert np.abs(bed.dat.data_ro - island(mesh, degree).dat.data_ro - stepper.bed_offset).max() < 1e-15


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    dry_share=st.floats(0, 0.9, allow_subnormal=False),
    roughness=st.floats(0, 0.5, allow_subnormal=False),
    degree=st.sampled_from([0, 1]),
)
def test_depth_stays_nonnegative_and_mass_stays_from_any_state(seed, dry_share, roughness, degree) -> None:
    mesh, first, rng = *_square(), np.random.default_rng(seed)
    mesh.coordinates.dat.data[:] = first
    bed = bathymetry(mesh, 0.0, degree=degree)
    waves = roughness * rng.standard_normal((2, 3))

    def hills(x):
        return sum(a * sin(4 * x[0] + 7 * k * x[1]) + b * cos(6 * k * x[0]) for k, (a, b) in enumerate(waves.T))

    bed.interpolate(hills(SpatialCoordinate(mesh)))
    problem = ShallowWater(bathymetry=bed, manning=0.03)
    state = Function(problem.space())
    wet = np.repeat(rng.random(mesh.cell_set.size) >= dry_share, 3 if degree else 1)
    state.dat.data[:, 0] = wet * rng.exponential(0.5, len(wet))
    state.dat.data[:, 1:] = state.dat.data_ro[:, :1] * rng.standard_normal((len(wet), 2))
    stepper = ShallowWaterStepper(problem, state)
    mass = stepper.mass()

    def begin(seed: int) -> None:
        target = somewhere(mesh, first, seed)
        there = Mesh(target)
        stepper.begin_motion(target, bathymetry(there, hills(SpatialCoordinate(there)), degree=degree), 0.1)

    def check() -> None:
        assert state.dat.data_ro[:, 0].min() >= 0.0 and np.isfinite(state.dat.data_ro).all()
        assert abs(stepper.mass() - mass) <= 1e-12 * max(mass, 1e-3)

    walk(stepper, begin, 3, check)


_SQUARE = []


def _square():
    if not _SQUARE:
        mesh = UnitSquareMesh(5, 5, diagonal="crossed")
        _SQUARE.extend((mesh, first_places(mesh)))
    return _SQUARE


# -- the way ------------------------------------------------------------------------------------------------------


def lake(cells: int = 8):
    """Return a stepper of waves on a lake with an island, its mesh and its first places."""
    mesh = UnitSquareMesh(cells, cells)
    bed = island(mesh, 1)
    problem = ShallowWater(bathymetry=bed)
    state = Function(problem.space())
    state.dat.data[:, 0] = np.maximum(LEVEL - bed.dat.data_ro, 0.0)
    state.dat.data[:, 1] = 0.1 * state.dat.data_ro[:, 0]
    return ShallowWaterStepper(problem, state), mesh, first_places(mesh)


def hump(cells: int = 8):
    """Return a stepper of a hump in the swirl, its mesh and its first places."""
    mesh = UnitSquareMesh(cells, cells)
    problem, x = swirl(mesh), SpatialCoordinate(mesh)
    state = Function(problem.space()).interpolate(conditional(x[0] + x[1] < 0.8, 1.0, 0.0))
    return ScalarStepper(problem, state), mesh, first_places(mesh)


def begin(stepper, target: Function) -> None:
    given = (island(Mesh(target), 1), LEVEL) if isinstance(stepper, ShallowWaterStepper) else ()
    stepper.begin_motion(target, *given)


@pytest.mark.parametrize("make", [lake, hump])
def test_the_mesh_arrives_bit_for_bit_and_what_depends_on_it_is_in_line(make) -> None:
    stepper, mesh, first = make()
    assert not stepper.is_moving
    target = somewhere(mesh, first, 1, size=0.3)
    begin(stepper, target)
    steps, t = 0, 0.0
    while stepper.is_moving:
        before = mesh.coordinates.dat.data_ro.copy()
        t += stepper.step(t, 0.05).dt
        assert (mesh.coordinates.dat.data_ro != before).any()
        steps += 1
    assert steps > 2
    assert (mesh.coordinates.dat.data_ro == target.dat.data_ro).all()
    mass, allowed = stepper.mass(), stepper.allowed_step
    stepper.mesh_changed()
    assert (stepper.mass(), stepper.allowed_step) == (mass, allowed)
    places = mesh.coordinates.dat.data_ro.copy()
    stepper.step(t, 0.05)
    assert (mesh.coordinates.dat.data_ro == places).all()


@pytest.mark.parametrize("make", [lake, hump])
def test_a_mesh_on_its_way_can_turn(make) -> None:
    stepper, mesh, first = make()
    mass = stepper.mass()
    begin(stepper, somewhere(mesh, first, 1, size=0.3))
    stepper.step(0.0, 0.05)
    assert stepper.is_moving
    back = limited(mesh, first)
    begin(stepper, back)
    while stepper.is_moving:
        stepper.step(0.0, 0.05)
    assert (mesh.coordinates.dat.data_ro == back.dat.data_ro).all()
    assert stepper.mass() == pytest.approx(mass, rel=1e-13)


@pytest.mark.parametrize("make", [lake, hump])
def test_a_step_that_fails_leaves_mesh_state_and_bed_as_they_were(make, monkeypatch) -> None:
    stepper, mesh, first = make()
    begin(stepper, somewhere(mesh, first, 1, size=0.3))
    stepper.step(0.0, 0.05)
    fields = [mesh.coordinates, stepper.state]
    if isinstance(stepper, ShallowWaterStepper):
        fields.append(stepper.problem.bathymetry)
    before, mass = [field.dat.data_ro.copy() for field in fields], stepper.mass()
    run = stepper._run_stages
    monkeypatch.setattr(stepper, "_run_stages", lambda t, dt: run(t, dt) and False)
    assert stepper.step(0.0, 0.05).status is StepStatus.FAILED
    assert all((field.dat.data_ro == values).all() for field, values in zip(fields, before, strict=True))
    assert stepper.mass() == mass and stepper.is_moving
    monkeypatch.undo()
    assert stepper.step(0.0, 0.05).status is StepStatus.DONE


@pytest.mark.parametrize(("make", "times"), [(lake, 20), (hump, 4)])
def test_a_step_that_is_too_long_is_taken_back_with_the_mesh(make, times: int) -> None:
    """And the mesh arrives all the same, though every step is too long at first."""
    stepper, mesh, first = make()
    mass = stepper.mass()
    stepper.courant *= times
    target = somewhere(mesh, first, 1, size=0.3)
    begin(stepper, target)
    retries = []
    while stepper.is_moving:
        result = stepper.step(0.0, 1.0)
        assert result.status is StepStatus.DONE
        retries.append(result.retries)
    print(f"retries {retries}")
    assert max(retries) > 0
    assert (mesh.coordinates.dat.data_ro == target.dat.data_ro).all()
    assert stepper.mass() == pytest.approx(mass, rel=1e-12)


@pytest.mark.parametrize("make", [lake, hump])
def test_bad_motions_are_named_and_nothing_moves(make) -> None:
    stepper, mesh, first = make()
    tangled = Function(mesh.coordinates.function_space())
    tangled.dat.data[:] = first
    tangled.dat.data[len(first) // 2] += 0.9
    broken = tangled.copy(deepcopy=True)
    broken.dat.data[3] = np.nan
    elsewhere = UnitSquareMesh(8, 8).coordinates
    for target, message in (
        (tangled, r"target: got a cell with -.* of its volume on the straight way there, expected more than 0"),
        (broken, r"target: got a cell with -inf of its volume"),
        (elsewhere, r"target: got .*, expected .*; make it in mesh.coordinates.function_space"),
    ):
        with pytest.raises(ValueError, match=message):
            begin_anyhow(stepper, target)
    assert not stepper.is_moving
    kind = type(stepper)
    euler = kind(stepper.problem, stepper.state, tableau="euler")
    with pytest.raises(ValueError, match="scheme: got order 1, expected 2 or more for a moving mesh in 2D"):
        begin_anyhow(euler, mesh.coordinates)


def begin_anyhow(stepper, target: Function) -> None:
    given = (stepper.problem.bathymetry, LEVEL) if isinstance(stepper, ShallowWaterStepper) else ()
    stepper.begin_motion(target, *given)


def test_bad_beds_are_named() -> None:
    stepper, mesh, _ = lake()
    with pytest.raises(
        ValueError, match=r"bed: got .*DG0.*, expected .*DG1.* as the bathymetry, on its mesh or the same"
    ):
        stepper.begin_motion(mesh.coordinates, island(mesh, 0), LEVEL)
    bed = island(mesh, 1)
    bed.dat.data[5] = np.nan
    with pytest.raises(ValueError, match="bed or level: got values that are not finite"):
        stepper.begin_motion(mesh.coordinates, bed, LEVEL)


def test_steps_on_a_moving_mesh_allocate_nothing_of_the_size_of_a_field() -> None:
    stepper, mesh, first = lake(40)
    stepper.state.dat.data[:, 1] = 0.0
    begin(stepper, somewhere(mesh, first, 1, size=0.5, rough=0.0))
    stepper.step(0.0, 1.0)
    tracemalloc.start()
    stepper.step(0.0, 1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    field = stepper.problem.bathymetry.dat.data_ro.nbytes
    print(f"peak {peak} bytes, a scalar field {field} bytes")
    assert stepper.is_moving and peak < 0.1 * field
