"""The contract of every transfer: what its flags promise, and its order of accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from ale_motions import LEVEL, island
from firedrake import (
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    UnitCubeMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    assemble,
    cos,
    dx,
    max_value,
    norm,
    sin,
)

from fem.problems.shallow_water import ShallowWater
from fem.remap import RemapTransfer
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.shallow_water_transfer import ShallowWaterTransfer, _Volumes
from fem.transfer import InterpolationTransfer, ProjectionTransfer, Transfer

TRANSFERS: dict[str, type[Transfer]] = {
    "remap": RemapTransfer,
    "projection": ProjectionTransfer,
    "interpolation": InterpolationTransfer,
}


def moved(mesh, seed: int, size: float = 0.05, rough: float = 0.1):
    """Return the mesh moved from its first places: smoothly, and a little at random inside; sides slide."""
    rng = np.random.default_rng(seed)
    points = mesh.coordinates.dat.data_ro
    first = getattr(mesh.topology, "first_places", None)
    if first is None:
        first = mesh.topology.first_places = points.copy()
    shift = np.zeros_like(first)
    for axis in range(first.shape[1]):
        other = first[:, (axis + 1) % first.shape[1]]
        wave = np.cos((5 + axis) * other + rng.uniform(0, 6))
        shift[:, axis] = size * rng.uniform(-1, 1) * np.sin(np.pi * first[:, axis]) * wave
    inside = ((first > 0) & (first < 1)).all(axis=1, keepdims=True)
    shift += inside * rough * rng.uniform(-1, 1, first.shape) / len(first) ** (1 / first.shape[1])
    coordinates = Function(mesh.coordinates.function_space())
    coordinates.dat.data_wo[:] = first + shift
    return Mesh(coordinates)


def space(mesh, degree: int, parts: int = 1):
    if parts == 1:
        return FunctionSpace(mesh, "DG", degree, variant="equispaced")
    return VectorFunctionSpace(mesh, "DG", degree, dim=parts, variant="equispaced")


@pytest.mark.parametrize("degree", [0, 1])
@pytest.mark.parametrize("name", TRANSFERS)
def test_a_constant_stays_constant_over_many_moves(name: str, degree: int) -> None:
    mesh, transfer = UnitSquareMesh(9, 8), TRANSFERS[name]()
    field = Function(space(mesh, degree)).assign(3.7)
    for seed in range(20):
        field = transfer(field, moved(field.function_space().mesh(), seed))
    np.testing.assert_allclose(field.dat.data_ro, 3.7, rtol=1e-13)


@pytest.mark.parametrize("degree", [0, 1])
@pytest.mark.parametrize("name", [name for name, transfer in TRANSFERS.items() if transfer.conservative])
def test_the_integral_stays_over_a_hundred_moves(name: str, degree: int) -> None:
    mesh, transfer = UnitSquareMesh(9, 8), TRANSFERS[name]()
    field = Function(space(mesh, degree))
    field.dat.data_wo[:] = np.random.default_rng(0).random(field.dat.data_ro.shape)
    before = assemble(field * dx)
    for seed in range(100 if name == "remap" else 5):
        field = transfer(field, moved(field.function_space().mesh(), seed))
    assert assemble(field * dx) == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize("degree", [0, 1])
@pytest.mark.parametrize("name", [name for name, transfer in TRANSFERS.items() if transfer.bounded])
def test_no_value_goes_beyond_the_bounds(name: str, degree: int) -> None:
    mesh, transfer = UnitSquareMesh(12, 11), TRANSFERS[name]()
    field = Function(space(mesh, degree))
    x = mesh.coordinates.dat.data_ro[mesh.coordinates.cell_node_map().values].mean(axis=1)
    inside = (np.linalg.norm(x - 0.5, axis=1) < 0.3).astype(float)
    field.dat.data_wo[:] = np.repeat(inside, field.dat.data_ro.shape[0] // len(inside))
    for seed in range(10):
        field = transfer(field, moved(field.function_space().mesh(), seed))
        assert field.dat.data_ro.min() >= -1e-14 and field.dat.data_ro.max() <= 1.0 + 1e-14
    assert np.ptp(field.dat.data_ro) > 0.5


@pytest.mark.parametrize("name", TRANSFERS)
def test_forth_and_back_is_of_second_order(name: str, capsys: pytest.CaptureFixture) -> None:
    errors, sizes = [], (32, 64, 128)
    for size in sizes:
        mesh, transfer = UnitSquareMesh(size, size), TRANSFERS[name]()
        x = SpatialCoordinate(mesh)
        exact = sin(6 * x[0]) * cos(5 * x[1])
        field = Function(space(mesh, 1)).interpolate(exact)
        there = transfer(field, moved(mesh, 1, rough=0.0))
        back = transfer(there, Mesh(mesh.coordinates.copy(deepcopy=True)))
        difference = Function(field.function_space())
        difference.dat.data_wo[:] = back.dat.data_ro - field.dat.data_ro
        errors.append(norm(difference))
    rate = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    with capsys.disabled():
        print(f"\n{name}, forth and back: errors {', '.join(f'{e:.1e}' for e in errors)}, rate {rate:.2f}")
    assert rate > 1.9


def test_a_remap_in_space_keeps_the_integral_and_constants() -> None:
    mesh, transfer = UnitCubeMesh(4, 4, 4), RemapTransfer()
    field = Function(space(mesh, 1, 2))
    field.dat.data_wo[:] = np.random.default_rng(0).random(field.dat.data_ro.shape)
    field.dat.data_wo[:, 1] = 1.0
    before = assemble(field[0] * dx)
    for seed in range(5):
        field = transfer(field, moved(field.function_space().mesh(), seed))
    assert assemble(field[0] * dx) == pytest.approx(before, rel=1e-12)
    np.testing.assert_allclose(field.dat.data_ro[:, 1], 1.0, rtol=1e-13)


@pytest.mark.parametrize(("family", "degree"), [("CG", 1), ("DG", 2)])
def test_a_remap_refuses_other_elements(family: str, degree: int) -> None:
    mesh = UnitSquareMesh(2, 2)
    with pytest.raises(ValueError, match=r"source: got .*, expected discontinuous P0 or P1; interpolate it first"):
        RemapTransfer()(Function(FunctionSpace(mesh, family, degree)), mesh)


def test_a_remap_refuses_too_many_components() -> None:
    mesh = UnitSquareMesh(2, 2)
    with pytest.raises(ValueError, match=r"source: got 17 components, expected up to 16; carry them one by one"):
        RemapTransfer()(Function(space(mesh, 1, 17)), mesh)


def test_every_number_of_components_is_carried_alike() -> None:
    """Vectors of the processor are filled up: each part comes out as the scalar does."""
    mesh = UnitSquareMesh(6, 5)
    scalar = Function(space(mesh, 1))
    scalar.dat.data_wo[:] = np.random.default_rng(0).random(scalar.dat.data_ro.shape)
    goal = moved(mesh, 2)
    expected = RemapTransfer()(scalar, goal).dat.data_ro
    for parts in (2, 3, 4, 5, 9, 16):
        field = Function(space(mesh, 1, parts))
        factors = np.arange(1.0, parts + 1.0)
        field.dat.data_wo[:] = scalar.dat.data_ro[:, None] * factors
        carried = RemapTransfer()(field, goal).dat.data_ro
        np.testing.assert_allclose(carried, expected[:, None] * factors, rtol=1e-13)


@pytest.mark.parametrize("degree", [0, 1])
def test_still_water_with_an_island_stays_still_over_a_hundred_moves(degree: int) -> None:
    mesh = UnitSquareMesh(20, 20)
    bed = island(mesh, degree)
    problem = ShallowWater(bathymetry=bed)
    state = Function(problem.space()).interpolate(as_vector([max_value(LEVEL - bed, 0.0), 0.0, 0.0]))
    transfer = ShallowWaterTransfer(lambda on: island(on, degree), LEVEL, RemapTransfer())
    volume = assemble(state[0] * dx)
    for seed in range(100):
        state, bed = transfer.carry(state, bed, moved(state.function_space().mesh(), seed))
        depth, surface = state.dat.data_ro[:, 0], state.dat.data_ro[:, 0] + bed.dat.data_ro
        np.testing.assert_allclose(surface[depth > 0.0], LEVEL, rtol=0, atol=1e-11)
        assert (depth >= 0.0).all() and (depth == 0.0).any() and not state.dat.data_ro[:, 1:].any()
    assert assemble(state[0] * dx) == pytest.approx(volume, rel=1e-12)
    # The offset of the bed is that of its last sample: second order in the cell size, and no sum over moves.
    assert 0.0 < abs(transfer.offset) < 2e-3


@pytest.mark.parametrize("degree", [0, 1])
def test_water_that_runs_over_shores_keeps_its_mass_and_no_depth_is_negative(degree: int) -> None:
    mesh = UnitSquareMesh(16, 16)
    bed = island(mesh, degree)
    x = SpatialCoordinate(mesh)
    problem = ShallowWater(bathymetry=bed)
    wave = 0.3 * sin(7 * x[0]) * cos(5 * x[1])
    state = Function(problem.space()).interpolate(as_vector([max_value(LEVEL - 0.3 + wave - bed, 0.0), 0.1, -0.2]))
    stepper = ShallowWaterStepper(problem, state)
    volume = stepper.mass()
    for _ in range(3):
        stepper.step(0.0, 1.0)
    transfer = ShallowWaterTransfer(lambda on: island(on, degree), LEVEL, RemapTransfer())
    for seed in range(30):
        state, bed = transfer.carry(state, bed, moved(state.function_space().mesh(), seed))
        assert np.isfinite(state.dat.data_ro).all() and (state.dat.data_ro[:, 0] >= 0.0).all()
        assert assemble(state[0] * dx) == pytest.approx(volume, rel=1e-12)


def test_what_lacked_water_does_not_flow_whatever_rounding_leaves_there() -> None:
    """Cells that lack are filled to zero or to rounding above it, which must not decide whether the discharge stays."""
    mesh = UnitSquareMesh(8, 8)
    nodal = Function(space(mesh, 1))
    nodes = nodal.cell_node_map().values
    rng = np.random.default_rng(0)
    for _ in range(20):
        means = np.where(rng.random(len(nodes)) < 0.2, -1e-3, 1e-3) * rng.uniform(0.5, 1.0, len(nodes))
        values = np.ones((nodes.size, 3))
        values[nodes, 0] = means[:, None] * rng.uniform(0.8, 1.2, nodes.shape)
        lacking = nodes[values[nodes, 0].sum(axis=1) < 0.0]
        volumes = _Volumes(mesh, nodal)
        filled = volumes.without_holes(values)
        assert len(lacking) > 10 and not filled[lacking, 1:].any() and (filled[:, 0] >= 0.0).all()
        assert volumes.integral(filled[:, 0]) == pytest.approx(volumes.integral(values[:, 0]), rel=1e-12)


def test_shallow_water_refuses_a_transfer_that_loses_mass() -> None:
    with pytest.raises(ValueError, match="transfer: got InterpolationTransfer, expected a conservative one"):
        ShallowWaterTransfer(lambda on: island(on, 1), LEVEL, InterpolationTransfer())
