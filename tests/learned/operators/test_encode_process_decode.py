"""Networks between finite-element spaces: what encoders, processors, decoders and structures promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from assembly import Triangles, normal, triangles
from problems import levels_of, nested, perturbed, placed
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import spsolve
from torch import nn
from trajectories import water

from learned.operators.encode_process_decode import MessagePassing, NodeMLP, OperatorNetwork
from learned.operators.multigrid_processor import LeveledGraph, MultigridProcessor, leveled_graph
from learned.operators.nodes import node_weights
from learned.operators.problem import CoarseLevel
from learned.operators.structure import Dirichlet, Mass

TOLD = 5
TURN = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])


class Scaling(nn.Module):
    """A module that knows nothing of graphs: any will do."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

    def forward(self, graph, h):
        return self.factor * h


def graph_of(
    mesh: Triangles, coarse: tuple[CoarseLevel, ...] = (), *, order: np.ndarray | None = None, dtype=torch.float64
) -> LeveledGraph:
    """Return the graph of a mesh with a feature, node ``order[i]`` as its node i if that is given."""
    order = np.arange(mesh.nodes) if order is None else order
    away = np.linalg.norm(mesh.points - mesh.points.mean(axis=0), axis=1)[:, None]
    mass = mesh.mass()[order][:, order]
    pattern = sparse.coo_array(mass)
    pairs = np.stack(pattern.coords)[:, pattern.row != pattern.col]
    fixed = np.isin(order, mesh.fixed)[:, None]
    first = coarse[:1] and (replace(coarse[0], prolongation=coarse[0].prolongation[order]),)
    return leveled_graph(
        mesh.points[order], mass, fixed, away[order] / away.max(), pairs, (*first, *coarse[1:]), dtype=dtype
    )


def processors(*, inputs: int = 1, outputs: int = 1, directions: int = 0, seed: int = 0) -> dict[str, nn.Module]:
    torch.manual_seed(seed)
    sizes = {"told": TOLD, "inputs": inputs, "outputs": outputs}
    return {
        "messages": MessagePassing(**sizes, width=8, channels=6, messages=3, directions=directions).double(),
        "multigrid": MultigridProcessor(
            **sizes, width=8, channels=6, coarse=10, light=1, heavy=2, directions=directions
        ).double(),
        "nodes": NodeMLP(**sizes, width=8).double(),
    }


NAMES = ("messages", "multigrid", "nodes")


@pytest.mark.parametrize("name", [*NAMES, "any"])
def test_a_structure_holds_whatever_the_weights_and_without_it_not(name: str) -> None:
    meshes, ways = nested(triangles(nodes=20, moved=True), 1)
    mesh = meshes[-1]
    processor = Scaling() if name == "any" else perturbed(processors()[name], 1.0)
    boundary = Dirichlet(mesh.fixed, np.sin(mesh.points[mesh.fixed, 0]), size=mesh.nodes)
    for structure, tolerance in ((boundary, 0.0), (Mass(mesh.mass(), 0.7), 1e-13)):
        graph, f = graph_of(mesh, levels_of(meshes, ways)), normal(mesh.nodes, 3)
        with torch.no_grad():
            assert structure.residual(OperatorNetwork(graph, None, processor, None, structure)(f)) <= tolerance
            assert structure.residual(OperatorNetwork(graph, None, processor, None)(f)) > 1e-3


def test_encoder_and_decoder_are_the_matrices_of_the_spaces() -> None:
    (coarse, fine), (way,) = nested(triangles(nodes=20, moved=True), 1)
    projection = sparse.csr_array(spsolve(coarse.mass().tocsc(), (way.T @ fine.mass()).tocsc()))
    # Projected to the coarse space and written in the fine one: linear functions of the coarse mesh come back.
    network = OperatorNetwork(graph_of(coarse), projection, Scaling(), way)
    v = normal(coarse.nodes, 3)
    u = torch.from_numpy(way @ v.numpy())
    assert u.shape == (fine.nodes, 3)
    with torch.no_grad():
        torch.testing.assert_close(network(u), 3.0 * u, rtol=0, atol=1e-12)
    # What a load vector's entries add up to is the integral.
    loads = OperatorNetwork(graph_of(coarse), sparse.csr_array(way.T @ fine.mass()), Scaling(), None)
    with torch.no_grad():
        integral = 3.0 * torch.from_numpy(fine.integrals()) @ u
        torch.testing.assert_close(loads(u).sum(0), integral, rtol=0, atol=1e-13)


def test_components_of_a_node_are_its_channels() -> None:
    mesh = triangles(nodes=20)

    class Turn(nn.Module):
        def forward(self, graph, h):
            return h[..., [1, 0, 2]]

    f = normal(3 * mesh.nodes, 2)
    both = sparse.csr_array(sparse.kron(sparse.eye_array(mesh.nodes), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])))
    u = OperatorNetwork(graph_of(mesh), None, Turn(), both)(f)
    parts = f.reshape(mesh.nodes, 3, 2)
    expected = torch.stack([parts[:, 1], parts[:, 0] + parts[:, 2]], dim=1).reshape(-1, 2)
    assert torch.equal(u, expected)


def test_geometries_share_the_weights_of_the_processor_and_nothing_else_is_learned() -> None:
    processor = processors()["messages"]
    one, other = (
        OperatorNetwork(graph_of(triangles(nodes=nodes)), None, processor, None, Dirichlet(np.array([0]), 0.0))
        for nodes in (20, 40)
    )
    assert [*one.parameters()] == [*processor.parameters()] and one.state_dict().keys() == other.state_dict().keys()
    sizes = [len(network(normal(len(network.graph.points), 1))) for network in (one, other)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_renumbered_with_the_nodes(name: str) -> None:
    meshes, ways = nested(triangles(nodes=15, moved=True), 2)
    mesh, coarse = meshes[-1], levels_of(meshes, ways)
    order = np.random.default_rng(1).permutation(mesh.nodes)
    processor, f = processors(directions=0 if name == "nodes" else 2)[name], normal(mesh.nodes, 2)
    with torch.no_grad():
        u = OperatorNetwork(graph_of(mesh, coarse), None, processor, None)(f)
        other = OperatorNetwork(graph_of(mesh, coarse, order=order), None, processor, None)(f[order])
    assert float((other - u[order]).abs().max()) <= 1e-12 * float(u.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_without_directions_answers_stay_when_the_domain_is_turned_enlarged_and_moved(name: str) -> None:
    meshes, ways = nested(triangles(nodes=15, moved=True), 1)
    moved = [placed(mesh, 3.0 * TURN @ np.diag([1.0, -1.0]), (5.0, -2.0)) for mesh in meshes]
    processor, f = processors()[name], normal(meshes[-1].nodes, 2)
    with torch.no_grad():
        u, other = (
            OperatorNetwork(graph_of(part[-1], levels_of(part, ways)), None, processor, None)(f)
            for part in (meshes, moved)
        )
    assert float((other - u).abs().max()) <= 1e-11 * float(u.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_each_input_is_answered_alone(name: str) -> None:
    mesh = triangles(nodes=40)
    network, f = OperatorNetwork(graph_of(mesh), None, processors()[name], None), normal(mesh.nodes, 4)
    with torch.no_grad():
        torch.testing.assert_close(network(f[:, 2:3]), network(f)[:, 2:3], rtol=0, atol=1e-12)


def test_a_node_sees_itself_its_surroundings_or_everything() -> None:
    meshes, ways = nested(triangles(nodes=12), 2)
    mesh = meshes[-1]
    graph = graph_of(mesh, levels_of(meshes, ways))
    hops = dijkstra(abs(mesh.mass()) > 0, unweighted=True, indices=0)
    assert hops.max() > 6
    torch.manual_seed(1)
    deep = MultigridProcessor(told=TOLD, inputs=1, outputs=1, width=8, channels=6, coarse=10, heavy=4).double()
    before = normal(mesh.nodes, 1)
    after = before.clone()
    after[0] += 100.0
    for processor, reach in ((processors()["nodes"], 0), (processors()["messages"], 3), (deep, np.inf)):
        network = OperatorNetwork(graph, None, processor, None)
        with torch.no_grad():
            changed = (network(after) - network(before)).abs().ravel().numpy()
        assert (changed[hops <= min(reach, 2)] > 0.0).all() and (changed[hops > reach] == 0.0).all()
    assert (changed > 0.0).all()


@pytest.mark.parametrize("kind", ["linear", "cells"])
def test_restriction_keeps_integrals_and_constants_on_every_level(kind: str) -> None:
    if kind == "linear":
        meshes, ways = nested(triangles(nodes=15, moved=True), 2)
        graph, weights = graph_of(meshes[-1], levels_of(meshes, ways)), node_weights(meshes[-1].mass())
    else:
        t = water(levels=2)
        graph = leveled_graph(t.points, t.mass, t.fixed, t.features, t.edges, t.coarse, dtype=torch.float64)
        weights = t.mass.diagonal()
    share = torch.from_numpy(weights)
    assert len(graph.coarser) == 2
    for level in graph.coarser:
        h, ones = normal(len(share), 2), torch.ones(len(share), 1, dtype=torch.float64)
        coarse = level.prolong(torch.eye(level.prolong.shape[1], dtype=torch.float64)).T @ share
        torch.testing.assert_close(coarse @ level.restrict(h), share @ h, rtol=0, atol=1e-13)
        torch.testing.assert_close(level.restrict(ones), torch.ones(len(coarse), 1).double(), rtol=1e-13, atol=0)
        torch.testing.assert_close(level.prolong(torch.ones(len(coarse), 1).double()), ones, rtol=1e-13, atol=0)
        share = coarse


def test_cells_of_every_level_are_neighbours_where_they_share_a_side() -> None:
    t = water(levels=2)
    graph = leveled_graph(t.points, t.mass, t.fixed, t.features, t.edges, t.coarse)
    got = {tuple(pair) for pair in torch.stack([graph.target, graph.source]).T.tolist()}
    assert got == {tuple(pair) for pair in t.edges.T.tolist()}
    for coarser, nodes in zip(graph.coarser, (1, 0), strict=True):
        # Of triangles no cell has more neighbours than sides.
        counts = np.bincount(coarser.graph.target.numpy())
        assert counts.max() == 3 and len(counts) == len(t.coarse[1 - nodes].points)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    meshes, ways = nested(triangles(nodes=12), 1)
    mesh = meshes[-1]
    processor = processors()[name]
    network = OperatorNetwork(graph_of(mesh, levels_of(meshes, ways)), None, processor, None)
    f, parameters = normal(mesh.nodes, 2), list(processor.parameters())
    gradients = torch.autograd.grad(network(f).square().sum(), parameters)
    steps = [normal(*part.shape, seed=number) for number, part in enumerate(parameters)]
    slope = sum(float((part * way).sum()) for part, way in zip(gradients, steps, strict=True))
    values = []
    with torch.no_grad():
        for length in (1e-5, -2e-5):
            for parameter, step in zip(parameters, steps, strict=True):
                parameter += length * step
            values.append(float(network(f).square().sum()))
    # Differences of second order, of a function that curves over lengths of about one.
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    mesh = triangles(nodes=20)
    graph, n = graph_of(mesh), mesh.nodes
    with pytest.raises(ValueError, match=rf"^encoder: got csr_array of shape \({n + 1}, {n}\), expected a sparse"):
        OperatorNetwork(graph, sparse.csr_array((n + 1, n)), Scaling(), None)
    with pytest.raises(ValueError, match=rf"^decoder: got ndarray of shape \({n}, {n}\), expected a sparse matrix"):
        OperatorNetwork(graph, None, Scaling(), np.eye(n))
    with pytest.raises(ValueError, match=rf"^f: got shape \({n + 1}, 2\), expected \(a multiple of {n}, m\); encode"):
        OperatorNetwork(graph, None, Scaling(), None)(normal(n + 1, 2))
    wide = sparse.csr_array((n, 2 * n))
    with pytest.raises(ValueError, match=rf"^processor: got an answer of shape \({n}, 2, 1\), expected \({n}, 2, 2\)"):
        OperatorNetwork(graph, None, Scaling(), wide)(normal(n, 2))
    with pytest.raises(ValueError, match=r"^graph: got nodes in 2 dimensions, expected 3; make the network with as"):
        processors(directions=3)["messages"](graph, normal(n, 2, 1))
