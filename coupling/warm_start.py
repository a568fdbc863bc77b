"""Linear solvers that begin at what a network predicts where that is nearer, and keep their own tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np
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

    The solver's tolerance stays what it is, relative to b as for a start at zero: what comes out is as good. That it
    takes fewer iterations is likely, not certain. Set up once, each right-hand side costs a prediction and a product
    with A; PETSc's own test besides applies the preconditioner once, unless ``ksp_norm_type`` is ``unpreconditioned``.

    Parameters
    ----------
    predict
        See ``Prediction``; such as ``OperatorInverse.start``.
    norm
        "energy" for symmetric positive definite A, "residual" for any; None to take predictions as they are, which
        saves a product: for those of which it is known that they are nearer, as ``OperatorInverse.start`` for the
        matrix that it was made for.

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
    Eshaghi et al., NOWS: Neural operator warm starts for accelerating iterative solvers, arXiv 2511.02481 (2025).
    """

    def __init__(self, predict: Prediction, *, norm: Literal["energy", "residual"] | None = "energy"):
        if norm not in ("energy", "residual", None):
            raise ValueError(
                f"norm: got {norm!r}, expected 'energy' for symmetric positive definite A, 'residual', or None"
            )
        self.record = WarmStartRecord()
        self._predict, self._norm = predict, norm

    def attach(self, solver) -> None:
        """Let all later solves of a solver begin so.

        Parameters
        ----------
        solver
            ``LinearVariationalSolver``, ``NonlinearVariationalSolver`` (each of its linear solves, whose right-hand
            sides are residuals), ``LinearSolver`` of Firedrake, or a KSP of PETSc; a direct one goes on as it does.
        """
        solver_ksp(solver).setPreSolve(self._begin)

    def _begin(self, ksp: PETSc.KSP, b: PETSc.Vec, x: PETSc.Vec) -> None:
        began = perf_counter()
        # A direct solver begins nowhere.
        better = ksp.getType() != PETSc.KSP.Type.PREONLY
        if better:
            x.setArray(self._predict(b.getArray(readonly=True)))
            better = self._norm is None or self._is_better(ksp.getOperators()[0], b, x)
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
