"""Steps on moving meshes: constants, mass, still water, bounds."""

from __future__ import annotations

import numpy as np
import pytest
from ale_motions import LEVEL, first_places, island, somewhere, swirl
from firedrake import (
    Constant,
    Function,
    Mesh,
    SpatialCoordinate,
    UnitCubeMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    cos,
    sin,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fem.ale import StraightMotion
from fem.bathymetry import bathymetry
from fem.boundary import BoundaryCondition, Open
from fem.problems.advection import Advection
from fem.problems.burgers import Burgers
from fem.problems.shallow_water import ShallowWater
from fem.riemann import FacetState, hllc_flux
from fem.scalar_stepper import ScalarStepper
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import TABLEAUX, StepStatus, Tableau
from meshing.simplex import simplex_volumes

MOTIONS = 100
FAST_ENOUGH = [name for name, tableau in TABLEAUX.items() if tableau.order > 1]


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
