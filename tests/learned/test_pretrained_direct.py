"""The weights of UM2N and DMM that come with the package: what their cards say, and what they do elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from learned_meshes import some_mesh
from torch import nn

from learned.monitors import random_monitor
from learned.movers.direct import DirectResult
from learned.movers.dmm import dmm
from learned.movers.dmm_task import DMMTask
from learned.movers.figures import Case, move_figures
from learned.movers.um2n import um2n
from learned.prepared import prepare_mesh
from learned.weights import PRETRAINED, load_weights

KINDS = ("square", "lattice", "rectangle", "disc", "polygon", "holes", "l-shape", "warped")
MOVES: dict[str, Callable[..., DirectResult]] = {"um2n": um2n, "dmm": dmm}


def test_the_card_of_dmm_says_what_is_measured() -> None:
    network, card = load_weights(PRETRAINED / "dmm.safetensors")
    task = DMMTask(seed=card.seed, meshes=0)
    with torch.no_grad():
        found = task.evaluate(network)
        fit = task.figures(network, iterations=60)
    assert found["score"] == pytest.approx(card.metrics["score"], rel=0.02)
    assert found["after"] == pytest.approx(card.metrics["after"], rel=0.02)
    assert fit["after"] == pytest.approx(card.metrics["fit_after"], rel=0.05)
    assert fit["inverted"] == found["inverted"] == card.metrics["inverted"] == 0.0
    # The network alone is better than no move; the fit is what makes it good.
    print(f"std/mean {found['before']:.3f} -> {found['after']:.3f}, with the fit {fit['after']:.3f}")
    assert found["after"] < 0.9 * found["before"]
    assert fit["after"] < 0.25 * fit["before"]


@pytest.mark.parametrize("name", MOVES)
def test_on_domains_and_monitor_functions_it_has_not_seen_no_cell_is_inverted(name: str) -> None:
    network, _ = load_weights(PRETRAINED / f"{name}.safetensors")
    for number, kind in enumerate(KINDS):
        figures = move_figures([_case(kind, number)], _mover(name, network))
        print(
            f"{name}, {kind}: std/mean {figures['before']:.2f} -> {figures['after']:.2f}, "
            f"{figures['inverted_unlimited']:.0f} inverted without the limiter"
        )
        assert figures["inverted"] == 0.0
        # On what it is made for, it helps; elsewhere it is as it is.
        assert kind not in ("square", "lattice") or figures["after"] < figures["before"]


def _case(kind: str, number: int) -> Case:
    mesh = prepare_mesh(some_mesh(2, nodes=500, kind=kind, seed=100 + number))
    rng = np.random.default_rng(200 + number)
    anchors = mesh.reference.T.double().numpy()
    return Case(mesh, random_monitor(rng, anchors, size=1.0, spacing=0.04, strongest=20.0))


def _mover(name: str, network: nn.Module) -> Callable[..., DirectResult]:
    return lambda mesh, points, monitor: MOVES[name](network, mesh, points, monitor)


def test_um2n_has_a_transformer() -> None:
    # The ablation goes by the same name, and is not what is shipped.
    network, card = load_weights(PRETRAINED / "um2n.safetensors")
    assert card.options["transformer"] == 1
    assert sum(parameter.numel() for parameter in network.parameters()) == card.parameters
