"""From a request to weights with their model card: what the trainings of all models have in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from learned.device import parse_device
from learned.train_request import TrainRequest, parse_request
from learned.training import Progress, Task, TrainingSettings, train
from learned.weights import NETWORKS, ModelCard, save_weights, source_commit

# What a training of a folder began with: the commit goes into the card, the rest has to be the same to go on.
_BEGUN = "begun.json"


class PlacedTask(Task, Protocol):
    """A task whose samples are on a device."""

    def to(self, device: torch.device | str) -> PlacedTask:
        """Put everything on a device."""


@dataclass(frozen=True)
class Recipe:
    """What a model is and what it is trained on.

    Attributes
    ----------
    options
        Of the network.
    task
        Losses and figures.
    settings
        How to train if the request does not say.
    data
        What the samples are, for the card.
    figures
        More figures of the card, of the trained network.
    network
        Its name in ``NETWORKS``; that of the model if None.
    begin
        Is given the network before its training, as what it has to know of the samples.
    """

    options: dict[str, int]
    task: PlacedTask
    settings: TrainingSettings
    data: str
    figures: Callable[[nn.Module], dict[str, float]] | None = None
    network: str | None = None
    begin: Callable[[nn.Module], None] | None = None


@dataclass(frozen=True)
class Watcher:
    """Who is told how training goes.

    Attributes
    ----------
    report
        Is given a line after each evaluation.
    watch
        Is shown progress and settings after each update.
    """

    report: Callable[[str], None] = print
    watch: Callable[[Progress, TrainingSettings], None] | None = None


# Trains the model of a request and leaves its weights in the request's folder.
Trainer = Callable[[TrainRequest, Watcher], ModelCard]


def settings_of(request: TrainRequest, own: TrainingSettings) -> TrainingSettings:
    """Return a model's own settings with what a request says otherwise."""
    minutes = own.minutes if request.minutes is None else request.minutes
    if request.updates is not None and request.minutes is None:
        minutes = 1e9
    return replace(
        own,
        minutes=minutes,
        iterations=own.iterations if request.updates is None else request.updates,
        learning_rate=own.learning_rate if request.rate is None else request.rate,
        patience=request.patience,
        seed=request.seed,
    )


def run(request: TrainRequest, recipe: Recipe, watcher: Watcher) -> ModelCard:
    """Train; leave ``NAME.safetensors`` and its card ``NAME.json`` in the request's folder.

    Raises
    ------
    ValueError
        For a device that is not there, weights to begin with that do not fit, and a folder whose training was begun
        with something else.
    """
    device = parse_device(request.device)
    torch.set_num_threads(1)
    torch.manual_seed(request.seed)
    name = recipe.network or request.model
    network, settings = NETWORKS[name](**recipe.options), settings_of(request, recipe.settings)
    if recipe.begin is not None:
        recipe.begin(network)
    if request.init is not None:
        _begin_with(network, request.init)
    commit = _begun(request, recipe)
    watch = watcher.watch
    progress = train(
        network.to(device),
        recipe.task.to(device),
        settings,
        request.folder,
        resume=request.resume,
        report=watcher.report,
        watch=None if watch is None else lambda progress: watch(progress, settings),
    )
    with torch.no_grad():
        metrics = recipe.task.evaluate(network)
        more = {} if recipe.figures is None else recipe.figures(network)
    ending = (
        f"{progress.seconds / 60.0:.3g} minutes on {request.device}, learning rate {settings.learning_rate:g}, batch "
        f"{settings.batch}" + (f"; begun from {request.init}" if request.init else "")
    )
    card = ModelCard(
        network=name,
        options=dict(recipe.options),
        data=f"{recipe.data}; {ending}",
        seed=request.seed,
        commit=commit,
        epochs=progress.iteration,
        samples=progress.samples,
        seconds=round(progress.seconds, 3),
        metrics=metrics | more,
    )
    return save_weights(request.folder / f"{request.name}.safetensors", network, card)


def command_line(model: str, trainer: Trainer) -> None:
    """Train as the command line says; bad input ends in one line and exit code 2."""
    try:
        trainer(parse_request(model), Watcher(report=lambda line: print(line, flush=True)))
    except ValueError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)


def _begin_with(network: nn.Module, path: Path) -> None:
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"--init: got {path}, expected weights of this network ({error}); leave it out or name others"
        ) from None


def _begun(request: TrainRequest, recipe: Recipe) -> str:
    """Return the commit at which the training of a folder was begun, now if there is none; refuse another training."""
    path = request.folder / _BEGUN
    said = {"model": request.name, "options": recipe.options, "seed": request.seed, "data": recipe.data}
    if request.resume and path.exists():
        before = json.loads(path.read_text())
        for name, value in said.items():
            if before.get(name) != value:
                raise ValueError(
                    f"--resume: got {name} {value}, expected {before.get(name)} as when it was begun; give the same "
                    "options or another folder"
                )
        return str(before["commit"])
    commit = source_commit()
    request.folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said | {"commit": commit}, indent=1) + "\n")
    return commit
