"""What a scalar stepper needs besides while its mesh moves: residual, stages and step on moving cells."""

from __future__ import annotations

import numpy as np
from firedrake import Cofunction, Function, TestFunction
from pyop2 import op2

from fem.ale import StraightMotion
from fem.prepared_loop import PreparedAssembler, argument, prepare_loop
from fem.scalar_kernels import NO_BOUND, kernel
from fem.scalar_law import ScalarLaw
from fem.timestep import Tableau


class ScalarMotion:
    r"""Stages of a scalar law on a moving mesh.

    .. math:: V_i U_i = a_i V_0 U_0 + (1 - a_i)\big(V_{i-1} U_{i-1} + \beta_i \Delta t\, \hat M^{-1} R(U_{i-1}; w)\big)

    with the volumes of :class:`fem.ale.StraightMotion` and the mass matrix of a cell of volume 1.

    Parameters
    ----------
    problem, state
        Equation and u.
    start
        U_0.
    bounds
        Least and greatest value at each vertex, that stages put theirs into.
    rate
        Of each cell the integral of :meth:`fem.scalar_law.ScalarLaw.rate` at the start of a step.
    scheme
        Scheme of the stepper.
    stage
        Global with a_i and beta_i dt.

    Attributes
    ----------
    path
        The way of the vertices.
    residual, outflow
        On the moving mesh; the outflow None for a closed boundary.
    """

    def __init__(
        self,
        problem: ScalarLaw,
        state: Function,
        start: Function,
        bounds: tuple[Function, Function],
        rate: Cofunction,
        scheme: Tableau,
        stage: op2.Global,
    ):
        mesh = problem.mesh
        self.path = StraightMotion(mesh, scheme, reach="swept")
        velocity = self.path.velocity
        form = problem.residual(state, TestFunction(state.function_space()), mesh_velocity=velocity)
        self.residual = PreparedAssembler(form)
        outflow = problem.boundary_outflow(state, mesh_velocity=velocity)
        self.outflow = None if outflow is None else PreparedAssembler(outflow)
        vertices = mesh.topological_dimension + 1
        sizes = {"nodes": vertices if problem.degree else 1, "vertices": vertices}
        self._bound = op2.Global(2, np.zeros(2), dtype=float, comm=mesh.comm)
        self._longest = op2.Global(1, np.zeros(1), dtype=float, comm=mesh.comm)
        self._pace = prepare_loop(
            kernel("pace", **sizes),
            mesh.cell_set,
            (
                argument(rate, op2.READ),
                argument(mesh.coordinates, op2.READ),
                argument(self.path.way, op2.READ),
                argument(self.path.reach, op2.READ),
                self._bound(op2.READ),
                self._longest(op2.MIN),
            ),
        )
        self.carry = prepare_loop(
            kernel("carry", **sizes),
            mesh.cell_set,
            (
                argument(state, op2.RW),
                argument(start, op2.READ),
                argument(self.residual.result, op2.READ),
                argument(self.path.volumes, op2.READ),
                stage(op2.READ),
                argument(bounds[0], op2.MIN),
                argument(bounds[1], op2.MAX),
            ),
        )

    def plan(self, bound: float) -> float:
        """Choose the share of the way for the next step, and return the longest step for it [s]; collective.

        Parameters
        ----------
        bound
            Courant number over the largest Euler step.
        """
        self.path.plan(bound)
        self._bound._data[:] = bound, self.path.share
        self._longest._data[0] = NO_BOUND
        self._pace()
        longest = float(self._longest._data[0])
        return longest if longest < NO_BOUND else np.inf
