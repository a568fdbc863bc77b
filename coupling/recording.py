"""One evaluation of Firedrake code with a tape of its own, as a node of torch's graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from firedrake import Cofunction, Function
from firedrake.adjoint import (
    Control,
    ReducedFunctional,
    continue_annotation,
    pause_annotation,
    set_working_tape,
    stop_annotating,
)
from firedrake.mesh import MeshGeometry
from pyadjoint import AdjFloat, OverloadedType, Tape
from pyadjoint.block_variable import BlockVariable
from pyadjoint.tape import annotate_tape
from torch import Tensor
from torch.autograd.function import once_differentiable

from coupling.bridge import to_function, to_tensor

# Makes, from tensors, the fields to differentiate for, and evaluates what depends on them.
Evaluation = Callable[..., tuple[Sequence[Function], Any]]


class Recording:
    """The result of an evaluation and its derivatives, whatever is evaluated later.

    pyadjoint's variables hang on the objects of Firedrake, so that a second evaluation that uses the same function,
    solver or mesh would find those of the first, and the value they had then. Here every evaluation has a tape of its
    own with variables of its own, and other tapes keep theirs.

    Parameters
    ----------
    evaluate
        Returns controls and result; runs under annotation.
    check
        Raises if the tape has an operation whose derivative would be missing.

    Attributes
    ----------
    result
        A number or a field.

    Raises
    ------
    ValueError
        If the result is neither.
    """

    def __init__(self, evaluate: Callable[[], tuple[Sequence[Function], Any]], check: Callable[[Tape], None]):
        with set_working_tape() as tape, _annotating():
            controls, result = evaluate()
            _check_result(result, recorded=True)
            check(tape)
            # What is returned may be the next evaluation's, too.
            self.result = _copied(result)
            self._functional = ReducedFunctional(self.result, [Control(control) for control in controls])
        self._meshes = _separate(tape, keep=(self.result, *controls))

    def gradients(self, weight: float | Cofunction) -> list[Cofunction]:
        """Return the derivative of the result times a weight, for each control.

        All ranks call it together. Meshes that the evaluation used are where they are now, not where they were then.
        """
        now = [mesh.coordinates.copy(deepcopy=True) for mesh in self._meshes]
        _renew_adjoint_solvers(self._functional.tape)
        try:
            return list(self._functional.derivative(adj_input=weight))
        finally:
            with stop_annotating():
                for mesh, coordinates in zip(self._meshes, now, strict=True):
                    mesh.coordinates.assign(coordinates)


def apply_recorded(evaluate: Evaluation, check: Callable[[Tape], None], *tensors: Tensor) -> Tensor:
    """Return the result of an evaluation as a tensor through which gradients pass.

    Parameters
    ----------
    evaluate
        Takes the tensors, detached; returns the fields made from them, and a number or a field.
    check
        See ``Recording``.
    tensors
        float64, on the CPU.

    Returns
    -------
    Tensor
        float64: of a number shape (), of a field ``field_shape`` of its space. No tape is written if no gradient is
        asked for.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _Recorded.apply(evaluate, check, *tensors)
    with stop_annotating():
        result = evaluate(*tensors)[1]
    _check_result(result, recorded=False)
    return _as_tensor(result)


class _Recorded(torch.autograd.Function):
    """A recorded evaluation; the recording is kept for the backward pass of this very call."""

    @staticmethod
    def forward(ctx: Any, evaluate, check, *tensors):
        ctx.recording = Recording(lambda: evaluate(*tensors), check)
        return _as_tensor(ctx.recording.result)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weight):
        result = ctx.recording.result
        if isinstance(result, Function | Cofunction):
            weight = to_function(weight.contiguous(), result.function_space().dual())
        else:
            weight = float(weight)
        return None, None, *map(to_tensor, ctx.recording.gradients(weight))


@contextmanager
def _annotating() -> Iterator[None]:
    """Annotate, and afterwards do what was done before."""
    before = annotate_tape()
    continue_annotation()
    try:
        yield
    finally:
        if not before:
            pause_annotation()


def _separate(tape: Tape, keep: Sequence[OverloadedType]) -> list[MeshGeometry]:
    """Part a tape from objects that others use, too; return the meshes among them.

    Variables that come from outside are replaced by new ones with the values there are now; objects that the tape has
    changed, but for those to keep, forget their variables, so that whoever uses them next starts from their values.
    """
    blocks = tape.get_blocks()
    made = {id(variable): variable for block in blocks for variable in block.get_outputs()}
    kept = {id(known) for known in keep}
    inside = made.keys() | {id(known.block_variable) for known in keep}
    outside: dict[int, BlockVariable] = {}
    for block in blocks:
        dependencies = block.get_dependencies()
        for place, variable in enumerate(dependencies):
            if id(variable) not in inside:
                if id(variable) not in outside:
                    outside[id(variable)] = BlockVariable(variable.output)
                    outside[id(variable)].save_output()
                dependencies[place] = outside[id(variable)]
    for variable in made.values():
        if id(variable.output) not in kept:
            variable.output.clear_block_variable()
    return [variable.output for variable in outside.values() if isinstance(variable.output, MeshGeometry)]


def _copied(result: AdjFloat | Function | Cofunction) -> AdjFloat | Function | Cofunction:
    """Return a result, a field as an annotated copy."""
    if isinstance(result, Function | Cofunction):
        return Function(result.function_space()).assign(result)
    return result


def _renew_adjoint_solvers(tape: Tape) -> None:
    """Make adjoint solvers, one of which serves all tapes with the same solver, start as if there were no others."""
    for block in tape.get_blocks():
        solvers = getattr(block, "_ad_solvers", None)
        if solvers is not None:
            # Otherwise a Jacobian said to be constant would be that of the first backward pass for ever.
            solvers["update_adjoint"] = True
            solvers["adjoint_lvs"]._problem.u.zero()


def _check_result(result: Any, *, recorded: bool) -> None:
    if not isinstance(result, Function | Cofunction | (AdjFloat if recorded else float)):
        raise ValueError(
            f"result: got {type(result).__name__}, expected a Function, a Cofunction or the number that assemble "
            "gives; return it from the function that is evaluated"
        )


def _as_tensor(result: float | Function | Cofunction) -> Tensor:
    if isinstance(result, Function | Cofunction):
        return to_tensor(result)
    return torch.tensor(float(result), dtype=torch.float64)
