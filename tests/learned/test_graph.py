"""Graphs of meshes refuse what does not fit together, move explicitly, and batch with the right vertex numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from learned.graph import INSIDE, MeshGraph, cell_edges, facet_vectors, unit_normals


def square(size: float = 1.0) -> MeshGraph:
    """Return a square of four triangles around a vertex in the middle, its sides marked 1 (bottom) to 4 (left)."""
    pos = size * torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]], dtype=torch.float64)
    facets = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0]])
    cells = torch.cat([facets, torch.full((4, 1), 4)], dim=1)
    half = 0.5**0.5
    return MeshGraph(
        pos=pos,
        cells=cells,
        edge_index=cell_edges(cells),
        facets=facets,
        facet_markers=torch.tensor([1, 2, 3, 4]),
        vertex_markers=torch.tensor([1, 1, 2, 3, INSIDE]),
        normals=torch.tensor([[-half, -half], [half, -half], [half, half], [-half, half], [0, 0]], dtype=torch.float64),
        owned=torch.ones(5, dtype=torch.bool),
    )


def test_edges_of_cells_are_those_between_their_corners() -> None:
    expected = {(i, (i + 1) % 4) for i in range(4)} | {(i, 4) for i in range(4)}
    edges = list(map(tuple, square().edge_index.T.tolist()))
    assert edges == sorted(expected | {(j, i) for i, j in expected})


def test_tetrahedron_has_six_edges() -> None:
    assert cell_edges(torch.tensor([[3, 1, 0, 2]])).shape == (2, 12)


def test_facet_vectors_are_normals_times_sizes() -> None:
    graph = square(3.0)
    expected = 3.0 * torch.tensor([[0, -1], [1, 0], [0, 1], [-1, 0]], dtype=torch.float64)
    torch.testing.assert_close(facet_vectors(graph.pos, graph.facets), expected, rtol=0, atol=0)
    corner = torch.tensor([[0, 0, 0], [2, 0, 0], [0, 3, 0]], dtype=torch.float64)
    vector = facet_vectors(corner, torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(vector, torch.tensor([[0, 0, 3.0]], dtype=torch.float64), rtol=0, atol=0)


def test_normals_that_cancel_are_zero() -> None:
    vectors = torch.tensor([[0.0, 1e-12], [3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    normals = unit_normals(vectors, torch.tensor([2.0, 7.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(normals, torch.tensor([[0, 0], [0.6, 0.8], [0, 0]], dtype=torch.float64))


def test_boundary_vertices() -> None:
    assert square().on_boundary.tolist() == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pos": torch.zeros(5, 4)}, r"pos: got float32 of shape \(5, 4\), expected floating point of shape \(N, 2\)"),
        ({"pos": torch.zeros(5, 2, dtype=torch.int64)}, "pos: got int64 of shape"),
        ({"pos": [[0.0, 0.0]]}, "pos: got list, expected floating point"),
        ({"cells": torch.zeros(4, 4, dtype=torch.int64)}, r"cells: got int64 of shape \(4, 4\), .*\(any, 3\)"),
        ({"cells": torch.zeros(4, 3)}, "cells: got float32 of shape .*, expected int64"),
        ({"cells": torch.full((4, 3), 5)}, "cells: got vertex numbers from 5 to 5, expected 0 to 4; number"),
        ({"facets": torch.full((4, 2), -1)}, "facets: got vertex numbers from -1 to -1, expected 0 to 4"),
        ({"facet_markers": torch.zeros(3, dtype=torch.int64)}, r"facet_markers: .*expected int64 of shape \(4\)"),
        ({"vertex_markers": torch.zeros(4, dtype=torch.int64)}, r"vertex_markers: .*expected int64 of shape \(5\)"),
        ({"normals": torch.zeros(5, 2)}, "normals: got float32 of shape .*, expected float64"),
        ({"owned": torch.ones(5)}, "owned: got float32 of shape .*, expected bool"),
        ({"owned": torch.ones(5, dtype=torch.bool, device="meta")}, "graph: got tensors on cpu, meta, expected one"),
        ({"edge_index": torch.tensor([[0, 1, 1], [1, 0, 2]])}, "edge_index: got edges out of order.* cell_edges"),
        ({"edge_index": torch.tensor([[1, 0], [0, 1]])}, "edge_index: got edges out of order"),
        ({"edge_index": torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]])}, "edge_index: got edges out of order"),
        ({"edge_index": torch.tensor([[2], [2]])}, "edge_index: got edges out of order"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(square(), **changed)


def test_type_changes_only_when_asked() -> None:
    graph = square()
    assert graph.pos.dtype == graph.to().pos.dtype == torch.float64
    single = graph.to(dtype=torch.float32)
    assert (single.pos.dtype, single.normals.dtype, single.cells.dtype) == (torch.float32, torch.float32, torch.int64)
    assert single.to(dtype=torch.float64).pos.equal(graph.pos)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no second device here")
def test_all_tensors_go_to_the_device() -> None:
    assert {value.device.type for value in vars(square().to(device="cuda")).values()} == {"cuda"}


def test_batches_offset_vertex_numbers() -> None:
    graphs = [square(1.0), square(2.0), square(3.0)]
    batch = Batch.from_data_list([graph.to_data() for graph in graphs])
    for name in ("cells", "facets"):
        expected = torch.cat([getattr(graph, name) + 5 * place for place, graph in enumerate(graphs)])
        assert batch[name].equal(expected)
    assert batch.edge_index.equal(torch.cat([graph.edge_index + 5 * i for i, graph in enumerate(graphs)], dim=1))
    # The corners of the batch's cells are where those of the graphs are.
    assert batch.pos[batch.cells].equal(torch.cat([graph.pos[graph.cells] for graph in graphs]))
    assert batch.pos[batch.facets].equal(torch.cat([graph.pos[graph.facets] for graph in graphs]))
    assert batch.facet_markers.tolist() == [1, 2, 3, 4] * 3
    assert batch.num_nodes == 15 and batch.batch.tolist() == [0] * 5 + [1] * 5 + [2] * 5


def test_batches_come_apart_again() -> None:
    data = [square(1.0).to_data(), square(2.0).to_data()]
    data[0].monitor, data[1].monitor = torch.zeros(5), torch.ones(5)
    (batch,) = DataLoader(data, batch_size=2)
    assert batch.monitor.shape == (10,)
    for one, other in zip(batch.to_data_list(), data, strict=True):
        assert all(one[name].equal(other[name]) for name in other.keys())  # noqa: SIM118 - not a dictionary
