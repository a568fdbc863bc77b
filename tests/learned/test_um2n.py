"""UM2N: places are averages of neighbours, boundaries are held, no weights invert a cell, and it learns from labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learned_meshes import bump, bump_monitor, some_mesh
from torch import Tensor, nn

from learned.dataset import MoverSample
from learned.gaussians import random_gaussians
from learned.geometry import volumes
from learned.graph import MeshGraph, cell_edges
from learned.movers.um2n import um2n
from learned.movers.um2n_task import UM2NTask
from learned.networks.um2n import UM2NNetwork
from learned.prepared import PreparedMesh, prepare_mesh
from learned.training import TrainingSettings, train


def network(seed: int = 0, wild: float = 1.0, **options: int) -> UM2NNetwork:
    torch.manual_seed(seed)
    net = UM2NNetwork(**({"width": 16, "heads": 2, "layers": 1, "blocks": 3} | options)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(wild)
    return net


@pytest.mark.parametrize("kind", ["square", "holes", "disc"])
def test_boundary_vertices_are_held_to_the_last_bit_and_others_stay_between_neighbours(kind: str) -> None:
    mesh = prepare_mesh(some_mesh(2, kind=kind))
    with torch.no_grad():
        moved = network(wild=3.0, blocks=1)(mesh, mesh.reference, bump(mesh.reference))
    bound = mesh.bound > 0
    assert torch.equal(moved[:, bound], mesh.reference[:, bound])
    assert float((moved - mesh.reference).abs().max()) > 1e-3
    start, end = mesh.topology.edges
    for axis in range(2):
        low = mesh.reference[axis].scatter_reduce(0, end, mesh.reference[axis, start], "amin")
        high = mesh.reference[axis].scatter_reduce(0, end, mesh.reference[axis, start], "amax")
        assert bool(((moved[axis] >= low - 1e-6) & (moved[axis] <= high + 1e-6)).all())


@pytest.mark.parametrize("kind", ["square", "disc", "holes", "warped", "l-shape"])
@pytest.mark.parametrize("wild", [1.0, 4.0, torch.nan])
def test_any_weights_leave_a_valid_mesh(kind: str, wild: float) -> None:
    mesh = prepare_mesh(some_mesh(2, kind=kind, nodes=200))
    tangled = 0
    for seed in range(3):
        result = um2n(network(seed, wild, blocks=6), mesh, mesh.reference, bump_monitor)
        assert volumes(mesh.topology.corners(result.points)).min() > 0
        tangled += int((volumes(mesh.topology.corners(result.wanted)) <= 0).sum())
        # From the moved mesh it wants the same, and goes nowhere else.
        again = um2n(network(seed, wild, blocks=6), mesh, result.points, bump_monitor)
        assert torch.equal(again.wanted, result.wanted)
    # The limiter is what keeps it valid.
    assert tangled > 0 or wild != 4.0


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
            net(mesh, mesh.reference, factor * bump(mesh.reference))
            for mesh, factor in ((prepare_mesh(graph), 1.0), (prepare_mesh(other), 1e6))
        )
    torch.testing.assert_close(one[:, order], two, rtol=0, atol=2e-6)


def moved_by_a_far_change(net: UM2NNetwork, graph: MeshGraph) -> float:
    """Return how much a vertex in a corner moves for what happens in the other corner."""
    mesh = prepare_mesh(graph)
    values = torch.ones_like(mesh.reference[0])
    far = mesh.reference.sum(0).sort().indices
    changed = values.clone()
    # With the same mean of the logarithms, which all vertices know.
    changed[far[-40:]], changed[far[-80:-40]] = 9.0, 1.0 / 9.0
    near = far[:12]
    with torch.no_grad():
        one, two = net(mesh, mesh.reference, values), net(mesh, mesh.reference, changed)
    return float((one - two)[:, near].abs().max())


def test_only_the_transformer_sees_far() -> None:
    graph = some_mesh(2, nodes=400)
    assert moved_by_a_far_change(network(wild=3.0, transformer=0), graph) == 0.0
    assert moved_by_a_far_change(network(wild=3.0, transformer=1), graph) > 1e-5


def test_what_it_cannot_do_is_refused_in_one_line() -> None:
    mesh = prepare_mesh(some_mesh(3))
    with pytest.raises(ValueError, match="mesh: got one in 3 dimensions, expected 2 for UM2N; drift moves others"):
        um2n(network(), mesh, mesh.reference, bump_monitor)
    with pytest.raises(ValueError, match="heads: got 3 for width 16, expected a divisor of it"):
        network(heads=3)


def labelled(count: int) -> list[MoverSample]:
    """Return meshes of the unit square with labels of a map that is known: towards a point."""
    samples = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        graph = some_mesh(2, nodes=120, kind="lattice", seed=seed)
        target, x = torch.from_numpy(rng.uniform(0.3, 0.7, 2)), graph.pos
        inside = (16.0 * (x * (1.0 - x)).prod(1))[:, None]
        monitor = random_gaussians(rng, np.zeros(2), np.ones(2), strongest=2.0)
        monitor.parts[0][:] = target.numpy()
        samples.append(MoverSample(graph, monitor, x + 0.25 * inside * (target - x)))
    return samples


class Knows(nn.Module):
    """Gives the label of its mesh, turned as the mesh is."""

    def __init__(self, task: UM2NTask):
        super().__init__()
        self.labels = {id(label.mesh): label.moved for label in task.pool}

    def forward(self, mesh: PreparedMesh, points: Tensor, monitor: Tensor) -> Tensor:
        turn = points @ torch.linalg.pinv(mesh.reference)
        assert float((turn.T @ turn - torch.eye(2)).abs().max()) < 1e-5
        return turn @ self.labels[id(mesh)]


def test_the_loss_of_the_label_is_zero_however_it_is_turned() -> None:
    task = UM2NTask(labelled(4), held=1)
    rng = np.random.default_rng(0)
    losses = [float(task.loss(Knows(task), rng)) for _ in range(16)]
    assert max(losses) < 1e-3
    still = [float(task.loss(lambda mesh, points, monitor: points, rng)) for _ in range(4)]
    assert min(still) > 0.1


def test_samples_without_labels_and_too_few_are_refused_in_one_line() -> None:
    sample = labelled(1)[0]
    with pytest.raises(ValueError, match=r"samples: got one without a label, expected where Monge-Ampère moves it"):
        UM2NTask([replace(sample, moved=None)], held=1)
    with pytest.raises(ValueError, match="held: got 1 of 1 samples, expected at least one there and one left"):
        UM2NTask([sample], held=1)


def test_it_learns_from_labels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = UM2NTask(labelled(10), held=3)
    net = UM2NNetwork(width=32, heads=2, layers=1, blocks=3)
    with torch.no_grad():
        before = task.evaluate(net)["score"]
    settings = TrainingSettings(iterations=60, batch=2, every=30, learning_rate=3e-3, warm_up=5)
    progress = train(net, task, settings, tmp_path, report=lambda line: None)
    print(f"loss on meshes held out {before:.3f} -> {progress.best:.3f}")
    assert progress.best < 0.7 * before
    assert progress.skipped == 0
