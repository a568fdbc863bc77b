"""One step of drift, as training and inference both take it: propose, limit, slide."""

from __future__ import annotations

from torch import Tensor, nn

from learned.energy import EnergyState
from learned.geometry import widths
from learned.limiter import clip_differences
from learned.prepared import PreparedMesh

# Limited steps in which a proposal is followed: what the limiter cuts off is cheap to go on with, a proposal is not.
SUBSTEPS = 2
# 2 f: differences of displacements in a cell are at most this times its width.
_ROOM = 0.8
_SWEEPS = 3
# Not zero, which would be divided by itself.
_NO_ROOM = 1e-30


def network_step(
    network: nn.Module, mesh: PreparedMesh, points: Tensor, monitor: Tensor, slopes: Tensor, state: EnergyState
) -> Tensor:
    """Return the vertices after the step that a network proposes.

    Parameters
    ----------
    network
        Such as ``DriftNetwork``.
    mesh
        What does not change with the vertices.
    points
        Vertices of a valid mesh, shape (d, N).
    monitor, slopes
        m and its gradient in the vertices, shapes (N,) and (d, N).
    state
        The energy there.

    Returns
    -------
    Tensor
        Shape (d, N). No cell is inverted, but where curved boundaries draw their vertices back.
    """
    step = gradient_step(mesh, points, slopes, state)
    left = network(mesh, points, monitor, state, step)
    for _ in range(SUBSTEPS):
        ahead = limited_step(mesh, points, left)
        left = remainder(mesh, ahead, left, points)
        points = ahead
    return points


def remainder(mesh: PreparedMesh, ahead: Tensor, displacement: Tensor, points: Tensor) -> Tensor:
    """Return what is left of a displacement after a limited step from points to ahead, along the boundary there."""
    return mesh.boundary.tangential(ahead, displacement - (ahead - points))


def gradient_step(mesh: PreparedMesh, points: Tensor, slopes: Tensor, state: EnergyState) -> Tensor:
    """Return minus the energy's gradient over the diagonal that preconditions it, along the boundary, shape (d, N)."""
    gradient, diagonal = mesh.energy.derivatives(state, slopes)
    return mesh.boundary.tangential(points, -gradient / diagonal)


def limited_step(
    mesh: PreparedMesh, points: Tensor, displacement: Tensor, *, narrowest: Tensor | float = 0.0
) -> Tensor:
    """Return the vertices after a displacement along the boundary, limited and back on the boundary, shape (d, N).

    No cell becomes narrower than ``narrowest``, shape (K,) or (), if it was not before: where differences of
    displacements in a cell are at most r, its width falls by at most r.
    """
    room = _ROOM * (widths(mesh.topology.corners(points)) - narrowest).clamp_min(_NO_ROOM)
    limited = clip_differences(mesh.topology, displacement, room, sweeps=_SWEEPS, held=mesh.boundary.vertices)
    return mesh.boundary.project(points + limited)
