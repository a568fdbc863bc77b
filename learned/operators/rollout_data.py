"""Trajectories as networks that advance states take them, and the structure that their states have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from learned.operators.draining import Draining, facets_of
from learned.operators.multigrid_processor import LeveledGraph, leveled_graph
from learned.operators.nodes import node_weights
from learned.operators.rollout_structures import water
from learned.operators.structure import Dirichlet, Structure
from learned.operators.trajectory import OperatorTrajectory
from learned.sparse import SparseMap, sparse_map

# Families whose first component is a depth of water.
WATER = ("dam_break",)
# Parameters that a step depends on besides the state, of each family; those that are loads grow with ``times``.
_TOLD: dict[str, tuple[tuple[str, bool], ...]] = {"hyperelastic": (("height", False), ("pressure", True))}
# Ways to impose structure on water: on volume and depths, these and the energy, these and each cell's budget.
FREE, CONSERVATIVE, DISSIPATIVE, LOCAL = range(4)


@dataclass(frozen=True)
class Rollout:
    """A trajectory as networks take it. In float64, but for the graph, which is of the network's type.

    Attributes
    ----------
    graph
        Nodes of all levels.
    mass
        Mass matrix of the scalar space.
    weights
        Shares of volume of the nodes, shape (n,).
    fields
        States, shape (steps, n, c).
    times
        When, shape (steps,).
    fixed
        Numbers of degrees of freedom that are given at all times, shape (f,), int64.
    told
        Parameters that a step depends on, with which it ends, shape (steps, p).
    kind
        Name of the family.
    facets, draining
        Of water, see ``facets_of``: cells are neighbours where they have a facet in common. And budgets of cells.
    """

    graph: LeveledGraph
    mass: SparseMap
    weights: Tensor
    fields: Tensor
    times: Tensor
    fixed: Tensor
    told: Tensor
    kind: str
    facets: Tensor | None = None
    draining: Draining | None = None

    @property
    def steps(self) -> int:
        """Number of states."""
        return len(self.times)

    def states(self, numbers: Sequence[int]) -> Tensor:
        """Return states of these numbers, shape (n c, m)."""
        return self.fields[list(numbers)].reshape(len(numbers), -1).T

    def structure(self, level: int, before: Tensor, numbers: Sequence[int]) -> Structure | None:
        """Return what the states of these numbers have, which follow ``before``; None if nothing is known.

        Boundary values at their times where there are any: so with beams and flows. The divergence of flows is none:
        velocities are those of quadratic elements, which no stream function gives. With water the volume and depths,
        with ``DISSIPATIVE`` the energy too; networks with ``LOCAL`` budgets have them all along.
        """
        if level == FREE:
            return None
        if self.kind in WATER:
            volume = float(self.weights @ self.fields[0, :, 0])
            return water(self.weights, volume, self.fields.shape[2], before if level == DISSIPATIVE else None)
        if len(self.fixed):
            return Dirichlet(self.fixed, self.states(numbers)[self.fixed], size=self.fields[0].numel())
        return None


def prepare_rollout(trajectory: OperatorTrajectory, *, dtype: torch.dtype = torch.float32) -> Rollout:
    """Return a trajectory as networks take it."""
    t, told = trajectory, _TOLD.get(trajectory.kind, ())
    columns = [(t.times if load else np.ones(t.steps)) * t.parameters[name] for name, load in told]
    weights = node_weights(t.mass)
    graph = leveled_graph(t.points, t.mass, t.fixed, t.features, t.edges, t.coarse, dtype=dtype)
    facets, draining = None, None
    if t.kind in WATER:
        facets, divergence = facets_of(graph)
        draining = Draining(divergence, np.zeros(len(weights)))
    return Rollout(
        graph=graph,
        mass=sparse_map(t.mass),
        weights=torch.from_numpy(weights),
        fields=torch.from_numpy(t.fields),
        times=torch.from_numpy(t.times),
        fixed=torch.from_numpy(np.flatnonzero(t.fixed)),
        told=torch.from_numpy(np.stack(columns, axis=1) if columns else np.zeros((t.steps, 0))),
        kind=t.kind,
        facets=facets,
        draining=draining,
    )
