"""Refusals that several places share."""

from __future__ import annotations

import torch
from torch import Tensor


def check_float64(name: str, tensor: Tensor, fits: bool, shape: str) -> None:
    """Refuse a tensor for a solve that is not in float64 on the CPU, or does not fit.

    Parameters
    ----------
    name
        Name of the argument.
    tensor
        The argument.
    fits
        Whether its shape does.
    shape
        Expected shape, in words.

    Raises
    ------
    ValueError
        If it is refused. Types and devices must be the same on all ranks.
    """
    if not fits or tensor.dtype != torch.float64 or tensor.device.type != "cpu":
        raise ValueError(
            f"{name}: got {str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)} on "
            f"{tensor.device}, expected float64 of shape {shape} on cpu; move it with .double() and .cpu()"
        )
