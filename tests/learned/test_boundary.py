"""Boundary vertices slide along sides, planes and the polygon of curves, and corners stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learned_meshes import some_mesh

from learned.boundary import SlidingBoundary


def boundary_of(dimension: int, kind: str | None = "square", nodes: int = 200):
    graph = some_mesh(dimension, nodes=nodes, kind=kind)
    points = graph.pos.T.contiguous()
    return SlidingBoundary(points, graph.facets, dtype=torch.float64), points, graph


def test_on_a_square_sides_slide_and_corners_stay() -> None:
    boundary, points, _ = boundary_of(2)
    displacement = boundary.tangential(points, torch.ones_like(points))
    x, y = points
    assert (displacement[0][(x == 0) | (x == 1)] == 0).all()
    assert (displacement[1][(y == 0) | (y == 1)] == 0).all()
    inner = (y == 0) & (x > 0) & (x < 1)
    torch.testing.assert_close(displacement[0][inner], torch.ones_like(x[inner]), rtol=1e-14, atol=0)
    assert int(boundary.fixed.sum()) == 4
    normals = boundary.normals(points)
    torch.testing.assert_close(
        normals[:, points[1, boundary.vertices] == 0][1, 1:-1].unique(), torch.tensor([-1.0]).double()
    )


def test_on_a_box_faces_edges_and_corners() -> None:
    boundary, points, graph = boundary_of(3, nodes=300)
    displacement = boundary.tangential(points, torch.ones_like(points))
    high = points.amax(1, keepdim=True)
    flat = (points < 1e-12) | (points > high - 1e-12)
    # On as many planes, that many components are zero and the others free.
    torch.testing.assert_close(displacement, (~flat).double(), rtol=0, atol=1e-12)
    assert int(boundary.fixed.sum()) == 8
    assert len(boundary.vertices) == int(graph.on_boundary.sum())


@pytest.mark.parametrize("kind", ["disc", "ring", "warped", "holes"])
def test_projection_puts_vertices_on_the_first_polygon(kind: str) -> None:
    boundary, points, graph = boundary_of(2, kind)
    moved = points.clone()
    moved[:, boundary.vertices] += (
        0.004 * torch.randn(2, len(boundary.vertices), generator=torch.Generator().manual_seed(0)).double()
    )
    back = boundary.project(moved)
    first, second = points[:, graph.facets[:, 0]].numpy(), points[:, graph.facets[:, 1]].numpy()
    along = second - first
    for place in back[:, boundary.vertices].T.numpy():
        share = np.clip(((place[:, None] - first) * along).sum(0) / (along**2).sum(0), 0, 1)
        assert np.linalg.norm(first + share * along - place[:, None], axis=0).min() < 1e-12
    # What is on it already stays, and inner vertices are not touched.
    torch.testing.assert_close(boundary.project(back), back, rtol=0, atol=1e-12)
    assert torch.equal(back[:, ~graph.on_boundary], moved[:, ~graph.on_boundary])


def test_on_a_disc_displacements_follow_the_chord_of_the_neighbours() -> None:
    boundary, points, _ = boundary_of(2, "disc")
    assert not boundary.fixed.any()
    displacement = boundary.tangential(points, torch.ones_like(points))
    product = (displacement[:, boundary.vertices] * boundary.normals(points)).sum(0)
    torch.testing.assert_close(product, torch.zeros_like(product), rtol=0, atol=1e-14)
    outward = (boundary.normals(points) * points[:, boundary.vertices]).sum(0)
    assert (outward > 0).all()


def test_vertices_where_markers_change_stay() -> None:
    graph = some_mesh(2)
    points = graph.pos.T.contiguous()
    middle = graph.pos[graph.facets].mean(1)
    markers = (middle[:, 0] > 0.5).long()
    boundary = SlidingBoundary(points, graph.facets, markers, dtype=torch.float64)
    fixed = points[:, boundary.vertices[boundary.fixed]]
    assert fixed.shape[1] == 6
    assert ((fixed[0] > 0) & (fixed[0] < 1)).sum() == 2
