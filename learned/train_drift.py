"""Train drift: ``python -m learned.train_drift --out DIR --minutes M --seed S [--resume]``.

Leaves ``drift.safetensors`` with its model card in DIR.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from learned.movers.drift_task import DriftTask
from learned.networks.drift import DriftNetwork
from learned.training import TrainingSettings, train
from learned.weights import ModelCard, save_weights, source_commit

# The network that is trained; its model card repeats them.
OPTIONS = {"fine": 32, "coarse": 64, "vectors": 8, "messages": 2}


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description="Train drift.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--init", type=Path, help="weights to begin with, a .safetensors file")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="largest learning rate")
    parser.add_argument("--smoke", action="store_true", help="a minute: few small meshes")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    settings = TrainingSettings(minutes=options.minutes, seed=options.seed, learning_rate=options.rate)
    task = DriftTask(seed=options.seed)
    if options.smoke:
        settings = TrainingSettings(minutes=1.0, every=25, seed=options.seed)
        task = DriftTask(seed=options.seed, groups=6, together=2, nodes=(150, 250), large=500, steps=3)
    network = DriftNetwork(**OPTIONS)
    if options.init is not None:
        network.load_state_dict(load_file(options.init))
    progress = train(
        network, task, settings, options.out, resume=options.resume, report=lambda line: print(line, flush=True)
    )
    with torch.no_grad():
        metrics = task.evaluate(network)
    card = ModelCard(
        network="drift",
        options=OPTIONS,
        data=f"{sum(len(group.sizes) for group in task.pool)} random meshes in 2D and 3D, made by learned.domains, "
        "and random monitor functions of learned.monitors; no labels"
        + (f"; begun from {options.init}" if options.init else ""),
        seed=options.seed,
        commit=source_commit(),
        epochs=progress.iteration,
        metrics=metrics,
    )
    save_weights(options.out / "drift.safetensors", network, card)


if __name__ == "__main__":
    main()
