"""The network of drift: from what a mesh lacks to a displacement of its vertices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned.energy import EnergyState
from learned.networks.multigrid import Multigrid, squash
from learned.prepared import PreparedMesh

SCALARS, VECTORS = 9, 4
_SETTLING = 0.05


class DriftNetwork(nn.Module):
    """Propose a displacement: one step of a learned optimiser of the mesh's energy.

    It sees ratios, offsets over local sizes, and the energy's gradient only. So its proposal does not depend on where
    the domain is, and scales with it; it does not depend on the scale of the monitor function; it turns with the
    domain. Weights do not depend on the dimension.

    Parameters
    ----------
    fine, coarse
        Scalar channels on the finest level and on the others.
    vectors
        Vector channels.
    messages
        Exchanges on each coarse level, each way.
    levels
        Most levels that are used, 0 for all that there are.
    """

    def __init__(self, *, fine: int = 32, coarse: int = 64, vectors: int = 8, messages: int = 2, levels: int = 0):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(SCALARS, fine), nn.SiLU(), nn.Linear(fine, fine))
        self.orient = nn.Linear(VECTORS, vectors, bias=False)
        self.multigrid = Multigrid(fine=fine, coarse=coarse, vectors=vectors, messages=messages, levels=levels)

    def forward(self, mesh: PreparedMesh, points: Tensor, monitor: Tensor, state: EnergyState, step: Tensor) -> Tensor:
        """Return a displacement, along the boundary but not limited yet.

        Parameters
        ----------
        mesh
            What does not change with the vertices.
        points
            Vertices, shape (d, N) [m].
        monitor
            m in the vertices, shape (N,).
        state
            The energy there.
        step
            Preconditioned gradient step, minus the gradient over the diagonal, along the boundary, shape (d, N) [m].

        Returns
        -------
        Tensor
            Shape (d, N) [m].
        """
        volumes, scalars, vectors = features(mesh, points, monitor, state, step)
        h, v = self.encode(scalars), self.orient(vectors)
        displacement = self.multigrid(mesh.hierarchy, points.T.contiguous(), volumes, h, v).T
        # The less is left to do, the shorter the step: many steps settle instead of circling.
        settling = (state.value / (state.value + _SETTLING)).sqrt()
        displacement = displacement * mesh.topology.to_vertices(settling)
        return mesh.boundary.tangential(points, displacement)


def features(
    mesh: PreparedMesh, points: Tensor, monitor: Tensor, state: EnergyState, step: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the network sees: volumes of the vertices (N,), scalars (N, 9) and vectors (N, d, 4)."""
    topology, dimension = mesh.topology, mesh.topology.dimension
    logs = state.ratios.log()
    residual, square, shape = topology.cell_means(torch.stack([logs, logs.square(), state.shapes.log()]))
    volume = topology.cell_sums(state.volumes)
    sizes = volume ** (1.0 / dimension)
    log_monitor, log_size = monitor.log(), sizes.log()
    # Piecewise linear residual and monitor function: their gradients, averaged around the vertices.
    gradients = topology.corners(torch.stack([residual, log_monitor]))[:, None] * state.gradients[None]
    slopes = topology.cell_means(gradients.sum(2).reshape(2 * dimension, -1)).reshape(2, dimension, -1) * sizes
    step = step / sizes
    normal = torch.zeros_like(points).index_copy(1, mesh.boundary.vertices, mesh.boundary.normals(points))
    vectors = squash(torch.stack([step, slopes[0], slopes[1], normal]).permute(2, 1, 0))
    scalars = torch.stack(
        [
            log_monitor - topology.to_vertices(topology.vertex_mean(log_monitor)),
            log_size - topology.to_vertices(topology.vertex_mean(log_size)),
            residual,
            square,
            shape,
            mesh.bound,
            mesh.fixed,
            mesh.log_weights,
            topology.to_vertices(0.2 * torch.log(state.value.detach().clamp_min(1e-6))).expand_as(residual),
        ],
        dim=1,
    )
    return volume, scalars, vectors
