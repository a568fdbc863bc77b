"""DMM moves a mesh: the gradient of its potential, its last layer fitted to the mesh, then the way in limited steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned.movers.direct import DirectResult, on_boundary, travel
from learned.movers.dmm_fit import fit_problem, fitted
from learned.movers.trial import Monitor
from learned.networks.dmm import DMMNetwork, combined
from learned.prepared import PreparedMesh


def dmm(
    network: nn.Module, mesh: PreparedMesh, points: Tensor, monitor: Monitor, *, iterations: int = 60, most: int = 30
) -> DirectResult:
    """Move a mesh to where the potential wants the vertices of the computational mesh.

    What it wants does not depend on where the vertices are now.

    Parameters
    ----------
    network
        A ``DMMNetwork``.
    mesh
        What does not change with the vertices; in 2D.
    points
        Vertices of a valid mesh, from which to go there, in units of the domain, shape (2, N).
    monitor
        m and its gradient at points.
    iterations
        Most iterations of the fit of the last layer; 0 for what the network gives.
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
    assert isinstance(network, DMMNetwork), f"network: got {type(network).__name__}, expected DMMNetwork"
    with torch.inference_mode():
        values, _ = monitor(mesh.reference)
        weights = network.branch(mesh, mesh.reference, values)
        jet = network.trunk(mesh.reference)
        if iterations and bool(torch.isfinite(weights).all()):
            weights = fitted(fit_problem(mesh, jet, values, monitor), weights, iterations=iterations)
        wanted = on_boundary(mesh, mesh.reference, mesh.reference + combined(jet, weights).gradient)
        return travel(mesh, points, wanted, most=most)
