"""Solvers of Firedrake that start from what a network predicts, and keep their own tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from time import perf_counter
from typing import Literal

import numpy as np
from firedrake import NonlinearVariationalProblem, NonlinearVariationalSolver
from firedrake.assemble import get_assembler
from firedrake.petsc import PETSc

Prediction = Callable[[np.ndarray], np.ndarray]
"""Takes the right-hand side of a linear system on this rank, shape (N,), and gives about its solution."""


@dataclass
class WarmStartRecord:
    """What warm starts have done so far.

    Attributes
    ----------
    starts
        Solves that have begun.
    from_zero
        Those of them that began at zero, as the prediction was no better.
    seconds
        Wall time of predictions and of what decides about them [s].
    """

    starts: int = 0
    from_zero: int = 0
    seconds: float = 0.0


class WarmStart:
    r"""Begin Krylov solves at a prediction where that is nearer to the solution than zero.

    The prediction x of :math:`A x = b` is taken if

    .. math:: x \cdot A x < 2\, x \cdot b \iff \|u - x\|_A < \|u\|_A,\qquad\text{or}\qquad \|b - A x\| < \|b\|

    and otherwise the solver begins at zero, bit for bit as it would without. The first is the norm in which conjugate
    gradients are optimal; a network's prediction may be within a percent of the solution and its residual larger than
    b, as that counts what is rough by :math:`1/h^2`.

    The solver's tolerance stays what it is, relative to b as for a start at zero: what comes out is as good. Set up
    once, each right-hand side costs a prediction and a product with A; PETSc's own test besides applies the
    preconditioner once, unless ``ksp_norm_type`` is ``unpreconditioned``.

    Parameters
    ----------
    predict
        See ``Prediction``; such as ``OperatorInverse``.
    norm
        "energy" for symmetric positive definite A, "residual" for any.

    Attributes
    ----------
    record
        What has been done.

    Raises
    ------
    ValueError
        For another norm.

    Notes
    -----
    NOWS: Neural operator warm starts for accelerating iterative solvers (2025).
    """

    def __init__(self, predict: Prediction, *, norm: Literal["energy", "residual"] = "energy"):
        if norm not in ("energy", "residual"):
            raise ValueError(f"norm: got {norm!r}, expected 'energy' for symmetric positive definite A, or 'residual'")
        self.record = WarmStartRecord()
        self._predict, self._norm = predict, norm
        self._work: tuple[PETSc.Vec, PETSc.Vec] | None = None

    def attach(self, solver) -> None:
        """Let all later solves of a solver begin so.

        Parameters
        ----------
        solver
            ``LinearVariationalSolver``, ``NonlinearVariationalSolver`` (each of its linear solves, whose right-hand
            sides are residuals), ``LinearSolver`` of Firedrake, or a KSP of PETSc.
        """
        solver_ksp(solver).setPreSolve(self._begin)

    def _begin(self, ksp: PETSc.KSP, b: PETSc.Vec, x: PETSc.Vec) -> None:
        began = perf_counter()
        predicted = self._predict(b.getArray(readonly=True))
        x.setArray(predicted)
        better = self._is_better(ksp.getOperators()[0], b, x)
        # Not a start at a vector of zeros: that would be tested in another way, which costs time.
        ksp.setInitialGuessNonzero(better)
        self.record.starts += 1
        self.record.from_zero += not better
        self.record.seconds += perf_counter() - began

    def _is_better(self, matrix: PETSc.Mat, b: PETSc.Vec, x: PETSc.Vec) -> bool:
        image = b.duplicate()
        matrix.mult(x, image)
        # Comparisons with NaN are false: what is not finite is no better.
        if self._norm == "energy":
            return x.dot(image) < 2.0 * x.dot(b)
        image.aypx(-1.0, b)
        return image.norm() < b.norm()


def solver_ksp(solver) -> PETSc.KSP:
    """Return the KSP of a solver of Firedrake, or of PETSc itself."""
    if isinstance(solver, PETSc.KSP):
        return solver
    return solver.snes.ksp if hasattr(solver, "snes") else solver.ksp


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

    with S the approximate inverse of the derivative of F somewhere, as at the first start, and t = 1 or the largest of
    1/2, 1/4, 1/8 with which that norm falls to the share ``least`` or below: a norm as of the error, like no mesh, for
    S is symmetric positive definite. Where none does, u stays: it is never further away in this norm than at first.

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
        self, problem: NonlinearVariationalProblem, inverse: Prediction, *, steps: int = 8, least: float = 0.5
    ):
        if not 0.0 < least < 1.0:
            raise ValueError(f"least: got {least}, expected a share between 0 and 1")
        self._problem, self._inverse, self._steps, self._least = problem, inverse, steps, least
        self._assembler = get_assembler(problem.F)

    def __call__(self) -> NewtonStartResult:
        """Change the problem's u, which takes on its boundary values first."""
        u = self._problem.u
        for bc in self._problem.dirichlet_bcs():
            bc.apply(u)
        shape = u.dat.data_ro.shape
        force, residual = self._residual()
        step, norm = self._step(force)
        first, taken, trials = norm, 0, 1
        for _ in range(self._steps):
            good = u.dat.data_ro.copy()
            for length in (1.0, 0.5, 0.25, 0.125):
                u.dat.data_wo[...] = good - length * step.reshape(shape)
                trials += 1
                tried, of_tried = self._step(self._residual()[0])
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
        return force, float(np.linalg.norm(force))

    def _step(self, force: np.ndarray) -> tuple[np.ndarray, float]:
        """Return S F and the norm of F; infinity where something is not finite, as of inverted cells."""
        if not np.isfinite(force).all():
            return force, np.inf
        step = self._inverse(force)
        square = float(force @ step)
        return step, sqrt(square) if square >= 0.0 else np.inf
