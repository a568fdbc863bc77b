"""On two ranks a mesh is moved along as on one.

As a script, ``test_ale_parallel.py FILE``, it moves shallow water and Burgers on the ranks there are and writes what
came out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from ale_motions import LEVEL, island, limited
from firedrake import (
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    assemble,
    interpolate,
    sin,
)

from fem.boundary import Open
from fem.problems.burgers import Burgers
from fem.problems.shallow_water import ShallowWater
from fem.scalar_stepper import ScalarStepper
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import StepStatus

pytestmark = pytest.mark.parallel


def test_two_ranks_do_what_one_does(mpiexec, tmp_path: Path) -> None:
    runs = []
    for ranks in (1, 2):
        outcome = mpiexec(ranks, [sys.executable, Path(__file__), tmp_path / f"{ranks}.npz"])
        assert (outcome.code, outcome.err) == (0, "")
        runs.append(dict(np.load(tmp_path / f"{ranks}.npz")))
    serial, parallel = runs
    assert (serial.pop("ranks"), parallel.pop("ranks")) == (1, 2)
    assert serial["numbers"][-1] > 0  # holes were filled
    for name in ("shallow water", "burgers"):
        order = [np.lexsort(run[f"{name} key"].round(9).T) for run in runs]
        values = [run[f"{name} values"][o] for run, o in zip(runs, order, strict=True)]
        print(f"{name}: ranks differ by {np.abs(values[0] - values[1]).max():.1e}")
        np.testing.assert_allclose(values[1], values[0], rtol=0, atol=1e-12)
        assert np.ptp(values[0]) > 0.3
    np.testing.assert_allclose(parallel["numbers"], serial["numbers"], rtol=1e-12, atol=1e-14)


def _write_runs(path: str) -> None:
    """Move both kinds of problems through a few motions and write states, masses and inflows."""
    mesh = UnitSquareMesh(10, 9)
    first = mesh.coordinates.dat.data_ro.copy()
    x, y = SpatialCoordinate(mesh)
    bed = island(mesh, 1)
    water = ShallowWater(bathymetry=bed, boundaries={1: Open(LEVEL)}, manning=0.02)
    burgers = Burgers(mesh=mesh, viscosity=0.005, boundary=lambda x, t: 0.5 + 0.5 * sin(5 * t + 3 * x[1]))
    cell = assemble(interpolate(Function(FunctionSpace(mesh, "DG", 0)).interpolate(7 * x + y), burgers.space()))
    place = Function(VectorFunctionSpace(mesh, burgers.space().ufl_element())).interpolate(as_vector([x, y]))
    key = np.c_[place.dat.data_ro, cell.dat.data_ro]  # tells nodes at the same place apart
    results, numbers, filled = {}, [], 0
    for name, problem in (("shallow water", water), ("burgers", burgers)):
        mesh.coordinates.dat.data_wo[:] = first
        state = Function(problem.space())
        rough = np.sin(91 * key[:, 2] + 57 * key[:, 0] + 73 * key[:, 1]) > 0
        if name == "shallow water":
            state.dat.data[:, 0] = np.maximum(LEVEL - 0.1 + 0.1 * rough - bed.dat.data_ro, 0.0)
            stepper = ShallowWaterStepper(problem, state)
        else:
            state.dat.data[:] = rough
            stepper = ScalarStepper(problem, state)
        t = 0.0
        for motion in range(4):
            along = 0.3 * np.sin(np.pi * first) * np.cos(5 * first[:, ::-1] + motion)
            target = limited(mesh, first + along)
            begin_there = (island(Mesh(target), 1), LEVEL) if name == "shallow water" else ()
            stepper.begin_motion(target, *begin_there)
            if name == "shallow water" and motion == 0:
                fill = stepper._motion._fill_holes

                def counted(fill=fill) -> None:
                    nonlocal filled
                    filled += 1
                    fill()

                stepper._motion._fill_holes = counted
            while stepper.is_moving:
                result = stepper.step(t, 0.05)
                assert result.status is StepStatus.DONE
                t += result.dt
        numbers += [t, stepper.mass(), stepper.inflow]
        parts = mesh.comm.gather((key, state.dat.data_ro.reshape(len(key), -1)))
        if mesh.comm.rank == 0:
            keys, values = zip(*parts, strict=True)
            results |= {f"{name} key": np.concatenate(keys), f"{name} values": np.concatenate(values)}
    if mesh.comm.rank == 0:
        np.savez(path, ranks=mesh.comm.size, numbers=[*numbers, filled], **results)


if __name__ == "__main__":
    _write_runs(sys.argv[1])
