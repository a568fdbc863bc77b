"""Training of networks that advance states: a few steps from anywhere in a trajectory, from inexact states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
import torch
from torch import Tensor, nn

from learned.operators.rollout import RolloutNetwork, structure_residual
from learned.operators.rollout_data import WATER, Rollout
from learned.operators.rollout_structures import FallingEnergy

# Steps of the rollouts by which networks are judged, fewer if there are no more.
JUDGED = 10
# Of several trajectories the worst, where the mean says nothing.
_OVER_ALL: dict[str, Callable[[list[float]], float]] = {
    "structure": max,
    "volume_drift": max,
    "least_depth": min,
    "energy_growth": max,
}


class RolloutTask:
    r"""Trajectories to train on and trajectories held out.

    .. math:: \frac{1}{K} \sum_{k=1}^{K} d\big(N^k(u^s + \epsilon), u^{s+k}\big)

    is the loss, with the distance of ``RolloutNetwork``, the network N applied k times, random starts s and normal
    noise, with which it learns to mend its own errors.

    Parameters
    ----------
    rollouts
        The last ``held`` of them are held out.
    held
        How many.
    unroll
        K, steps after each other that gradients go through.
    starts
        How many at a time, of one trajectory.
    noise
        Standard deviation, as a share of what a component changes in a step.

    Raises
    ------
    ValueError
        If none are left to train on, or one is shorter than ``unroll``.
    """

    def __init__(self, rollouts: Sequence[Rollout], held: int, *, unroll: int = 3, starts: int = 4, noise: float = 0.1):
        if not 0 < held < len(rollouts):
            raise ValueError(f"held: got {held} of {len(rollouts)}, expected at least one there and one left")
        shortest = min(rollout.steps for rollout in rollouts)
        if not 0 < unroll < shortest:
            raise ValueError(f"unroll: got {unroll} steps of {shortest} states, expected fewer, and one at least")
        self.training, self.held = list(rollouts[:-held]), list(rollouts[-held:])
        self._unroll, self._starts, self._noise = unroll, starts, noise

    def to(self, device: torch.device | str) -> RolloutTask:
        """Refuse all devices but the CPU, where structures are; return the task.

        Raises
        ------
        ValueError
            For another device.
        """
        if torch.device(device).type != "cpu":
            raise ValueError(f"--device: got {device}, expected cpu; the structures of states are there")
        return self

    def loss(self, model: nn.Module, rng: np.random.Generator) -> Tensor:
        """Return the mean distance over some steps from random states of a random trajectory."""
        assert isinstance(model, RolloutNetwork)
        rollout = self.training[int(rng.integers(len(self.training)))]
        possible = rollout.steps - self._unroll
        starts = rng.choice(possible, min(self._starts, possible), replace=False).tolist()
        state = self._noisy(model, rollout, starts, rng)
        states = model.roll(rollout, state, starts, self._unroll)
        wrong = [
            model.distance(rollout, u, rollout.states([start + step + 1 for start in starts])).mean()
            for step, u in enumerate(states)
        ]
        return torch.stack(wrong).mean()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return figures on the trajectories held out, means over them; ``score`` is the distance in rollouts."""
        assert isinstance(model, RolloutNetwork)
        training = model.training
        model.eval()
        with torch.no_grad():
            figures = [rollout_figures(model, rollout) for rollout in self.held]
        model.train(training)
        return {name: float(_OVER_ALL.get(name, fmean)([part[name] for part in figures])) for name in figures[0]}

    def _noisy(
        self, model: RolloutNetwork, rollout: Rollout, starts: Sequence[int], rng: np.random.Generator
    ) -> Tensor:
        state = rollout.states(starts)
        n, c = rollout.fields.shape[1:]
        noise = torch.from_numpy(rng.standard_normal((n, c, len(starts)))).to(state.device)
        steps = rollout.times.diff()[list(starts)]
        noise = (self._noise * model.rate.double()[:, None] * steps * noise).reshape(n * c, -1)
        noise[rollout.fixed] = 0.0
        noisy = state + noise
        if rollout.kind in WATER:
            noisy[::c].clamp_(min=0.0)
        return noisy


def rollout_figures(model: RolloutNetwork, rollout: Rollout) -> dict[str, float]:
    """Return what one step and a rollout from the first state are worth.

    Parameters
    ----------
    model
        The network.
    rollout
        A trajectory that it has not seen.

    Returns
    -------
    dict
        ``score``: mean distance over at most ten steps; ``last``: after them; ``one_step``: mean over all states.
        ``still`` and ``still_step``: the same, as score and one step, of the state that does not change.
        ``structure``: see ``structure_residual``. Of water also ``volume_drift``, relative; ``least_depth`` [m], and
        ``energy_growth``, the greatest of a step over the energy at first, 0 if it always falls; nearly dry columns, in
        which momentum over depth has no meaning, are taken to be still.
    """
    count = min(JUDGED, rollout.steps - 1)
    starts = list(range(rollout.steps - 1))
    ends = [start + 1 for start in starts]
    first, after = rollout.states([0]), rollout.states(ends)
    states = model.roll(rollout, first, [0], count)
    wrong, still = (
        [float(model.distance(rollout, part, rollout.states([k + 1]))) for k, part in enumerate(of)]
        for of in (states, [first] * count)
    )
    before = rollout.states(starts)
    figures = {
        "score": fmean(wrong),
        "last": wrong[-1],
        "one_step": float(model.distance(rollout, model(rollout, before, starts), after).mean()),
        "still": fmean(still),
        "still_step": float(model.distance(rollout, before, after).mean()),
        "structure": structure_residual(rollout, states),
    }
    return figures | (water_figures(rollout, [first, *states]) if rollout.kind in WATER else {})


def water_figures(rollout: Rollout, states: Sequence[Tensor]) -> dict[str, float]:
    """Return volume drift, least depth and growth of the energy of states after each other, see ``rollout_figures``."""
    together = torch.cat(list(states), dim=1)
    weights = rollout.weights
    depths = together.reshape(len(weights), -1, together.shape[1])[:, 0]
    volumes = weights @ depths
    structure = FallingEnergy(weights, together[:, :1])
    energies = structure.energy(structure.still_where_dry(together))
    return {
        "volume_drift": float((volumes / volumes[0] - 1.0).abs().max()),
        "least_depth": float(depths.min()),
        "energy_growth": float((energies.diff() / energies[0]).clamp_min(0.0).max()),
    }
