"""The way to any vertices that are wanted inverts no cell, and arrives where none is in the way."""

from __future__ import annotations

import pytest
import torch
from learned_meshes import bump, shaken, some_mesh

from learned.geometry import volumes, widths
from learned.movers.direct import NARROWEST, DirectResult, on_boundary, travel
from learned.movers.figures import Case, move_figures
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
        if kind != "disc":
            before, after = (widths(mesh.topology.corners(points)) for points in (mesh.reference, result.points))
            assert bool((after >= (1.0 - 1e-3) * NARROWEST * before).all())
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


def test_figures_of_moves_that_are_known() -> None:
    mesh = prepared("lattice")
    cells, inner = mesh.topology.count, int((mesh.bound == 0).nonzero()[0])
    around = int((mesh.topology.cells == inner).any(1).sum())
    # One vertex on the other side of the domain turns some of the cells around it, as not all can keep their sign.
    torn = mesh.reference.clone()
    torn[:, inner] = 10.0
    moves = {
        "none": lambda mesh, points, monitor: DirectResult(points, points, 0, True),
        "torn": lambda mesh, points, monitor: DirectResult(points, torn, 1, False),
    }
    case = Case(mesh, bump, mesh.reference)
    figures = {name: move_figures([case, case], move) for name, move in moves.items()}
    none, bad = figures["none"], figures["torn"]
    assert none["before"] == none["after"] == none["unlimited"] == none["label"] > 0.5
    assert (none["improved"], none["inverted"], none["inverted_unlimited"], none["arrived"]) == (0.0, 0.0, 0.0, 1.0)
    assert 0 < bad["inverted_unlimited"] < 2 * around < 2 * cells
    assert (bad["inverted"], bad["tangled_unlimited"], bad["arrived"]) == (0.0, 1.0, 0.0)
    # Of a constant monitor function, m V over the volume is the same in all cells.
    flat = move_figures([Case(mesh, lambda points: 3.0 * torch.ones_like(points[0]))], moves["none"])
    assert flat["before"] < 1e-6
    assert "label" not in flat
