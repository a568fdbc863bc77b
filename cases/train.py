"""`driftmesh train`: from nothing, or from where it was stopped, to weights with their model card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cases.dataset import Samples, operator_samples, write_samples
from cases.errors import InputError, as_input_error
from cases.progress import is_a_terminal
from learned.train_request import OPERATORS, ROLLOUTS, TrainRequest

if TYPE_CHECKING:
    from learned.trainer import Trainer
    from learned.training import Progress as TrainingProgress
    from learned.training import TrainingSettings

# What the loop of learned.training leaves, from which it goes on.
_CHECKPOINT = "checkpoint.json"


def train(request: TrainRequest, echo: Callable[[str], None], console: Console | None = None) -> Path:
    """Train a model; return the file of its weights, with the card beside it.

    Parameters
    ----------
    request
        What is asked for.
    echo
        Takes a line: figures after each evaluation unless somebody watches the bar, and what has been written.
    console
        Where a bar is drawn if it is a terminal; standard output if None.

    Raises
    ------
    InputError
        In one line, before anything is computed or written, for a device that is not there, a folder with another
        training in it, or none to go on from.
    KeyboardInterrupt
        If it is stopped; it can go on from the last checkpoint.
    """
    from learned.trainer import Watcher

    _check(request)
    console = console or Console(highlight=False, soft_wrap=True)
    trainer, folder = _trainer(request, console), request.folder
    bar = TrainingBar(console, request.name)
    try:
        with bar, as_input_error():
            trainer(request, Watcher(report=echo if not bar.active else lambda line: None, watch=bar.update))
    except KeyboardInterrupt:
        if (folder / _CHECKPOINT).is_file():
            problem = f" --problem {request.problem}" if request.problem else ""
            echo(f"stopped; `driftmesh train {request.model}{problem} --resume --out {folder}` goes on")
        raise
    weights = folder / f"{request.name}.safetensors"
    echo(f"written: {weights}, {weights.with_suffix('.json')}")
    return weights


class TrainingBar:
    """Show how much is done, updates, loss, scores and time left on a terminal.

    Parameters
    ----------
    console
        Where to draw; nothing is drawn unless it is a terminal.
    name
        Label of the bar.
    """

    def __init__(self, console: Console, name: str):
        self.active = not console.quiet and is_a_terminal(console)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not self.active,
            transient=True,
        )
        self._task = self._bar.add_task(name, total=1.0, state="")

    def __enter__(self) -> TrainingBar:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        """Stop drawing."""
        self._bar.stop()

    def update(self, progress: TrainingProgress, settings: TrainingSettings) -> None:
        """Move the bar to where training is."""
        state = f"update {progress.iteration:,}  loss {progress.loss:.3g}"
        if progress.iteration >= settings.every:
            state += f"  score {progress.score:.4g} (best {progress.best:.4g})"
        self._bar.update(self._task, completed=progress.share(settings), state=state)


def _trainer(request: TrainRequest, console: Console) -> Trainer:
    """Return what trains the model, after the labels that it needs have been made."""
    if request.model == "drift":
        from learned.train_drift import train_drift

        return train_drift
    if request.model == "dmm":
        from learned.train_dmm import train_dmm

        return train_dmm
    if request.model in OPERATORS:
        return _operator_trainer(request, console)
    from functools import partial

    from coupling.labels import LabelSettings, make_label
    from learned.dataset import SCHEMA
    from learned.stream import endless
    from learned.train_um2n import train_um2n

    # The labels of a smoke are those of small meshes, which take less time to make than to train on.
    few = {"samples": 8, "smallest": 150, "largest": 250} if request.smoke else {}
    settings = LabelSettings(seed=request.seed, **few)
    if request.stream:
        return partial(train_um2n, labels=endless(make_label, settings, processes=request.processes))
    path = request.data or request.folder / "labels.h5"
    if request.data is None or not path.exists() or _interrupted(path, SCHEMA):
        samples = Samples(settings, make_label, SCHEMA)
        write_samples(path, samples, name="labels", processes=request.processes, console=console)
    return train_um2n


def _operator_trainer(request: TrainRequest, console: Console) -> Trainer:
    """Return what trains an operator network, after its problems have been made."""
    from functools import partial

    from learned.stream import endless
    from learned.train_operator import train_operator
    from learned.train_rollout import train_rollout

    # The problems of a smoke are small, too.
    few = (6, 150) if request.smoke else (None, None)
    samples = operator_samples(str(request.problem), request.seed, count=few[0], nodes=few[1])
    if request.stream:
        stream = endless(samples.make, samples.settings, processes=request.processes)
        return partial(train_operator, problems=stream)
    advances = request.model in ROLLOUTS
    path = request.data or request.folder / ("trajectories.h5" if advances else "operators.h5")
    if request.data is None or not path.exists() or _interrupted(path, samples.schema):
        write_samples(path, samples, name=str(request.problem), processes=request.processes, console=console)
    return train_rollout if advances else train_operator


def _interrupted(path: Path, schema: str) -> bool:
    """Return whether a data set has fewer samples than it was asked to have."""
    from learned.dataset import samples_wanted

    with as_input_error():
        there, wanted = samples_wanted(path, schema)
    return there < wanted


def _check(request: TrainRequest) -> None:
    from learned.device import parse_device

    with as_input_error():
        parse_device(request.device)
    if request.model == "drift" and request.data is not None and not request.data.is_file():
        raise InputError(f"--data: got no file {request.data}, expected one; make it: driftmesh dataset movers")
    folder, has_one = request.folder, (request.folder / _CHECKPOINT).is_file()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out: got {folder}, expected a folder; name another one")
    if request.resume and not has_one:
        raise InputError(f"--resume: got {folder} without a checkpoint, expected one; leave out --resume to begin")
    if has_one and not request.resume:
        raise InputError(f"--out: got {folder} with a training in it, expected none; add --resume or name another one")
