"""Solutions on a mesh, with their errors, their estimates and where they want cells."""

from __future__ import annotations

from firedrake import Constant, Function, grad, inner

from cases.steady_case import SteadyOptions, density_monitor
from fem.error_estimate import Estimate, recovery_estimate, wanted_density
from fem.problems.convection_diffusion import ConvectionDiffusion
from fem.problems.elliptic import EllipticProblem, EllipticSolver, Errors
from fem.steady import Quantity, SteadySolution

L2_ERROR = "error in L2"


def elliptic_solution(problem: EllipticProblem, options: SteadyOptions, mesh) -> SteadySolution:
    """Solve Poisson's or Helmholtz' equation on a mesh as it is; its error is in the H1 norm. Collective."""
    solver = EllipticSolver(problem, mesh)
    u = solver.solve()
    u.rename("u")
    estimate = recovery_estimate(mesh, grad(u), problem.degree)
    return _judged(u, estimate, solver.errors(u), problem.degree, options)


def layer_solution(problem: ConvectionDiffusion, options: SteadyOptions, mesh) -> SteadySolution:
    """Solve convection and diffusion on a mesh as it is; its error is in the energy norm. Collective."""
    u = problem.solve(mesh)
    tensor = Constant(problem.tensor)
    estimate = recovery_estimate(mesh, grad(u), problem.degree, energy=lambda wrong: inner(tensor * wrong, wrong))
    return _judged(u, estimate, problem.errors(u), problem.degree, options)


def _judged(u: Function, estimate: Estimate, errors: Errors, degree: int, options: SteadyOptions) -> SteadySolution:
    """Return a solution that is judged by the second of its errors, and moved to where its estimate is large."""
    return SteadySolution(
        state=u,
        drawn=u,
        monitor=density_monitor(wanted_density(estimate, degree), options),
        estimate=estimate.total,
        error=errors.h1,
        quantities={L2_ERROR: Quantity(errors.l2)},
    )
