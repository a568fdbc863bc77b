"""Train DMM: ``python -m learned.train_dmm --out DIR --minutes M --seed S [--resume]``.

Leaves ``dmm.safetensors`` with its model card in DIR.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from learned.movers.dmm_task import DMMTask
from learned.networks.dmm import DMMNetwork
from learned.training import TrainingSettings, train
from learned.weights import ModelCard, save_weights, source_commit

OPTIONS = {"width": 64, "rounds": 3, "depth": 3, "modes": 64}
SMOKE = {"width": 24, "rounds": 1, "depth": 2, "modes": 16}
# Of the fit of the last layer, in the figures of the card.
_ITERATIONS = 60


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description="Train DMM.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--rate", type=float, default=2e-3, help="largest learning rate; published: 2e-4")
    parser.add_argument("--smoke", action="store_true", help="under a minute: few meshes, a small network")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    settings = TrainingSettings(
        minutes=options.minutes, batch=4, learning_rate=options.rate, every=300, seed=options.seed
    )
    sizes, task = OPTIONS, DMMTask(seed=options.seed)
    if options.smoke:
        settings = TrainingSettings(minutes=0.5, batch=4, learning_rate=options.rate, every=100, seed=options.seed)
        sizes, task = SMOKE, DMMTask(seed=options.seed, meshes=4, held=3, nodes=(100, 200), places=128)
    network = DMMNetwork(**sizes)
    progress = train(
        network, task, settings, options.out, resume=options.resume, report=lambda line: print(line, flush=True)
    )
    with torch.no_grad():
        metrics = task.evaluate(network)
        fit = task.figures(network, iterations=_ITERATIONS)
    card = ModelCard(
        network="dmm",
        options=dict(sizes),
        data=f"random Gaussians as monitor functions on {len(task.pool)} meshes of the unit square; no labels; "
        f"{len(task.held_out)} held out; {settings.minutes:g} minutes on one thread at learning rate "
        f"{settings.learning_rate:g}; figures fit_... with {_ITERATIONS} iterations of the fit of the last layer",
        seed=options.seed,
        commit=source_commit(),
        epochs=progress.iteration,
        metrics=metrics | {f"fit_{name}": value for name, value in fit.items()},
    )
    save_weights(options.out / "dmm.safetensors", network, card)


if __name__ == "__main__":
    main()
