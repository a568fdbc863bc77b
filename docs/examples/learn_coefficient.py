"""Learn the conductivity of a plate from temperatures, through a Firedrake solve, with a torch optimiser.

Given measurements u* of the solution of -div(exp(q) grad u) = f, find the field q for which u fits them.
"""

from __future__ import annotations

import firedrake as fd
import torch

from coupling.bridge import to_tensor
from coupling.solve_operator import SolveOperator

mesh = fd.UnitSquareMesh(16, 16)
space = fd.FunctionSpace(mesh, "CG", 1)
x, y = fd.SpatialCoordinate(mesh)


def temperature(log_conductivity: fd.Function, source: fd.Function) -> fd.Function:
    """Solve the heat equation: plain Firedrake."""
    u, test = fd.Function(space), fd.TestFunction(space)
    form = (fd.exp(log_conductivity) * fd.inner(fd.grad(u), fd.grad(test)) - source * test) * fd.dx
    fd.solve(form == 0, u, bcs=fd.DirichletBC(space, 0, "on_boundary"))
    return u


# Two heatings of a plate with a well-conducting spot: two samples, one coefficient.
sources = [fd.Function(space).interpolate(expression) for expression in (10 * (1 + x), 10 * (2 - y))]
truth = fd.Function(space).interpolate(fd.exp(-20 * ((x - 0.4) ** 2 + (y - 0.6) ** 2)))
heatings = [to_tensor(source) for source in sources]
measured = [to_tensor(temperature(truth, source)) for source in sources]

solver = SolveOperator(temperature, space, space)
learned = torch.zeros(space.dim(), dtype=torch.float64, requires_grad=True)
optimiser = torch.optim.LBFGS([learned], lr=1.0, max_iter=60, line_search_fn="strong_wolfe", tolerance_change=0.0)


def loss() -> torch.Tensor:
    """Return the misfit of both samples, after its gradient has been added to ``learned.grad``."""
    optimiser.zero_grad()
    pairs = zip(heatings, measured, strict=True)
    misfit = sum((solver(learned, heating) - u).square().mean() / u.square().mean() for heating, u in pairs)
    misfit.backward()
    return misfit


before = loss().item()
optimiser.step(loss)
distance = (learned.detach() - to_tensor(truth)).norm() / to_tensor(truth).norm()
print(f"misfit {before:.1e} -> {loss().item():.1e}, coefficient off by {100 * distance:.0f} %")
