"""Train UM2N: ``python -m learned.train_um2n --out DIR [--labels FILE] --minutes M --seed S [--resume]``.

FILE is made by ``coupling.labels``, DIR/labels.h5 if not given. Leaves ``um2n.safetensors`` with its model card in DIR.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import torch

from learned.dataset import read_dataset
from learned.movers.um2n_task import UM2NTask
from learned.networks.um2n import UM2NNetwork
from learned.training import TrainingSettings, train
from learned.weights import ModelCard, save_weights, source_commit

# Narrower than published (1.84 M weights), for training on one thread.
OPTIONS = {"width": 64, "heads": 4, "layers": 2, "blocks": 8}
SMOKE = {"width": 32, "heads": 2, "layers": 1, "blocks": 3}


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description="Train UM2N.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--labels", type=Path, help="data set with labels; OUT/labels.h5 if not given")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--no-transformer", action="store_true", help="the ablation in the manner of M2N")
    parser.add_argument("--rate", type=float, default=2e-3, help="largest learning rate; published: 5e-5")
    parser.add_argument("--smoke", action="store_true", help="under a minute: few samples, a small network")
    options = parser.parse_args()
    labels = options.labels or options.out / "labels.h5"
    if not labels.exists():
        raise ValueError(f"labels: got no file {labels}, expected one; make it: python -m coupling.labels {labels}")
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    settings = TrainingSettings(
        minutes=options.minutes, batch=5, learning_rate=options.rate, decay=5e-4, every=200, seed=options.seed
    )
    sizes, held, most = OPTIONS, 50, None
    if options.smoke:
        settings = TrainingSettings(minutes=0.5, batch=5, learning_rate=2e-3, every=25, seed=options.seed)
        sizes, held, most = SMOKE, 2, 8
    made_with = sizes | {"transformer": int(not options.no_transformer)}
    task = UM2NTask(islice(read_dataset(labels), most), held=held)
    network = UM2NNetwork(**made_with)
    progress = train(
        network, task, settings, options.out, resume=options.resume, report=lambda line: print(line, flush=True)
    )
    with torch.no_grad():
        metrics = task.evaluate(network)
    card = ModelCard(
        network="um2n",
        options=made_with,
        data=f"{len(task.pool)} meshes of the unit square with random Gaussians as monitor functions, moved by our own "
        f"Monge-Ampère mover (coupling.labels), {len(task.held_out)} more held out; {settings.minutes:g} minutes on "
        f"one thread at learning rate {settings.learning_rate:g}, batch 5",
        seed=options.seed,
        commit=source_commit(),
        epochs=progress.iteration,
        metrics=metrics,
    )
    save_weights(options.out / "um2n.safetensors", network, card)


if __name__ == "__main__":
    main()
