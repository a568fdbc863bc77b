"""drift: a learned optimiser moves a mesh; where it does not help, the energy's gradient does."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from learned.background import BackgroundMonitor
from learned.coarse import CoarseMesh
from learned.movers.step import gradient_step, network_step, remainder
from learned.movers.trial import Monitor, Trial, followed, look, stepped
from learned.prepared import PreparedMesh

_HALVINGS = 6
# A cell is much worse if its term of the energy, next to nothing in a good mesh, rises by this.
_WORSE = 0.3
# Where the energy of the whole falls more is allowed; what rises by this is about to be crushed.
_CRUSHED = 3.0
# Limited steps in which the fine mesh may follow the coarse one.
_CARRIED = 24


@dataclass
class DriftResult:
    """Where drift has brought the vertices.

    Attributes
    ----------
    points
        Vertices, shape (d, N), in units of the domain; all cells valid if they were at the start.
    energies
        Energy at the start and after each step; never rises.
    proposals, mended, gradients
        How many steps were the network's, how many of these with the gradient's in places, and how many the gradient's.
    carried
        Whether a coarse mesh went ahead; its step is the first of the energies then.
    settled
        Whether it ended as the energy fell no more, or by no more than the tolerance.
    """

    points: Tensor
    energies: list[float] = field(default_factory=list)
    proposals: int = 0
    mended: int = 0
    gradients: int = 0
    carried: bool = False
    settled: bool = False


def drift(
    network: nn.Module,
    mesh: PreparedMesh,
    points: Tensor,
    monitor: Monitor,
    *,
    steps: int = 8,
    tolerance: float = 0.0,
    coarse: CoarseMesh | None = None,
) -> DriftResult:
    """Move a mesh.

    What the network proposes is followed in limited steps while the energy falls. If it does not fall, or if cells are
    about to be crushed, the preconditioned gradient takes the proposal's place around cells that became much worse; if
    the energy does not fall then, everywhere, halved until it does. So the energy never rises and no cell is ever
    inverted, whatever the weights, the mesh and the monitor function: where the network knows nothing, what is left is
    gradient descent.

    Parameters
    ----------
    network
        Such as ``DriftNetwork``.
    mesh
        What does not change with the vertices.
    points
        Vertices at the start, of a valid mesh, shape (d, N), in units of the domain.
    monitor
        m and its gradient at points.
    steps
        Largest number of steps.
    tolerance
        Ends when a step lowers the energy by less than this times itself.
    coarse
        A coarse mesh that is moved first, and followed if that lowers the energy: a limited step is a share of a cell,
        so that meshes of very many cells need many for the long ways.

    Returns
    -------
    DriftResult
    """
    with torch.inference_mode():
        now = look(mesh, points, monitor)
        result = DriftResult(points, [float(now.state.value)])
        if coarse is not None:
            ahead = _behind_coarse(network, mesh, coarse, now, monitor, steps)
            if ahead is not None and ahead.below(now):
                now, result.carried = ahead, True
                result.energies.append(float(now.state.value))
        for _ in range(steps):
            found = _step(network, mesh, now, monitor, result)
            if found is None:
                result.settled = True
                break
            fall = float(now.state.value) - float(found.state.value)
            now = found
            result.energies.append(float(now.state.value))
            if fall < tolerance * result.energies[-1]:
                result.settled = True
                break
        result.points = now.points
        return result


def unguarded(
    network: nn.Module, mesh: PreparedMesh, points: Tensor, monitor: Monitor, *, steps: int = 8
) -> DriftResult:
    """Take the network's steps as they are, whatever becomes of the energy: for comparisons, nothing is guaranteed."""
    with torch.inference_mode():
        now = look(mesh, points, monitor)
        result = DriftResult(points, [float(now.state.value)])
        for _ in range(steps):
            ahead = network_step(network, mesh, now.points, now.values, now.slopes, now.state)
            now = look(mesh, ahead, monitor)
            result.energies.append(float(now.state.value))
            result.proposals += 1
        result.points = now.points
        return result


def _step(network: nn.Module, mesh: PreparedMesh, now: Trial, monitor: Monitor, result: DriftResult) -> Trial | None:
    """Return a mesh of less energy, None if none is found, and count who found it."""
    step = gradient_step(mesh, now.points, now.slopes, now.state)
    wanted = network(mesh, now.points, now.values, now.state, step)
    found = followed(mesh, now.points, wanted, monitor)
    falls = found.below(now)
    mended = _mended(mesh, now, wanted, step, found, monitor, _CRUSHED if falls else _WORSE)
    if mended is not None and falls and found.below(mended):
        mended = None
    if mended is not None or falls:
        result.proposals += 1
        result.mended += mended is not None
        return found if mended is None else mended
    for _ in range(_HALVINGS):
        trial = stepped(mesh, now.points, step, monitor)
        if trial.below(now):
            result.gradients += 1
            return trial
        step = 0.5 * step
    return None


def _mended(
    mesh: PreparedMesh, now: Trial, wanted: Tensor, step: Tensor, found: Trial, monitor: Monitor, rise: float
) -> Trial | None:
    """Return the mesh after the proposal, with the gradient's step around cells whose term rose by much.

    So that one bad cell, at a corner that training has not seen the like of, does not stop all the others, nor is
    crushed while they gain. None if there is no such cell, or if this does not lower the energy.
    """
    around = _around_worse(mesh, found, now, rise)
    if around is None:
        return None
    trial = followed(mesh, now.points, torch.where(around, step, wanted), monitor)
    return trial if trial.below(now) else None


def _around_worse(mesh: PreparedMesh, then: Trial, now: Trial, rise: float) -> Tensor | None:
    """Return which vertices are near cells whose term rose by this, shape (N,); None if none or all are."""
    topology, dtype = mesh.topology, now.points.dtype
    worse = ~(then.state.terms < now.state.terms + rise)
    around = topology.cell_sums(worse.to(dtype)) > 0
    around = topology.cell_sums(topology.corners(around.to(dtype)).amax(0)) > 0
    return around if bool(around.any()) and not bool(around.all()) else None


def _behind_coarse(
    network: nn.Module, mesh: PreparedMesh, coarse: CoarseMesh, now: Trial, monitor: Monitor, steps: int
) -> Trial | None:
    """Return the mesh after it has followed a coarse one, None if that cannot be moved."""
    start = now.points[:, coarse.vertices].contiguous()
    values = coarse.gather(now.values)
    if not bool(torch.isfinite(coarse.mesh.energy(start, values).value)):
        return None
    moved = drift(network, coarse.mesh, start, BackgroundMonitor(coarse.mesh.topology, start, values), steps=steps)
    shift = coarse.prolong((moved.points - start).T.contiguous()).T
    return _carried(mesh, now, mesh.boundary.tangential(now.points, shift), monitor)


def _carried(mesh: PreparedMesh, now: Trial, displacement: Tensor, monitor: Monitor) -> Trial:
    """Return the mesh that follows a displacement in limited steps while the energy falls.

    Where cells are about to be crushed, at corners that the coarse mesh does not have, vertices are left behind if that
    lowers the energy more.
    """
    best = now
    for _ in range(_CARRIED):
        trial = stepped(mesh, best.points, displacement, monitor)
        around = _around_worse(mesh, trial, now, _CRUSHED)
        if around is not None:
            others = torch.where(around, 0.0, displacement)
            without = stepped(mesh, best.points, others, monitor)
            if not trial.below(without):
                displacement, trial = others, without
        if not trial.below(best):
            break
        displacement = remainder(mesh, trial.points, displacement, best.points)
        best = trial
    return best
