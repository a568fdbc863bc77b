"""The driver moves when it should, leaves everything as it was when it cannot, and counts both."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from firedrake import Function, FunctionSpace, Mesh, UnitSquareMesh, assemble, dx
from firedrake.exceptions import ConvergenceError
from firedrake.petsc import PETSc

from coupling.driver import MovingMesh
from fem.remap import RemapTransfer
from meshing.mmpde import MMPDE
from meshing.monitor import ExpressionMonitor
from meshing.mover import Displacement, Mover, NoMove
from meshing.quality import mesh_quality

AROUND = ExpressionMonitor(lambda x: 1.0 + 20.0 / (1.0 + 80.0 * ((x[0] - 0.4) ** 2 + (x[1] - 0.6) ** 2)))
UNIFORM = ExpressionMonitor(lambda x: 1.0 + 0.0 * x[0])


class Sway(Mover):
    """Move inner vertices to the right, further each time: by ``size``, a list worked off."""

    def __init__(self, *sizes: float, error: Exception | None = None, converged: bool = True):
        self.sizes, self.error, self.converged = list(sizes), error, converged

    def displacement(self, mesh, monitor) -> Displacement:
        if self.error is not None:
            raise self.error
        function = Function(mesh.coordinates.function_space())
        points = mesh.coordinates.dat.data_ro
        inside = (points > 1e-9).all(axis=1) & (points < 1.0 - 1e-9).all(axis=1)
        function.dat.data_wo[:, 0] = np.where(inside, self.sizes.pop(0), 0.0)
        return Displacement(function, self.converged)


class Solve:
    """A field on a mesh, and what the driver did to them."""

    def __init__(self, mover: Mover, *, monitor=AROUND, transfer: Callable | None = None, **options):
        self.mesh = UnitSquareMesh(8, 8)
        self.field = Function(FunctionSpace(self.mesh, "DG", 1, variant="equispaced"))
        x, y = self.mesh.coordinates
        self.field.interpolate(1.0 + x * y)
        self.refreshed: list[np.ndarray] = []
        self._transfer = transfer or RemapTransfer()
        self.moving = MovingMesh(self.mesh, mover, lambda: monitor, self._carry, self._refresh, **options)

    def _carry(self, moved_mesh):
        return [(self.field, self._transfer(self.field, moved_mesh))]

    def _refresh(self) -> None:
        self.refreshed.append(self.points.copy())

    @property
    def points(self) -> np.ndarray:
        return self.mesh.coordinates.dat.data_ro


def test_coordinates_fields_and_refresh_are_in_step() -> None:
    solve = Solve(Sway(0.03, 0.02))
    start, integral, memory = solve.points.copy(), assemble(solve.field * dx), solve.field.dat.data_ro.copy()
    assert solve.moving.move() and solve.moving.move()
    inside = (start > 0).all(axis=1) & (start < 1).all(axis=1)
    np.testing.assert_allclose(solve.points[inside], start[inside] + [0.05, 0.0], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(solve.points[~inside], start[~inside])
    assert len(solve.refreshed) == 2 and (solve.refreshed[1] == solve.points).all()
    assert (solve.field.dat.data_ro != memory).any()
    assert assemble(solve.field * dx) == pytest.approx(integral, rel=1e-14)
    record = solve.moving.record
    assert (record.moves, record.failed, record.limited, record.tangled, record.skipped) == (2, 0, 0, 0, 0)
    assert min(record.mover_s, record.monitor_s, record.transfer_s) > 0.0


def test_the_least_jacobian_ratio_is_that_of_all_moves() -> None:
    """Cells at the wall to the right are 1/8 wide, then 0.03 wider, then 0.03 narrower than that 1/8, then wider."""
    solve = Solve(Sway(-0.03, 0.06, -0.005))
    for _ in range(3):
        assert solve.moving.move()
    assert solve.moving.record.min_jacobian_ratio == pytest.approx((1 / 8 - 0.03) / (1 / 8 + 0.03), rel=1e-12)


def test_steps_between_moves() -> None:
    solve = Solve(Sway(*[0.001] * 9), every=3)
    assert [solve.moving.after_step() for _ in range(7)] == [False, False, True] * 2 + [False]
    solve.moving.steps = 2  # as on going on from a checkpoint
    assert [solve.moving.after_step() for _ in range(2)] == [True, False]
    assert solve.moving.record.moves == 3


@pytest.mark.parametrize(
    "mover",
    [Sway(np.nan), Sway(np.inf), Sway(error=ConvergenceError("diverged"))],
    ids=["NaN", "infinity", "diverged"],
)
def test_a_mover_that_fails_leaves_everything(mover: Mover) -> None:
    solve = Solve(mover)
    start, values = solve.points.copy(), solve.field.dat.data_ro.copy()
    assert not solve.moving.move()
    np.testing.assert_array_equal(solve.points, start)
    np.testing.assert_array_equal(solve.field.dat.data_ro, values)
    assert (solve.moving.record.failed, solve.moving.record.moves, solve.refreshed) == (1, 0, [])


@pytest.mark.parametrize(
    "error",
    [RuntimeError("out of memory"), PETSc.Error(76), np.linalg.LinAlgError("Singular matrix"), ZeroDivisionError("0")],
    ids=["runtime", "PETSc", "singular", "division"],
)
def test_a_mover_whose_numerics_raise_leaves_everything_and_says_so(error: Exception) -> None:
    solve = Solve(Sway(0.03, error=error))
    start = solve.points.copy()
    with pytest.warns(RuntimeWarning, match=rf"^mover: {type(error).__name__}: .*; the mesh stays as it is$"):
        assert not solve.moving.move()
    np.testing.assert_array_equal(solve.points, start)
    assert (solve.moving.record.failed, solve.moving.record.moves, solve.refreshed) == (1, 0, [])
    solve.moving.mover.error = None
    assert solve.moving.move() and solve.moving.record.moves == 1


@pytest.mark.parametrize(
    "error", [ValueError("mesh: got hexahedra"), TypeError("no number"), NotImplementedError("in 3D"), KeyError("name")]
)
def test_bad_input_and_errors_in_the_code_of_a_mover_are_heard(error: Exception) -> None:
    with pytest.raises(type(error)):
        Solve(Sway(error=error)).moving.move()


def test_a_transfer_that_fails_leaves_everything() -> None:
    def refuse(source: Function, moved_mesh) -> Function:
        raise RuntimeError("the remap keeps no bounds")

    solve = Solve(Sway(0.03), transfer=refuse)
    start, values = solve.points.copy(), solve.field.dat.data_ro.copy()
    assert not solve.moving.move()
    np.testing.assert_array_equal(solve.points, start)
    np.testing.assert_array_equal(solve.field.dat.data_ro, values)
    assert (solve.moving.record.failed, solve.moving.record.moves, solve.refreshed) == (1, 0, [])


def test_limited_and_not_converged_moves_are_counted_and_applied() -> None:
    limited, given_up = Solve(Sway(5.0)), Solve(Sway(0.01, converged=False))
    assert limited.moving.move() and given_up.moving.move()
    assert (limited.moving.record.limited, limited.moving.record.not_converged) == (1, 0)
    assert (given_up.moving.record.limited, given_up.moving.record.not_converged) == (0, 1)
    assert limited.moving.record.tangled == 0 and 0 < limited.moving.record.min_jacobian_ratio < 1


def test_an_equidistributed_mesh_is_left_alone() -> None:
    """Of a uniform mesh a uniform monitor function has no spread, one with a peak has some; MMPDE removes most."""
    assert not (solve := Solve(MMPDE(), monitor=UNIFORM, threshold=1e-6)).moving.move()
    assert (solve.moving.record.skipped, solve.moving.record.moves, solve.refreshed) == (1, 0, [])
    solve = Solve(MMPDE(), threshold=0.5)
    reference = Mesh(solve.mesh.coordinates.copy(deepcopy=True))
    before = mesh_quality(solve.mesh, reference, AROUND(solve.mesh)).relative_spread
    assert before is not None and before > 0.5
    assert solve.moving.move()
    after = mesh_quality(solve.mesh, reference, AROUND(solve.mesh)).relative_spread
    assert after is not None and after < 0.5
    assert not solve.moving.move()
    assert (solve.moving.record.moves, solve.moving.record.skipped) == (1, 1)


def test_the_control_moves_nothing() -> None:
    solve = Solve(NoMove())
    start, values = solve.points.copy(), solve.field.dat.data_ro.copy()
    assert solve.moving.move()
    np.testing.assert_array_equal(solve.points, start)
    np.testing.assert_array_equal(solve.field.dat.data_ro, values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every: got 0, expected 1 step or more between moves"),
        ({"threshold": -0.1}, "threshold: got -0.1, expected 0 (always) or more, such as 0.3"),
        ({"threshold": np.nan}, "threshold: got nan, expected 0 (always) or more, such as 0.3"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Solve(NoMove(), **options)
