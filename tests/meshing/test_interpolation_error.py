"""What movers are for: the interpolation error of fronts and rings on the moved mesh against the fixed one."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    UnitSquareMesh,
    assemble,
    dx,
    grad,
    inner,
    sin,
    sqrt,
    tanh,
)

from meshing.mover import MoveStatus
from meshing.registry import get_mover

WIDTH = 0.05
FUNCTIONS = {
    "front": lambda x: tanh((x[0] + 0.3 * sin(4.0 * x[1]) - 0.6) / WIDTH),
    "ring": lambda x: tanh((sqrt((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2 + 1e-12) - 0.3) / WIDTH),
}


def curvature(function):
    """Monitor function for the L2 error of P1: (1 + |H| / (0.3 mean |H|))^(2/3), see meshing.field_monitors."""

    def monitor(mesh) -> Function:
        space = FunctionSpace(mesh, "CG", 1)
        hessian = grad(grad(function(SpatialCoordinate(mesh))))
        size = Function(space).interpolate(sqrt(inner(hessian, hessian)))
        mean = assemble(size * dx) / assemble(1.0 * dx(mesh))
        result = Function(space)
        result.dat.data_wo_with_halos[:] = (1.0 + size.dat.data_ro_with_halos / (0.3 * mean)) ** (2 / 3)
        return result

    return monitor


def errors(function, mesh) -> np.ndarray:
    """Return the L2 and the H1 seminorm error of P1 interpolation."""
    exact = function(SpatialCoordinate(mesh))
    error = Function(FunctionSpace(mesh, "CG", 1)).interpolate(exact) - exact
    squares = inner(error, error), inner(grad(error), grad(error))
    return np.sqrt([assemble(square * dx(degree=8)) for square in squares])


@pytest.mark.parametrize("case", FUNCTIONS)
def test_moved_meshes_interpolate_better_at_the_same_rate(case: str, capsys: pytest.CaptureFixture) -> None:
    function, sizes = FUNCTIONS[case], (20, 40, 80)
    meshes = [UnitSquareMesh(size, size) for size in sizes]
    table = {}
    for name in ("none", "monge-ampere", "mmpde"):
        moves = [get_mover(name).move(mesh, curvature(function)) for mesh in meshes]
        assert all(move.status is MoveStatus.DONE for move in moves)
        table[name] = np.array([errors(function, Mesh(move.coordinates)) for move in moves])
    with capsys.disabled():
        print(f"\ninterpolation of a {case} of width {WIDTH} on {', '.join(map(str, sizes))} cells a side")
        for name, error in table.items():
            rates = -np.polyfit(np.log(sizes), np.log(error), 1)[0]
            reduction = 100.0 * (1.0 - error / table["none"])
            print(
                f"  {name:12}  L2 {' '.join(f'{e:.1e}' for e in error[:, 0])} rate {rates[0]:.2f}, "
                f"ER {' '.join(f'{r:.0f}' for r in reduction[:, 0])} %;  "
                f"H1 {' '.join(f'{e:.1e}' for e in error[:, 1])} rate {rates[1]:.2f}, "
                f"ER {' '.join(f'{r:.0f}' for r in reduction[:, 1])} %"
            )
    for name in ("monge-ampere", "mmpde"):
        rates = -np.polyfit(np.log(sizes), np.log(table[name]), 1)[0]
        assert rates[0] > 1.9 and rates[1] > 0.9
        assert (table[name] < [0.5, 0.7] * table["none"]).all()
