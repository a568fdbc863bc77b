"""What cases of steady incompressible flow share: Newton's method from the flow before, its estimate, what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from firedrake import Function, FunctionSpace, VectorFunctionSpace, grad, inner, sqrt
from firedrake.exceptions import ConvergenceError
from pydantic import Field, model_validator

from cases.steady_case import SteadyOptions
from fem.error_estimate import Estimate, recover, recovery_estimate
from fem.goal import goal_estimate
from fem.problems.navier_stokes import SteadyFlow, check_degree
from meshing.computational import computational_points
from meshing.monitor import FieldMonitor, Monitor
from meshing.shaping import Shaping
from meshing.simplex import simplex_volumes


class SteadyFlowOptions(SteadyOptions):
    """Options of every steady flow."""

    pair: Literal["taylor-hood", "scott-vogelius"] = Field(
        "taylor-hood",
        description="elements of velocity and pressure; scott-vogelius, for which degree has to be 2, is without "
        "divergence at every point, as far as sides are straight",
    )
    degree: int = Field(2, ge=2, le=6, description="of the velocity's polynomials; those of the pressure have one less")

    @model_validator(mode="after")
    def _check_degree(self) -> SteadyFlowOptions:
        check_degree(self.pair, self.degree)
        return self


def still(x, t):
    """Return the velocity of walls at rest."""
    return 0.0, 0.0


def solve_flow(flow: SteadyFlow, start: Function | None, *, first: float) -> None:
    """Solve from the flow before the last move, or else from slow flow, at ``first`` [m^2/s]; collective.

    Raises
    ------
    firedrake.exceptions.ConvergenceError
        If Newton's method converges from neither.
    """
    if start is not None:
        for mine, its in zip(flow.state.subfunctions, start.subfunctions, strict=True):
            mine.dat.data_wo[:] = its.dat.data_ro
        try:
            flow.solve()
            return
        except ConvergenceError:
            flow.state.assign(0.0)
    flow.solve(first=first)


def flow_estimate(flow: SteadyFlow, velocity: Function) -> Estimate:
    r"""Estimate the error of a velocity, the flow's or that of an adjoint, from its recovered gradient; collective.

    .. math:: \eta_K^2 = \nu \int_K |G - \nabla u|^2

    Of it products are the diffusive part of what goals feel, see ``fem.flow_adjoint``; that by convection is of higher
    order, and that by pressure of the same.
    """
    problem = flow.problem
    return recovery_estimate(
        problem.mesh, grad(velocity), problem.degree, energy=lambda gap: problem.nu * inner(gap, gap)
    )


def estimate_for_goals(flow: SteadyFlow, adjoints: Sequence[Function]) -> Estimate:
    r"""Estimate the error of goals of a flow by that of its velocity and of their adjoint flows; collective.

    .. math:: \sum_K \eta_K(u) \Big(\sum_i \eta_K(z_i)^2\Big)^{1/2}

    is the square of the total. With no adjoint it is the estimate in the energy norm.
    """
    primal = flow_estimate(flow, flow.state.subfunctions[0])
    if not adjoints:
        return primal
    duals = [flow_estimate(flow, adjoint.subfunctions[0]) for adjoint in adjoints]
    both = Function(primal.cells.function_space())
    both.dat.data_wo[:] = np.sqrt(sum(dual.cells.dat.data_ro**2 for dual in duals))
    total = float(np.sqrt(sum(dual.total**2 for dual in duals)))
    return goal_estimate(primal, Estimate(both, total, duals[0].recovered))


def restrained_monitor(density: Function, *, restraint: float, smoothing: float, max_size_ratio: float) -> Monitor:
    r"""Return the monitor function of a density of cells for a mesh that is graded from the beginning; collective.

    Movers give the cells of a computational mesh that is not uniform, of volumes V, the density :math:`m / V`. Hence
    for the density n

    .. math:: m = (n V / \overline{n V})^{1/2} + r

    The root goes half the way, and r keeps cells where the flow could do with fewer: what is known of n holds for
    cells of good shape that resolve the boundary, while vertices on it, which can only slide, may not become rare.

    Parameters
    ----------
    density
        n, P0, on a mesh with straight sides, not negative.
    restraint
        r, not negative; the greater, the less the mesh moves.
    smoothing, max_size_ratio
        See ``meshing.shaping.Shaping``.
    """
    mesh = density.function_space().mesh()
    owned = density.dat.data_ro
    cells = mesh.coordinates.cell_node_map().values[: len(owned)]
    before = np.abs(simplex_volumes(computational_points(mesh), cells))
    now = np.abs(simplex_volumes(mesh.coordinates.dat.data_ro_with_halos, cells))
    product = owned * before
    whole, volume = mesh.comm.allreduce(np.array([(product * now).sum(), now.sum()]))
    wanted = Function(density.function_space(), name="density")
    wanted.dat.data_wo[:] = np.sqrt(product * volume / whole) + restraint
    return FieldMonitor(wanted, Shaping(smoothing=smoothing, max_size_ratio=max_size_ratio))


def speed(flow: SteadyFlow) -> Function:
    """Return the speed in the nodes of the velocity [m/s]; collective."""
    velocity = flow.state.subfunctions[0]
    space = FunctionSpace(flow.problem.mesh, "CG", flow.problem.degree)
    return Function(space, name="speed [m/s]").interpolate(sqrt(inner(velocity, velocity)))


def further_fields(flow: SteadyFlow) -> tuple[Function, ...]:
    """Return velocity [m/s], pressure [m^2/s^2] and vorticity [1/s], continuous, for ParaView; collective."""
    mesh = flow.problem.mesh
    u, p = flow.state.subfunctions
    velocity = Function(VectorFunctionSpace(mesh, "CG", 1), name="velocity").interpolate(u)
    gradient = recover(mesh, grad(u), 1)
    scalar = FunctionSpace(mesh, "CG", 1)
    vorticity = Function(scalar, name="vorticity").interpolate(gradient[1, 0] - gradient[0, 1])
    pressure = Function(scalar, name="pressure").project(p)
    return velocity, pressure, vorticity
