"""Train UM2N: ``driftmesh train um2n``, or ``python -m learned.train_um2n`` on a machine with PyTorch only.

The labels are a data set whose samples have been moved by Monge-Ampère. The first of these commands makes it itself,
the second needs the file, which ``driftmesh dataset labels`` makes elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

import numpy as np

from learned.dataset import MoverDataset, MoverSample, sample_of
from learned.movers.um2n_task import UM2NTask
from learned.train_request import TrainRequest
from learned.trainer import Recipe, Watcher, command_line, run
from learned.training import TrainingSettings
from learned.weights import ModelCard

# Narrower than published (1.84 M weights), for training on one thread.
OPTIONS = {"width": 64, "heads": 4, "layers": 2, "blocks": 8}
SMOKE = {"width": 32, "heads": 2, "layers": 1, "blocks": 3}
# Labels held out.
_HELD, _SMOKE_HELD = 50, 2

# Gives the arrays of the labelled samples from a number on.
Labels = Callable[[int], Generator[dict[str, np.ndarray], None, None]]


def train_um2n(request: TrainRequest, watcher: Watcher | None = None, *, labels: Labels | None = None) -> ModelCard:
    """Train UM2N; leave ``um2n.safetensors`` and its card in the request's folder.

    Parameters
    ----------
    request
        ``data`` names the file of labels; ``labels.h5`` in the folder if it does not.
    watcher
        Is told how it goes.
    labels
        Where labels come from if the request wants a stream: ``learned`` knows no conventional mover.

    Raises
    ------
    ValueError
        As ``learned.trainer.run``, and if there are no labels, or too few.
    """
    settings = TrainingSettings(minutes=15.0, batch=5, learning_rate=2e-3, decay=5e-4, every=200)
    sizes, held, most = OPTIONS, _HELD, None
    if request.smoke:
        settings = TrainingSettings(minutes=0.15, batch=5, learning_rate=2e-3, every=25)
        sizes, held, most = SMOKE, _SMOKE_HELD, 8
    if request.stream:
        task, data = _streamed(labels, held), "a stream of labels"
    else:
        task = _stored(request, held, most)
        data = f"{len(task.pool)} labels"
    data += (
        ", meshes of the plane as our own Monge-Ampère mover moves them for their monitor functions (coupling.labels); "
        f"{len(task.held_out)} more held out"
    )
    made_with = sizes | {"transformer": int(request.transformer)}
    with closing(task):
        return run(request, Recipe(made_with, task, settings, data), watcher or Watcher())


def _stored(request: TrainRequest, held: int, most: int | None) -> UM2NTask:
    path = request.data or request.folder / "labels.h5"
    if not path.exists():
        raise ValueError(f"labels: got no file {path}, expected one; make it: driftmesh dataset labels --out {path}")
    data = MoverDataset(path)
    places = np.flatnonzero(data.labelled & (data.dimensions == 2))[:most]
    if len(places) <= held:
        raise ValueError(
            f"labels: got {len(places)} samples in 2D with a label in {path}, expected more than the {held} held out; "
            "make more"
        )
    return UM2NTask([data[int(place)] for place in places], held=held)


def _streamed(labels: Labels | None, held: int) -> UM2NTask:
    if labels is None:
        raise ValueError("--stream: got no maker of labels, expected one; take `driftmesh train um2n` or --data")

    # The first labels are held out, and are there before training begins; those after are made meanwhile.
    begun = [labels(0)]
    first = [sample_of(next(begun[0])) for _ in range(held)]

    def source(number: int) -> Generator[MoverSample, None, None]:
        # Elsewhere than behind those held out, if a training is resumed.
        if number and begun:
            begun.pop().close()
        with closing(begun.pop() if begun else labels(held + number)) as made:
            yield from map(sample_of, made)

    return UM2NTask(first, held=held, source=source)


if __name__ == "__main__":
    command_line("um2n", train_um2n)
