"""DMM: exact derivatives, a branch for any number of vertices, a fit that solves the equation, no cell inverted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learned_meshes import bump, bump_monitor, some_mesh
from torch import Tensor

from learned.background import BackgroundMonitor
from learned.geometry import volumes
from learned.graph import cell_edges
from learned.movers.dmm import dmm
from learned.movers.dmm_fit import FitProblem, fit_problem, fitted
from learned.movers.dmm_task import DMMTask
from learned.networks.dmm import DMMNetwork, Jet, Trunk, combined
from learned.prepared import PreparedMesh, prepare_mesh
from learned.training import TrainingSettings, train


def network(seed: int = 0, wild: float = 1.0, **options: int) -> DMMNetwork:
    torch.manual_seed(seed)
    net = DMMNetwork(**({"width": 24, "rounds": 2, "depth": 2, "modes": 24} | options)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(wild)
    return net


def test_the_trunk_carries_the_derivatives_that_differentiating_gives() -> None:
    torch.manual_seed(0)
    trunk = Trunk(12, 3, 5).double()
    places = torch.rand(2, 7, dtype=torch.float64) - 0.5
    with torch.no_grad():
        jet = trunk(places)

    def value(place: Tensor) -> Tensor:
        return trunk(place[:, None]).value[0]

    gradient = torch.func.vmap(torch.func.jacrev(value))(places.T)
    second = torch.func.vmap(torch.func.hessian(value))(places.T)
    torch.testing.assert_close(jet.gradient, gradient.permute(2, 0, 1), rtol=1e-12, atol=1e-13)
    for number, (i, j) in enumerate(((0, 0), (0, 1), (1, 1))):
        torch.testing.assert_close(jet.second[number], second[:, :, i, j], rtol=1e-12, atol=1e-13)
    assert float(second.detach().abs().max()) > 1e-2


def test_the_branch_converges_as_the_mesh_is_refined() -> None:
    net, found = network(), []
    with torch.no_grad():
        # A lattice and its halvings, cut along the same diagonal.
        for squares in (8, 16, 32, 64):
            mesh = prepare_mesh(some_mesh(2, nodes=(squares + 1) ** 2, kind="lattice", seed=0))
            assert mesh.topology.vertices == (squares + 1) ** 2
            found.append(net.branch(mesh, mesh.reference, bump(mesh.reference)))
    errors = [float((one - found[-1]).norm() / found[-1].norm()) for one in found[:-1]]
    print("differences from the branch on 4,225 vertices: " + ", ".join(f"{error:.4f}" for error in errors))
    # Messages at the boundary, with neighbours on one side only, have a share of the domain in proportion to h.
    assert errors[0] > 1.5 * errors[1] > 2.0 * errors[2]
    assert errors[1] < 0.1


def test_the_numbering_and_the_scale_of_the_monitor_function_do_not_matter() -> None:
    graph = some_mesh(2)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(graph.pos)))
    place = torch.argsort(order)
    cells = place[graph.cells]
    other = replace(
        graph,
        pos=graph.pos[order],
        cells=cells,
        edge_index=cell_edges(cells),
        facets=place[graph.facets],
        vertex_markers=graph.vertex_markers[order],
        normals=graph.normals[order],
    )
    net = network()
    with torch.no_grad():
        one, two = (
            net.branch(mesh, mesh.reference, factor * bump(mesh.reference))
            for mesh, factor in ((prepare_mesh(graph), 1.0), (prepare_mesh(other), 1e6))
        )
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def bump_at(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value, slopes = bump_monitor(torch.from_numpy(points))
    return value.numpy(), slopes.numpy()


def problem_of(net: DMMNetwork, mesh: PreparedMesh) -> tuple[FitProblem, Tensor]:
    with torch.no_grad():
        values = bump(mesh.reference)
        jet = net.trunk(mesh.reference)
        return fit_problem(mesh, jet, values, bump_monitor), net.branch(mesh, mesh.reference, values)


def test_the_gradient_of_the_fit_is_that_of_its_loss() -> None:
    problem, _ = problem_of(network(), prepare_mesh(some_mesh(2)))
    problem = replace(problem, monitor=bump_at)
    rng = np.random.default_rng(0)
    for size in (0.01, 0.3):
        # The larger ones have cells where the potential is not convex, so that all terms take part.
        b, direction, step = size * rng.normal(size=24), rng.normal(size=24), 1e-6
        slope = (problem(b + step * direction)[0] - problem(b - step * direction)[0]) / (2.0 * step)
        assert problem(b)[1] @ direction == pytest.approx(slope, rel=1e-6)
    assert (1.0 + problem.second[0] @ b).min() < 0


def test_the_exact_potential_has_no_loss_and_the_fit_finds_it() -> None:
    # Any potential solves the equation of the monitor function that it equidistributes: m(x) = theta / det.
    axis = np.linspace(-0.5, 0.5, 25)
    x, y = (part.ravel() for part in np.meshgrid(axis, axis))
    values, gradients, seconds = [], [], []
    # Cosines: no slope across the sides.
    for k, l in ((1, 0), (0, 1), (1, 1), (2, 1), (2, 2)):  # noqa: E741
        a, b = np.pi * k * (x + 0.5), np.pi * l * (y + 0.5)
        p, q = np.pi * k, np.pi * l
        values.append(np.cos(a) * np.cos(b))
        gradients.append([-p * np.sin(a) * np.cos(b), -q * np.cos(a) * np.sin(b)])
        seconds.append([-p * p * np.cos(a) * np.cos(b), p * q * np.sin(a) * np.sin(b), -q * q * np.cos(a) * np.cos(b)])
    gradient, second = (np.moveaxis(np.array(part), 0, -1) for part in (gradients, seconds))
    exact = np.array([0.02, -0.012, 0.008, 0.004, -0.003])
    xx, xy, yy = second @ exact
    determinant = (1.0 + xx) * (1.0 + yy) - xy**2
    assert 0.3 < determinant.min() < 0.8
    side = np.isclose(np.abs(x), 0.5)
    density = 3.0 / determinant

    def monitor(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # What matters of m is its value where each vertex should come to.
        return density, np.zeros((2, len(x)))

    problem = FitProblem(
        places=np.stack([x, y]),
        gradient=gradient,
        second=second,
        sides=gradient[0][side],
        weights=density / density.sum(),
        theta=3.0,
        monitor=monitor,
    )
    loss, slope = problem(exact)
    assert loss < 1e-20
    assert np.abs(slope).max() < 1e-10
    assert problem(np.zeros(5))[0] > 0.02
    found = fitted(problem, torch.zeros(5, dtype=torch.float64), iterations=60).numpy()
    print(f"distance from the exact weights after the fit: {np.abs(found - exact).max():.1e}")
    assert np.abs(found - exact).max() < 1e-5


def test_the_preconditioner_makes_directions_alike_where_the_monitor_function_is_constant() -> None:
    problem, _ = problem_of(network(), prepare_mesh(some_mesh(2)))
    weights = np.full(len(problem.weights), 1.0 / len(problem.weights))
    flat = replace(problem, weights=weights, theta=1.0, monitor=lambda points: (np.ones(points.shape[1]), 0.0 * points))
    scale, step = flat.preconditioner(), 1e-5
    columns = [(flat(step * s)[1] - flat(-step * s)[1]) / (2.0 * step) for s in scale.T]
    curvature = np.linalg.eigvalsh(0.5 * (scale.T @ np.stack(columns, axis=1) + np.stack(columns, axis=1).T @ scale))
    print(f"curvatures: {curvature.min():.3f} to {curvature.max():.3f}")
    # 2 in all directions, less in those that hardly differ, where the ridge takes part.
    assert curvature.max() == pytest.approx(2.0, rel=1e-3)
    assert np.median(curvature) == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize("nodes", [150, 500])
def test_the_fit_lowers_the_loss_and_equidistributes_with_any_trunk(nodes: int) -> None:
    net, mesh = network(width=48, modes=48), prepare_mesh(some_mesh(2, nodes=nodes), target="relative")
    monitor = BackgroundMonitor(mesh.topology, mesh.reference, bump(mesh.reference))
    problem, start = problem_of(net, mesh)
    losses = [problem(fitted(problem, start, iterations=many).double().numpy())[0] for many in (1, 5, 60)]
    assert problem(start.double().numpy())[0] > losses[0] > losses[1] > losses[2]
    result = dmm(net, mesh, mesh.reference, monitor)
    before, after = (
        float(mesh.energy(points, bump(points)).ratios.std()) for points in (mesh.reference, result.points)
    )
    print(f"{nodes} vertices: std/mean {before:.3f} -> {after:.3f}")
    assert after < 0.4 * before
    assert volumes(mesh.topology.corners(result.points)).min() > 0


@pytest.mark.parametrize("kind", ["square", "disc", "holes", "warped", "l-shape"])
@pytest.mark.parametrize("wild", [1.0, 6.0, torch.nan])
@pytest.mark.parametrize("iterations", [0, 8])
def test_any_weights_leave_a_valid_mesh(kind: str, wild: float, iterations: int) -> None:
    mesh = prepare_mesh(some_mesh(2, kind=kind))
    net = network(1, wild)
    with torch.inference_mode():
        # As coupling calls it.
        result = dmm(net, mesh, mesh.reference, bump_monitor, iterations=iterations)
    assert volumes(mesh.topology.corners(result.points)).min() > 0
    assert torch.equal(result.points[:, mesh.fixed > 0], mesh.reference[:, mesh.fixed > 0])
    again = dmm(net, mesh, result.points, bump_monitor, iterations=iterations)
    assert torch.equal(again.wanted, result.wanted)


def test_a_mesh_in_3d_is_refused_in_one_line() -> None:
    mesh = prepare_mesh(some_mesh(3))
    with pytest.raises(ValueError, match="mesh: got one in 3 dimensions, expected 2 for DMM; drift moves others"):
        dmm(network(), mesh, mesh.reference, bump_monitor)


def test_the_terms_of_training_are_those_of_the_fit() -> None:
    # Many places: both are means over the same domain with the same density.
    task = DMMTask(seed=0, meshes=1, held=1, nodes=(900, 901), places=20_000)
    case, net = task.held_out[0], network(2)
    with torch.no_grad():
        mesh = case.mesh
        values = case.function(mesh.reference)
        # A potential with slopes at the sides too.
        weights = 0.02 * torch.randn(24, generator=torch.Generator().manual_seed(0))
        net.branch = lambda mesh, points, monitor: weights
        terms = [float(term) for term in task.terms(net, case, np.random.default_rng(0))]
        problem = fit_problem(mesh, net.trunk(mesh.reference), values, lambda points: _with_slopes(case, points))
        total, _ = problem(weights.double().numpy())
    boundary = 1000.0 * float((problem.sides @ weights.double().numpy()) ** 2 @ np.ones(len(problem.sides)))
    boundary /= len(problem.sides)
    assert terms[0] > 0.1
    assert terms[1] > 0.1
    assert terms[1] == pytest.approx(boundary, rel=0.1)
    assert terms[0] + terms[2] == pytest.approx(total - boundary, rel=0.1)


def _with_slopes(case, points: Tensor) -> tuple[Tensor, Tensor]:
    return case.function(points), torch.zeros_like(points)


def test_a_jet_combines_its_functions() -> None:
    jet = Jet(torch.rand(5, 3), torch.rand(2, 5, 3), torch.rand(3, 5, 3))
    one = combined(jet, torch.tensor([0.0, 2.0, 0.0]))
    assert torch.equal(one.second, 2.0 * jet.second[..., 1])


def test_it_learns_without_labels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = DMMTask(seed=0, meshes=3, held=4, nodes=(100, 150), places=128)
    net = DMMNetwork(width=24, rounds=1, depth=2, modes=16)
    with torch.no_grad():
        before = task.evaluate(net)["score"]
    settings = TrainingSettings(iterations=400, batch=4, every=40, learning_rate=1e-3, warm_up=5)
    progress = train(net, task, settings, tmp_path, report=lambda line: None)
    print(f"loss on meshes held out {before:.3f} -> {progress.best:.3f}")
    assert progress.best < 0.8 * before
    assert progress.skipped == 0
