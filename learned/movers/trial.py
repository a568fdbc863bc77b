"""Steps of a mesh that are looked at before they are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from learned.energy import EnergyState
from learned.movers.step import SUBSTEPS, limited_step, remainder
from learned.prepared import PreparedMesh

# m and its gradient, shapes (N,) and (d, N), at points, shape (d, N), in units of the domain.
Monitor = Callable[[Tensor], tuple[Tensor, Tensor]]
# Less than this share of a displacement's square is nothing left.
_REST = 1e-3


@dataclass(frozen=True)
class Trial:
    """Vertices of a mesh, shape (d, N), m and its gradient there, and the energy."""

    points: Tensor
    values: Tensor
    slopes: Tensor
    state: EnergyState

    def below(self, other: Trial) -> bool:
        """Return whether this mesh has less energy; False if its energy is not a number."""
        return bool(self.state.value < other.state.value)


def look(mesh: PreparedMesh, points: Tensor, monitor: Monitor) -> Trial:
    """Return what is there to know of a mesh."""
    values, slopes = monitor(points)
    return Trial(points, values, slopes, mesh.energy(points, values))


def stepped(mesh: PreparedMesh, points: Tensor, displacement: Tensor, monitor: Monitor) -> Trial:
    """Return the mesh after one limited step."""
    return look(mesh, torch.nan_to_num(limited_step(mesh, points, displacement)), monitor)


def followed(mesh: PreparedMesh, points: Tensor, displacement: Tensor, monitor: Monitor, *, most: int = 4) -> Trial:
    """Return the best of the meshes on the way along a displacement.

    Parameters
    ----------
    mesh
        What does not change with the vertices.
    points
        Vertices of a valid mesh, shape (d, N).
    displacement
        Along the boundary, shape (d, N); the limiter decides how much of it is one step.
    monitor
        m and its gradient at points.
    most
        Largest number of limited steps.

    Returns
    -------
    Trial
        The mesh of least energy among those after each step, the start excluded; it ends when the energy rises after as
        many steps as training takes, or nothing is left.
    """
    best = trial = stepped(mesh, points, displacement, monitor)
    whole = displacement.square().sum()
    for number in range(1, most):
        displacement = remainder(mesh, trial.points, displacement, points)
        if not bool(displacement.square().sum() > _REST * whole):
            break
        points = trial.points
        trial = stepped(mesh, points, displacement, monitor)
        if trial.below(best):
            best = trial
        elif number >= SUBSTEPS - 1:
            break
    return best
