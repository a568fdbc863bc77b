"""Coarse meshes of some of the vertices: they fill the domain, carry linear motions exactly, and shorten the way."""

from __future__ import annotations

import pytest
import torch
from learned_meshes import bump, bump_monitor, some_mesh

from learned.coarse import coarse_mesh
from learned.geometry import volumes
from learned.movers.drift import drift
from learned.networks.drift import DriftNetwork
from learned.prepared import prepare_mesh


@pytest.mark.parametrize("kind", ["square", "holes", "ring", "l-shape", "warped", "polygon"])
def test_it_fills_the_domain_with_vertices_of_the_fine_mesh(kind: str) -> None:
    graph = some_mesh(2, nodes=2500, kind=kind)
    fine = prepare_mesh(graph, dtype=torch.float64)
    coarse = coarse_mesh(graph, fine, most=1000)
    assert coarse is not None
    assert 100 < len(coarse.vertices) < 1000
    torch.testing.assert_close(coarse.mesh.reference, fine.reference[:, coarse.vertices], rtol=0, atol=1e-15)
    before = volumes(fine.topology.corners(fine.reference)).sum()
    after = volumes(coarse.mesh.topology.corners(coarse.mesh.reference))
    assert after.min() > 0
    assert float(after.sum()) == pytest.approx(float(before), rel=0.05)
    # Corners of the domain are kept.
    corners = set(fine.boundary.vertices[fine.boundary.fixed].tolist())
    assert corners <= set(coarse.vertices.tolist())
    # Weights: what the fine cells are asked to hold, to the little that every coarse cell is given.
    assert float(coarse.mesh.energy.shares.sum()) == pytest.approx(1.0)
    ones = torch.ones(len(coarse.vertices), dtype=torch.float64)
    torch.testing.assert_close(coarse.prolong(ones), torch.ones(len(graph.pos), dtype=torch.float64))
    torch.testing.assert_close(coarse.gather(torch.ones(len(graph.pos), dtype=torch.float64)), ones)


def test_on_a_square_linear_motions_are_carried_exactly() -> None:
    graph = some_mesh(2, nodes=1500)
    fine = prepare_mesh(graph, dtype=torch.float64)
    coarse = coarse_mesh(graph, fine, most=1000)
    assert coarse is not None
    linear = 0.3 + fine.reference[0] - 2.0 * fine.reference[1]
    torch.testing.assert_close(coarse.prolong(linear[coarse.vertices]), linear, rtol=1e-10, atol=1e-10)


def test_small_meshes_have_none() -> None:
    graph = some_mesh(2, nodes=200)
    assert coarse_mesh(graph, prepare_mesh(graph), most=1000) is None


def test_moving_behind_a_coarse_mesh_lowers_the_energy_faster() -> None:
    graph = some_mesh(2, nodes=4000)
    fine = prepare_mesh(graph)
    coarse = coarse_mesh(graph, fine, most=1000)
    network = DriftNetwork(fine=8, coarse=8, vectors=2)
    # Weights that are not numbers: gradient steps on both meshes.
    with torch.no_grad():
        network.encode[0].weight.fill_(torch.nan)
    alone = drift(network, fine, fine.reference, bump_monitor, steps=25)
    behind = drift(network, fine, fine.reference, bump_monitor, steps=25, coarse=coarse)
    print(f"energy {alone.energies[0]:.3f}, after 25 steps {alone.energies[-1]:.3f}, behind {behind.energies[-1]:.3f}")
    assert behind.carried
    assert behind.energies[-1] < 0.9 * alone.energies[-1]
    assert volumes(fine.topology.corners(behind.points)).min() > 0
    assert all(after <= before for before, after in zip(behind.energies, behind.energies[1:], strict=False))
    assert float(bump(behind.points).max()) > 1.0
