"""The ablations leave out what they say, and nothing else; trainings are not repeated."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from learned_meshes import some_mesh
from torch import Tensor

from learned.ablation_figures import KNOWN, UNKNOWN, Contender, GradientStep, cases, compare, tables, used_weights
from learned.ablations import ablations
from learned.background import BackgroundMonitor
from learned.evaluate_drift import held_out_case, measure
from learned.hierarchy import within
from learned.movers import drift_task
from learned.movers.drift_task import DriftTask
from learned.networks.drift import DriftNetwork
from learned.prepared import prepare_mesh


def wild_network(levels: int = 0, size: float = 0.5) -> DriftNetwork:
    torch.manual_seed(0)
    net = DriftNetwork(fine=8, coarse=12, vectors=3, levels=levels)
    for decoder in (net.multigrid.fine, net.multigrid.coarse):
        torch.nn.init.normal_(decoder.gates[2].weight, std=size)
    return net


@pytest.mark.parametrize("levels", [0, 1])
def test_on_the_finest_level_alone_nothing_is_felt_farther_than_its_two_exchanges_reach(levels: int) -> None:
    mesh = prepare_mesh(some_mesh(2, nodes=700), dtype=torch.float64)
    net, count = wild_network(levels).double(), mesh.topology.vertices
    generator = torch.Generator().manual_seed(1)
    scalars = torch.randn(count, 8, generator=generator, dtype=torch.float64)
    vectors = torch.randn(count, 2, 3, generator=generator, dtype=torch.float64)
    volumes = mesh.topology.cell_sums(mesh.energy(mesh.reference, torch.ones(count, dtype=torch.float64)).volumes)

    def proposal(h: Tensor) -> Tensor:
        return net.multigrid(mesh.hierarchy, mesh.reference.T.contiguous(), volumes, h, vectors).detach()

    place = int((mesh.reference - mesh.reference.amin(1, keepdim=True)).square().sum(0).argmin())
    other = scalars.clone()
    other[place] += 1.0
    felt = ((proposal(other) - proposal(scalars)) != 0.0).any(1).numpy()
    start, end = (part.numpy() for part in mesh.topology.edges)
    marked = np.arange(count) == place
    near = within(start, end, marked, hops=2)
    if levels == 1:
        assert (felt == near).all()
    else:
        far = ~within(start, end, marked, hops=12)
        assert far.any()
        assert felt[far].mean() > 0.9


def test_the_finest_level_alone_uses_the_weights_of_its_own_parts() -> None:
    net = wild_network(levels=1)
    parts = (net.encode, net.orient, net.multigrid.first, net.multigrid.last, net.multigrid.fine)
    assert used_weights(net) == sum(weight.numel() for part in parts for weight in part.parameters())
    assert used_weights(wild_network()) == sum(weight.numel() for weight in net.parameters())
    assert used_weights(GradientStep()) == used_weights(None) == 0


@pytest.mark.parametrize("every_iterate", [True, False])
def test_the_loss_is_of_the_last_iterate_or_of_all_in_proportion_to_their_number(
    every_iterate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = DriftTask(
        seed=0, groups=1, together=2, nodes=(150, 160), large=170, steps=4, solids=0.0, every_iterate=every_iterate
    )
    taken: list[Tensor] = []

    def halving(model, mesh, points, monitor, steps):
        energies = (0.5 ** torch.arange(steps + 1.0, dtype=torch.float64))[:, None].requires_grad_()
        taken.append(energies)
        return energies, points

    monkeypatch.setattr(drift_task, "rollout", halving)
    rng = np.random.default_rng(0)
    for _ in range(30):
        loss = task.loss(DriftNetwork(), rng)
        steps = len(taken[-1]) - 1
        falls = [log(0.5**t + 2e-3) - log(1.0 + 2e-3) for t in range(1, steps + 1)]
        weights = range(1, steps + 1) if every_iterate else [0] * (steps - 1) + [1]
        mean = sum(weight * fall for weight, fall in zip(weights, falls, strict=True)) / sum(weights)
        assert float(loss.detach()) == pytest.approx(mean, rel=1e-12)
        (gradient,) = torch.autograd.grad(loss, taken[-1])
        assert bool((gradient[1:-1] > 0).all()) if every_iterate else bool((gradient[1:-1] == 0).all())
        assert float(gradient[-1]) > 0.0
    assert {len(energies) - 1 for energies in taken} == {2, 3, 4}


def test_only_without_acceptance_may_the_energy_rise_and_only_a_large_mesh_has_one_ahead() -> None:
    graph, values = held_out_case("square", 300, seed=0, strongest=KNOWN)
    mesh = prepare_mesh(graph)
    nodal = values.to(mesh.reference.dtype)
    energies = []
    for accepted in (True, False):
        monitor = BackgroundMonitor(mesh.topology, mesh.reference, nodal)
        result = Contender("", wild_network(size=50.0), steps=4, accepted=accepted).move(mesh, monitor, None)
        assert len(result.energies) <= 5
        energies.append(result.energies)
    assert energies[0] == sorted(energies[0], reverse=True)
    assert max(energies[1]) > energies[1][0]


def test_amplitudes_change_and_mesh_and_features_do_not() -> None:
    (one, low), (other, high) = (held_out_case("disc", 300, seed=4, strongest=most) for most in (KNOWN, UNKNOWN))
    assert torch.equal(one.pos, other.pos)
    assert bool((high >= low).all())
    # The amplitude of a feature is a power of the largest one, with an exponent between 0 and 1.
    assert float(((high - 1.0) / (low - 1.0).clamp_min(1e-12)).max()) <= UNKNOWN / KNOWN * (1.0 + 1e-6)


def test_a_hundred_meshes_have_all_kinds_and_sizes_all_over_the_range_for_each() -> None:
    found = list(cases(100))
    sizes = np.array([nodes for _, nodes in found[:-2]])
    assert len(found) == 100
    assert (sizes.min() >= 200) and (sizes.max() <= 6561) and min(nodes for _, nodes in found[-2:]) > 10_000
    for kind in {kind for kind, _ in found}:
        own = np.sort([nodes for name, nodes in found[:-2] if name == kind])
        assert (len(own) >= 9) and (own[0] < 400) and (own[-1] > 3500)


def test_the_table_says_what_a_move_did() -> None:
    who = [Contender("nobody", None, steps=0), Contender("gradient", GradientStep(), steps=3)]
    rows = compare(who, [("square", 200)], report=lambda line: None)
    graph, values = held_out_case("square", 200, seed=1000, strongest=KNOWN)
    mesh = prepare_mesh(graph)
    before = measure(mesh, mesh.reference, values.float())
    assert rows[0].outcome.spread == pytest.approx(before.spread, rel=1e-5)
    assert rows[1].outcome.spread < before.spread
    lines = tables(who, rows).splitlines()
    assert lines[0] == "Meshes of up to 4,000 vertices: 1."
    assert lines[4].startswith(
        f"| nobody | - | 0 | 0 | {before.spread:.3f} / {before.spread:.3f} / {before.spread:.3f} |"
    )


def test_a_mesh_that_is_lost_is_the_worst_and_is_counted() -> None:
    who = [Contender("some", None, steps=0)]
    rows = compare(who, [("square", 200)], report=lambda line: None)
    row = rows[0]
    lost = replace(row, outcome=replace(row.outcome, spread=float("nan"), inverted=0))
    inverted = replace(row, outcome=replace(row.outcome, inverted=3))
    line = tables(who, [*rows, inverted, lost]).splitlines()[-1]
    spread, bad = (line.split(" | ")[column] for column in (4, 9))
    assert spread.endswith("/ inf")
    assert bad == "2"


def test_smoke_trained_variants_are_compared_and_not_trained_again(tmp_path: Path) -> None:
    said: list[str] = []
    settings = {"updates": 2, "variants": ("full", "finest"), "meshes": 1, "smoke": True, "report": said.append}
    text = ablations(tmp_path, **settings)
    assert sum(line.startswith("finest: iteration 2") for line in said) == 1
    for name in ("nobody", "drift as shipped: no acceptance", "drift, 2 updates: one step", "no multigrid"):
        assert name in text
    weights = (tmp_path / "finest" / "drift.safetensors").read_bytes()
    said.clear()
    ablations(tmp_path, **settings)
    assert not any("iteration" in line for line in said)
    assert (tmp_path / "finest" / "drift.safetensors").read_bytes() == weights
