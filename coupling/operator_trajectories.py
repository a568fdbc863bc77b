"""Data sets of nonlinear problems for operator networks: a sample is a trajectory of states.

``learned.dataset.write_dataset`` writes them under the schema of ``learned.operators.trajectory``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from firedrake.exceptions import ConvergenceError

from coupling.operator_problems import cylinder, dam_break, hyperelastic
from learned.operators.trajectory import OperatorTrajectory, trajectory_arrays

# Draws a trajectory: source of randomness, nodes, states, whether the mesh is moved.
TrajectoryFamily = Callable[[np.random.Generator, int, int, bool], OperatorTrajectory]

TRAJECTORIES: dict[str, TrajectoryFamily] = {
    "hyperelastic": hyperelastic.make,
    "cylinder": cylinder.make,
    "dam-break": dam_break.make,
}


_ATTEMPTS = 10


@dataclass(frozen=True)
class TrajectorySettings:
    """What a data set of trajectories holds; written into its file.

    Attributes
    ----------
    problem
        Name in ``TRAJECTORIES``.
    samples
        Number of trajectories.
    seed
        Sample i depends on this and i only.
    nodes
        Number of nodes: each sample has between 3/4 of it and 4/3 times as many, drawn evenly in the logarithm and
        roughly met.
    steps
        States in each trajectory.
    moved
        Share of trajectories with moved meshes.
    """

    problem: str
    samples: int = 100
    seed: int = 0
    nodes: int = 1200
    steps: int = 12
    moved: float = 0.5

    def __post_init__(self) -> None:
        if self.problem not in TRAJECTORIES:
            raise ValueError(f"problem: got {self.problem!r}, expected one of {', '.join(TRAJECTORIES)}")


def make_trajectory(settings: TrajectorySettings, number: int) -> dict[str, np.ndarray]:
    """Return the arrays of the sample of this number, as ``trajectory_of`` takes them: the same bits in any process.

    Where Newton's method fails, as on a mesh too coarse for what was drawn, another problem is drawn.

    Raises
    ------
    RuntimeError
        If ten in a row fail.
    """
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([settings.seed, number, attempt])
        nodes = round(settings.nodes * (4.0 / 3.0) ** rng.uniform(-1.0, 1.0))
        moved = bool(rng.random() < settings.moved)
        try:
            return trajectory_arrays(TRAJECTORIES[settings.problem](rng, nodes, settings.steps, moved))
        except (ConvergenceError, RuntimeError) as error:
            failure = error
    raise RuntimeError(
        f"sample {number}: got no {settings.problem} in {_ATTEMPTS} attempts; take more nodes"
    ) from failure
