"""Values of a Firedrake field as a tensor and back, exactly."""

from __future__ import annotations

import numpy as np
import torch
from firedrake import Cofunction, Function
from torch import Tensor


def field_shape(space) -> tuple[int, ...]:
    """Return the shape of the tensor that holds a field's degrees of freedom.

    Parameters
    ----------
    space
        Function space of any element, or its dual.

    Returns
    -------
    tuple[int, ...]
        (n,) for scalars, (n, d) for vectors, (n, d, d) for tensors, (n, stored components) for symmetric tensors, with
        the n nodes that this rank owns; of a mixed space (total,): all degrees of freedom of the first part, then
        those of the next, as in PETSc's vectors.
    """
    if len(space) > 1:
        return (sum(_sizes(space)),)
    return (int(space.dof_dset.size), *map(int, space.shape))


def to_tensor(
    function: Function | Cofunction, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> Tensor:
    """Return a copy of the degrees of freedom that this rank owns.

    Parameters
    ----------
    function
        Field, or element of a dual space.
    dtype
        Type of the tensor.
    device
        Device of the tensor.

    Returns
    -------
    Tensor
        Shape ``field_shape(function.function_space())``; in float64 exactly the field's values.
    """
    parts = function.subfunctions
    if len(parts) > 1:
        values = np.concatenate([part.dat.data_ro.ravel() for part in parts])
    else:
        # On one rank this is the field's memory.
        values = function.dat.data_ro.copy()
    return torch.from_numpy(values).to(dtype=dtype, device=device)


def to_function(tensor: Tensor, space, *, name: str | None = None) -> Function | Cofunction:
    """Return a field with given degrees of freedom: the way back from ``to_tensor``.

    Gradients do not pass: ``LinearSolve``, ``SolveOperator`` and ``NodeOperator`` carry them through solves.

    Parameters
    ----------
    tensor
        Degrees of freedom that this rank owns, shape ``field_shape(space)``, floating point, on the CPU.
    space
        Function space of any element, or its dual.
    name
        Name of the field.

    Returns
    -------
    Function or Cofunction
        Holds the values exactly; those of the halo are the owners'.

    Raises
    ------
    ValueError
        On all ranks, for another shape, type or device.
    """
    shape = field_shape(space)
    fits = tuple(tensor.shape) == shape and tensor.is_floating_point() and tensor.device.type == "cpu"
    # Decided by all ranks together: one that raised alone would leave the others waiting.
    if not all(space.mesh().comm.allgather(fits)):
        raise ValueError(
            f"tensor: got {str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)} on "
            f"{tensor.device}, expected floating point of shape {shape} on cpu on every rank; "
            "reshape it, move it with .cpu()"
        )
    function = Function(space, name=name)
    values = tensor.detach().numpy()
    if len(space) > 1:
        for part, piece in zip(function.subfunctions, np.split(values, np.cumsum(_sizes(space))[:-1]), strict=True):
            part.dat.data_wo[:] = piece.reshape(part.dat.data_ro.shape)
    else:
        function.dat.data_wo[:] = values
    return function


def _sizes(space) -> list[int]:
    """Return the number of own degrees of freedom of each part of a mixed space."""
    return [int(part.dof_dset.size * part.block_size) for part in space]
