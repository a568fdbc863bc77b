"""Networks that advance a state: one step of a nonlinear problem, and many after each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from learned.operators.draining import FluxDecoder
from learned.operators.encode_process_decode import MessagePassing
from learned.operators.multigrid_processor import MultigridProcessor
from learned.operators.nodes import NODE_FEATURES
from learned.operators.rollout_data import CONSERVATIVE, DISSIPATIVE, LOCAL, Rollout
from learned.operators.rollout_structures import FallingEnergy

# Channels of cells of which amounts through facets are made.
_FLUX_CHANNELS = 12


class RolloutNetwork(nn.Module):
    r"""Advance the state of a nonlinear problem by a time step, or a load step.

    .. math:: u^{k+1} = S^{k+1}\Big(u^k + \Delta t\, r\, N\big(\mathrm{process}(u^k, g^{k+1} - u^k, p^{k+1})\big)\Big)

    with the state over the spread of the field and, where there are boundary values g, the way to those of the next
    state over that of a step, parameters p, and the size r of rates of change in the data of training. S is the
    structure of the family of problems, see ``Rollout.structure``.

    Guaranteed, whatever the weights: boundary values to the last bit. Of water, depths that are nowhere negative, and
    the volume of the first state, of which rounding takes no more than 1e-13 in hundreds of steps; if asked for, an
    energy that does not grow, and budgets of all cells: then depths change by amounts through facets, which
    ``FluxDecoder`` predicts and ``Draining`` limits. The energy is limited in evaluation mode only, ``eval()``: in
    training its limit would hide from the weights what they do wrong. Edges are told their directions, as vectors are
    given in axes: a step moves with the domain, but does not turn with it.

    Parameters
    ----------
    components, features, told
        Of each node; coefficients in the nodes; parameters of a step.
    dimension
        Of the domain. The last so many components are those of a vector: their sizes are measured together.
    structure
        0: none, the twin; 1: boundary values, volume and depths; of water 2: also an energy that does not grow; 3: also
        the budget of each cell.
    levels
        Coarser levels that are used; 0 for messages on the finest alone.
    width, channels, coarse, light, heavy
        See ``MultigridProcessor``; without levels there are ``light`` exchanges, of ``width`` and ``channels``.

    Notes
    -----
    Increments instead of states, as in Pfaff et al., arXiv 2010.03409, section 3.2.
    """

    mean: Tensor
    spread: Tensor
    rate: Tensor
    usual: Tensor

    def __init__(
        self,
        *,
        components: int,
        features: int = 0,
        told: int = 0,
        dimension: int = 2,
        structure: int = CONSERVATIVE,
        levels: int = 2,
        width: int = 32,
        channels: int = 16,
        coarse: int = 48,
        light: int = 2,
        heavy: int = 4,
    ):
        super().__init__()
        self.components, self.dimension, self.structure = components, dimension, structure
        self.sizes = NODE_FEATURES + features, told
        common = {
            "told": NODE_FEATURES + features,
            "inputs": 2 * components + told + 1,
            "outputs": components + (_FLUX_CHANNELS if structure == LOCAL else 0),
            "width": width,
            "channels": channels,
            "directions": dimension,
        }
        self.processor: nn.Module
        if levels:
            self.processor = MultigridProcessor(**common, coarse=coarse, light=light, heavy=heavy, levels=levels)
        else:
            self.processor = MessagePassing(**common, messages=light)
        self.flux = FluxDecoder(_FLUX_CHANNELS, width=channels, directions=dimension) if structure == LOCAL else None
        for name, size in (("mean", components), ("spread", components), ("rate", components), ("usual", told)):
            self.register_buffer(name, torch.zeros(size) if name == "mean" else torch.ones(size))

    def measure(self, rollouts: Sequence[Rollout]) -> None:
        """Take mean and spread of states, the size of rates and of parameters from some trajectories."""
        scalars = self.components - self.dimension
        states = torch.cat([part.fields.reshape(-1, self.components) for part in rollouts])
        rates = torch.cat(
            [(part.fields.diff(dim=0) / part.times.diff()[:, None, None]).flatten(0, 1) for part in rollouts]
        )
        mean = states.mean(0)
        # A mean of vectors would be a direction that is special.
        mean[max(scalars, 0) :] = 0.0
        spread, rate = (_together(part.square().mean(0), scalars).sqrt() for part in (states - mean, rates))
        told = torch.cat([part.told for part in rollouts]).abs().mean(0)
        for name, value in (("mean", mean), ("spread", spread), ("rate", rate), ("usual", told)):
            getattr(self, name).copy_(torch.where(value > 0, value, 1.0) if name != "mean" else value)

    def forward(self, rollout: Rollout, state: Tensor, starts: Sequence[int]) -> Tensor:
        """Return the states that follow.

        Parameters
        ----------
        rollout
            The trajectory: its geometry, boundary values and parameters.
        state
            Degrees of freedom of m states, shape (n c, m), float64.
        starts
            The number of each in the trajectory, m of them.

        Returns
        -------
        Tensor
            Shape (n c, m), float64.

        Raises
        ------
        ValueError
            For a trajectory with other numbers of components, features or parameters.
        """
        n, c = rollout.fields.shape[1:]
        got = c, rollout.graph.nodes.shape[1], rollout.told.shape[1]
        if got != (self.components, *self.sizes):
            raise ValueError(
                f"rollout: got {got[0]} components, {got[1]} numbers of a node and {got[2]} parameters, expected "
                f"{(self.components, *self.sizes)}; make the network for this family of problems"
            )
        ends = [start + 1 for start in starts]
        steps = rollout.times[ends] - rollout.times[list(starts)]
        u = state.reshape(n, c, -1)
        change = self.rate.double()[:, None] * steps
        h = self.processor(rollout.graph, self._inputs(rollout, u, ends, change))
        raw = u + change * h[..., :c].transpose(1, 2).double()
        if self.flux is not None and rollout.draining is not None:
            depths = self._drained(rollout, u[:, 0], h[..., c:], change[0])
            after = torch.cat([depths[:, None], raw[:, 1:]], dim=1).reshape(n * c, -1)
            # Depths that go a part of the way are those of as large a part of the amounts.
            return after if self.training else FallingEnergy(rollout.weights, state)(after)
        level = CONSERVATIVE if self.structure == DISSIPATIVE and self.training else self.structure
        structure = rollout.structure(level, state, ends)
        return raw.reshape(n * c, -1) if structure is None else structure(raw.reshape(n * c, -1))

    def roll(self, rollout: Rollout, state: Tensor, starts: Sequence[int], count: int) -> list[Tensor]:
        """Return ``count`` states after each other, each of shape (n c, m)."""
        states = []
        for step in range(count):
            state = self(rollout, state, [start + step for start in starts])
            states.append(state)
        return states

    def distance(self, rollout: Rollout, u: Tensor, v: Tensor) -> Tensor:
        r"""Return the distance of states in L2 over the spread of each component, root mean square, shape (m,).

        .. math:: d^2 = \frac{1}{c\,|\Omega|} \sum_a \frac{\|u_a - v_a\|^2}{s_a^2}
        """
        n, c = rollout.fields.shape[1:]
        wrong = ((u - v).reshape(n, c, -1) / self.spread.double()[:, None]).reshape(n, -1)
        square = (wrong * rollout.mass(wrong)).sum(0).reshape(c, -1).mean(0) / rollout.weights.sum()
        # The root of nothing has no slope.
        return square.clamp_min(1e-24).sqrt()

    def _drained(self, rollout: Rollout, depths: Tensor, z: Tensor, change: Tensor) -> Tensor:
        """Return the depths after a step, shape (n, m), of those before, channels (n, m, any) and changes (m,)."""
        assert self.flux is not None and rollout.facets is not None and rollout.draining is not None
        graph, weights = rollout.graph, rollout.weights[:, None]
        between = rollout.facets[0]
        size = (weights[graph.source[between]] * weights[graph.target[between]]).sqrt()
        amounts = size * change * self.flux(graph, rollout.facets, z).double()
        structure = rollout.draining.after(weights * depths)
        contents, _ = structure.split(structure(amounts))
        return contents / weights

    def _inputs(self, rollout: Rollout, u: Tensor, ends: Sequence[int], change: Tensor) -> Tensor:
        """Return what nodes are told of the state and the step, shape (n, m, 2 c + p + 1)."""
        n, c, m = u.shape
        scaled = (u - self.mean.double()[:, None]) / self.spread.double()[:, None]
        way = torch.zeros(n * c, m, dtype=u.dtype, device=u.device)
        way[rollout.fixed] = (rollout.states(ends) - u.reshape(n * c, m))[rollout.fixed]
        told = (rollout.told[ends] / self.usual.double()).T.expand(n, -1, -1)
        # Of the step itself how long it is, as a share of the time in which the state changes by its spread.
        length = (change / self.spread.double()[:, None]).mean(0).expand(n, 1, -1)
        parts = [scaled, way.reshape(n, c, m) / change, told, length]
        return torch.cat(parts, dim=1).transpose(1, 2).to(rollout.graph.nodes.dtype)


def structure_residual(rollout: Rollout, states: Sequence[Tensor]) -> float:
    """Return the greatest residual of boundary values, or of volume and depths, on states after each other.

    Parameters
    ----------
    rollout
        The trajectory, whose first state has led to the states.
    states
        Of shape (n c, 1), constrained or not.
    """
    worst = 0.0
    for number, (before, state) in enumerate(pairwise([rollout.states([0]), *states])):
        structure = rollout.structure(CONSERVATIVE, before, [number + 1])
        worst = max(worst, 0.0 if structure is None else structure.residual(state))
    return worst


def _together(squares: Tensor, scalars: int) -> Tensor:
    """Return mean squares with those of the last components, which are a vector's, replaced by their mean."""
    result = squares.clone()
    result[max(scalars, 0) :] = squares[max(scalars, 0) :].mean()
    return result
