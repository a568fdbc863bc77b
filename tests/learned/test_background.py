"""The walk finds the cell of every point, and linear functions come out exactly."""

from __future__ import annotations

import pytest
import torch
from learned_meshes import some_mesh

from learned.background import BackgroundMonitor, cell_neighbours
from learned.topology import Topology


def background_of(dimension: int, kind: str | None = "square", nodes: int = 400, function=None):
    graph = some_mesh(dimension, nodes=nodes, kind=kind)
    topology = Topology(graph.cells, len(graph.pos), dtype=torch.float64)
    points = graph.pos.T.contiguous()
    values = points[0] if function is None else function(points)
    return BackgroundMonitor(topology, points, values), topology, points


@pytest.mark.parametrize(("dimension", "kind"), [(2, "square"), (2, "holes"), (2, "l-shape"), (2, "ring"), (3, None)])
def test_every_point_is_found_from_anywhere(dimension: int, kind: str | None) -> None:
    background, topology, points = background_of(dimension, kind)
    generator = torch.Generator().manual_seed(0)
    weights = 0.02 + torch.rand(dimension + 1, topology.count, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum(0)
    inside = (topology.corners(points) * weights).sum(1)
    own = torch.arange(topology.count)
    for start in (None, own, torch.randperm(topology.count, generator=generator)):
        cells, found = background.locate(inside, start)
        # A walk may end at a corner that is not convex; the search that follows finds all but few of these.
        assert (cells == own).double().mean() > (0.99 if kind in ("holes", "l-shape", "ring") else 0.9999)
        good = cells == own
        torch.testing.assert_close(found[good], weights.T[good], rtol=0, atol=1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
def test_linear_functions_are_exact_with_their_gradient(dimension: int) -> None:
    slope = torch.tensor([2.0, -1.0, 0.5])[:dimension].double()
    background, _, points = background_of(
        dimension, None if dimension == 3 else "square", function=lambda x: 5.0 + slope @ x
    )
    places = points.mean(1, keepdim=True) + 0.7 * (points - points.mean(1, keepdim=True))
    values, slopes = background(places)
    torch.testing.assert_close(values, 5.0 + slope @ places, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slopes, slope[:, None].expand_as(slopes), rtol=1e-9, atol=1e-9)


def test_values_stay_between_those_of_the_mesh_outside_too() -> None:
    background, _, points = background_of(2, "l-shape", function=lambda x: torch.sin(9.0 * x[0]) + 2.0)
    values, _ = background(1.5 * points - 0.25)
    low, high = (torch.sin(9.0 * points[0]) + 2.0).aminmax()
    assert ((values >= low - 1e-12) & (values <= high + 1e-12)).all()


def test_at_the_mesh_itself_values_are_those_given() -> None:
    background, _, points = background_of(2, "holes", function=lambda x: x.square().sum(0))
    values, _ = background(points)
    torch.testing.assert_close(values, points.square().sum(0), rtol=1e-12, atol=1e-12)


def test_neighbours_are_opposite_to_corners() -> None:
    cells = torch.tensor([[0, 1, 2], [1, 3, 2]])
    assert cell_neighbours(cells).tolist() == [[1, -1, -1], [-1, 0, -1]]
    graph = some_mesh(3)
    neighbours = cell_neighbours(graph.cells)
    assert int((neighbours < 0).sum()) == len(graph.facets)
    cell, corner = torch.nonzero(neighbours >= 0, as_tuple=True)
    for one, opposite in list(zip(cell.tolist(), corner.tolist(), strict=True))[:200]:
        other = int(neighbours[one, opposite])
        shared = set(graph.cells[one].tolist()) - {int(graph.cells[one, opposite])}
        assert shared < set(graph.cells[other].tolist())
