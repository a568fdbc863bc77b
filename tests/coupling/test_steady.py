"""Steady adaptation: each end is reached, the best mesh put back bit for bit, an interruption changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from firedrake import Function, FunctionSpace, Mesh, UnitSquareMesh, grad
from firedrake.exceptions import ConvergenceError
from firedrake.petsc import PETSc

from coupling.steady import Round, SteadyAdaptation
from fem.analytic.features import Gaussian
from fem.error_estimate import recovery_estimate, wanted_density
from fem.problems.elliptic import EllipticSolver, Poisson
from fem.steady import SteadySolution
from meshing.mmpde import MMPDE
from meshing.monge_ampere import MongeAmpere
from meshing.monitor import FieldMonitor
from meshing.mover import Displacement, Mover, MoveStatus
from meshing.shaping import Shaping

NONE = float("nan")


class Stirring(Mover):
    """Turn the inner vertices about the middle by some degrees, the outer ones less; fail when told to."""

    def __init__(self, failure=None, at: int = 0):
        self.failure, self.at, self.moves = failure, at, 0

    def displacement(self, mesh, monitor) -> Displacement:
        self.moves += 1
        function = Function(mesh.coordinates.function_space())
        if self.moves == self.at and self.failure is not None:
            if isinstance(self.failure, Exception):
                raise self.failure
            function.assign(self.failure)
            return Displacement(function)
        x, y = mesh.coordinates.dat.data_ro.T
        share = 0.05 * np.sin(np.pi * x) * np.sin(np.pi * y)
        function.dat.data_wo[:] = share[:, None] * np.stack([0.5 - y, x - 0.5], axis=1)
        return Displacement(function)


class Scripted:
    """Solve with estimates that are given, and note meshes and starts."""

    def __init__(self, mesh, estimates):
        self.mesh, self.estimates = mesh, list(estimates)
        self.places: list[np.ndarray] = []
        self.starts: list[Function | None] = []
        self.solutions: list[SteadySolution] = []

    def __call__(self, start):
        estimate = self.estimates[len(self.places)]
        self.places.append(self.mesh.coordinates.dat.data_ro.copy())
        self.starts.append(start)
        if isinstance(estimate, Exception):
            raise estimate
        u = Function(FunctionSpace(self.mesh, "CG", 1)).assign(float(len(self.places)))
        self.solutions.append(SteadySolution(u, u, lambda mesh: None, estimate))
        return self.solutions[-1]


DIVERGED = ConvergenceError("the solver has diverged")


@pytest.mark.parametrize(
    ("estimates", "options", "reason", "best"),
    [
        ([3.0, 2.0, 0.5, 0.1], {"tolerance": 0.5}, "tolerance", 2),
        ([0.0], {}, "tolerance", 0),
        ([3.0, 2.0, 1.99], {}, "estimate", 2),
        ([3.0, 2.0, 2.5], {}, "estimate", 1),
        ([3.0, 2.0, 1.99, 1.98, 1.97], {"rounds": 4, "least_gain": 0.0}, "rounds", 4),
        ([5.0, 4.0, 3.0], {"rounds": 2}, "rounds", 2),
        ([5.0], {"rounds": 0}, "rounds", 0),
        ([NONE, NONE, NONE, NONE], {"rounds": 3, "tolerance": 9.0}, "rounds", 3),
        ([5.0, 4.0, DIVERGED], {}, "solver", 1),
        ([5.0, 4.0, PETSc.Error(76)], {}, "solver", 1),
        ([NONE, DIVERGED], {}, "solver", 0),
    ],
)
def test_ends(estimates, options, reason, best):
    """Each with the mesh of the least estimate, bit for bit, and its solution last."""
    mesh = UnitSquareMesh(4, 4)
    solve = Scripted(mesh, estimates)
    loop = SteadyAdaptation(mesh, solve, Stirring(), **options)
    given = list(loop.run())
    assert (loop.reason, loop.best[0]) == (reason, best)
    assert len(solve.places) == len(estimates) - (reason == "tolerance" and len(estimates) > 1)
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, solve.places[best])
    assert given[-1] is solve.solutions[best]
    # Those before the last come as they were found.
    assert all(one is other for one, other in zip(given[:-1], solve.solutions, strict=False))
    known = [one for one in estimates[: len(solve.places)] if not isinstance(one, Exception)]
    np.testing.assert_array_equal([done.estimate for done in loop.rounds_done], known)
    for one, other in zip(solve.places, solve.places[1:], strict=False):
        assert np.abs(one - other).max() > 1e-3


def test_a_fixed_mesh_is_solved_on_once():
    mesh = UnitSquareMesh(4, 4)
    before, solve = mesh.coordinates.dat.data_ro.copy(), Scripted(mesh, [3.0])
    loop = SteadyAdaptation(mesh, solve, None, rounds=5)
    assert list(loop.run()) == solve.solutions
    assert (loop.reason, len(loop.rounds_done), loop.best[0], solve.starts) == ("rounds", 1, 0, [None])
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, before)


@pytest.mark.filterwarnings("ignore:mover. :RuntimeWarning")
@pytest.mark.parametrize("failure", [NONE, DIVERGED, RuntimeError("in PETSc"), np.linalg.LinAlgError("singular")])
def test_a_mover_that_fails(failure):
    """The mesh before it is the last; nothing is raised."""
    mesh = UnitSquareMesh(4, 4)
    solve = Scripted(mesh, [5.0, 4.0, 3.0])
    loop = SteadyAdaptation(mesh, solve, Stirring(failure, at=2))
    given = list(loop.run())
    assert (loop.reason, len(loop.rounds_done), loop.best[0]) == ("mover", 2, 1)
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, solve.places[1])
    assert given[-1] is solve.solutions[1]


def test_bad_input_of_a_mover_goes_on():
    mesh = UnitSquareMesh(4, 4)
    loop = SteadyAdaptation(mesh, Scripted(mesh, [5.0]), Stirring(ValueError("a mesh of squares"), at=1))
    with pytest.raises(ValueError, match="a mesh of squares"):
        list(loop.run())


@pytest.mark.parametrize("error", [ZeroDivisionError("x / 0"), NotImplementedError("later"), RuntimeError("no")])
def test_errors_of_the_code_that_solves_go_on_in_any_round(error):
    mesh = UnitSquareMesh(4, 4)
    loop = SteadyAdaptation(mesh, Scripted(mesh, [5.0, 4.0, error]), Stirring())
    with pytest.raises(type(error), match=str(error)):
        list(loop.run())


def test_the_first_solve_has_to_succeed():
    mesh = UnitSquareMesh(4, 4)
    loop = SteadyAdaptation(mesh, Scripted(mesh, [DIVERGED]), Stirring())
    with pytest.raises(ConvergenceError):
        list(loop.run())
    assert loop.best is None and loop.rounds_done == []


def test_a_solve_begins_with_the_state_before_the_move():
    mesh = UnitSquareMesh(4, 4)
    solve = Scripted(mesh, [5.0, 4.0, 3.0])
    list(SteadyAdaptation(mesh, solve, Stirring(), rounds=2).run())
    assert solve.starts[0] is None
    assert all(one is other.state for one, other in zip(solve.starts[1:], solve.solutions, strict=False))


def test_what_is_noted_of_a_round():
    mesh = UnitSquareMesh(4, 4)
    solve = Scripted(mesh, [5.0, 4.0])
    loop = SteadyAdaptation(mesh, solve, Stirring(), rounds=1)
    list(loop.run())
    first, second = loop.rounds_done
    assert (first.unknowns, first.min_jacobian_ratio, first.status, first.mover_s) == (25, 1.0, None, 0.0)
    assert np.isnan(first.error)
    assert second.status is MoveStatus.DONE and 0.0 < second.min_jacobian_ratio < 1.0
    assert min(first.solver_s, second.solver_s, second.mover_s) > 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": -1}, "rounds: got -1, expected 0 moves or more"),
        ({"tolerance": -1.0}, "tolerance: got -1.0, expected 0 (none) or more"),
        ({"tolerance": NONE}, "tolerance: got nan, expected 0 (none) or more"),
    ],
)
def test_messages(options, message):
    mesh = UnitSquareMesh(1, 1)
    with pytest.raises(ValueError) as caught:
        SteadyAdaptation(mesh, Scripted(mesh, [1.0]), None, **options)
    assert str(caught.value) == message


# -- with a problem ---------------------------------------------------------------------------------------------

BUMP = Gaussian(amplitude=1.0, centre=np.array([0.3, 0.6]), frame=np.array([[12.0, 0.0], [2.0, 9.0]]))


def poisson(mesh, *, blind: bool):
    """Return what solves a problem on a mesh, with an estimate or without."""

    def solve(start):
        solver = EllipticSolver(Poisson(exact=BUMP), mesh)
        u = solver.solve()
        estimate = recovery_estimate(mesh, grad(u), 1)
        monitor = FieldMonitor(wanted_density(estimate, 1), Shaping(smoothing=0.5))
        return SteadySolution(u, u, monitor, NONE if blind else estimate.total, solver.errors(u).h1)

    return solve


def numbers(loop: SteadyAdaptation) -> list[Round]:
    """Return the rounds without times."""
    return [replace(done, solver_s=0.0, mover_s=0.0) for done in loop.rounds_done]


@pytest.mark.parametrize(("mover", "blind"), [(MMPDE, False), (MongeAmpere, True)])
def test_going_on_after_an_interruption_changes_nothing(mover, blind):
    """Bit for bit, whenever it comes, with what the mover remembers; and going on at the end adds nothing."""
    mesh = UnitSquareMesh(6, 6)
    whole = SteadyAdaptation(mesh, poisson(mesh, blind=blind), mover(), rounds=2)
    last = list(whole.run())[-1]
    assert len(whole.rounds_done) == 3 and whole.rounds_done[-1].error < whole.rounds_done[0].error
    for rounds in range(1, len(whole.rounds_done) + 1):
        mesh_before, method = UnitSquareMesh(6, 6), mover()
        before = SteadyAdaptation(mesh_before, poisson(mesh_before, blind=blind), method, rounds=2)
        for _ in before.run():
            if len(before.rounds_done) == rounds and (rounds < len(whole.rounds_done) or before.reason):
                break
        # The same topology, hence the same computational mesh.
        mesh_after, again = Mesh(mesh_before.coordinates.copy(deepcopy=True)), mover()
        again.remember(mesh_after, method.memory(mesh_before))
        after = SteadyAdaptation(
            mesh_after,
            poisson(mesh_after, blind=blind),
            again,
            rounds=2,
            rounds_done=list(before.rounds_done),
            best=before.best,
        )
        end = list(after.run())[-1]
        assert str(numbers(after)) == str(numbers(whole)), rounds
        assert (after.reason, after.best[0]) == (whole.reason, whole.best[0])
        np.testing.assert_array_equal(mesh_after.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro)
        assert end.error == last.error
        np.testing.assert_array_equal(end.state.dat.data_ro, last.state.dat.data_ro)
