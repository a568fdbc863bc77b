"""Train a network that advances states: ``driftmesh train rollout --problem dam-break``.

Or, where there is torch only, ``python -m learned.train_rollout`` with a file of ``driftmesh dataset operators``.
"""

from __future__ import annotations

import sys
from typing import cast

from torch import nn

from learned.dataset import training_pool
from learned.operators.architectures import rollout_architecture
from learned.operators.rollout import RolloutNetwork
from learned.operators.rollout_data import Rollout, prepare_rollout
from learned.operators.rollout_task import RolloutTask
from learned.operators.trajectory import SCHEMA, OperatorTrajectory, trajectory_of
from learned.train_request import ROLLOUTS, TrainRequest
from learned.trainer import Recipe, Watcher, command_line, run
from learned.training import TrainingSettings
from learned.weights import ModelCard

# Trajectories held out, the last ones of a file.
HELD, SMOKE_HELD = 8, 2


def train_rollout(request: TrainRequest, watcher: Watcher | None = None) -> ModelCard:
    """Train a network that advances states; leave ``MODEL-PROBLEM.safetensors`` and its card in the request's folder.

    Parameters
    ----------
    request
        ``data`` names the file of trajectories; ``trajectories.h5`` in the folder if it does not.
    watcher
        Is told how it goes.

    Raises
    ------
    ValueError
        As ``learned.trainer.run``, and if there are no trajectories, too few, or others.
    """
    settings, held = TrainingSettings(minutes=8.0, batch=1, learning_rate=2e-3, every=200, warm_up=50), HELD
    if request.smoke:
        settings, held = TrainingSettings(minutes=0.1, batch=2, learning_rate=2e-3, every=20, warm_up=5), SMOKE_HELD
    trajectories = _stored(request, held)
    rollouts = [prepare_rollout(trajectory) for trajectory in trajectories]
    task = RolloutTask(rollouts, held)
    network, options = rollout_architecture(request.model, trajectories[0], rollouts[0].told.shape[1])
    data = (
        f"{request.problem}: {len(rollouts) - held} trajectories of {rollouts[0].steps} states, {held} more held out "
        "(coupling.operator_trajectories)"
    )
    # The task's own, before they go to a device.
    begin = _measured(task.training)
    return run(request, Recipe(options, task, settings, data, network=network, begin=begin), watcher or Watcher())


def _measured(rollouts: list[Rollout]):
    def begin(network: nn.Module) -> None:
        cast(RolloutNetwork, network).measure(rollouts)

    return begin


def _stored(request: TrainRequest, held: int) -> list[OperatorTrajectory]:
    path = request.data or request.folder / "trajectories.h5"
    assert request.problem is not None
    pool = training_pool(path, SCHEMA, trajectory_of, held=held, content="trajectories", problem=request.problem)
    kind = pool[0].kind.replace("_", "-")
    if kind != request.problem:
        raise ValueError(
            f"--data: got trajectories of {kind} in {path}, expected {request.problem}; name their problem"
        )
    return pool


if __name__ == "__main__":
    model = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in ROLLOUTS else "rollout"
    command_line(model, train_rollout)
