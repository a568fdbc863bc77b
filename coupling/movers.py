"""The learned movers: which network, and how far it is followed."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from coupling.graph_mover import GraphMove, GraphMover, WholeMesh
from learned.background import BackgroundMonitor
from learned.energy import SHAPE
from learned.movers.direct import DirectResult
from learned.movers.dmm import dmm
from learned.movers.drift import drift
from learned.movers.um2n import um2n
from learned.prepared import PreparedMesh
from learned.weights import PRETRAINED, load_weights

# Above this energy a step of little gain may come before steps of much: a plateau, on which a smaller share counts.
_HIGH, _PLATEAU = 0.1, 0.1


class Drift(GraphMover):
    r"""Descend the energy of ``learned.energy`` by the steps of a network; by its gradient where those do not help.

    The energy is 0 for the ideal mesh: it measures by how much the integrals of m over the cells differ and how far
    cells are from the shape of the computational cells. Any domain, boundary and size of mesh; see
    ``learned.movers.drift`` for what is guaranteed. It has converged when a step lowers the energy by less than the
    tolerance, which in a running solve, where it begins with the mesh as it is, takes a few steps.

    Parameters
    ----------
    weights
        A .safetensors file with its model card beside it; those of the package if None.
    target, warm_start, rounds, tolerance, shape
        See ``GraphMover``.
    max_iterations
        Most steps in a round.

    Raises
    ------
    ValueError
        As ``GraphMover``; for less than one step; in one line for weights missing, damaged, or of another network.
    """

    def __init__(
        self,
        *,
        weights: Path | None = None,
        target: str = "relative",
        warm_start: bool = True,
        rounds: int = 5,
        tolerance: float = 0.05,
        max_iterations: int = 20,
        shape: float = SHAPE,
    ):
        if max_iterations < 1:
            raise ValueError(f"max_iterations: got {max_iterations}, expected 1 or more")
        super().__init__(target=target, warm_start=warm_start, rounds=rounds, tolerance=tolerance, shape=shape)
        self.max_iterations = max_iterations
        self._network = _network("drift", weights)

    def moved(self, whole: WholeMesh, points: Tensor, monitor: BackgroundMonitor) -> GraphMove:
        """Return where drift comes to."""
        left, coarse, tolerance = self.max_iterations, whole.coarse, self.tolerance
        while True:
            result = drift(self._network, whole.mesh, points, monitor, steps=left, tolerance=tolerance, coarse=coarse)
            points, left = result.points, left - len(result.energies) + 1
            settled = result.settled and (result.energies[-1] < _HIGH or tolerance < self.tolerance)
            if settled or left <= 0 or not result.settled:
                return GraphMove(points, settled, self.max_iterations - left)
            coarse, tolerance = None, _PLATEAU * self.tolerance


class _AtOnce(GraphMover):
    """Move to where a network wants the vertices in one pass: plane domains.

    It has converged when the vertices have come to where they are wanted. As published, the mesh of one round is taken
    as it is, better or worse.

    Parameters
    ----------
    weights
        A .safetensors file with its model card beside it; those of the package if None.
    rounds, tolerance, keep_best
        See ``GraphMover``.

    Raises
    ------
    ValueError
        As ``GraphMover``; in one line for weights missing, damaged, or of another network; when moving in 3D.
    """

    _name: ClassVar[str]

    def __init__(
        self, *, weights: Path | None = None, rounds: int = 1, tolerance: float = 0.05, keep_best: bool = False
    ):
        super().__init__(warm_start=False, rounds=rounds, tolerance=tolerance, keep_best=keep_best)
        self._network = _network(self._name, weights)

    def moved(self, whole: WholeMesh, points: Tensor, monitor: BackgroundMonitor) -> GraphMove:
        """Return how far on the way to what the network wants the vertices come."""
        result = self._way(whole.mesh, points, monitor)
        return GraphMove(result.points, result.arrived, result.steps)

    @abstractmethod
    def _way(self, mesh: PreparedMesh, points: Tensor, monitor: BackgroundMonitor) -> DirectResult:
        """Return what the network wants, and where the vertices come to."""


class UM2N(_AtOnce):
    """Move to where UM2N wants the vertices, see ``learned.movers.um2n``; boundary vertices stay. Else as its base."""

    _name = "um2n"

    def _way(self, mesh: PreparedMesh, points: Tensor, monitor: BackgroundMonitor) -> DirectResult:
        return um2n(self._network, mesh, points, monitor)


class DMM(_AtOnce):
    """Move to where DMM's potential wants the vertices, see ``learned.movers.dmm``. Else as its base."""

    _name = "dmm"

    def _way(self, mesh: PreparedMesh, points: Tensor, monitor: BackgroundMonitor) -> DirectResult:
        return dmm(self._network, mesh, points, monitor)


def _network(name: str, weights: Path | None) -> nn.Module:
    """Return the network of a name with weights, those of the package if None."""
    network, card = load_weights(weights or PRETRAINED / f"{name}.safetensors")
    if card.network != name:
        raise ValueError(f"weights: got those of {card.network}, expected those of {name}; name another file")
    return network
