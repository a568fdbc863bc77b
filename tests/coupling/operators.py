"""Differentiate solves and positions on the ranks there are; each rank writes its part: ``operators.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from firedrake import (
    DirichletBC,
    Function,
    FunctionSpace,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    VectorFunctionSpace,
    assemble,
    dx,
    exp,
    grad,
    inner,
    solve,
)

from coupling.bridge import to_function, to_tensor
from coupling.node_operator import NodeOperator
from coupling.solve_operator import SolveOperator
from learned.linear_solve import LinearSolve


def solution(reaction: Function) -> Function:
    space = reaction.function_space()
    u, test = Function(space), TestFunction(space)
    form = (inner((1 + u**2) * grad(u), grad(test)) + (reaction * u - 10 - reaction) * test) * dx
    solve(form == 0, u, bcs=DirichletBC(space, 0, "on_boundary"))
    return u


def error(mesh) -> float:
    space, x = FunctionSpace(mesh, "CG", 1), SpatialCoordinate(mesh)
    u, test = Function(space), TestFunction(space)
    values = Function(space).interpolate(exp(mesh.coordinates[0]))
    form = (inner(grad(u), grad(test)) + u**3 * test - x[1] * test) * dx
    solve(form == 0, u, bcs=DirichletBC(space, values, (1, 3)))
    return assemble((u - x[0] * x[1]) ** 2 * dx)


def refusal(call) -> str:
    try:
        call()
    except ValueError as refused:
        return str(refused)
    return "none"


def run(folder: Path) -> None:
    """Write ``RANK.npz``: own places, values and gradients there, and what was refused."""
    mesh = UnitSquareMesh(7, 6)
    space = FunctionSpace(mesh, "CG", 1)
    places = to_tensor(mesh.coordinates)
    one = (1.0 + places[:, 0] * places[:, 1]).requires_grad_()
    other = (20.0 + 5.0 * places[:, 1]).requires_grad_()
    operator = SolveOperator(solution, space)
    fields = [operator(one), operator(other)]
    # On fields, each rank has its part of the loss.
    sum((places[:, 0] * field**2).sum() for field in fields).backward()
    inside = 0.01 * torch.sin(9.0 * places) * (places * (1.0 - places)).prod(dim=1, keepdim=True)
    positions = (places + inside).requires_grad_()
    value = NodeOperator(mesh, error)(positions)
    # On a number, every rank has the whole loss.
    (value**2).backward()
    whole = assemble(TrialFunction(space) * TestFunction(space) * dx)
    vectors = VectorFunctionSpace(mesh, "CG", 1)
    wrong = torch.zeros(5 if mesh.comm.rank == 0 else vectors.dof_dset.size, 2, dtype=torch.float64)
    np.savez(
        folder / f"{mesh.comm.rank}.npz",
        places=places.numpy(),
        field=fields[0].detach().numpy(),
        gradient=one.grad.numpy(),
        other_gradient=other.grad.numpy(),
        value=value.detach().numpy(),
        node_gradient=positions.grad.numpy(),
        divided=refusal(lambda: LinearSolve(whole)),
        wrong=refusal(lambda: to_function(wrong, vectors)),
    )


if __name__ == "__main__":
    run(Path(sys.argv[1]))
