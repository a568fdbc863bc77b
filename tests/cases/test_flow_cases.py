"""Cases of steady flow: adjoint flows against differences and pyadjoint, monitors, and published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Constant,
    Function,
    SpatialCoordinate,
    TestFunction,
    UnitSquareMesh,
    VectorFunctionSpace,
    action,
    as_vector,
    assemble,
    cos,
    dx,
    inner,
    replace,
    sin,
    split,
)

from cases.flow.backward_step import BackwardStepCase, BackwardStepOptions, longest
from cases.flow.cylinder import DRAG, LIFT, CylinderCase, CylinderOptions
from cases.flow.lid_cavity import LATER, LidCavityCase, LidCavityOptions, middle_lines
from cases.flow.steady_flow import restrained_monitor, still
from cases.options import build_options
from fem.error_estimate import Estimate, wanted_density
from fem.flow_adjoint import adjoint_flow
from fem.goal import adjoint_state
from fem.navier_stokes_forces import BoundaryForce
from fem.problems.navier_stokes import NavierStokes, SteadyFlow
from meshing.generation import channel_with_cylinder


def channel(strength: Constant, **given) -> SteadyFlow:
    """Flow around a cylinder with a force of a strength on the fluid."""
    mesh = channel_with_cylinder(size=0.15, cylinder_size=0.04)
    return SteadyFlow(
        NavierStokes(
            mesh=mesh,
            viscosity=5e-3,
            velocity={1: lambda x, t: (x[1] * (0.41 - x[1]) * 7.0, 0.0)} | dict.fromkeys((3, 4, 5), still),
            force=lambda x, t: tuple(strength * part for part in push(x)),
            **given,
        )
    )


def push(x):
    return sin(9 * x[1]) * cos(2 * x[0]), cos(8 * x[0]) + x[1]


@pytest.mark.parametrize("number", ["drag", "lift", "energy"])
def test_adjoint_flows_feel_forces_as_differences_do(number):
    """d F / d epsilon = (f, z) under the force epsilon f; by the fourth-order difference of four other flows."""
    strength, step = Constant(0.0), 1e-2
    flow = channel(strength)
    force, velocity = BoundaryForce(flow.problem, flow.state, flow.residual, 5), split(flow.state)[0]
    energy = 0.5 * inner(velocity, velocity) * dx

    def value() -> float:
        flow.solve()
        return float(assemble(energy)) if number == "energy" else float(force.volume()[int(number == "lift")])

    found = []
    for share in (-2, -1, 1, 2):
        strength.assign(share * step)
        found.append(value())
    difference = np.dot([1, -8, 8, -1], found) / (12 * step)
    strength.assign(0.0)
    flow.solve()
    direction = {"drag": {5: (1.0, 0.0)}, "lift": {5: (0.0, 1.0)}, "energy": {}}[number]
    adjoint = adjoint_flow(flow, goal=energy if number == "energy" else None, velocity=direction)
    f = as_vector(push(SpatialCoordinate(flow.problem.mesh)))
    felt = float(assemble(inner(f, split(adjoint)[0]) * dx(degree=8)))
    print(f"{number}: by differences {difference:.10f}, by the adjoint {felt:.10f}")
    assert felt == pytest.approx(difference, rel=1e-5)


def test_the_adjoint_of_a_force_is_that_of_pyadjoint_and_the_velocity_of_the_boundary():
    """By volume F = -R(w; phi), the adjoint of which is 0 on the cylinder: z = phi + it."""
    flow = channel(Constant(0.5))
    force = BoundaryForce(flow.problem, flow.state, flow.residual, 5)
    phi = force._fields[1]

    def solve():
        flow._solver.solve()
        return flow.state

    _, other, value = adjoint_state(solve, lambda w: assemble(-action(replace(flow.residual, {flow.state: w}), phi)))
    z = adjoint_flow(flow, velocity={5: (0.0, 1.0)})
    assert value == pytest.approx(force.volume()[1], rel=1e-9)
    for mine, its, shape in zip(z.dat, other.dat, phi.dat, strict=True):
        np.testing.assert_allclose(mine.data_ro, its.data_ro + shape.data_ro, atol=1e-7 * np.abs(mine.data_ro).max())


def test_adjoints_only_of_forces_where_the_velocity_is_given():
    flow = channel(Constant(0.0))
    with pytest.raises(ValueError) as caught:
        adjoint_flow(flow, velocity={2: (1.0, 0.0)})
    assert str(caught.value) == "marker: got 2, expected one of [1, 3, 4, 5], where u is given"


def test_a_mesh_of_the_wanted_density_is_left_alone():
    """Of equal errors in cells of all sizes, the density is that of the cells, and the monitor function 1."""
    mesh = channel_with_cylinder(size=0.1, cylinder_size=0.02)
    space = VectorFunctionSpace(mesh, "DG", 0).sub(0).collapse()
    even = Function(space).assign(0.7)
    density = wanted_density(Estimate(even, 1.0, even), 3, floor=0.0)
    volumes = assemble(TestFunction(space) * dx).dat.data_ro
    assert np.ptp(density.dat.data_ro * volumes) < 1e-12 < np.ptp(density.dat.data_ro)
    monitor = restrained_monitor(density, restraint=0.5, smoothing=3.0, max_size_ratio=20.0)
    np.testing.assert_allclose(monitor(mesh).dat.data_ro, 1.0, rtol=1e-9)


def test_the_cylinder_has_its_drag_and_lift_also_on_a_coarse_mesh():
    """Drag and lift by volume on curved cells of degree 4, of Nabh's values: 10,000 unknowns, 0.1 % and 0.5 %."""
    case, options = CylinderCase(), CylinderOptions(resolution=0.1, cylinder_resolution=0.0131)
    solution = case.solve(options, case.mesh(options), None)
    drag, lift = (solution.quantities[name].value for name in ("drag", "lift"))
    print(f"{solution.state.function_space().dim()} unknowns: drag {drag:.8f}, lift {lift:.8f}")
    assert drag == pytest.approx(DRAG, rel=1e-3) and lift == pytest.approx(LIFT, rel=5e-3)
    assert solution.error == max(abs(drag / DRAG - 1.0), abs(lift / LIFT - 1.0))
    # An estimate that products of recovered errors bound: of the sum of both errors.
    assert abs(drag - DRAG) + abs(lift - LIFT) < solution.estimate < 0.01


def test_middle_lines_are_exact_where_the_flow_is_a_polynomial():
    mesh = UnitSquareMesh(5, 4)
    x, y = SpatialCoordinate(mesh)
    velocity = Function(VectorFunctionSpace(mesh, "CG", 2)).interpolate(as_vector([x * y - y**2, x**2 + 3 * y]))
    places = np.linspace(0.01, 0.99, 23)
    u, v = middle_lines(velocity, places)
    np.testing.assert_allclose(u, 0.5 * places - places**2, atol=1e-13)
    np.testing.assert_allclose(v, places**2 + 1.5, atol=1e-13)


@pytest.mark.parametrize("pair", ["taylor-hood", "scott-vogelius"])
def test_the_cavity_has_its_velocities(pair):
    """At Reynolds number 100, of Marchi, Suero and Araki's values; Ghia's are beside them."""
    case, options = LidCavityCase(), LidCavityOptions(reynolds=100.0, resolution=10, pair=pair)
    found = case.solve(options, case.mesh(options), None).quantities
    for name, value in zip(("least u", "greatest v", "least v"), LATER[100], strict=True):
        assert found[name].value == pytest.approx(value, rel=0.02)
        assert found[f"{name} (1982)"].value == found[name].value


def test_the_step_has_its_reattachment():
    """Of Gartling's 6.10, on a coarse mesh."""
    case, options = BackwardStepCase(), BackwardStepOptions(resolution=0.28)
    found = case.solve(options, case.mesh(options), None).quantities
    assert found["reattachment below"].value == pytest.approx(6.10, rel=0.05)


def test_the_longest_part_between_two_turns_is_taken():
    assert longest([1.0, 1.2, 4.8, 10.5, 10.6]) == (4.8, 10.5)
    assert np.isnan(longest([3.0])).all()


def test_degrees_that_a_pair_has_not():
    with pytest.raises(ValueError) as caught:
        build_options(CylinderOptions, {"pair": "scott-vogelius"})
    assert "degree: got 4 for scott-vogelius, expected 2, that of the velocity" in str(caught.value)


def test_options_of_the_step_have_bounds():
    with pytest.raises(ValueError) as caught:
        build_options(BackwardStepOptions, {"resolution": 3.0})
    assert str(caught.value).startswith("option resolution: got 3.0, expected less than or equal to 0.3")
    assert BackwardStepCase.smallest["resolution"] <= 0.3
