"""The weights that come with the package do what their model card says, and what a mover must do."""

from __future__ import annotations

from math import cos, pi, sin

import pytest
import torch
from learned_meshes import bump, some_mesh
from torch import Tensor

from learned.background import BackgroundMonitor
from learned.geometry import volumes
from learned.movers.drift import drift
from learned.movers.drift_task import DriftTask
from learned.prepared import prepare_mesh
from learned.weights import PRETRAINED, load_weights

NETWORK, CARD = load_weights(PRETRAINED / "drift.safetensors")


def spread(mesh, points: Tensor, values: Tensor) -> float:
    return float(mesh.energy(points, values).ratios.std())


def test_the_card_says_what_is_measured() -> None:
    with torch.no_grad():
        found = DriftTask(seed=CARD.seed, groups=0).evaluate(NETWORK)
    assert found["score"] == pytest.approx(CARD.metrics["score"], abs=0.02)
    assert found["spread"] == pytest.approx(CARD.metrics["spread"], rel=0.05)
    assert found["inverted"] == 0.0
    assert CARD.metrics["spread"] < 0.06 and CARD.metrics["twelve"] <= CARD.metrics["score"]


@pytest.mark.parametrize("target", ["integral", "relative"])
@pytest.mark.parametrize("kind", ["square", "disc", "holes", "warped", "l-shape", None])
def test_it_equidistributes_what_it_is_asked_to_in_a_few_steps(kind: str | None, target: str) -> None:
    # The shape of cells counts little: the less it does, the closer to equidistribution the least energy is.
    graph = some_mesh(3 if kind is None else 2, nodes=600, kind=kind, seed=11)
    mesh = prepare_mesh(graph, target=target).with_shape(0.1)
    monitor = BackgroundMonitor(mesh.topology, mesh.reference, bump(mesh.reference))
    result = drift(NETWORK, mesh, mesh.reference, monitor, steps=6)
    before = spread(mesh, mesh.reference, bump(mesh.reference))
    after = spread(mesh, result.points, monitor(result.points)[0])
    print(f"{kind or 'box'}, {target}: std/mean {before:.2f} -> {after:.3f}, {result.proposals} proposals taken")
    # Around small holes, whose few vertices are corners, not much more is to be had by any number of steps.
    assert after < before / 6.0
    assert volumes(mesh.topology.corners(result.points)).min() > 0
    # The network's steps, not the fall-back's.
    assert result.proposals >= 5


def test_it_stays_good_behind_a_circling_bump_from_the_mesh_as_it_is() -> None:
    mesh = prepare_mesh(some_mesh(2, nodes=400, kind="disc"), target="relative")
    points, spreads = mesh.reference, []
    for number in range(120):
        angle = 2.0 * pi * number / 40.0
        centre = 0.2 * torch.tensor([[cos(angle)], [sin(angle)]])

        def circling(x: Tensor, centre: Tensor = centre) -> Tensor:
            return 1.0 + 8.0 * torch.exp(-80.0 * (x - centre).square().sum(0))

        monitor = BackgroundMonitor(mesh.topology, points, circling(points))
        points = drift(NETWORK, mesh, points, monitor, steps=2).points
        spreads.append(spread(mesh, points, circling(points)))
    one, last = max(spreads[40:80]), max(spreads[80:])
    print(f"std/mean at most {one:.3f} in the second round, {last:.3f} in the third")
    assert last < 0.15
    assert last < 1.2 * one
    assert volumes(mesh.topology.corners(points)).min() > 0
