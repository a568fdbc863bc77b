"""Steps on moving meshes: the way to the target, steps that fail on it, and motions that are refused."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from ale_motions import LEVEL, first_places, island, limited, somewhere, swirl
from firedrake import (
    Function,
    Mesh,
    SpatialCoordinate,
    UnitSquareMesh,
    conditional,
)

from fem.problems.shallow_water import ShallowWater
from fem.scalar_stepper import ScalarStepper
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import StepStatus


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
