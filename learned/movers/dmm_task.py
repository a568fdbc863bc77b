"""What DMM is trained for: the Monge-Ampère equation on the unit square, without labels."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from learned.device import to_device
from learned.domains import random_mesh
from learned.gaussians import random_gaussians
from learned.monitors import FeatureMonitor
from learned.movers.dmm import dmm
from learned.movers.dmm_fit import BOUNDARY
from learned.movers.figures import Case, move_figures
from learned.networks.dmm import DMMNetwork, combined
from learned.prepared import PreparedMesh, prepare_mesh

# Places are drawn so many times over, and kept in proportion to m.
_DRAWN = 40
_KINDS = ("square", "lattice")


class DMMTask:
    r"""Losses of DMM.

    .. math:: L = \text{mean}\Big(\frac{m(x) \det(I + \nabla\nabla\phi)}{\int m} - 1\Big)^2
              + 1000\,\text{mean}_{\partial\Omega} (\partial_n\phi)^2
              + \text{mean}\big(\min(0, 1 + \phi_{xx})^2 + \min(0, 1 + \phi_{yy})^2\big),\qquad x = \xi + \nabla\phi

    at places drawn evenly and kept in proportion to m (Hu et al., arXiv 2312.05583). The branch sees the monitor
    function on meshes of the unit square, of many numbers of vertices.

    Parameters
    ----------
    seed
        Of the meshes.
    meshes, held
        Numbers of meshes to train on and held out.
    nodes
        Least and largest number of vertices.
    places
        Number of places in the domain, and in all of its boundary, of a sample.
    """

    def __init__(
        self, *, seed: int, meshes: int = 60, held: int = 40, nodes: tuple[int, int] = (150, 900), places: int = 384
    ):
        rng = np.random.default_rng(seed)
        self.places = places
        self.pool = [_mesh(rng, nodes) for _ in range(meshes)]
        other = np.random.default_rng(10_000 + seed)
        self.held_out = [Case(_mesh(other, nodes), _gaussians(other)) for _ in range(held)]

    def to(self, device: torch.device | str) -> DMMTask:
        """Put all meshes on a device; return the task."""
        self.pool, self.held_out = to_device((self.pool, self.held_out), device)
        return self

    def loss(self, model: nn.Module, rng: np.random.Generator) -> Tensor:
        """Return the loss of a random mesh and monitor function, shape ()."""
        mesh = self.pool[int(rng.integers(len(self.pool)))]
        return torch.stack(self.terms(model, Case(mesh, _gaussians(rng)), rng)).sum()

    def terms(self, model: nn.Module, case: Case, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three terms of the loss, weighted, each of shape ()."""
        assert isinstance(model, DMMNetwork)
        mesh, count = case.mesh, self.places
        weights = model.branch(mesh, mesh.reference, case.function(mesh.reference))
        drawn = mesh.reference.new_tensor(rng.uniform(-0.5, 0.5, (2, _DRAWN * count)))
        density = case.function(drawn)
        # By inversion, at even distances with one random offset: as many as wanted, in proportion to m.
        reach = density.double().cumsum(0)
        levels = (torch.arange(count, device=reach.device) + rng.random()) * (reach[-1] / count)
        places = drawn[:, torch.searchsorted(reach, levels).clamp_max(len(reach) - 1)]
        jet = combined(model.trunk(torch.cat([places, mesh.reference.new_tensor(_sides(rng, count))], dim=1)), weights)
        xx, xy, yy = jet.second[:, :count]
        moved = places + jet.gradient[:, :count]
        residual = case.function(moved) * ((1.0 + xx) * (1.0 + yy) - xy.square()) / density.mean() - 1.0
        # The first half of the places on the boundary is at the left and right.
        across = torch.cat([jet.gradient[0, count : count + count // 2], jet.gradient[1, count + count // 2 :]])
        concave = (1.0 + xx).clamp_max(0.0).square() + (1.0 + yy).clamp_max(0.0).square()
        return residual.square().mean(), BOUNDARY * across.square().mean(), concave.mean()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the mean loss on meshes held out as ``score``, its terms, and figures of moves without the fit."""
        rng = np.random.default_rng(0)
        terms = torch.stack([torch.stack(self.terms(model, case, rng)) for case in self.held_out]).mean(0)
        named = dict(zip(("equation", "boundary", "convexity"), terms.tolist(), strict=True))
        return {"score": float(terms.sum())} | named | self.figures(model, iterations=0)

    def figures(self, model: nn.Module, *, iterations: int) -> dict[str, float]:
        """Return figures of moves of the meshes held out, with so many iterations of the fit."""
        return move_figures(self.held_out, partial(dmm, model, iterations=iterations))


def _mesh(rng: np.random.Generator, nodes: tuple[int, int]) -> PreparedMesh:
    count = int(np.exp(rng.uniform(*np.log(nodes))))
    return prepare_mesh(random_mesh(rng, nodes=count, kind=str(rng.choice(_KINDS))))


def _gaussians(rng: np.random.Generator) -> FeatureMonitor:
    return random_gaussians(rng, np.full(2, -0.5), np.full(2, 0.5))


def _sides(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return places on the sides of the unit square about the origin, shape (2, count): left and right first."""
    along, side = rng.uniform(-0.5, 0.5, count), rng.choice([-0.5, 0.5], count)
    return np.where(np.arange(count) < count // 2, [side, along], [along, side])
