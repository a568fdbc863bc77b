"""Random domains are meshed validly, with their boundary, the same for the same seed; monitor functions likewise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned.domains import AIRFOIL, KINDS, box_mesh, random_mesh
from learned.geometry import volumes, widths
from learned.monitors import random_monitor


@pytest.mark.parametrize("kind", [*KINDS, AIRFOIL, "box"])
def test_meshes_are_valid(kind: str) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        graph = box_mesh(rng, nodes=300) if kind == "box" else random_mesh(rng, nodes=300, kind=kind)
        corners = graph.pos.T[:, graph.cells.T]
        assert volumes(corners).min() > 0
        assert 150 < len(graph.pos) < 450
        assert len(torch.unique(graph.cells)) == len(graph.pos)
        size = (volumes(corners) ** (1 / graph.pos.shape[1])).mean()
        assert widths(corners).min() > 0.1 * size
        # Facets close up: the sum of their vectors is zero, and by Gauss they enclose the cells' volume.
        from learned.graph import facet_vectors

        vectors = facet_vectors(graph.pos, graph.facets)
        assert float(vectors.sum(0).abs().max()) < 1e-12
        enclosed = (vectors * graph.pos[graph.facets].mean(1)).sum() / graph.pos.shape[1]
        assert float(enclosed) == pytest.approx(float(volumes(corners).sum()), rel=1e-10)


def test_the_same_seed_gives_the_same_mesh_and_another_one_another() -> None:
    one, same, other = (random_mesh(np.random.default_rng(seed), nodes=200) for seed in (3, 3, 4))
    assert torch.equal(one.pos, same.pos)
    assert one.pos.shape != other.pos.shape or not torch.equal(one.pos, other.pos)


def test_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind: got 'cube', expected one of square, lattice"):
        random_mesh(np.random.default_rng(0), nodes=100, kind="cube")


@pytest.mark.parametrize("dimension", [2, 3])
def test_monitor_functions_are_positive_smooth_and_as_strong_as_asked(dimension: int) -> None:
    strongest = 0.0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        anchors = rng.random((50, dimension))
        monitor = random_monitor(rng, anchors, size=1.0, spacing=0.05, strongest=30.0)
        points = torch.rand(dimension, 500, dtype=torch.float64, requires_grad=True)
        values = monitor(points)
        (slopes,) = torch.autograd.grad(values.sum(), points)
        assert values.min() >= 1.0
        assert torch.isfinite(slopes).all()
        strongest = max(strongest, float(values.detach().max()))
    assert 10.0 < strongest < 1.0 + 5 * 30.0
