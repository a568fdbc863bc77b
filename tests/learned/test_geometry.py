"""Volumes, widths, gradients and sums of simplices agree with those of ``meshing`` and with their definitions."""

from __future__ import annotations

import pytest
import torch
from learned_meshes import some_mesh

from learned.geometry import barycentric_gradients, cofactors, edges_from_first, volumes, widths
from learned.sparse import SparseMap, take
from learned.topology import Topology


@pytest.mark.parametrize("dimension", [2, 3])
def test_volumes_and_widths_are_those_of_meshing(dimension: int) -> None:
    simplex = pytest.importorskip("meshing.simplex")
    graph = some_mesh(dimension)
    points, cells = graph.pos.numpy(), graph.cells.numpy()
    corners = Topology(graph.cells, len(graph.pos), dtype=torch.float64).corners(graph.pos.T.contiguous())
    torch.testing.assert_close(
        volumes(corners), torch.from_numpy(simplex.simplex_volumes(points, cells)), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(
        widths(corners), torch.from_numpy(simplex.simplex_widths(points, cells)), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("dimension", [2, 3])
def test_barycentric_gradients_reproduce_linear_functions(dimension: int) -> None:
    graph = some_mesh(dimension)
    topology = Topology(graph.cells, len(graph.pos), dtype=torch.float64)
    points = graph.pos.T.contiguous()
    slope = torch.arange(1.0, dimension + 1, dtype=torch.float64)
    gradients = barycentric_gradients(*cofactors(edges_from_first(topology.corners(points))))
    found = (topology.corners(slope @ points) * gradients).sum(1)
    torch.testing.assert_close(found, slope[:, None].expand_as(found), rtol=1e-11, atol=1e-11)


def test_sums_around_vertices() -> None:
    cells = torch.tensor([[0, 1, 2], [1, 3, 2]])
    topology = Topology(cells, 4, dtype=torch.float64)
    values = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]], dtype=torch.float64)
    assert topology.sums(values).tolist() == [1.0, 12.0, 33.0, 20.0]
    assert topology.cell_sums(values[0]).tolist() == [1.0, 11.0, 11.0, 10.0]
    assert topology.minimum(values[0]).tolist() == [1.0, 1.0, 1.0, 10.0]
    assert topology.around.tolist() == [1.0, 2.0, 2.0, 1.0]


def test_vertices_without_a_cell_are_refused() -> None:
    with pytest.raises(ValueError, match="cells: got 1 vertices without a cell, expected none; leave them out"):
        Topology(torch.tensor([[0, 1, 2]]), 4)


def test_several_meshes_side_by_side_are_summed_apart() -> None:
    cells = torch.tensor([[0, 1, 2], [3, 4, 5], [4, 6, 5]])
    topology = Topology(cells, 7, dtype=torch.float64, sizes=torch.tensor([3, 4]))
    values = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    total = topology.total(values)
    assert total.tolist() == [1.0, 5.0]
    assert topology.least(values).tolist() == [1.0, 2.0]
    assert topology.to_cells(total).tolist() == [1.0, 5.0, 5.0]
    assert topology.to_vertices(total).tolist() == [1.0] * 3 + [5.0] * 4
    assert topology.vertex_mean(torch.arange(7, dtype=torch.float64)).tolist() == [1.0, 4.5]


def test_sparse_maps_and_taking_have_the_right_derivatives() -> None:
    rows, columns = torch.tensor([0, 2, 2, 1]), torch.tensor([1, 0, 1, 1])
    matrix = SparseMap(rows, columns, torch.tensor([1.0, 2.0, 3.0, -1.0], dtype=torch.float64), (3, 2))
    dense = torch.tensor([[0.0, 1.0], [0.0, -1.0], [2.0, 3.0]], dtype=torch.float64)
    features = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(matrix(features), dense @ features)
    assert torch.autograd.gradcheck(matrix, (features,))
    numbers = torch.tensor([1, 0, 1])
    total = SparseMap(numbers, torch.arange(3), torch.ones(3, dtype=torch.float64), (2, 3))
    assert torch.autograd.gradcheck(lambda values: take(values, numbers, total), (features,))
    assert torch.autograd.gradcheck(
        lambda values: take(values, numbers, total, axis=1), (features.detach().T.clone().requires_grad_(),)
    )
