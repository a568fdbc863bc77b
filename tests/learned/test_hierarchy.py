"""Levels: sums are kept, constants pass, clusters hang together, and the cost is linear."""

from __future__ import annotations

import pytest
import torch
from learned_meshes import some_mesh

from learned.hierarchy import build_hierarchy
from learned.topology import Topology


def hierarchy_of(dimension: int, nodes: int, kind: str | None = "square"):
    graph = some_mesh(dimension, nodes=nodes, kind=kind)
    topology = Topology(graph.cells, len(graph.pos))
    return build_hierarchy(topology.edges, len(graph.pos), dtype=torch.float64)


@pytest.mark.parametrize(("dimension", "kind"), [(2, "square"), (2, "holes"), (2, "ring"), (3, None)])
def test_transfers(dimension: int, kind: str | None) -> None:
    hierarchy = hierarchy_of(dimension, 900, kind)
    levels = hierarchy.levels
    assert len(levels) >= 3
    for finer, coarser, transfer in zip(levels, levels[1:], hierarchy.transfers, strict=False):
        ones = torch.ones(coarser.nodes, dtype=torch.float64)
        torch.testing.assert_close(transfer.prolong(ones), torch.ones(finer.nodes, dtype=torch.float64))
        torch.testing.assert_close(transfer.restrict(torch.ones(finer.nodes, dtype=torch.float64)), ones)
        values = torch.rand(finer.nodes, dtype=torch.float64)
        assert float(transfer.add(values).sum()) == pytest.approx(float(values.sum()))
        # Coarser by a factor that bounds the number of levels, finer than to skip a scale.
        assert 3.0 < finer.nodes / coarser.nodes < 40.0


def test_levels_cost_no_more_than_the_mesh_in_all() -> None:
    levels = hierarchy_of(2, 4000).levels
    assert sum(len(level.source) for level in levels[1:]) < 0.5 * len(levels[0].source)
    assert levels[-1].nodes <= 24


def test_clusters_hang_together_across_no_gap() -> None:
    # Two strips side by side that share nothing: no cluster and no edge joins them.
    line = torch.arange(50)
    one = torch.stack([line[:-1], line[1:]])
    edges = torch.cat([one, one.flip(0), one + 50, one.flip(0) + 50], dim=1)
    edges = edges[:, edges[1].argsort(stable=True)]
    hierarchy = build_hierarchy(edges, 100, coarsest=4, dtype=torch.float64)
    left = torch.cat([torch.ones(50), torch.zeros(50)]).double()
    for level, transfer in zip(hierarchy.levels[1:], hierarchy.transfers, strict=True):
        left = transfer.restrict(left)
        assert set(left.tolist()) <= {0.0, 1.0}
        assert (left[level.source] == left[level.target]).all()


def test_the_same_mesh_gives_the_same_levels() -> None:
    one, other = hierarchy_of(2, 300).levels, hierarchy_of(2, 300).levels
    assert [level.nodes for level in one] == [level.nodes for level in other]
    assert all(torch.equal(a.source, b.source) for a, b in zip(one, other, strict=True))
