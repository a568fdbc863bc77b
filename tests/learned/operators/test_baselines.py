"""Baselines of operator networks: what they promise, and what they refuse."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from assembly import Triangles, normal, triangles
from problems import elasticity, poisson, renumbered, solved
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from torch import nn

from learned.operators.baselines import DofMLP, GridFNO, MeshGraphNet
from learned.operators.baselines.fno import grid_places
from learned.operators.nodes import node_graph
from learned.operators.prepared import PreparedProblem, prepare
from learned.operators.problem import OperatorProblem
from learned.operators.spon import UnconstrainedSPON
from learned.operators.task import OperatorTask

SIDE = 9


def grid(side: int = SIDE) -> Triangles:
    line = np.linspace(0.0, 1.0, side)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    number = np.arange(side**2).reshape(side, side)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    cells = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    sides = [number[0], number[-1], number[:, 0], number[:, -1]]
    return Triangles(points, cells, np.concatenate([np.stack([s[:-1], s[1:]], axis=1) for s in sides]))


def problem_on(
    mesh: Triangles, *, components: int = 1, features: int = 0, m: int = 3, seed: int = 0
) -> OperatorProblem:
    """Return a problem with random data, each component on its own."""
    rng = np.random.default_rng(seed)
    each = sparse.eye_array(components)
    on = np.isin(np.arange(mesh.nodes), mesh.fixed)
    return solved(
        points=mesh.points,
        stiffness=sparse.csr_array(sparse.kron(mesh.stiffness(), each)),
        mass=mesh.mass(),
        fixed=np.repeat(on[:, None], components, axis=1),
        boundary=on,
        features=rng.normal(size=(mesh.nodes, features)),
        loads=sparse.kron(mesh.mass(), each) @ rng.normal(size=(mesh.nodes * components, m)),
        values=rng.normal(size=(mesh.nodes * components, m)),
    )


def prepared(problem: OperatorProblem) -> PreparedProblem:
    return prepare(problem, landmark_count=1)


def doubled(problem: OperatorProblem) -> PreparedProblem:
    """Return a problem whose graph is in float64 too."""
    parts = (problem.points, problem.stiffness, problem.mass, problem.fixed, problem.boundary, problem.features)
    return replace(prepared(problem), graph=node_graph(*parts, dtype=torch.float64))


def networks(*, components: int = 1, features: int = 0) -> list[nn.Module]:
    """Return one of each, small, for a grid of 81 nodes."""
    torch.manual_seed(0)
    both = {"components": components, "features": features}
    return [
        MeshGraphNet(**both, width=8, messages=3),
        DofMLP(**both, nodes=SIDE**2, hidden=8),
        GridFNO(**both, side=SIDE, modes=4, width=6, layers=2),
    ]


NAMES = ("MeshGraphNet", "DofMLP", "GridFNO")


@pytest.fixture(params=range(3), ids=NAMES)
def network(request) -> nn.Module:
    return networks()[request.param]


@pytest.mark.parametrize("which", range(3), ids=NAMES)
@pytest.mark.parametrize(("components", "features", "m"), [(1, 0, 3), (1, 2, 2), (2, 1, 4)])
def test_answers_have_the_degrees_of_freedom_of_all_right_hand_sides(which, components, features, m) -> None:
    problem = problem_on(grid(), components=components, features=features, m=m)
    network = networks(components=components, features=features)[which]
    with torch.no_grad():
        u = network(prepared(problem))
    assert u.shape == problem.solutions.shape and u.dtype == torch.float64
    errors = OperatorTask([problem, problem], 1, network).errors(network)
    assert errors.shape == (m,) and torch.isfinite(errors).all()


def test_answers_are_homogeneous_in_the_data(network: nn.Module) -> None:
    problem = problem_on(grid())
    scales = np.array([4.0, 0.0, 0.125])
    scaled = replace(problem, loads=scales * problem.loads, values=scales * problem.values)
    with torch.no_grad():
        # Powers of two go through every operation without rounding.
        assert torch.equal(network(prepared(scaled)), torch.from_numpy(scales) * network(prepared(problem)))


def test_each_right_hand_side_is_answered_alone(network: nn.Module) -> None:
    problem = problem_on(grid(), m=4)
    only = {name: getattr(problem, name)[:, 2:3] for name in ("loads", "values", "solutions")}
    with torch.no_grad():
        together, alone = network(prepared(problem)), network(prepared(replace(problem, **only)))
    # In float32, a few layers deep.
    torch.testing.assert_close(alone, together[:, 2:3], rtol=0, atol=1e-5 * float(together.abs().max()))


@pytest.mark.parametrize("which", range(3), ids=NAMES)
def test_loads_boundary_values_and_features_all_count(which: int) -> None:
    problem = problem_on(grid(), features=1)
    network = networks(features=1)[which]
    with torch.no_grad():
        u = network(prepared(problem))
        for name in ("loads", "values", "features"):
            other = replace(problem, **{name: getattr(problem, name)[::-1].copy()})
            assert (network(prepared(other)) - u).abs().max() > 1e-3 * u.abs().max(), name


def test_a_small_step_down_the_gradient_lowers_the_loss_by_as_much_as_the_gradient_says(network: nn.Module) -> None:
    problem = prepared(problem_on(grid()))
    before = problem.error(network(problem)).mean()
    gradients = torch.autograd.grad(before, list(network.parameters()))
    square = sum(float(gradient.abs().square().sum()) for gradient in gradients)
    with torch.no_grad():
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter -= 1e-3 * float(before.detach()) / square * gradient
        after = problem.error(network(problem)).mean()
    assert float(1.0 - after / before.detach()) == pytest.approx(1e-3, rel=0.1)


@pytest.mark.parametrize(
    "problem", [poisson("holes", features=1), elasticity("l-shape")], ids=["poisson", "elasticity"]
)
@pytest.mark.parametrize("seed", range(3))
def test_messages_are_renumbered_with_the_nodes(problem: OperatorProblem, seed: int) -> None:
    components, features = problem.components, problem.features.shape[1]
    order = np.random.default_rng(seed).permutation(len(problem.points))
    network = MeshGraphNet(components=components, features=features, width=8, messages=4).double()
    with torch.no_grad():
        u, moved = network(doubled(problem)), network(doubled(renumbered(problem, order)))
    expected = u.unflatten(0, (-1, components))[order].flatten(0, 1)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12 * float(u.abs().max()))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_messages_do_not_depend_on_the_axes(mirrored: bool, seed: int) -> None:
    mesh = triangles("l-shape", moved=True, seed=seed)
    angle = 0.7 + seed
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[:, 0] *= -1.0 if mirrored else 1.0
    cells = mesh.cells[:, ::-1] if mirrored else mesh.cells
    moved = replace(mesh, points=mesh.points @ turn.T + [3.0, -2.0], cells=cells)
    network = MeshGraphNet(width=8, messages=4).double()
    with torch.no_grad():
        u, other = network(doubled(problem_on(mesh))), network(doubled(problem_on(moved)))
    torch.testing.assert_close(other, u, rtol=0, atol=1e-12 * float(u.abs().max()))


def test_messages_of_vector_unknowns_do_not_depend_on_the_place_but_on_the_direction() -> None:
    mesh = triangles("l-shape", moved=True)
    network = MeshGraphNet(components=2, width=8, messages=4).double()
    problems = [
        problem_on(replace(mesh, points=points), components=2)
        for points in (mesh.points, mesh.points - 2.0, mesh.points @ np.array([[0.0, -1.0], [1.0, 0.0]]).T)
    ]
    with torch.no_grad():
        u, moved, turned = (network(doubled(problem)) for problem in problems)
    torch.testing.assert_close(moved, u, rtol=0, atol=1e-12 * float(u.abs().max()))
    assert (turned - u).abs().max() > 1e-3 * u.abs().max()


def test_messages_reach_as_far_as_their_number() -> None:
    problem = problem_on(triangles(nodes=200))
    node, messages = 7, 3
    # Its load with the other sign leaves the norm of the data as it is.
    other = replace(problem, loads=np.where(np.arange(len(problem.loads))[:, None] == node, -1.0, 1.0) * problem.loads)
    network = MeshGraphNet(width=8, messages=messages).double()
    with torch.no_grad():
        changed = (network(doubled(problem)) != network(doubled(other))).numpy()[:, 0]
    away = dijkstra(problem.mass != 0, unweighted=True, indices=node)
    assert away.max() > messages
    np.testing.assert_array_equal(changed, away <= messages)


@pytest.mark.parametrize("seed", range(3))
def test_the_grid_is_found_whatever_the_numbers_of_its_nodes(seed: int) -> None:
    problem = problem_on(grid())
    order = np.random.default_rng(seed).permutation(SIDE**2)
    network = networks()[2]
    with torch.no_grad():
        u, moved = network(prepared(problem)), network(prepared(renumbered(problem, order)))
    # The norm of the data is summed in another order, which may change the last bit of what is in float32.
    torch.testing.assert_close(moved, u[order], rtol=0, atol=1e-5 * float(u.abs().max()))


def test_nodes_are_put_where_they_are() -> None:
    line = torch.linspace(0.0, 1.0, 65)
    square = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1)
    order = torch.from_numpy(np.random.default_rng(0).permutation(65**2))
    points = square.flatten(0, 1)[order]
    numbers, places = grid_places(2.5 * points - 7.0, 65)
    assert torch.equal(points[numbers].reshape(65, 65, 2), square)
    torch.testing.assert_close(places, points, rtol=0, atol=2e-6)


def test_other_nodes_than_a_square_grid_are_refused() -> None:
    network = networks()[2]
    points = grid().points
    with pytest.raises(
        ValueError, match=r"got 81 nodes elsewhere, expected a grid of 9 x 9 on a square along the axes; take a mesh of"
    ):
        network(prepared(replace(problem_on(grid()), points=points + 0.02 * normal(*points.shape).numpy())))
    for other in (
        points * [2.0, 1.0],
        points @ np.array([[0.8, -0.6], [0.6, 0.8]]),
        np.ones((81, 2)),
        points[[0] * 81],
    ):
        with pytest.raises(ValueError, match="got 81 nodes elsewhere, expected a grid"):
            grid_places(torch.from_numpy(other), SIDE)
    with pytest.raises(ValueError, match="got 64 nodes in 2 dimensions, expected a grid of 9 x 9 on a square"):
        network(prepared(problem_on(grid(8))))
    with pytest.raises(ValueError, match="modes: got 10, expected 1 to 9 for 9 nodes on each side; take fewer"):
        GridFNO(side=9, modes=10)


def test_a_plain_network_refuses_other_meshes() -> None:
    with pytest.raises(
        ValueError, match="problem: got 64 nodes, expected 81; a plain MLP belongs to one mesh, make it with nodes=64"
    ):
        networks()[1](prepared(problem_on(grid(8))))


def test_other_components_and_features_are_refused(network: nn.Module) -> None:
    with pytest.raises(
        ValueError,
        match="got 2 features of each node, expected 0; make the network with features=2",
    ):
        network(prepared(problem_on(grid(), features=2)))
    with pytest.raises(ValueError, match="got 2 components of each node, expected 1"):
        network(prepared(problem_on(grid(), components=2)))
    with pytest.raises(ValueError, match="got nodes of 3 components in 2 dimensions, expected one component for each"):
        MeshGraphNet(components=3)(prepared(problem_on(grid(), components=3)))


def test_the_operator_of_fourier_layers_needs_its_package(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "neuralop.models", None)
    with pytest.raises(ValueError, match=r"got GridFNO without neuralop.models installed, .* pip install neuraloper"):
        GridFNO()


def test_what_is_saved_are_weights_only() -> None:
    network = networks()[2]
    state = network.state_dict()
    assert set(state) == {name for name, _ in network.named_parameters()}
    other = GridFNO(side=SIDE, modes=4, width=6, layers=2)
    other.load_state_dict(state)
    problem = prepared(problem_on(grid()))
    with torch.no_grad():
        assert torch.equal(other(problem), network(problem))


@pytest.mark.parametrize("kind", [MeshGraphNet, DofMLP, GridFNO])
def test_defaults_have_as_many_weights_as_the_twin_without_structure(kind: type[nn.Module]) -> None:
    count, twin = (sum(weight.numel() for weight in made().parameters()) for made in (kind, UnconstrainedSPON))
    assert count == pytest.approx(twin, rel=0.06)
