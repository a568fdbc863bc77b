"""Firedrake code as a function of torch: tensors of fields in, a field or a number out, gradients by the adjoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from firedrake import Function
from torch import Tensor

from coupling.bridge import field_shape, to_function
from coupling.missing_derivatives import check_boundary_values
from coupling.recording import apply_recorded
from learned.checks import check_float64


class SolveOperator:
    r"""Evaluate Firedrake code, linear or nonlinear, on the degrees of freedom of fields.

    .. math:: F(u, m) = 0,\qquad \Big(\frac{\partial F}{\partial u}\Big)^T \lambda =
              \Big(\frac{\partial L}{\partial u}\Big)^T,\qquad
              \frac{dL}{dm} = -\lambda^T \frac{\partial F}{\partial m}

    Each call keeps a tape of its own. A loss over several calls therefore has the gradient of their sum, whatever
    the functions, solvers and meshes are that the calls share; ``firedrake.ml.pytorch.fem_operator`` keeps one tape
    for all, which is at the last call's values when the backward pass begins.

    Parameters
    ----------
    evaluate
        Takes a Function of each space, returns a Function, a Cofunction or the number that ``assemble`` gives.
        Everything between them must be what pyadjoint records: solve, assemble, assign, interpolate, project.
    spaces
        Function spaces of the arguments.

    Notes
    -----
    Under MPI, tensors hold the degrees of freedom that each rank owns. All ranks call and differentiate together; a
    loss on fields is the sum over the ranks of what each makes of its part, a loss on numbers must be the same on all.

    Source: Farrell, Ham, Funke and Rognes, Automated derivation of the adjoint of high-level transient finite element
    programs, SIAM J. Sci. Comput. 35 (2013), eqs. 2.1-2.6.
    """

    def __init__(self, evaluate: Callable[..., Any], *spaces):
        self._evaluate = evaluate
        self._spaces = spaces

    def __call__(self, *fields: Tensor) -> Tensor:
        """Return the result for fields given by their degrees of freedom.

        Parameters
        ----------
        fields
            A tensor for each space, shape ``field_shape(space)``, float64 on the CPU.

        Returns
        -------
        Tensor
            float64: shape () for a number, ``field_shape`` of its space for a field. Without a gradient to
            compute (``torch.no_grad``, no argument that requires one) no tape is written.

        Raises
        ------
        ValueError
            For another number of fields, other shapes, types or devices; for a result that is neither a field nor a
            number; for Dirichlet values whose derivative pyadjoint would leave out.
        """
        if len(fields) != len(self._spaces):
            raise ValueError(f"fields: got {len(fields)}, expected {len(self._spaces)}, one for each space")
        for place, (field, space) in enumerate(zip(fields, self._spaces, strict=True)):
            shape = field_shape(space)
            check_float64(f"fields[{place}]", field, tuple(field.shape) == shape, str(shape))
        return apply_recorded(self._evaluated, check_boundary_values, *fields)

    def _evaluated(self, *fields: Tensor) -> tuple[Sequence[Function], Any]:
        controls = [to_function(field, space) for field, space in zip(fields, self._spaces, strict=True)]
        return controls, self._evaluate(*controls)
