"""UM2N moves a mesh: one pass of its network, then the way there in limited steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned.movers.direct import DirectResult, on_boundary, travel
from learned.movers.trial import Monitor
from learned.prepared import PreparedMesh


def um2n(network: nn.Module, mesh: PreparedMesh, points: Tensor, monitor: Monitor, *, most: int = 30) -> DirectResult:
    """Move a mesh to where the network wants the vertices of the computational mesh.

    The network sees the computational mesh with the monitor function there, as in training; what it wants does not
    depend on where the vertices are now. Boundary vertices go back to their places on the computational mesh.

    Parameters
    ----------
    network
        Such as ``UM2NNetwork``.
    mesh
        What does not change with the vertices; in 2D.
    points
        Vertices of a valid mesh, from which to go there, in units of the domain, shape (2, N).
    monitor
        m and its gradient at points.
    most
        Largest number of limited steps.

    Returns
    -------
    DirectResult
        No cell is inverted, whatever the weights.

    Raises
    ------
    ValueError
        For a mesh in 3D.
    """
    with torch.inference_mode():
        values, _ = monitor(mesh.reference)
        wanted = on_boundary(mesh, mesh.reference, network(mesh, mesh.reference, values))
        return travel(mesh, points, wanted, most=most)
