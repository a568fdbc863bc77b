"""Train drift: ``driftmesh train drift``, or ``python -m learned.train_drift`` on a machine with PyTorch only."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from learned.dataset import MoverDataset
from learned.movers.drift_pool import GroupSettings, stored_groups, streamed_groups
from learned.movers.drift_task import DriftTask
from learned.train_request import TrainRequest
from learned.trainer import Recipe, Watcher, command_line, run
from learned.training import TrainingSettings
from learned.weights import ModelCard

# The network that is trained; its model card repeats them.
OPTIONS = {"fine": 32, "coarse": 64, "vectors": 8, "messages": 2}
SMOKE = {"fine": 16, "coarse": 16, "vectors": 4, "messages": 1}
# Share of a file's samples that are held out, at most so many.
_HELD, _MOST_HELD = 0.1, 12
_TOGETHER = 4


def train_drift(request: TrainRequest, watcher: Watcher | None = None) -> ModelCard:
    """Train drift; leave ``drift.safetensors`` and its card in the request's folder.

    Meshes and monitor functions are drawn when it begins, or come from a file, or from processes that draw them.

    Raises
    ------
    ValueError
        As ``learned.trainer.run``, and for a file that is no data set or has too few samples.
    """
    settings, sizes, groups, steps = TrainingSettings(), OPTIONS, 120, 5
    drawn = GroupSettings(seed=request.seed, together=_TOGETHER)
    if request.smoke:
        settings, sizes, groups, steps = TrainingSettings(minutes=0.15, every=20), SMOKE, 4, 2
        drawn = GroupSettings(seed=request.seed, together=2, nodes=(100, 160), large=200, solids=0.0)
    source, held, data = None, None, "random meshes in 2D and 3D, made by learned.domains"
    if request.stream:
        source, data = streamed_groups(drawn, processes=request.processes), f"a stream of {data}"
    elif request.data is not None:
        stored = MoverDataset(request.data)
        order = np.random.default_rng(request.seed).permutation(len(stored))
        count = min(_MOST_HELD, max(1, int(_HELD * len(order))))
        if len(order) <= count:
            raise ValueError(f"--data: got {request.data} with {len(order)} samples, expected 2 or more; make more")
        held = [stored[int(place)] for place in order[:count]]
        source = stored_groups(stored, order[count:], seed=request.seed, together=drawn.together)
        data = f"{len(order) - count} meshes of {request.data.name}, {count} more held out"
    task = DriftTask(
        seed=request.seed,
        groups=groups,
        together=drawn.together,
        nodes=drawn.nodes,
        large=drawn.large,
        steps=steps,
        solids=drawn.solids,
        maps=request.maps,
        source=source,
        held=held,
    )
    if source is None:
        data = f"{sum(len(group.sizes) for group in task.pool)} {data}"
    data += ", and random monitor functions of learned.monitors; no labels"
    data += f"; {request.maps:.0%} in random coordinates" if request.maps else ""
    with closing(task):
        return run(request, Recipe(sizes, task, settings, data), watcher or Watcher())


if __name__ == "__main__":
    command_line("drift", train_drift)
