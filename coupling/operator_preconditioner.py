"""Operator networks as preconditioners of PETSc, alone or around another one such as algebraic multigrid."""

from __future__ import annotations

from firedrake.petsc import PETSc
from firedrake.preconditioners.base import PCBase

from coupling.operator_inverse import OperatorInverse

# Name of the network's inverse among the things a solver is given (``appctx``), and prefix of the options of what it is
# put around.
INVERSE, PREFIX = "operator_inverse", "operator_"

# Conjugate gradients with the network's operator alone, and around algebraic multigrid. Flexible ones, as the operator
# is symmetric to rounding only; "cg" does as well.
OPERATOR = {
    "ksp_type": "fcg",
    "pc_type": "python",
    "pc_python_type": "coupling.operator_preconditioner.OperatorPC",
}
OPERATOR_GAMG = {**OPERATOR, f"{PREFIX}pc_type": "gamg"}


class OperatorPC(PCBase):
    r"""Precondition with the operator S of a network, or with its functions around another preconditioner M.

    .. math:: z = S r\qquad\text{or}\qquad z = \big(Q + (I - Q A)\, M\, (I - A Q)\big)\, r

    with Q the solve in the span of the network's functions (``OperatorInverse.coarse``). Both are symmetric and
    positive definite if M is. Set up as Firedrake does by solver parameters, such as ``OPERATOR_GAMG``, with
    ``appctx={"operator_inverse": OperatorInverse(...)}``; M is there if there are options ``operator_pc_type`` and so
    on. A is the operator of the solver, which may change: S and Q remain as they are.

    Raises
    ------
    ValueError
        At the first solve, if there is no such inverse, or it has another number of degrees of freedom. PETSc hands it
        on as the cause of an error of its own.

    Notes
    -----
    Mandel, Balancing domain decomposition, Comm. Numer. Meth. Eng. 9 (1993): what M is put between.
    """

    def initialize(self, pc: PETSc.PC) -> None:
        """Find the network's inverse, and set up what it is put around."""
        inverse = (self.get_appctx(pc) or {}).get(INVERSE)
        if not isinstance(inverse, OperatorInverse):
            raise ValueError(
                f"appctx: got {type(inverse).__name__} as {INVERSE!r}, expected an OperatorInverse; give the solver "
                f"appctx={{{INVERSE!r}: OperatorInverse(network, problem)}}"
            )
        self.begin(pc, inverse)

    def begin(self, pc: PETSc.PC, inverse: OperatorInverse) -> None:
        """Set up for an inverse that is not found by way of Firedrake."""
        self.inner: PETSc.PC | None = None
        self._inverse = inverse
        self._matrix, preconditioned = pc.getOperators()
        size = self._matrix.size[0]
        if size != inverse.size:
            raise ValueError(
                f"operator: got {inverse.size} degrees of freedom, expected the {size} of the solver; make it of the "
                "solver's own form"
            )
        prefix = (pc.getOptionsPrefix() or "") + PREFIX
        if not PETSc.Options(prefix).hasName("pc_type"):
            return
        self.inner = PETSc.PC().create(comm=pc.comm)
        self.inner.incrementTabLevel(1, parent=pc)
        self.inner.setOptionsPrefix(prefix)
        self.inner.setOperators(self._matrix, preconditioned)
        self.inner.setFromOptions()
        self._rest = self._matrix.createVecLeft()

    def update(self, pc: PETSc.PC) -> None:
        """See that M follows the matrix; S does not."""
        if self.inner is not None:
            self.inner.setUp()

    def apply(self, pc: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """Put z for r = x into y."""
        r = x.getArray(readonly=True)
        if self.inner is None:
            y.setArray(self._inverse(r))
            return
        # What is left of r once the coarse part z is solved, what M makes of it, and that without its coarse part.
        z = self._inverse.coarse(r)
        y.setArray(z)
        self._matrix.mult(y, self._rest)
        self._rest.aypx(-1.0, x)
        self.inner.apply(self._rest, y)
        self._matrix.mult(y, self._rest)
        z -= self._inverse.coarse(self._rest.getArray(readonly=True))
        y.setArray(z + y.getArray(readonly=True))

    # Symmetric.
    applyTranspose = apply


def use_operator(ksp: PETSc.KSP, inverse: OperatorInverse) -> None:
    """Let a KSP of PETSc whose operators are set precondition with a network, as ``OperatorPC`` does.

    Parameters
    ----------
    ksp
        Of a symmetric positive definite matrix; its options with the prefix ``operator_`` say what the network's
        functions are put around.
    inverse
        Of the same problem.

    Raises
    ------
    ValueError
        As ``OperatorPC`` does, but at once.
    """
    pc, context = ksp.getPC(), OperatorPC()
    context.begin(pc, inverse)
    context.initialized = True
    pc.setType("python")
    pc.setPythonContext(context)
