"""Train an operator network: ``driftmesh train spon --problem poisson``, or ``python -m learned.train_operator``.

The second needs a file of problems, which ``driftmesh dataset operators`` makes elsewhere: ``learned`` knows no solver.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import islice

import numpy as np

from learned.dataset import made_with, training_pool
from learned.operators.architectures import architecture
from learned.operators.problem import SCHEMA, problem_of
from learned.operators.task import OperatorTask
from learned.train_request import OPERATORS, TrainRequest
from learned.trainer import Recipe, Watcher, command_line, run
from learned.training import TrainingSettings
from learned.weights import NETWORKS, ModelCard

# Geometries held out: of a file the last ones, of a stream the first.
HELD, SMOKE_HELD = 40, 2

# Gives the arrays of the problems from a number on.
Problems = Callable[[int], Generator[dict[str, np.ndarray], None, None]]


def train_operator(
    request: TrainRequest, watcher: Watcher | None = None, *, problems: Problems | None = None
) -> ModelCard:
    """Train an operator network; leave ``MODEL-PROBLEM.safetensors`` and its card in the request's folder.

    Parameters
    ----------
    request
        ``data`` names the file of problems; ``operators.h5`` in the folder if it does not.
    watcher
        Is told how it goes.
    problems
        Where problems come from if the request wants a stream.

    Raises
    ------
    ValueError
        As ``learned.trainer.run``, and if there are no problems, or too few.
    """
    assert request.problem is not None
    settings, held = TrainingSettings(minutes=8.0, batch=4, learning_rate=3e-3, every=100, warm_up=30), HELD
    if request.smoke:
        settings, held = TrainingSettings(minutes=0.1, batch=2, learning_rate=3e-3, every=20, warm_up=5), SMOKE_HELD
    if request.stream:
        if problems is None:
            raise ValueError("--stream: got no maker of problems, expected one; take `driftmesh train` or --data")
        with closing(problems(0)) as made:
            pool = [problem_of(arrays) for arrays in islice(made, held)]
        source: Problems | None = lambda number: problems(held + number)  # noqa: E731
        data = f"a stream of problems, {held} before it held out"
    else:
        path, source = request.data or request.folder / "operators.h5", None
        pool = training_pool(path, SCHEMA, problem_of, held=held, content="geometries", problem=request.problem)
        of_file = made_with(path, SCHEMA)
        data = f"{len(pool) - held} geometries, {held} more held out"
        data += "".join(f", {name} {of_file[name]}" for name in ("nodes", "seed") if name in of_file)
    network, options = architecture(request.model, request.problem, pool[0])
    sides = pool[0].loads.shape[1]
    data = f"{request.problem}: {data}, {sides} right-hand sides on each (coupling.operator_problems)"
    made_for = NETWORKS[network](**options)
    if request.norm != "l2":
        data += f", errors in {request.norm}"
    task = OperatorTask(pool, held, made_for, source=source, norm=request.norm)
    with closing(task):
        return run(request, Recipe(options, task, settings, data, network=network), watcher or Watcher())


if __name__ == "__main__":
    model = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in OPERATORS else "spon"
    command_line(model, train_operator)
