"""Solutions on a mesh, with their errors, their estimates and where they want cells."""

from __future__ import annotations

from firedrake import Constant, grad, inner

from cases.steady_case import SteadyOptions, density_monitor
from fem.error_estimate import recovery_estimate, wanted_density
from fem.problems.convection_diffusion import ConvectionDiffusion
from fem.problems.elliptic import EllipticProblem, EllipticSolver
from fem.steady import Quantity, SteadySolution

L2_ERROR = "error in L2"


def elliptic_solution(problem: EllipticProblem, options: SteadyOptions, mesh) -> SteadySolution:
    """Solve Poisson's or Helmholtz' equation on a mesh as it is; its error is in the H1 norm. Collective."""
    solver = EllipticSolver(problem, mesh)
    u = solver.solve()
    u.rename("u")
    estimate = recovery_estimate(mesh, grad(u), problem.degree)
    errors = solver.errors(u)
    return SteadySolution(
        state=u,
        drawn=u,
        monitor=density_monitor(wanted_density(estimate, problem.degree), options),
        estimate=estimate.total,
        error=errors.h1,
        quantities={L2_ERROR: Quantity(errors.l2)},
    )


def layer_solution(problem: ConvectionDiffusion, options: SteadyOptions, mesh) -> SteadySolution:
    """Solve convection and diffusion on a mesh as it is; its error is in the energy norm. Collective."""
    u = problem.solve(mesh)
    tensor = Constant(problem.tensor)
    estimate = recovery_estimate(mesh, grad(u), problem.degree, energy=lambda wrong: inner(tensor * wrong, wrong))
    errors = problem.errors(u)
    return SteadySolution(
        state=u,
        drawn=u,
        monitor=density_monitor(wanted_density(estimate, problem.degree), options),
        estimate=estimate.total,
        error=errors.h1,
        quantities={L2_ERROR: Quantity(errors.l2)},
    )
