"""drift never inverts a cell and never raises the energy, whatever its weights; training lowers the energy."""

from __future__ import annotations

import pytest
import torch
from learned_meshes import bump, bump_monitor, some_mesh

from learned.background import BackgroundMonitor
from learned.geometry import volumes
from learned.movers.drift import drift
from learned.networks.drift import DriftNetwork
from learned.prepared import prepare_mesh


def wild_network(seed: int, size: float) -> DriftNetwork:
    torch.manual_seed(seed)
    net = DriftNetwork(fine=8, coarse=8, vectors=2)
    for decoder in (net.multigrid.fine, net.multigrid.coarse):
        torch.nn.init.normal_(decoder.gates[2].weight, std=size)
    return net


@pytest.mark.parametrize("kind", ["square", "disc", "holes", "warped", "l-shape", None])
@pytest.mark.parametrize("size", [0.3, 1e6])
def test_any_weights_leave_a_valid_mesh_of_no_more_energy(kind: str | None, size: float) -> None:
    mesh = prepare_mesh(some_mesh(3 if kind is None else 2, kind=kind, nodes=200))
    for seed in range(3):
        result = drift(wild_network(seed, size), mesh, mesh.reference, bump_monitor, steps=8)
        assert volumes(mesh.topology.corners(result.points)).min() > 0
        assert all(after <= before for before, after in zip(result.energies, result.energies[1:], strict=False))
        assert result.energies[-1] < result.energies[0]


def test_weights_that_are_not_finite_leave_gradient_descent() -> None:
    mesh = prepare_mesh(some_mesh(2))
    net = wild_network(0, 1.0)
    with torch.no_grad():
        net.encode[0].weight.fill_(torch.nan)
    result = drift(net, mesh, mesh.reference, bump_monitor, steps=5)
    assert (result.proposals, result.gradients) == (0, 5)
    assert torch.isfinite(result.points).all()
    assert result.energies[-1] < result.energies[0]


def test_the_fall_back_converges_to_equidistribution() -> None:
    mesh = prepare_mesh(some_mesh(2, nodes=80), dtype=torch.float64)
    net = wild_network(0, 1.0).double()
    with torch.no_grad():
        net.encode[0].weight.fill_(torch.nan)
    result = drift(net, mesh, mesh.reference, bump_monitor, steps=400)
    before = mesh.energy(mesh.reference, bump(mesh.reference)).ratios
    after = mesh.energy(result.points, bump(result.points)).ratios
    spread = float(before.std()), float(after.std())
    print(f"spread {spread[0]:.3f} -> {spread[1]:.3f} after 400 gradient steps")
    assert spread[1] < 0.25 * spread[0]


@pytest.mark.parametrize("kind", ["square", "holes", None])
def test_vertices_that_are_fixed_stay_to_the_last_bit_and_sides_stay_straight(kind: str | None) -> None:
    graph = some_mesh(3 if kind is None else 2, kind=kind)
    mesh = prepare_mesh(graph)
    result = drift(wild_network(1, 0.3), mesh, mesh.reference, bump_monitor, steps=6)
    fixed = mesh.boundary.vertices[mesh.boundary.fixed]
    assert torch.equal(result.points[:, fixed], mesh.reference[:, fixed])
    before, after = (
        volumes(mesh.topology.corners(mesh.reference)).sum(),
        volumes(mesh.topology.corners(result.points)).sum(),
    )
    assert float(after) == pytest.approx(float(before), rel=1e-5 if kind != "holes" else 2e-2)


def test_a_monitor_function_on_a_mesh_moves_as_the_function_does() -> None:
    mesh = prepare_mesh(some_mesh(2, nodes=900))
    net = wild_network(0, 0.1)
    background = BackgroundMonitor(mesh.topology, mesh.reference, bump(mesh.reference))
    one = drift(net, mesh, mesh.reference, background, steps=5)
    other = drift(net, mesh, mesh.reference, bump_monitor, steps=5)
    assert one.energies[-1] == pytest.approx(other.energies[-1], rel=0.1)


def test_coordinates_far_from_the_origin_and_of_any_size() -> None:
    graph = some_mesh(2)
    from dataclasses import replace

    for scale, shift in ((1e6, 3e7), (1e-6, 0.0)):
        mesh = prepare_mesh(replace(graph, pos=scale * graph.pos + shift))
        back = mesh.outside(mesh.inside(scale * graph.pos + shift))
        assert float((back - (scale * graph.pos + shift)).abs().max()) < 1e-6 * scale
        result = drift(wild_network(0, 0.3), mesh, mesh.reference, bump_monitor, steps=3)
        assert result.energies[-1] < result.energies[0]
