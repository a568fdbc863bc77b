"""`driftmesh train`: from nothing, or from where it was stopped, to weights with their model card."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from cases.errors import InputError, as_input_error

# Each is a module learned.train_NAME that takes these options and leaves NAME.safetensors with its card.
MODELS = ("drift", "um2n", "dmm")
# What the loop of learned.training leaves, from which it goes on.
_CHECKPOINT = "checkpoint.json"


@dataclass(frozen=True)
class TrainRequest:
    """What `driftmesh train` was asked for.

    Attributes
    ----------
    model
        Name in ``MODELS``.
    out
        Folder for weights, checkpoints and log; ``results/train/MODEL`` if None.
    minutes
        How long to train [min]; the model's own time if None.
    seed
        Of weights and samples.
    smoke
        Few small samples, a minute: to see that it works.
    resume
        Go on from the checkpoint in the folder.
    device
        Where to train; ``cpu``.
    """

    model: str
    out: Path | None = None
    minutes: float | None = None
    seed: int = 0
    smoke: bool = False
    resume: bool = False
    device: str = "cpu"

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.out or Path("results") / "train" / self.model


def train(request: TrainRequest, echo: Callable[[str], None]) -> Path:
    """Train a model; return the file of its weights, with the card beside it.

    Raises
    ------
    InputError
        In one line, before anything is computed or written, for an unknown model or device, a folder with another
        training in it, or none to go on from.
    KeyboardInterrupt
        If it is stopped; it can go on from the last checkpoint.
    """
    _check(request)
    folder = request.folder
    arguments = ["--out", str(folder), "--seed", str(request.seed)]
    if request.minutes is not None:
        arguments += ["--minutes", str(request.minutes)]
    arguments += [f"--{flag}" for flag in ("smoke", "resume") if getattr(request, flag)]
    module = import_module(_module(request.model))
    saved = sys.argv
    # The scripts of learned are for machines without this command line, and read theirs.
    sys.argv = [_module(request.model), *arguments]
    try:
        with as_input_error():
            module.main()
    except KeyboardInterrupt:
        if (folder / _CHECKPOINT).is_file():
            echo(f"stopped; `driftmesh train {request.model} --resume --out {folder}` goes on")
        raise
    finally:
        sys.argv = saved
    weights = folder / f"{request.model}.safetensors"
    echo(f"written: {weights}, {weights.with_suffix('.json')}")
    return weights


def _check(request: TrainRequest) -> None:
    known = [name for name in MODELS if find_spec(_module(name)) is not None]
    if request.model not in known:
        raise InputError(
            f"model: got {request.model!r}, expected one of {', '.join(known)}; `driftmesh models` lists what is "
            "trained already"
        )
    if request.device != "cpu":
        raise InputError(f"--device: got {request.device!r}, expected 'cpu'; trainings run nowhere else so far")
    if request.smoke and request.minutes is not None:
        raise InputError("--minutes: got --smoke too, which takes a minute, expected one of them; leave out the other")
    folder, has_one = request.folder, (request.folder / _CHECKPOINT).is_file()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out: got {folder}, expected a folder; name another one")
    if request.resume and not has_one:
        raise InputError(f"--resume: got {folder} without a checkpoint, expected one; leave out --resume to begin")
    if has_one and not request.resume:
        raise InputError(f"--out: got {folder} with a training in it, expected none; add --resume or name another one")


def _module(model: str) -> str:
    return f"learned.train_{model}"
