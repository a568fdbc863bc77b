"""A start of Newton's method that a network has brought nearer to the solution."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, sqrt

import numpy as np
from firedrake import NonlinearVariationalProblem, NonlinearVariationalSolver
from firedrake.assemble import get_assembler

from coupling.warm_start import Prediction


@dataclass(frozen=True)
class NewtonStartResult:
    """How far a start of Newton's method has come.

    Attributes
    ----------
    before, after
        Norm of the residual that decides, see ``NewtonStart``; ``after`` is no larger.
    residual
        Euclidean norm of the residual before, which solvers measure.
    steps
        Steps taken.
    trials
        Residuals evaluated.
    """

    before: float
    after: float
    residual: float
    steps: int
    trials: int


class NewtonStart:
    r"""Bring the start of Newton's method nearer with a network that knows the linearised problem.

    .. math:: u \leftarrow u - t\, S F(u),\qquad \|F\|_S = \sqrt{F \cdot S F}

    with S the approximate inverse of the derivative of F somewhere, as at the first start, and t = 1, or 1/2 where only
    this makes that norm fall to the share ``least``; where neither does, u stays. So u is never further away in this
    norm than at first: about that of the error in energy, whatever the mesh, as S is symmetric positive definite. This
    bounds no number of iterations: of a beam that turns far, for one, Newton's method may need one more from there.

    Parameters
    ----------
    problem
        Its ``u`` is where to start from, and is changed in place.
    inverse
        S, such as ``OperatorInverse`` of ``derivative(F, u)`` and the problem's conditions.
    steps
        Most steps.
    least
        Share to which the norm has to fall in each.

    Raises
    ------
    ValueError
        For a share that is not between 0 and 1.
    """

    def __init__(
        self, problem: NonlinearVariationalProblem, inverse: Prediction, *, steps: int = 8, least: float = 0.7
    ):
        if not 0.0 < least < 1.0:
            raise ValueError(f"least: got {least}, expected a share between 0 and 1")
        self._problem, self._inverse, self._steps, self._least = problem, inverse, steps, least
        self._assembler, self._comm = get_assembler(problem.F), problem.u.function_space().mesh().comm

    def __call__(self) -> NewtonStartResult:
        """Change the problem's u, which takes on its boundary values first."""
        u = self._problem.u
        for bc in self._problem.dirichlet_bcs():
            bc.apply(u)
        shape = u.dat.data_ro.shape
        force, residual = self._residual()
        step, norm = self._step(force, residual)
        first, taken, trials = norm, 0, 1
        while taken < self._steps and isfinite(norm):
            good = u.dat.data_ro.copy()
            for length in (1.0, 0.5):
                u.dat.data_wo[...] = good - length * step.reshape(shape)
                trials += 1
                tried, of_tried = self._step(*self._residual())
                if of_tried <= self._least * norm:
                    break
            else:
                u.dat.data_wo[...] = good
                break
            step, norm, taken = tried, of_tried, taken + 1
        return NewtonStartResult(first, norm, residual, taken, trials)

    def solve(self, solver: NonlinearVariationalSolver) -> NewtonStartResult:
        """Start so and solve, relative to the residual where u was before: the tolerance of the solver stays its own.

        Raises
        ------
        ConvergenceError
            As the solver does.
        """
        result = self()
        rtol, atol, stol, most = solver.snes.getTolerances()
        solver.snes.setTolerances(rtol, max(atol, rtol * result.residual), stol, most)
        try:
            solver.solve()
        finally:
            solver.snes.setTolerances(rtol, atol, stol, most)
        return result

    def _residual(self) -> tuple[np.ndarray, float]:
        """Return F(u), shape (N,), and its norm without what is fixed."""
        residual = self._assembler.assemble()
        for bc in self._problem.dirichlet_bcs():
            bc.zero(residual)
        force = residual.dat.data_ro.ravel()
        return force, sqrt(self._comm.allreduce(float(force @ force)))

    def _step(self, force: np.ndarray, residual: float) -> tuple[np.ndarray, float]:
        """Return S F and the norm of F; infinity where something is not finite, as of inverted cells."""
        # Of the whole residual, so that all ranks decide alike.
        if not isfinite(residual):
            return force, inf
        step = self._inverse(force)
        square = self._comm.allreduce(float(force @ step))
        return step, sqrt(square) if square >= 0.0 else inf
