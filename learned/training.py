"""One training loop for all learned models: AdamW, cosine schedule, clipped gradients, checkpoints, early stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import cos, isfinite, pi
from pathlib import Path
from time import perf_counter
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class Task(Protocol):
    """What a model is trained for."""

    def loss(self, model: nn.Module, rng: np.random.Generator) -> Tensor:
        """Return the loss of one random sample, shape ()."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return figures on samples held out; ``score`` decides which weights are best, less being better."""


@runtime_checkable
class ChangingTask(Task, Protocol):
    """A task whose samples depend on those before, so that it is part of a checkpoint."""

    def state(self) -> dict[str, Tensor]:
        """Return what later samples depend on, besides the random numbers."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Be as ``state`` has said, with tensors on the CPU."""


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes
    ----------
    minutes
        Time [min], checkpoints and evaluations included; the learning rate falls to ``floor`` times itself over it.
    iterations
        Largest number of updates; the schedule follows whichever of the two is nearer to its end.
    batch
        Samples an update.
    learning_rate, floor, decay
        Of AdamW, and its weight decay.
    warm_up
        Updates over which the learning rate rises at the beginning.
    clip
        Largest norm of the gradient of a sample.
    every
        Updates between evaluations and checkpoints.
    patience
        Evaluations without a better score after which training stops; 0 for never.
    seed
        Of samples and weights.
    """

    minutes: float = 45.0
    iterations: int = 1_000_000
    batch: int = 1
    learning_rate: float = 1.5e-3
    floor: float = 0.02
    decay: float = 1e-4
    warm_up: int = 100
    clip: float = 1.0
    every: int = 200
    patience: int = 0
    seed: int = 0


@dataclass
class Progress:
    """How far training is; what a checkpoint holds besides tensors.

    Attributes
    ----------
    iteration, samples, skipped
        Updates, losses they were made of, and those left out as they were not finite.
    seconds
        Time [s], that before a checkpoint included.
    loss
        Running mean.
    score, best
        Of the last evaluation, and the least.
    stale
        Evaluations since the least.
    """

    iteration: int = 0
    seconds: float = 0.0
    loss: float = float("nan")
    best: float = float("inf")
    stale: int = 0
    skipped: int = 0
    samples: int = 0
    score: float = float("nan")

    def share(self, settings: TrainingSettings) -> float:
        """Return how much is done, by time or updates, whichever is nearer to its end, between 0 and 1."""
        most = max(self.seconds / (60.0 * settings.minutes), self.iteration / settings.iterations)
        return min(1.0, most)


def train(
    model: nn.Module,
    task: Task,
    settings: TrainingSettings,
    out: Path,
    *,
    resume: bool = False,
    report: Callable[[str], None] = print,
    watch: Callable[[Progress], None] | None = None,
) -> Progress:
    """Train a model; leaves ``best.safetensors`` and a checkpoint from which to go on.

    Parameters
    ----------
    model
        To be trained in place; at the end it has the best weights.
    task
        Losses and figures.
    settings
        How.
    out
        Directory for weights, ``checkpoint.*`` and ``log.jsonl``; made if need be.
    resume
        Go on from the checkpoint in ``out`` if there is one. After as many updates on a CPU the weights are, to the
        last bit, those of a training that was never stopped, if the learning rate follows the updates (``minutes``
        large) and the task is a ``ChangingTask`` or its samples are independent.
    report
        Is given a line after each evaluation.
    watch
        Is shown the progress after each update.

    Returns
    -------
    Progress
        Where it ended. A loss or gradient that is not finite is skipped and counted.
    """
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.decay)
    progress = Progress()
    if resume and (out / "checkpoint.json").exists():
        progress = load_checkpoint(model, optimizer, rng, out, task)
    writer = _tensorboard(out, progress.iteration)
    start = perf_counter() - progress.seconds
    while not _finished(progress, settings):
        warm = min(1.0, (progress.iteration + 1) / settings.warm_up)
        rate = settings.floor + (1.0 - settings.floor) * 0.5 * (1.0 + cos(pi * progress.share(settings)))
        for group in optimizer.param_groups:
            group["lr"] = warm * rate * settings.learning_rate
        _update(model, task, optimizer, settings, rng, progress)
        progress.iteration += 1
        progress.seconds = perf_counter() - start
        if progress.iteration % settings.every == 0 or _finished(progress, settings):
            with torch.no_grad():
                figures = task.evaluate(model)
            progress.score = figures["score"]
            progress.stale = 0 if progress.score < progress.best else progress.stale + 1
            if progress.score < progress.best:
                progress.best = progress.score
                save_file(model.state_dict(), out / "best.safetensors")
            line = asdict(progress) | figures
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            if writer is not None:
                for name, value in line.items():
                    writer.add_scalar(name, value, progress.iteration)
            report(" ".join(f"{name} {value:.4g}" for name, value in line.items()))
            save_checkpoint(model, optimizer, rng, progress, out, task)
        if watch is not None:
            watch(progress)
    if writer is not None:
        writer.close()
    if (out / "best.safetensors").exists():
        model.load_state_dict(load_file(out / "best.safetensors"))
    return progress


def save_checkpoint(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rng: np.random.Generator,
    progress: Progress,
    out: Path,
    task: Task | None = None,
) -> None:
    """Write weights, moments of the optimiser, random numbers, the task's state and progress, then replace the last.

    All that it takes to go on is in one file, so that whenever it is stopped there is one checkpoint as a whole;
    ``checkpoint.json`` repeats what can be read.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    if isinstance(task, ChangingTask):
        tensors |= {f"task.{name}": value for name, value in task.state().items()}
    said = {"progress": asdict(progress), "random": rng.bit_generator.state}
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    save_file(contiguous, out / "checkpoint.new", metadata={"said": json.dumps(said)})
    (out / "checkpoint.json.new").write_text(json.dumps(said, indent=1))
    (out / "checkpoint.new").replace(out / "checkpoint.safetensors")
    (out / "checkpoint.json.new").replace(out / "checkpoint.json")


def load_checkpoint(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rng: np.random.Generator,
    out: Path,
    task: Task | None = None,
) -> Progress:
    """Return the progress of a checkpoint after setting weights, optimiser, random numbers and task to its state."""
    with safe_open(out / "checkpoint.safetensors", "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    said = json.loads(metadata["said"] if "said" in metadata else (out / "checkpoint.json").read_text())
    model.load_state_dict({n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    left = {name.removeprefix("task."): value for name, value in tensors.items() if name.startswith("task.")}
    # Checkpoints of earlier versions have none.
    if isinstance(task, ChangingTask) and left:
        task.load_state(left)
    rng.bit_generator.state = said["random"]
    return Progress(**said["progress"])


def _update(model, task: Task, optimizer, settings: TrainingSettings, rng, progress: Progress) -> None:
    """Update the weights by the mean of the gradients of some samples, each clipped: one bad sample spoils nothing."""
    parameters = list(model.parameters())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    losses = []
    for _ in range(settings.batch):
        loss = task.loss(model, rng)
        if not isfinite(float(loss.detach())) or not loss.requires_grad:
            continue
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        norm = float(torch.stack([gradient.abs().square().sum() for gradient in gradients]).sum().sqrt())
        if isfinite(norm):
            scale = min(1.0, settings.clip / max(norm, 1e-30))
            torch._foreach_add_(total, gradients, alpha=scale)
            losses.append(float(loss.detach()))
    progress.skipped += settings.batch - len(losses)
    progress.samples += len(losses)
    if not losses:
        return
    for parameter, gradient in zip(parameters, total, strict=True):
        parameter.grad = gradient / settings.batch
    optimizer.step()
    mean = sum(losses) / len(losses)
    progress.loss = mean if not isfinite(progress.loss) else 0.98 * progress.loss + 0.02 * mean


def _finished(progress: Progress, settings: TrainingSettings) -> bool:
    late = progress.seconds >= 60.0 * settings.minutes or progress.iteration >= settings.iterations
    return late or 0 < settings.patience <= progress.stale


def _tensorboard(out: Path, iteration: int):
    """Return a writer of TensorBoard logs that go on after an update, or None if that is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(out / "tensorboard", purge_step=iteration + 1)
