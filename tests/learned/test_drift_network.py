"""The network's proposal does not depend on place, size or scale of the monitor function, and turns with the mesh."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from learned_meshes import bump, bump_slopes, some_mesh
from torch import Tensor

from learned.graph import MeshGraph, facet_vectors, unit_normals
from learned.movers.step import gradient_step, network_step
from learned.networks.drift import DriftNetwork
from learned.prepared import prepare_mesh, prepare_meshes


def network() -> DriftNetwork:
    torch.manual_seed(0)
    net = DriftNetwork(fine=16, coarse=24, vectors=4).double()
    for decoder in (net.multigrid.fine, net.multigrid.coarse):
        torch.nn.init.normal_(decoder.gates[2].weight, std=0.5)
    return net


def changed(graph: MeshGraph, pos: Tensor) -> MeshGraph:
    vectors = facet_vectors(pos, graph.facets)
    sums = torch.zeros(len(pos), pos.shape[1] + 1, dtype=pos.dtype)
    for corner in graph.facets.T:
        sums.index_add_(0, corner, torch.cat([vectors, vectors.norm(dim=1, keepdim=True)], dim=1))
    return replace(graph, pos=pos, normals=unit_normals(sums[:, :-1], sums[:, -1]))


def proposal(net, graph: MeshGraph, values: Tensor, slopes: Tensor) -> Tensor:
    """Return the displacement in metres for nodal values and their gradient, shape (N, d)."""
    mesh = prepare_mesh(graph, dtype=torch.float64)
    points = mesh.reference
    state = mesh.energy(points, values)
    slopes = slopes * mesh.scale
    step = gradient_step(mesh, points, slopes, state)
    return net(mesh, points, values, state, step).T * mesh.scale


@pytest.mark.parametrize("kind", ["square", "disc", "holes", None])
def test_place_and_size_of_the_domain_and_scale_of_the_monitor_function_do_not_matter(kind: str | None) -> None:
    dimension = 3 if kind is None else 2
    net, graph = network(), some_mesh(dimension, kind=kind)
    values, slopes = bump(graph.pos.T), bump_slopes(graph.pos.T)
    found = proposal(net, graph, values, slopes).detach()
    assert float(found.abs().max()) > 1e-3
    moved = changed(graph, 1000.0 * graph.pos + 300.0)
    other = proposal(net, moved, 50.0 * values, 50.0 * slopes / 1000.0).detach()
    torch.testing.assert_close(other / 1000.0, found, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_it_turns_with_the_mesh(dimension: int, mirrored: bool) -> None:
    net, graph = network(), some_mesh(dimension, kind="polygon")
    generator = torch.Generator().manual_seed(1)
    turn, _ = torch.linalg.qr(torch.randn(dimension, dimension, generator=generator, dtype=torch.float64))
    if (torch.det(turn) < 0) != mirrored:
        turn[:, 0] *= -1.0
    values, slopes = bump(graph.pos.T), bump_slopes(graph.pos.T)
    found = proposal(net, graph, values, slopes).detach()
    turned = graph
    if mirrored:
        # A mirror image has the opposite orientation: the last two corners change places.
        swapped = graph.cells.clone()
        swapped[:, [-2, -1]] = graph.cells[:, [-1, -2]]
        facets = graph.facets.clone()
        facets[:, [-2, -1]] = graph.facets[:, [-1, -2]]
        turned = replace(graph, cells=swapped, facets=facets)
    turned = changed(turned, graph.pos @ turn.T)
    other = proposal(net, turned, values, turn @ slopes).detach()
    torch.testing.assert_close(other, found @ turn.T, rtol=1e-6, atol=1e-9)


def test_meshes_side_by_side_do_not_know_of_each_other() -> None:
    net = network()
    graphs = [some_mesh(2, nodes=120, seed=1), some_mesh(2, nodes=200, seed=2, kind="holes")]
    both = prepare_meshes(graphs, ["integral", "relative"], dtype=torch.float64)
    n = len(graphs[0].pos)

    def step(factor: float) -> Tensor:
        values = bump(both.reference)
        values[n:] = values[n:] ** factor
        state = both.energy(both.reference, values)
        return network_step(net, both, both.reference, values, bump_slopes(both.reference), state).detach()

    one, other = step(1.0), step(2.0)
    torch.testing.assert_close(one[:, :n], other[:, :n], rtol=1e-12, atol=1e-14)
    assert float((one[:, n:] - other[:, n:]).abs().max()) > 1e-4


def test_single_precision_is_near_to_double() -> None:
    graph = some_mesh(2, nodes=400)
    results = []
    for dtype in (torch.float32, torch.float64):
        net = network().to(dtype)
        mesh = prepare_mesh(graph, dtype=dtype)
        values, slopes = bump(mesh.reference), bump_slopes(mesh.reference)
        state = mesh.energy(mesh.reference, values)
        results.append(network_step(net, mesh, mesh.reference, values, slopes, state).detach().double())
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=2e-4)
