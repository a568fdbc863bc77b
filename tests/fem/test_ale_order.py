"""Order of accuracy on meshes that move while the solution is advanced, next to that on fixed ones."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Constant,
    Function,
    FunctionSpace,
    Mesh,
    RectangleMesh,
    SpatialCoordinate,
    VectorFunctionSpace,
    assemble,
    exp,
    interpolate,
    norm,
    pi,
)

from cases.validation import experiments
from cases.validation.experiments import fitted_rate
from fem.analytic.thacker import AxisymmetricOscillation, PlanarOscillation
from fem.bathymetry import bathymetry
from fem.problems.advection import Advection
from fem.scalar_stepper import ScalarStepper
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import StepStatus


class Oscillation:
    """Waves in the mesh of a rectangle while a run is advanced; stands in for ``experiments.advance``."""

    def __init__(self, bed, level: float, *, size: float, extent: float, period: float, ahead: int = 2):
        self.bed, self.level = bed, level
        self.size, self.extent, self.period, self.ahead = size, extent, period, ahead
        self.motions = self.steps = 0
        self.least_depth = np.inf

    def target(self, mesh, first: np.ndarray, t: float) -> Function:
        where, target = np.pi * first / self.extent, Function(mesh.coordinates.function_space())
        wave = self.size * np.sin(2 * np.pi * t / self.period)
        target.dat.data_wo[:] = first + wave * np.sin(where) * np.cos(2 * where[:, ::-1])
        return target

    def __call__(self, stepper, t_end: float) -> None:
        mesh, t = stepper.problem.mesh, 0.0
        first = mesh.coordinates.dat.data_ro.copy()
        while t < t_end:
            if not stepper.is_moving:
                target = self.target(mesh, first, t + self.ahead * stepper.allowed_step)
                stepper.begin_motion(target, *self.given(Mesh(target), stepper.problem))
                self.motions += 1
            result = stepper.step(t, t_end - t)
            assert result.status is StepStatus.DONE
            self.steps += 1
            t = t_end if result.dt == t_end - t else t + result.dt
            self.least_depth = min(self.least_depth, stepper.state.dat.data_ro.reshape(-1)[::3].min())
        if isinstance(stepper, ShallowWaterStepper):
            stepper.settle()

    def given(self, mesh, problem):
        if self.bed is None:
            return ()
        bed = bathymetry(mesh, 0.0, degree=problem.degree)
        nodes = VectorFunctionSpace(mesh, bed.function_space().ufl_element())
        x, y = assemble(interpolate(SpatialCoordinate(mesh), nodes)).dat.data_ro.T
        bed.dat.data_wo[:] = self.bed(x, y)
        return bed, self.level


@pytest.mark.parametrize(("degree", "rate"), [(1, 1.9), (0, 0.9)])
def test_smooth_water_converges_on_an_oscillating_mesh_as_on_a_fixed_one(degree, rate, monkeypatch) -> None:
    """The mesh moves as fast as the waves do, over a bed that is neither flat nor linear."""
    cells = (8, 16, 32)
    fixed = [experiments.manufactured(n, degree=degree) for n in cells]

    def bed(x, y):
        return 0.1 * np.cos(2 * np.pi * x) * np.cos(np.pi * y) - 1.0

    motion = Oscillation(bed, 0.0, size=0.03, extent=1.0, period=0.06)
    monkeypatch.setattr(experiments, "advance", motion)
    moving = [experiments.manufactured(n, degree=degree) for n in cells]
    rates = [fitted_rate([1 / n for n in cells], [f.error for f in found]) for found in (fixed, moving)]
    print(f"P{degree}: fixed {[f.error for f in fixed]}, rate {rates[0]:.3f}")
    print(f"P{degree}: moving {[f.error for f in moving]}, rate {rates[1]:.3f}, {motion.motions} motions")
    assert rates[1] > rate
    assert motion.motions > 20


def hump_error(cells: int, degree: int, moving: bool) -> tuple[float, int]:
    """Turn a hump by a quarter in a rigid rotation; return its L2 error and how many motions there were."""
    mesh = RectangleMesh(cells, cells, 1.0, 1.0, diagonal="crossed")
    turn = 0.5 * pi

    def potential(x, t):
        return -0.5 * turn * ((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2)

    def hump(x, centre):
        return exp(-50 * ((x[0] - centre[0]) ** 2 + (x[1] - centre[1]) ** 2))

    problem = Advection(mesh=mesh, degree=degree, potential=potential, boundary=lambda x, t: Constant(0.0))
    x = SpatialCoordinate(mesh)
    state = Function(problem.space()).interpolate(hump(x, (0.7, 0.5)))
    stepper = ScalarStepper(problem, state)
    motion = Oscillation(None, 0.0, size=0.03, extent=1.0, period=0.25)
    if moving:
        motion(stepper, 1.0)
    else:
        on_a_fixed_mesh(stepper, 1.0)
    exact = Function(FunctionSpace(mesh, "DG", 3)).interpolate(hump(x, (0.5, 0.7)))
    difference = Function(FunctionSpace(mesh, "DG", 3)).interpolate(state)
    difference.dat.data[:] -= exact.dat.data_ro
    return float(norm(difference)), motion.motions


def on_a_fixed_mesh(stepper, t_end: float) -> None:
    """Step to an end on a fixed mesh."""
    t = 0.0
    while t < t_end:
        result = stepper.step(t, t_end - t)
        t = t_end if result.dt == t_end - t else t + result.dt


def test_a_turning_hump_converges_on_an_oscillating_mesh_as_on_a_fixed_one() -> None:
    cells = (8, 16, 32)
    errors = {moving: [hump_error(n, 1, moving) for n in cells] for moving in (False, True)}
    rates = {m: fitted_rate([1 / n for n in cells], [e for e, _ in found]) for m, found in errors.items()}
    print(f"fixed {errors[False]}, rate {rates[False]:.3f}; moving {errors[True]}, rate {rates[True]:.3f}")
    assert rates[True] > 1.9
    assert errors[True][-1][1] > 20


@pytest.mark.parametrize("exact", [PlanarOscillation(), AxisymmetricOscillation()], ids=lambda e: type(e).__name__)
def test_a_moving_shore_converges_on_an_oscillating_mesh(exact, monkeypatch) -> None:
    cells = (12, 24)
    motion = Oscillation(exact.bathymetry, 0.0, size=0.1, extent=4.0, period=0.3 * exact.period, ahead=6)
    fixed = [experiments.basin(exact, n, periods=0.5) for n in cells]
    monkeypatch.setattr(experiments, "advance", motion)
    found = [experiments.basin(exact, n, periods=0.5) for n in cells]
    rate = fitted_rate([1 / n for n in cells], [f.error for f in found])
    print(f"fixed {[f.error for f in fixed]}; moving {[f.error for f in found]}, rate {rate:.3f}")
    assert rate > 1.0
    assert max(f.mass_drift for f in found) <= 1e-12
    assert motion.least_depth >= 0.0 and min(f.least_depth for f in found) == 0.0
