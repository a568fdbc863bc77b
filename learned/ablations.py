"""What each part of drift is good for: ``python -m learned.ablations --out DIR [--updates 2200] [--table FILE]``.

Trains drift and variants of it from the same seed with as many updates, then moves the same meshes, which none has
seen, with each of them, with the weights that the package ships, and with the gradient alone. A training that stopped
goes on from its checkpoint, one that is finished is not repeated.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from learned.ablation_figures import SHAPE, STEPS, Contender, GradientStep, cases, compare, tables
from learned.movers.drift_task import DriftTask
from learned.networks.drift import DriftNetwork
from learned.train_drift import OPTIONS
from learned.training import TrainingSettings, train
from learned.weights import PRETRAINED, ModelCard, load_weights, save_weights, source_commit


@dataclass(frozen=True)
class Variant:
    """What is changed for a training.

    Attributes
    ----------
    levels
        Levels of the network, 0 for all.
    every_iterate
        Whether the loss has all iterates, or the last one alone.
    steps
        Largest number of steps of a sample.
    """

    levels: int = 0
    every_iterate: bool = True
    steps: int = 5


VARIANTS = {
    "full": Variant(),
    "finest": Variant(levels=1),
    "last": Variant(every_iterate=False),
    "single": Variant(steps=1),
}
_INTRODUCTION = """{meshes} meshes and monitor functions that no training has seen, of all kinds of domain, in the plane
and in space. Median / 90 % / worst over the meshes of std/mean: of m V where the moves aim at that, of m V over the
volume of the computational cell (*relative*) where they aim at that; for features of amplitude up to a, in training
up to 50. What was trained here has the same seed and {updates} updates; moves take {steps} steps, fewer if there is
nothing to gain. *Weights*: those that have a part in the proposal. Over all moves of a row, for both aims and
amplitudes: *worst shape* of a mesh, squared edges over volume, 1 for a regular simplex; *inverted or lost*, meshes with
inverted cells or places that are not finite; *mended, gradient*, share of the steps in which acceptance put the
gradient's step in places, or everywhere; *ms*, median of the processor time of one thread, without what depends on the
topology alone."""
_WORDS = {
    "full": "drift, {0} updates",
    "finest": "no multigrid, finest level only",
    "last": "loss on the last iterate only",
    "single": "trained for one step only",
}


def train_variant(
    name: str, out: Path, *, updates: int, seed: int, smoke: bool = False, report: Callable[[str], None] = print
) -> Path:
    """Train a variant unless that is done; return the file of its weights.

    Parameters
    ----------
    name
        One of ``VARIANTS``.
    out
        Directory; weights, checkpoint and log go to one of the variant's name in it.
    updates
        Number of updates, over which the learning rate falls; how long they take does not matter.
    seed
        Of weights, meshes and samples.
    smoke
        Few small meshes.
    report
        Is given a line now and then.
    """
    variant, folder = VARIANTS[name], out / name
    path = folder / "drift.safetensors"
    if path.exists() and load_weights(path)[1].epochs >= updates:
        return path
    options = OPTIONS | {"levels": variant.levels}
    torch.manual_seed(seed)
    network = DriftNetwork(**options)
    task = _task(variant, seed, smoke)
    settings = TrainingSettings(minutes=1e6, iterations=updates, every=min(200, updates), seed=seed)
    progress = train(network, task, settings, folder, resume=True, report=lambda line: report(f"{name}: {line}"))
    with torch.no_grad():
        metrics = task.evaluate(network)
    data = f"{sum(len(group.sizes) for group in task.pool)} random meshes, no labels; ablation {name}: {variant}"
    card = ModelCard("drift", options, data=data, seed=seed, commit=source_commit(), epochs=progress.iteration)
    card.metrics = metrics | {"seconds": progress.seconds}
    save_weights(path, network, card)
    return path


def _task(variant: Variant, seed: int, smoke: bool) -> DriftTask:
    steps, every = variant.steps, variant.every_iterate
    shapes = SHAPE, SHAPE
    if not smoke:
        return DriftTask(seed=seed, steps=steps, every_iterate=every, shapes=shapes, usual=SHAPE)
    few, nodes = 3, (150, 200)
    return DriftTask(
        seed=seed,
        groups=few,
        together=2,
        nodes=nodes,
        large=250,
        steps=steps,
        every_iterate=every,
        shapes=shapes,
        usual=SHAPE,
    )


def contenders(weights: dict[str, Path]) -> list[Contender]:
    """Return who is compared.

    Parameters
    ----------
    weights
        Files of the weights of variants, by name.
    """
    network, card = load_weights(PRETRAINED / "drift.safetensors")
    more = " after others" if "begun from" in card.data else ""
    shipped = Contender("drift as shipped", network, f"{card.epochs:,}{more}")
    found = [
        Contender("nobody", None, steps=0),
        Contender("no network: the gradient's step", GradientStep()),
        *_without(shipped),
    ]
    for name, path in weights.items():
        network, card = load_weights(path)
        one = Contender(_WORDS[name].format(f"{card.epochs:,}"), network, f"{card.epochs:,}")
        found += _without(one) if name == "full" else [one]
        if VARIANTS[name].steps == 1:
            found.append(replace(one, name=f"{one.name}: one step", steps=1))
    return found


def _without(whole: Contender) -> list[Contender]:
    """Return a contender, and it with less than it has when moving."""
    return [
        whole,
        replace(whole, name=f"{whole.name}: no coarse mesh ahead", ahead=False),
        replace(whole, name=f"{whole.name}: no acceptance, none ahead", accepted=False),
        replace(whole, name=f"{whole.name}: one step", steps=1),
    ]


def ablations(
    out: Path,
    *,
    updates: int = 2200,
    seed: int = 0,
    variants: Sequence[str] = tuple(VARIANTS),
    meshes: int = 100,
    smoke: bool = False,
    report: Callable[[str], None] = print,
) -> str:
    """Train what is not trained yet, measure, and return the tables in Markdown with what they show.

    Parameters
    ----------
    out
        Directory of the trainings.
    updates, seed, smoke
        See ``train_variant``.
    variants
        Which of ``VARIANTS``.
    meshes
        Number of meshes to move.
    report
        Is given a line now and then.
    """
    weights = {
        name: train_variant(name, out, updates=updates, seed=seed, smoke=smoke, report=report) for name in variants
    }
    found = contenders(weights)
    rows = compare(found, cases(meshes), report=report)
    return f"{_INTRODUCTION.format(meshes=meshes, updates=f'{updates:,}', steps=STEPS)}\n\n{tables(found, rows)}"


def main() -> None:
    """Train and measure as the command line says."""
    parser = argparse.ArgumentParser(description="Ablations of drift.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=2200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--table", type=Path, help="where to write the tables; printed if not given")
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = ablations(
        options.out,
        updates=options.updates,
        seed=options.seed,
        variants=options.variants,
        report=partial(print, flush=True),
    )
    if options.table is None:
        print(text)
    else:
        options.table.write_text(text + "\n")


if __name__ == "__main__":
    main()
