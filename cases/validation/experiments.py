"""Shallow-water runs with a known answer: each returns what it found, for tests and validation alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from firedrake import (
    Constant,
    Function,
    FunctionSpace,
    RectangleMesh,
    SpatialCoordinate,
    VectorFunctionSpace,
    as_vector,
    assemble,
    conditional,
    cos,
    diff,
    dx,
    exp,
    interpolate,
    max_value,
    pi,
    sin,
    sqrt,
    variable,
)

from fem.analytic.dam_break import ritter, stoker
from fem.analytic.thacker import ParaboloidBasin
from fem.bathymetry import bathymetry
from fem.boundary import Open
from fem.gauges import GaugeStencil
from fem.problems.shallow_water import ShallowWater, divergence_of_flux
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import StepStatus

# Exact solutions are compared on polynomials of this degree, well above that of the method.
COMPARISON_DEGREE = 3


@dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Attributes
    ----------
    error
        Error of the depth in the norm the experiment names [m or m^3].
    mass_drift
        |mass(t) - mass(0) - inflow| / mass(0).
    least_depth
        Smallest nodal depth at the end [m].
    probe
        Depth [m] and discharge [m^2/s] at a point of interest, if the experiment has one.
    """

    error: float
    mass_drift: float
    least_depth: float
    probe: tuple[float, float] | None = None


def advance(stepper: ShallowWaterStepper, t_end: float) -> None:
    """Step from 0 to t_end [s]; raise RuntimeError if a step fails."""
    t = 0.0
    while t < t_end:
        result = stepper.step(t, t_end - t)
        if result.status is StepStatus.FAILED:
            raise RuntimeError(f"no valid step at t = {t} s")
        t = t_end if result.dt == t_end - t else t + result.dt
    stepper.settle()


def sample(mesh, values: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Function:
    """Return a numpy function of (x, y) as a discontinuous polynomial of the comparison degree."""
    nodes = VectorFunctionSpace(mesh, "DG", COMPARISON_DEGREE)
    points = assemble(interpolate(SpatialCoordinate(mesh), nodes)).dat.data_ro
    sampled = Function(FunctionSpace(mesh, "DG", COMPARISON_DEGREE))
    sampled.dat.data_wo[:] = values(points[:, 0], points[:, 1])
    return sampled


def fitted_rate(sizes: list[float], errors: list[float]) -> float:
    """Return the least-squares slope of log(error) over log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def _finish(stepper: ShallowWaterStepper, mass: float, error: float, probe=None) -> Outcome:
    drift = abs(stepper.mass() - mass - stepper.inflow) / mass
    return Outcome(float(error), drift, float(stepper.state.dat.data_ro[:, 0].min()), probe)


def dam_break(cells: int, *, wet: bool, degree: int = 1, t_end: float = 2.0) -> Outcome:
    """Stoker's (wet bed) or Ritter's (dry bed) dam break along x in 0..100 m; L1 error of the depth per width [m^2].

    Depth 10 m left of x = 50 m, and 1 m or none right of it, g = 9.81 m/s^2. The probe stands at x = 61 m, in
    the middle of Stoker's constant state at 2 s.
    """
    length, dam, depth, low = 100.0, 50.0, 10.0, 1.0 if wet else 0.0
    width = length / cells
    mesh = RectangleMesh(cells, 1, length, width, diagonal="crossed")
    problem = ShallowWater(bathymetry=bathymetry(mesh, 0.0, degree=degree), dry_depth=1e-6)
    state = Function(problem.space())
    state.interpolate(as_vector([_step(mesh, dam, depth, low), 0, 0]))
    stepper = ShallowWaterStepper(problem, state)
    mass = stepper.mass()
    advance(stepper, t_end)

    def exact(x, y):
        if wet:
            return stoker(x, t_end, left_depth=depth, right_depth=low, dam_position=dam, gravity=9.81)[0]
        return ritter(x, t_end, depth=depth, dam_position=dam, gravity=9.81)[0]

    error = assemble(abs(state[0] - sample(mesh, exact)) * dx(degree=2 * COMPARISON_DEGREE)) / width
    h, hu, _ = GaugeStencil(mesh, np.array([[61.0, 0.5 * width]])).evaluate(state)[0]
    return _finish(stepper, mass, error, (float(h), float(hu)))


def _step(mesh, dam: float, left: float, right: float) -> Function:
    """Return a step that is constant in each cell, as the dam stands on cell boundaries."""
    constant = Function(FunctionSpace(mesh, "DG", 0))
    constant.interpolate(conditional(SpatialCoordinate(mesh)[0] < dam, left, right))
    return constant


def basin(exact: ParaboloidBasin, cells: int, *, degree: int = 1, periods: float = 1.0) -> Outcome:
    """Thacker's oscillation in a paraboloid on (0, 4 m)^2; L1 error of the depth after some periods [m^3]."""
    mesh = RectangleMesh(cells, cells, 4.0, 4.0, diagonal="crossed")
    bed_values = sample(mesh, exact.bathymetry)
    bed = bathymetry(mesh, bed_values, degree=degree)
    problem = ShallowWater(bathymetry=bed, dry_depth=1e-5)
    state = Function(problem.space())
    nodes = VectorFunctionSpace(mesh, "DG", degree, variant="equispaced")
    x, y = assemble(interpolate(SpatialCoordinate(mesh), nodes)).dat.data_ro.T
    depth, (u, v) = exact.depth(x, y, 0.0), exact.velocity(x, y, 0.0)
    state.dat.data_wo[:] = np.column_stack([depth, depth * u, depth * v])
    stepper = ShallowWaterStepper(problem, state)
    mass, t_end = stepper.mass(), periods * exact.period
    advance(stepper, t_end)
    reference = sample(mesh, lambda x, y: exact.depth(x, y, t_end))
    error = assemble(abs(state[0] - reference) * dx(degree=2 * COMPARISON_DEGREE))
    return _finish(stepper, mass, error)


def manufactured(cells: int, *, degree: int = 1, scheme: str = "ssp-rk2-3", t_end: float = 0.1) -> Outcome:
    """Smooth manufactured solution on the unit square with walls; L2 error of (h, hu, hv)."""
    mesh = RectangleMesh(cells, cells, 1.0, 1.0, diagonal="crossed")
    x, y = SpatialCoordinate(mesh)
    gravity = 9.81
    bed = 0.1 * cos(2 * pi * x) * cos(pi * y) - 1.0

    def fields(t):
        h = 1.0 + 0.1 * cos(pi * x) * cos(2 * pi * y) * cos(2 * t) - (bed + 1.0)
        velocity = (
            0.5 * cos(3 * t) * as_vector([sin(pi * x) ** 2 * sin(2 * pi * y), -(sin(pi * y) ** 2) * sin(2 * pi * x)])
        )
        return h, velocity

    def source(time):
        t = variable(time)
        h, velocity = fields(t)
        change = as_vector([diff(h, t), *(diff(h * velocity[i], t) for i in range(2))])
        return change + divergence_of_flux(h, velocity, bed, gravity)

    problem = ShallowWater(bathymetry=bathymetry(mesh, bed, degree=degree), gravity=gravity, source=source)
    state = Function(problem.space())

    def exact(t):
        h, velocity = fields(Constant(t))
        return as_vector([h, h * velocity[0], h * velocity[1]])

    state.project(exact(0.0), form_compiler_parameters={"quadrature_degree": 8})
    stepper = ShallowWaterStepper(problem, state, tableau=scheme)
    mass = stepper.mass()
    advance(stepper, t_end)
    difference = state - exact(t_end)
    error = sqrt(assemble(sum(difference[i] ** 2 for i in range(3)) * dx(degree=8)))
    return _finish(stepper, mass, error)


@dataclass(frozen=True)
class StillWater:
    """What is left of a lake at rest: greatest speed [m/s], greatest error of the surface [m], mass drift."""

    speed: float
    elevation: float
    mass_drift: float


def distorted_square(cells: int, *, seed: int = 0):
    """Return a unit square whose inner vertices are shifted at random by up to 15 % of a cell; in serial only."""
    mesh = RectangleMesh(cells, cells, 1.0, 1.0, diagonal="crossed")
    points = mesh.coordinates.dat.data
    inside = (np.minimum(points, 1.0 - points) > 1e-9).all(axis=1)
    shift = np.random.default_rng(seed).uniform(-0.15, 0.15, points.shape) / (2 * cells)
    points[inside] += shift[inside]
    return mesh


def lake_at_rest(mesh, *, degree: int = 1, t_end: float = 1.0, open_boundary: bool = True) -> StillWater:
    """Still water at level 0 around a bump that emerges from it, on any mesh of the unit square."""
    x, y = SpatialCoordinate(mesh)
    bed = bathymetry(mesh, -0.3 + 0.5 * exp(-20 * ((x - 0.53) ** 2 + (y - 0.47) ** 2)), degree=degree)
    conditions = {1: Open()} if open_boundary else {}
    problem = ShallowWater(bathymetry=bed, boundaries=conditions, manning=0.02)
    state = Function(problem.space())
    state.interpolate(as_vector([max_value(-bed, 0), 0, 0]))
    wet = state.dat.data_ro[:, 0] > 0
    stepper = ShallowWaterStepper(problem, state)
    mass = stepper.mass()
    advance(stepper, t_end)
    data, bed_values = state.dat.data_ro, bed.dat.data_ro
    speed = np.hypot(data[:, 1], data[:, 2]) / np.maximum(data[:, 0], problem.dry_depth)
    elevation = np.where(wet, data[:, 0] + bed_values, data[:, 0])
    drift = abs(stepper.mass() - mass - stepper.inflow) / mass
    return StillWater(float(speed.max()), float(abs(elevation).max()), drift)
