"""Goals and adjoints: dualities, derivatives by differences, estimates beside true errors, meshes moved for a goal.

As a script, ``test_goal.py FILE``, it solves on the ranks there are and writes what it found.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    LinearVariationalProblem,
    LinearVariationalSolver,
    NonlinearVariationalProblem,
    NonlinearVariationalSolver,
    RectangleMesh,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    assemble,
    dx,
    exp,
    grad,
    inner,
    pi,
    sin,
    solve,
    split,
)
from firedrake.adjoint import (
    Tape,
    annotate_tape,
    continue_annotation,
    get_working_tape,
    pause_annotation,
    set_working_tape,
)

from cases.validation.experiments import distorted_square
from fem.curved_mesh import CurvedMesh
from fem.error_estimate import Estimate, recover, recovery_estimate, wanted_density
from fem.goal import adjoint_state, goal_estimate, point_value
from fem.problems.boussinesq import HeatedCavity
from fem.problems.elasticity import stress_estimate
from fem.problems.plate_with_hole import HOLE, PlateWithHole
from meshing.mmpde import MMPDE
from meshing.monitor import FieldMonitor
from meshing.shaping import Shaping

PLATE = PlateWithHole()


class Heat:
    """Diffusion and a wind on a distorted square, warm inside, 0 on three sides."""

    def __init__(self, mesh=None):
        mesh = mesh or distorted_square(6)
        self.mesh, self.space = mesh, FunctionSpace(mesh, "CG", 1)
        x, y = SpatialCoordinate(mesh)
        self.load, self.u, self.v = x * exp(y), Function(self.space), TestFunction(self.space)
        self.conditions = [DirichletBC(self.space, 0.0, (1, 2, 3))]

    def residual(self, u):
        # Not symmetric.
        return inner(grad(u), grad(self.v)) * dx + 3.0 * u.dx(0) * self.v * dx - self.load * self.v * dx

    def by_solve(self):
        trial = TrialFunction(self.space)
        form = inner(grad(trial), grad(self.v)) * dx + 3.0 * trial.dx(0) * self.v * dx
        solve(form == self.load * self.v * dx, self.u, bcs=self.conditions)
        return self.u

    def by_linear_solver(self):
        trial = TrialFunction(self.space)
        form = inner(grad(trial), grad(self.v)) * dx + 3.0 * trial.dx(0) * self.v * dx
        problem = LinearVariationalProblem(form, self.load * self.v * dx, self.u, bcs=self.conditions)
        LinearVariationalSolver(problem).solve()
        return self.u

    def by_nonlinear_solver(self):
        problem = NonlinearVariationalProblem(self.residual(self.u), self.u, bcs=self.conditions)
        NonlinearVariationalSolver(problem).solve()
        return self.u

    def mean(self, u):
        x, y = SpatialCoordinate(self.mesh)
        return assemble(sin(3.0 * x * y) * u * dx)

    def slope_somewhere(self, u):
        """Give a recovered gradient in a point: a goal that takes a solve and an interpolation."""
        return point_value(recover(self.mesh, grad(u), 1)[0], self.mesh, (0.31, 0.47))


# -- adjoint states ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["by_solve", "by_linear_solver", "by_nonlinear_solver"])
def test_the_goal_is_the_load_on_the_adjoint(way):
    """J(u) = a(u, z) = l(z) for a linear goal, whatever solver has found u."""
    heat = Heat()
    u, z, value = adjoint_state(getattr(heat, way), heat.mean)
    assert u is heat.u and z.function_space() == heat.space
    assert value == pytest.approx(float(assemble(heat.load * z * dx)), rel=1e-11)
    assert value == pytest.approx(float(heat.mean(u)), rel=1e-14) and abs(value) > 1e-3
    assert (z.dat.data_ro[heat.conditions[0].nodes] == 0.0).all() and np.abs(z.dat.data_ro).max() > 0.01


def test_a_goal_in_steps():
    heat = Heat()
    _, z, value = adjoint_state(heat.by_solve, heat.slope_somewhere)
    assert value == pytest.approx(float(assemble(heat.load * z * dx)), rel=1e-9) and abs(value) > 1e-3


def test_newton_with_continuation_against_differences():
    """For a load times s, dJ/ds = l(z): conductivity and goal are not linear in u, and s is raised in steps."""
    heat, share = Heat(), Constant(0.0)
    form = (1.0 + heat.u**2) * inner(grad(heat.u), grad(heat.v)) * dx - share * heat.load * heat.v * dx
    solver = NonlinearVariationalSolver(NonlinearVariationalProblem(form, heat.u, bcs=heat.conditions))

    def raise_to(last):
        heat.u.assign(0.0)
        for s in (0.3 * last, last):
            share.assign(s)
            solver.solve()
        return heat.u

    def goal(u):
        return assemble(u**2 * dx)

    _, z, _ = adjoint_state(lambda: raise_to(20.0), goal)
    found = float(assemble(heat.load * z * dx))
    step = 1e-3
    above, below = (float(goal(raise_to(20.0 + sign * step))) for sign in (1.0, -1.0))
    assert found == pytest.approx((above - below) / (2.0 * step), rel=1e-6)


def test_convection_against_differences():
    """Three fields, a pressure that is free by a constant: dNu/dRa is the buoyancy on the adjoint velocity."""
    cavity, mesh, rayleigh, step = HeatedCavity(), RectangleMesh(5, 5, 1.0, 1.0), 4000.0, 4.0

    def nusselt(w):
        u, _, temperature = split(w)
        return assemble((u[0] * temperature - temperature.dx(0)) * dx)

    w, z, value = adjoint_state(lambda: cavity.solve(mesh, rayleigh), nusselt)
    assert value == pytest.approx(cavity.nusselt(w), rel=1e-13)
    found = float(assemble(cavity.prandtl * split(w)[2] * split(z)[0][1] * dx))
    above, below = (cavity.nusselt(cavity.solve(mesh, rayleigh + sign * step)) for sign in (1.0, -1.0))
    assert found == pytest.approx((above - below) / (2.0 * step), rel=1e-5)


def test_nothing_is_recorded_elsewhere():
    heat, tape = Heat(), get_working_tape()
    blocks = len(tape.get_blocks())
    adjoint_state(heat.by_solve, heat.mean)
    with pytest.raises(ZeroDivisionError):
        adjoint_state(heat.by_solve, lambda _: 1 / 0)
    assert get_working_tape() is tape and len(tape.get_blocks()) == blocks and not annotate_tape()
    # One that records goes on with it.
    with set_working_tape(Tape()) as own:
        continue_annotation()
        try:
            heat.by_solve()
            before = len(own.get_blocks())
            adjoint_state(heat.by_nonlinear_solver, heat.mean)
            assert annotate_tape() and get_working_tape() is own and len(own.get_blocks()) == before > 0
        finally:
            pause_annotation()


def test_messages():
    heat = Heat()
    with pytest.raises(
        ValueError, match=r"^solve: got a function that no solver has solved for, expected the solution"
    ):
        adjoint_state(lambda: heat.by_solve().copy(deepcopy=True), heat.mean)
    for goal in (lambda u: float(heat.mean(u)), lambda _: assemble(Constant(2.0) * dx(domain=heat.mesh))):
        with pytest.raises(ValueError, match=r"^goal: got \d.*, expected a functional of the solution, assembled by"):
            adjoint_state(heat.by_solve, goal)


# -- estimates --------------------------------------------------------------------------------------------------------


def test_estimate_of_a_goal_by_hand():
    space = FunctionSpace(UnitSquareMesh(1, 1), "DG", 0)
    one, other = Function(space), Function(space)
    one.dat.data[:], other.dat.data[:] = [1.0, 4.0], [9.0, 0.25]
    found = goal_estimate(Estimate(one, 17.0**0.5, one), Estimate(other, 9.0, other))
    np.testing.assert_allclose(found.cells.dat.data_ro, [3.0, 1.0], rtol=1e-15)
    assert found.total**2 == pytest.approx(10.0, rel=1e-14)
    # As many cells as for the goal: wanted_density's exponent of the product, |eta_u eta_z|^(1/2) for p = 1 in 2D.
    density = wanted_density(found, 1, floor=0.0).dat.data_ro
    assert density[0] / density[1] == pytest.approx((9.0 / 1.0) ** 0.5, rel=1e-13)


def test_estimate_goes_to_the_error():
    """Of u = sin sin with its own load as goal z = u: the bound is sharp, and J(u) = pi^2 / 2."""
    effectivities = []
    for cells in (16, 32):
        mesh = UnitSquareMesh(cells, cells)
        space = FunctionSpace(mesh, "CG", 1)
        u, v, (x, y) = Function(space), TestFunction(space), SpatialCoordinate(mesh)
        load = 2.0 * pi**2 * sin(pi * x) * sin(pi * y)

        def find(u=u, v=v, load=load, space=space):
            solve(
                inner(grad(u), grad(v)) * dx - load * v * dx(degree=8) == 0,
                u,
                bcs=DirichletBC(space, 0.0, (1, 2, 3, 4)),
            )
            return u

        _, z, value = adjoint_state(find, lambda u, load=load: assemble(load * u * dx(degree=8)))
        found = goal_estimate(*(recovery_estimate(mesh, grad(one), 1) for one in (u, z)))
        effectivities.append(found.total**2 / (0.5 * pi**2 - value))
    print("effectivities {:.3f}, {:.3f}".format(*effectivities))
    assert abs(effectivities[1] - 1.0) < 0.03
    assert abs(effectivities[1] - 1.0) < 0.6 * abs(effectivities[0] - 1.0)


# -- the plate --------------------------------------------------------------------------------------------------------


def test_peak_stress_of_the_plate():
    """The exact mean by the midpoint rule on a grid of x and y, and what a fine mesh has."""
    plate = PlateWithHole(radius=0.8, tension=1.7, width=2.0)
    radius, n = 0.25 * plate.radius, 1000
    across = (np.arange(n) + 0.5) / n * radius
    x, y = np.meshgrid(across, plate.radius + np.concatenate([-across[::-1], across]))
    weight = np.maximum(0.0, 1.0 - (x**2 + (y - plate.radius) ** 2) / radius**2) ** 2
    weight[np.hypot(x, y) < plate.radius] = 0.0
    expected = np.sum(weight * plate.exact.stress(x, y)[0]) / weight.sum() / plate.tension
    assert plate.exact_peak_stress == pytest.approx(expected, rel=1e-4)
    curved = CurvedMesh(plate.mesh(size=0.4, hole_size=0.05), {HOLE: plate.hole})
    assert float(plate.peak_stress(plate.solve(curved.mesh, 2))) == pytest.approx(expected, rel=5e-4)


def moved_for(goal: bool, degree: int = 2) -> tuple[float, float]:
    """Return the relative error of the peak stress before and after a move for it, or for the energy."""
    mesh, errors = PLATE.mesh(size=0.3), []
    for _ in range(2):
        curved = CurvedMesh(mesh, {HOLE: PLATE.hole})
        u, z, value = adjoint_state(lambda curved=curved: PLATE.solve(curved.mesh, degree), PLATE.peak_stress)
        errors.append(value / PLATE.exact_peak_stress - 1.0)
        estimate = stress_estimate(u, PLATE.material)
        if goal:
            estimate = goal_estimate(estimate, stress_estimate(z, PLATE.material))
        wanted = FieldMonitor(curved.on_straight(wanted_density(estimate, degree)), Shaping(0.5, 20.0))
        mesh.coordinates.assign(MMPDE().move(mesh, wanted).coordinates)
    return abs(errors[0]), abs(errors[1])


def test_a_mesh_moved_for_the_goal_is_better_at_it():
    errors = {name: moved_for(name == "goal") for name in ("energy", "goal")}
    for name, (before, after) in errors.items():
        print(f"moved for the {name}: error of the peak stress {before:.2e}, then {after:.2e}")
    assert errors["goal"][0] == errors["energy"][0]
    assert errors["energy"][1] < 0.5 * errors["energy"][0]
    assert errors["goal"][1] < 0.25 * errors["energy"][1]


@pytest.mark.parallel
def test_two_ranks_find_what_one_finds(mpiexec, tmp_path):
    found = []
    for ranks in (1, 2):
        outcome = mpiexec(ranks, [sys.executable, Path(__file__), tmp_path / f"{ranks}.npy"])
        assert (outcome.code, outcome.err) == (0, "")
        found.append(np.load(tmp_path / f"{ranks}.npy"))
    assert (found[0][0], found[1][0]) == (1, 2)
    np.testing.assert_allclose(found[1][1:], found[0][1:], rtol=1e-9)


def main(out: Path) -> None:
    """Write the number of ranks, a goal, the adjoint's norm, the estimate, and the density's."""
    heat = Heat(UnitSquareMesh(8, 8))
    u, z, value = adjoint_state(heat.by_nonlinear_solver, heat.slope_somewhere)
    estimate = goal_estimate(*(recovery_estimate(heat.mesh, grad(one), 1) for one in (u, z)))
    density = wanted_density(estimate, 1)
    row = [heat.mesh.comm.size, value, assemble(z**2 * dx), estimate.total, assemble(density**2 * dx)]
    if heat.mesh.comm.rank == 0:
        np.save(out, np.array(row, dtype=float))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
