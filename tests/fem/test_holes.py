"""Water that cells lack is taken from the cells around."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import UnitSquareMesh

from fem.holes import without_lack
from meshing.patches import MeshPatches, VertexPatches


@pytest.mark.parametrize("seed", range(3))
def test_lack_of_water_is_taken_from_around_and_nothing_is_lost(seed: int) -> None:
    mesh = UnitSquareMesh(12, 12)
    patches, rng = MeshPatches(mesh), np.random.default_rng(seed)
    water = rng.exponential(1.0, len(patches.cells)) * (rng.random(len(patches.cells)) < 0.5)
    lacking = rng.choice(len(water), 20, replace=False)
    water[lacking] = -0.05 * rng.random(20)
    filled = without_lack(patches, mesh.comm, water)
    assert (filled >= 0.0).all()
    assert filled.sum() == pytest.approx(water.sum(), rel=1e-14)
    # Cells that share no vertex with one that lacks give crumbs at most.
    near = np.isin(patches.cells, patches.cells[lacking]).any(axis=1)
    given = np.maximum(0.0, water) - filled
    assert given[near].max() > 1e-3 and given[~near].max() < 1e-13


def test_a_lack_far_from_all_water_is_taken_from_all() -> None:
    strip = np.array([[i, i + 1, i + 2] for i in range(30)])
    water = np.zeros(30)
    water[[0, 29]] = -1.0, 4.0

    class Alone:
        def allreduce(self, value):
            return value

    filled = without_lack(VertexPatches(strip, 32), Alone(), water)
    assert (filled >= 0.0).all() and filled.sum() == pytest.approx(3.0, rel=1e-14)
