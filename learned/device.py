"""Where tensors live: on the CPU or on a CUDA device, which is named by who calls and by nobody else.

What is prepared of a mesh is prepared on the CPU, once, and then moved as a whole; what is computed with it, in
training and in moves, makes its tensors on the device of its inputs.
"""

from __future__ import annotations

from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def parse_device(text: str) -> torch.device:
    """Return the device of a name, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    ValueError
        In one line, for another name, and for a device that is not there.
    """
    kind, _, number = text.partition(":")
    if kind not in ("cpu", "cuda") or (":" in text and not (kind == "cuda" and number.isdecimal())):
        raise ValueError(f"--device: got {text!r}, expected cpu, cuda or cuda:N")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= there:
        found = f"only the first {there}" if there else "no such device here"
        raise ValueError(f"--device: got {text!r}, expected one that is there, PyTorch finds {found}; take cpu")
    return torch.device(text)


def to_device(thing: T, device: torch.device | str) -> T:
    """Return what is made of tensors with all of them on a device.

    Parameters
    ----------
    thing
        A tensor, or lists, tuples, dictionaries and objects of this package's classes with tensors in them.
    device
        Where to.

    Returns
    -------
    The same on the device: objects are copied, once each, so that what shared a part still does. Anything else, NumPy
    arrays too, is as it was.
    """
    return _moved(thing, torch.device(device), {})


def _moved(thing: Any, device: torch.device, done: dict[int, Any]) -> Any:
    if isinstance(thing, Tensor):
        return thing.to(device)
    if isinstance(thing, list | tuple):
        return type(thing)(_moved(part, device, done) for part in thing)
    if isinstance(thing, dict):
        return {name: _moved(part, device, done) for name, part in thing.items()}
    if not type(thing).__module__.startswith("learned.") or isinstance(thing, torch.nn.Module):
        return thing
    if id(thing) not in done:
        done[id(thing)] = result = copy(thing)
        names = [field.name for field in fields(thing)] if is_dataclass(thing) else list(vars(thing))
        for name in names:
            # Frozen dataclasses do not let themselves be set otherwise; the copy is nobody else's yet.
            object.__setattr__(result, name, _moved(getattr(thing, name), device, done))
    return done[id(thing)]
