"""Train DMM: ``driftmesh train dmm``, or ``python -m learned.train_dmm`` on a machine with PyTorch only."""

from __future__ import annotations

from learned.movers.dmm_task import DMMTask
from learned.train_request import TrainRequest
from learned.trainer import Recipe, Watcher, command_line, run
from learned.training import TrainingSettings
from learned.weights import ModelCard

OPTIONS = {"width": 64, "rounds": 3, "depth": 3, "modes": 64}
SMOKE = {"width": 24, "rounds": 1, "depth": 2, "modes": 16}
# Of the fit of the last layer, in the figures of the card.
_ITERATIONS = 60


def train_dmm(request: TrainRequest, watcher: Watcher | None = None) -> ModelCard:
    """Train DMM; leave ``dmm.safetensors`` and its card in the request's folder.

    Raises
    ------
    ValueError
        As ``learned.trainer.run``.
    """
    # Published: a learning rate of 2e-4.
    settings = TrainingSettings(minutes=8.0, batch=4, learning_rate=2e-3, every=300)
    if request.smoke:
        settings = TrainingSettings(minutes=0.15, batch=4, learning_rate=2e-3, every=50)
        sizes, task = SMOKE, DMMTask(seed=request.seed, meshes=4, held=3, nodes=(100, 200), places=128)
    else:
        sizes, task = OPTIONS, DMMTask(seed=request.seed)
    data = (
        f"random Gaussians as monitor functions on {len(task.pool)} meshes of the unit square; no labels; "
        f"{len(task.held_out)} held out; figures fit_... with {_ITERATIONS} iterations of the fit of the last layer"
    )

    def figures(network) -> dict[str, float]:
        fit = task.figures(network, iterations=_ITERATIONS)
        return {f"fit_{name}": value for name, value in fit.items()}

    return run(request, Recipe(sizes, task, settings, data, figures), watcher or Watcher())


if __name__ == "__main__":
    command_line("dmm", train_dmm)
