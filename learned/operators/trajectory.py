"""States of a finite-element function one after the other, as rollouts are given them: plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from learned.csr import csr_arrays, csr_of
from learned.operators.problem import CoarseLevel, level_arrays, levels_of

# What files of trajectories are called, see ``learned.dataset``.
SCHEMA = "driftmesh-trajectories"


@dataclass(frozen=True)
class OperatorTrajectory:
    """A field on a fixed mesh at several times, or under several loads, of a nonlinear problem.

    A space has n nodes with c components each. Everything but numbers of nodes is float64.

    Attributes
    ----------
    points
        Places of the nodes, shape (n, d) [m].
    edges
        Neighbours in both directions, ascending, shape (2, E), int64.
    mass
        Mass matrix of the scalar space, shape (n, n); positive definite.
    fixed
        Which degrees of freedom are given at all times, shape (n, c), bool.
    features
        What else a network sees in the nodes, shape (n, k).
    times
        When the states are, ascending, shape (steps,) [s]; shares of the load for problems without time.
    fields
        The states, shape (steps, n, c).
    parameters
        Numbers that the whole trajectory has, by name.
    coarse
        Coarser levels, from fine to coarse.
    kind
        Name of the family.

    Raises
    ------
    ValueError
        For shapes that do not fit together.
    """

    points: np.ndarray
    edges: np.ndarray
    mass: sparse.csr_array
    fixed: np.ndarray
    features: np.ndarray
    times: np.ndarray
    fields: np.ndarray
    parameters: Mapping[str, float] = field(default_factory=dict)
    coarse: tuple[CoarseLevel, ...] = ()
    kind: str = ""

    def __post_init__(self) -> None:
        n, c = self.fixed.shape
        expected = {
            "points": (n, self.points.shape[-1]),
            "edges": (2, self.edges.shape[-1]),
            "mass": (n, n),
            "features": (n, self.features.shape[-1]),
            "fields": (len(self.times), n, c),
        }
        for name, shape in expected.items():
            got = getattr(self, name).shape
            if got != shape:
                raise ValueError(
                    f"{name}: got shape {got}, expected {shape} for {n} nodes of {c} components at {len(self.times)} "
                    "times"
                )

    @property
    def steps(self) -> int:
        """Number of states."""
        return len(self.times)


_ARRAYS = ("points", "edges", "features", "times", "fields")


def trajectory_arrays(trajectory: OperatorTrajectory) -> dict[str, np.ndarray]:
    """Return what a file holds of a trajectory."""
    arrays = {name: np.asarray(getattr(trajectory, name)) for name in _ARRAYS}
    arrays["fixed"] = trajectory.fixed
    arrays["kind"] = np.frombuffer(trajectory.kind.encode(), dtype=np.uint8)
    arrays |= {f"parameters.{name}": np.array([value]) for name, value in trajectory.parameters.items()}
    arrays |= csr_arrays("mass", trajectory.mass)
    return arrays | level_arrays(trajectory.coarse)


def trajectory_of(arrays: Mapping[str, np.ndarray]) -> OperatorTrajectory:
    """Return the trajectory of arrays as ``trajectory_arrays`` gives them."""
    named = sorted(name for name in arrays if name.startswith("parameters."))
    return OperatorTrajectory(
        **{name: arrays[name] for name in _ARRAYS},
        fixed=arrays["fixed"].astype(bool),
        mass=csr_of(arrays, "mass"),
        parameters={name.removeprefix("parameters."): float(arrays[name][0]) for name in named},
        coarse=levels_of(arrays),
        kind=bytes(arrays["kind"]).decode(),
    )
