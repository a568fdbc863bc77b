"""The way to any vertices that are wanted inverts no cell, and arrives where none is in the way."""

from __future__ import annotations

import pytest
import torch
from learned_meshes import shaken, some_mesh

from learned.geometry import volumes, widths
from learned.movers.direct import on_boundary, travel
from learned.prepared import PreparedMesh, prepare_mesh

KINDS = ["square", "disc", "holes", "warped", "l-shape", None]


def prepared(kind: str | None) -> PreparedMesh:
    return prepare_mesh(some_mesh(3 if kind is None else 2, kind=kind, nodes=200))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0.05, 1.0, 1e4, torch.nan])
def test_whatever_is_wanted_no_cell_is_inverted(kind: str | None, size: float) -> None:
    mesh = prepared(kind)
    generator = torch.Generator().manual_seed(3)
    for _ in range(3):
        raw = mesh.reference + size * (torch.rand(mesh.reference.shape, generator=generator) - 0.5)
        result = travel(mesh, mesh.reference, on_boundary(mesh, mesh.reference, raw))
        assert volumes(mesh.topology.corners(result.points)).min() > 0
        fixed = mesh.boundary.vertices[mesh.boundary.fixed]
        assert torch.equal(result.points[:, fixed], mesh.reference[:, fixed])
        # Cells are in the way of random vertices far away; nothing is in the way of staying.
        if size != 0.05:
            assert result.arrived == (size != size)


@pytest.mark.parametrize("kind", ["square", None])
def test_it_arrives_at_a_valid_mesh_far_away(kind: str | None) -> None:
    mesh = prepared(kind)
    low, high = mesh.reference.amin(1), mesh.reference.amax(1)
    share = (mesh.reference - low[:, None]) / (high - low)[:, None]
    # Zero on the sides, and one to one, as its slopes are less than 1 together.
    bend = mesh.reference + 0.2 * (high - low).min() * torch.sin(torch.pi * share).prod(0)
    result = travel(mesh, mesh.reference, on_boundary(mesh, mesh.reference, bend))
    least = float(widths(mesh.topology.corners(mesh.reference)).min())
    assert float((result.wanted - mesh.reference).abs().max()) > 0.5 * least
    assert volumes(mesh.topology.corners(result.wanted)).min() > 0
    assert result.arrived
    assert result.steps > 1
    assert float((result.points - bend).abs().max()) < 1e-3


def test_it_begins_where_the_mesh_is() -> None:
    mesh = prepared("square")
    inner = (mesh.bound == 0).float()
    start = mesh.reference + inner * (shaken(mesh.reference, 0.02) - mesh.reference)
    result = travel(mesh, start, mesh.reference)
    assert result.arrived
    assert float((result.points - mesh.reference).abs().max()) < 2e-5
    assert travel(mesh, mesh.reference, mesh.reference).steps == 0


def test_vertices_on_sides_are_wanted_on_them() -> None:
    mesh = prepared("square")
    wanted = on_boundary(mesh, mesh.reference, mesh.reference + 0.01)
    low, high = mesh.reference.amin(1), mesh.reference.amax(1)
    left = mesh.reference[0] == low[0]
    assert left.sum() > 3
    assert torch.equal(wanted[0, left], mesh.reference[0, left])
    sliding = left & (mesh.fixed == 0)
    torch.testing.assert_close(wanted[1, sliding], mesh.reference[1, sliding] + 0.01)
    assert bool((wanted.amin(1) >= low).all() and (wanted[:, mesh.bound > 0].amax(1) <= high).all())
