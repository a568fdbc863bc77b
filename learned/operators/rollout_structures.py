"""Structures of states that follow each other: of single components, and energy that does not grow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from learned.operators.structure import BoundedMass, Composed, Structure
from learned.operators.structure.data import Numbers, as_columns

# Beside a factor that is limited: what rounding could make of it.
_MARGIN = 1e-12
# Below it a root has no slope that means anything.
_TINY = 1e-300
# Of the mean depth: shallower columns of water do not move, as momentum over depth would be rounding.
_DRY = 1e-3


class ByComponent(Structure):
    """Impose structures on single components of a field.

    Guaranteed: what each guarantees, for its component; the others stay as they are. The residual is the largest.

    Parameters
    ----------
    structures
        By the number of the component, at least one, on equally many nodes.
    components
        Of each node.

    Raises
    ------
    ValueError
        For none, components that are not there, and structures that change the space or are on other nodes.
    """

    def __init__(self, structures: Mapping[int, Structure], components: int):
        self.structures, self.components = dict(structures), components
        sizes = {(part.raw_size, part.size) for part in self.structures.values()}
        nodes = next(iter(sizes), (None, None))[1]
        if sizes != {(nodes, nodes)} or not set(self.structures) <= set(range(components)):
            raise ValueError(
                f"structures: got components {sorted(self.structures)} of {components} with sizes "
                f"{sorted(map(str, sizes))}, expected some that are there, all of one number of nodes; give "
                "each its size"
            )
        self.name = " + ".join(part.name for part in self.structures.values())
        size = None if nodes is None else nodes * components
        super().__init__(raw_size=size, size=size)

    def _impose(self, raw: Tensor) -> Tensor:
        parts = list(raw.reshape(-1, self.components, raw.shape[1]).unbind(1))
        for number, structure in self.structures.items():
            parts[number] = structure(parts[number])
        return torch.stack(parts, dim=1).reshape(raw.shape)

    def _violation(self, u: Tensor) -> float:
        parts = u.reshape(-1, self.components, u.shape[1]).unbind(1)
        return float(np.max([structure.residual(parts[number]) for number, structure in self.structures.items()]))


class FallingEnergy(Structure):
    r"""Let the energy of shallow water not grow.

    .. math:: E(h, q) = \sum_i w_i \Big(\tfrac12 g h_i^2 + \frac{|q_i|^2}{2 h_i}\Big)

    of raw depths H and discharges Q. If they have more than the state before, :math:`E^n`, the excess is taken from
    potential and kinetic energy alike: depths go towards the raw ones as far as their potential energy P allows, then
    the discharges are scaled by one number,

    .. math:: h = h^n + \theta\,(H - h^n),\quad P(h) \le \max\big(P(h^n),\ E^n P(H) / E(H, Q)\big),\qquad
              q = s\,Q,\quad E(h, q) \le E^n

    with the largest theta and s in [0, 1], the roots of quadratic equations. Columns shallower than a thousandth of the
    mean depth do not move. Guaranteed, for raw depths that are nowhere negative: :math:`E(u) \le E^n` to rounding,
    1e-13 relative; volume and bounds that the raw depths and those before have in common stay, as depths are means of
    both.

    The residual is the growth of the energy over that before, 0 if it falls; infinite for depths that are negative, or
    zero where there is a discharge.

    Parameters
    ----------
    weights
        w: areas of the cells, shape (n,), positive [m^2].
    before
        State before, depths and discharges node after node, shape (n c,) or (n c, m) [m, m^2/s].
    gravity
        g [m/s^2].

    Raises
    ------
    ValueError
        For other shapes, and depths before that are negative.

    Notes
    -----
    The total energy is the entropy of the shallow water equations, which shocks dissipate: LeVeque (2002), Finite
    Volume Methods for Hyperbolic Problems, section 13.7.
    """

    name = "falling energy"

    def __init__(self, weights: np.ndarray | Tensor, before: Numbers, *, gravity: float = 1.0):
        array = np.asarray(weights, dtype=float)
        size = int(np.shape(before)[0]) if np.ndim(before) else 0
        if array.ndim != 1 or not (array > 0).all() or not len(array) or size % len(array) or size <= len(array):
            raise ValueError(
                f"weights: got shape {array.shape} for {size} degrees of freedom, expected positive ones of shape (n,) "
                "for depths and discharges in n nodes; give areas of cells"
            )
        self.weights, self.gravity = torch.from_numpy(array.copy())[:, None], float(gravity)
        self.before = as_columns("before", before, size)
        depth, _ = self._split(self.before)
        if bool((depth < 0).any()):
            raise ValueError(f"before: got a depth of {float(depth.min()):.6g}, expected none below 0; check the state")
        super().__init__(raw_size=size, size=size, data=(self.before,))

    def energy(self, u: Tensor) -> Tensor:
        """Return the energy of states (n c, m), float64, shape (m,)."""
        depth, discharge = self._split(u)
        return self._potential(depth) + self._kinetic(depth, discharge)

    def still_where_dry(self, u: Tensor) -> Tensor:
        """Return states (n c, m) in which columns shallower than a thousandth of the mean depth do not move."""
        depth, discharge = self._split(u)
        dry = depth <= _DRY * (self.weights * depth).sum(0) / self.weights.sum()
        return self._joined(depth, torch.where(dry[:, None], 0.0, discharge))

    def _impose(self, raw: Tensor) -> Tensor:
        raw = self.still_where_dry(raw)
        first, _ = self._split(self.before)
        last, discharge = self._split(raw)
        most, least, wanted = self.energy(self.before), self._potential(first), self._potential(last)
        much = wanted + self._kinetic(last, discharge) > most
        room = torch.maximum(least, most * wanted / (wanted + self._kinetic(last, discharge))) - least
        # The potential energy along the way is least + slope theta + curve theta^2.
        change = last - first
        slope = self.gravity * (self.weights * first * change).sum(0)
        curve = 0.5 * self.gravity * (self.weights * change.square()).sum(0)
        high = much & (wanted - least > room)
        root = (slope.square() + 4.0 * curve * room).clamp_min(_TINY).sqrt()
        share = ((root - slope) / torch.where(high, 2.0 * curve, 1.0)).clamp(0.0, 1.0)
        depth = torch.where(high, first + (1.0 - _MARGIN) * share * change, last)
        _, moving = self._split(self.still_where_dry(self._joined(depth, discharge)))
        kinetic, left = self._kinetic(depth, moving), most - self._potential(depth)
        fast = much & (kinetic > left)
        scale = (left / torch.where(fast, kinetic, 1.0)).clamp_min(_TINY).sqrt()
        return self._joined(depth, torch.where(fast, (1.0 - _MARGIN) * scale, 1.0) * moving)

    def _violation(self, u: Tensor) -> float:
        depth, discharge = self._split(u)
        if bool((depth < 0).any()) or bool((discharge.square().sum(1)[depth == 0] > 0).any()):
            return float("inf")
        before = self.energy(self.before)
        return float(((self.energy(u) - before) / before).clamp_min(0.0).max())

    def _split(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return depths, shape (n, m), and discharges, shape (n, c - 1, m)."""
        parts = u.reshape(len(self.weights), -1, u.shape[1])
        return parts[:, 0], parts[:, 1:]

    @staticmethod
    def _joined(depth: Tensor, discharge: Tensor) -> Tensor:
        return torch.cat([depth[:, None], discharge], dim=1).flatten(0, 1)

    def _potential(self, depth: Tensor) -> Tensor:
        return 0.5 * self.gravity * (self.weights * depth.square()).sum(0)

    def _kinetic(self, depth: Tensor, discharge: Tensor) -> Tensor:
        square = discharge.square().sum(1)
        return 0.5 * (self.weights * torch.where(square > 0, square / torch.where(square > 0, depth, 1.0), 0.0)).sum(0)


def water(weights: np.ndarray | Tensor, volume: float, components: int, before: Tensor | None = None) -> Structure:
    """Return what states of shallow water have: depths nowhere negative, the volume, and an energy that does not grow.

    Parameters
    ----------
    weights
        Areas of the cells, shape (n,).
    volume
        That of the water [m^3].
    components
        Of each node: depth first, then discharges.
    before
        State before, shape (n c, m), if its energy is not to be exceeded; its volume must be the same.
    """
    depths = ByComponent({0: BoundedMass(weights, volume, 0.0, None)}, components)
    return depths if before is None else Composed([depths, FallingEnergy(weights, before)])
