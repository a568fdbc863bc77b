"""Data sets of boundary value problems for operator networks: a sample is one geometry with several right-hand sides.

``driftmesh dataset operators`` writes them into files that ``learned.dataset`` reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coupling.operator_problems import darcy, elasticity, poisson, stokes
from learned.operators.problem import OperatorProblem, problem_arrays

# Draws a problem: source of randomness, nodes, right-hand sides, whether the mesh is moved.
Family = Callable[[np.random.Generator, int, int, bool], OperatorProblem]

FAMILIES: dict[str, Family] = {
    "poisson": poisson.make,
    "poisson-grid": poisson.make_on_grid,
    "darcy": darcy.make,
    "elasticity": elasticity.make,
    "stokes": stokes.make,
}


@dataclass(frozen=True)
class OperatorSettings:
    """What a data set of an operator holds; written into its file.

    Attributes
    ----------
    problem
        Name in ``FAMILIES``.
    samples
        Number of geometries.
    seed
        Sample i depends on this and i only.
    nodes
        Number of nodes: each sample has between half of it and twice as many, drawn evenly in the logarithm and
        roughly met.
    right_sides
        Right-hand sides on each geometry.
    moved
        Share of geometries with moved meshes.
    """

    problem: str
    samples: int = 1000
    seed: int = 0
    nodes: int = 900
    right_sides: int = 8
    moved: float = 0.5

    def __post_init__(self) -> None:
        if self.problem not in FAMILIES:
            raise ValueError(f"problem: got {self.problem!r}, expected one of {', '.join(FAMILIES)}")


def make_operator(settings: OperatorSettings, number: int) -> dict[str, np.ndarray]:
    """Return the arrays of the sample of this number, as ``problem_of`` takes them: the same bits in any process."""
    rng = np.random.default_rng([settings.seed, number])
    nodes = round(settings.nodes * 2.0 ** rng.uniform(-1.0, 1.0))
    moved = bool(rng.random() < settings.moved)
    return problem_arrays(FAMILIES[settings.problem](rng, nodes, settings.right_sides, moved))
