"""Solutions on a mesh, with their errors, their estimates and where they want cells."""

from __future__ import annotations

import numpy as np
from firedrake import Constant, grad, inner

from cases.steady_case import SteadyOptions, density_monitor
from fem.error_estimate import recovery_estimate, wanted_density
from fem.problems.convection_diffusion import ConvectionDiffusion
from fem.problems.elliptic import EllipticProblem, EllipticSolver
from fem.steady import Quantity, SteadySolution

# Names of quantities.
L2_ERROR = "error in L2"
ESTIMATE = "estimated error, energy norm"


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


def layer_solution(problem: ConvectionDiffusion, options: SteadyOptions, mesh, *, visible: bool) -> SteadySolution:
    """Solve a problem with a layer on a mesh as it is; its error is in the energy norm. Collective.

    Parameters
    ----------
    problem
        Its exact solution included.
    options
        Of the case.
    mesh
        Mesh as it is.
    visible
        Whether the layer is thick enough to be seen by the even mesh. Of one that is not, the gradient is nowhere as
        great as it should be, and the estimate grows with every move for the better: it says where cells are wanted,
        but not whether another mesh has been better, and is a quantity only.
    """
    u = problem.solve(mesh)
    u.rename("u")
    tensor = Constant(problem.tensor)
    estimate = recovery_estimate(mesh, grad(u), problem.degree, energy=lambda wrong: inner(tensor * wrong, wrong))
    errors = problem.errors(u)
    return SteadySolution(
        state=u,
        drawn=u,
        monitor=density_monitor(wanted_density(estimate, problem.degree), options),
        estimate=estimate.total if visible else np.nan,
        error=errors.h1,
        quantities={L2_ERROR: Quantity(errors.l2), ESTIMATE: Quantity(estimate.total)},
    )
