"""The limiter keeps every cell valid whatever the displacement, and has the right derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learned_meshes import some_mesh

from learned.geometry import differences, lengths, volumes, widths
from learned.limiter import clip_differences
from learned.topology import Topology

MESHES = {dimension: some_mesh(dimension, nodes=60) for dimension in (2, 3)}


def prepared(dimension: int, dtype: torch.dtype = torch.float64):
    graph = MESHES[dimension]
    topology = Topology(graph.cells, len(graph.pos), dtype=dtype)
    points = graph.pos.T.to(dtype).contiguous()
    return topology, points, 0.9 * widths(topology.corners(points))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dimension", [2, 3])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.floats(1e-4, 1e4, allow_subnormal=False), sweeps=st.integers(0, 4))
def test_any_displacement_leaves_all_cells_valid(
    dimension: int, dtype: torch.dtype, seed: int, size: float, sweeps: int
) -> None:
    topology, points, room = prepared(dimension, dtype)
    displacement = size * torch.randn(points.shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    limited = clip_differences(topology, displacement, room, sweeps=sweeps)
    rounding = 1e-5 if dtype == torch.float32 else 1e-12
    assert (lengths(differences(topology.corners(limited))).amax(0) <= room * (1 + rounding)).all()
    before = volumes(topology.corners(points))
    for share in (0.25, 0.5, 0.75, 1.0):
        # (1 - 2 f t)^d of the volume is left at least, f = 0.45.
        after = volumes(topology.corners(points + share * limited))
        assert (after >= (1 - 0.9 * share) ** dimension * before * (1 - 1e-3)).all()


@pytest.mark.parametrize("dimension", [2, 3])
def test_what_satisfies_the_bound_is_unchanged_with_any_translation(dimension: int) -> None:
    topology, points, room = prepared(dimension)
    # A contraction by 0.2: differences are 0.2 of edges; cells are not so slender that this exceeds 0.9 widths.
    displacement = -0.2 * points + 5.0
    assert (lengths(differences(topology.corners(displacement))).amax(0) < room).all()
    torch.testing.assert_close(
        clip_differences(topology, displacement, room, sweeps=4), displacement, rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("dimension", [2, 3])
def test_it_is_the_limiter_of_meshing(dimension: int) -> None:
    limiter, patches = pytest.importorskip("meshing.limiter"), pytest.importorskip("meshing.patches")
    topology, points, room = prepared(dimension)
    graph = MESHES[dimension]
    displacement = 0.3 * torch.randn(points.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    held = graph.on_boundary
    cells = graph.cells.numpy()
    found = clip_differences(topology, displacement, room, sweeps=3, held=torch.nonzero(held)[:, 0])
    expected = limiter.clip_differences(
        patches.VertexPatches(cells, len(graph.pos)),
        displacement.T.numpy().copy(),
        room.numpy(),
        sweeps=3,
        held=held.numpy(),
    )
    np.testing.assert_allclose(found.T.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_one_bad_cell_does_not_throttle_the_others_nor_another_mesh() -> None:
    topology, points, room = prepared(2)
    sizes = torch.tensor([topology.vertices] * 2)
    both = Topology(
        torch.cat([topology.cells, topology.cells + topology.vertices]),
        2 * topology.vertices,
        dtype=torch.float64,
        sizes=sizes,
    )
    calm = 0.01 * room.min() * torch.ones_like(points)
    wild = 100.0 * torch.randn(points.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    limited = clip_differences(both, torch.cat([calm, wild], dim=1), room.repeat(2), sweeps=3)
    torch.testing.assert_close(limited[:, : topology.vertices], calm, rtol=1e-14, atol=0)


def test_its_derivatives_are_finite_and_right() -> None:
    topology, points, room = prepared(2)
    for size in (0.0, 1e-8, 0.05, 10.0):
        displacement = size * torch.randn(points.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        displacement[:, :3] = 0.0
        displacement.requires_grad_()
        (gradient,) = torch.autograd.grad(
            clip_differences(topology, displacement, room, sweeps=3).square().sum(), displacement
        )
        assert torch.isfinite(gradient).all()
    direction = torch.randn(points.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    displacement = (0.05 * direction).requires_grad_()

    def objective(scale: float):
        return clip_differences(topology, displacement + scale * direction, room, sweeps=3).square().sum()

    (gradient,) = torch.autograd.grad(objective(0.0), displacement)
    slope = (objective(1e-7) - objective(-1e-7)) / 2e-7
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-5)
