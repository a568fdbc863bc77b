"""Flow past a cylinder on two ranks as on one: steady and in steps of a moving mesh, both kinds of solver, forces too.

As a script, ``test_navier_stokes_parallel.py FILE``, it solves on the ranks there are and writes numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from firedrake import Function

from fem.curved_mesh import CurvedMesh
from fem.navier_stokes_forces import BoundaryForce, pressures_at
from fem.navier_stokes_stepper import NavierStokesStepper
from fem.problems.navier_stokes import NavierStokes, SteadyFlow
from meshing.curves import Circle
from meshing.generation import channel_with_cylinder

SOLVERS = ("lu", "schur-gamg")
POINTS = np.array([[0.15, 0.2], [0.25, 0.2], [1.5, 0.1]])


@pytest.mark.parallel
def test_two_ranks_as_one(mpiexec, tmp_path):
    found = []
    for ranks in (1, 2):
        outcome = mpiexec(ranks, [sys.executable, Path(__file__), tmp_path / f"{ranks}.npy"])
        assert (outcome.code, outcome.err) == (0, "")
        found.append(np.load(tmp_path / f"{ranks}.npy"))
    assert (found[0][0], found[1][0]) == (1, 2)
    assert len(found[0]) == 1 + 7 * 3
    np.testing.assert_allclose(found[1][1:], found[0][1:], rtol=1e-6, atol=1e-9)


def flow_on(mesh) -> NavierStokes:
    walls = dict.fromkeys((3, 4, 5), lambda x, t: (0.0, 0.0))
    return NavierStokes(
        mesh=mesh, viscosity=1e-3, velocity={1: lambda x, t: (1.2 * x[1] * (0.41 - x[1]) / 0.41**2, 0.0)} | walls
    )


def main(out: Path) -> None:
    """Write the number of ranks, and what forces and pressures there are with each solver."""
    straight = channel_with_cylinder(size=0.2, cylinder_size=0.04)
    numbers = [float(straight.comm.size)]
    problem = flow_on(CurvedMesh(straight, {5: Circle((0.2, 0.2), 0.05)}).mesh)
    flow = SteadyFlow(problem)
    flow.solve()
    force = BoundaryForce(problem, flow.state, flow.residual, 5)
    numbers.extend([*force.volume(), *force.surface(), *pressures_at(problem, flow.state, POINTS)])
    first = straight.coordinates.dat.data_ro_with_halos.copy()
    for solver in SOLVERS:
        straight.coordinates.dat.data_wo_with_halos[:] = first
        problem = flow_on(straight)
        state = Function(problem.space())
        stepper = NavierStokesStepper(problem, state, dt=0.05, solver=solver)
        force = BoundaryForce(problem, state, stepper.residual, 5)
        target = Function(straight.coordinates.function_space())
        x, y = first.T
        away = 0.05 * x * (2.2 - x) * y * (0.41 - y)
        target.dat.data_wo_with_halos[:] = first + np.stack([away, away], axis=1)
        stepper.begin_motion(target)
        stepper.step(0.0, 0.05)
        numbers.extend([*force.volume(), *force.surface(), *pressures_at(problem, state, POINTS)])
    if straight.comm.rank == 0:
        np.save(out, np.array(numbers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
