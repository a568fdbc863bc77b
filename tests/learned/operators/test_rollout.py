"""Networks that advance states: what rollouts keep whatever the weights, and that figures are what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from problems import perturbed
from trajectories import beam, energy, water

from learned.dataset import write_dataset
from learned.operators.draining import facets_of
from learned.operators.rollout import RolloutNetwork
from learned.operators.rollout_data import CONSERVATIVE, DISSIPATIVE, FREE, LOCAL, Rollout, prepare_rollout
from learned.operators.rollout_task import RolloutTask, rollout_figures
from learned.operators.trajectory import SCHEMA, OperatorTrajectory, trajectory_arrays
from learned.train_request import TrainRequest, parse_request
from learned.train_rollout import train_rollout
from learned.trainer import Watcher
from learned.weights import load_weights

SMALL = {"width": 8, "channels": 6, "coarse": 10, "light": 1, "heavy": 2}
KINDS: dict[str, Callable[..., OperatorTrajectory]] = {"water": water, "beam": beam}


def network(rollout: Rollout, *, wild: float = 0.5, seed: int = 0, **options: int) -> RolloutNetwork:
    """Return an untrained network, all its weights changed at random."""
    torch.manual_seed(seed)
    sizes = {
        "components": rollout.fields.shape[2],
        "features": rollout.graph.nodes.shape[1] - 4,
        "told": rollout.told.shape[1],
    }
    made = RolloutNetwork(**sizes, **(SMALL | options))
    made.measure([rollout])
    return perturbed(made, wild).eval()


def rolled(made: RolloutNetwork, rollout: Rollout, count: int) -> list[torch.Tensor]:
    with torch.no_grad():
        return made.roll(rollout, rollout.states([0]), [0], count)


@pytest.mark.parametrize("levels", [0, 1])
def test_boundary_values_of_each_step_are_exact_to_the_last_bit(levels: int) -> None:
    trajectory = beam()
    rollout = prepare_rollout(trajectory)
    for structure in (CONSERVATIVE, FREE):
        states = rolled(network(rollout, structure=structure, levels=levels), rollout, 4)
        for number, state in enumerate(states):
            given = trajectory.fields[number + 1][trajectory.fixed]
            same = np.array_equal(state.reshape(-1, 2).numpy()[trajectory.fixed], given)
            assert same == (structure == CONSERVATIVE)


@pytest.mark.parametrize("wild", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("structure", [CONSERVATIVE, DISSIPATIVE, LOCAL])
def test_water_is_never_lost_and_never_negative(structure: int, wild: float) -> None:
    trajectory = water(steps=41)
    rollout, areas = prepare_rollout(trajectory), trajectory.mass.diagonal()
    volume = areas @ trajectory.fields[0, :, 0]
    for state in rolled(network(rollout, structure=structure, wild=wild), rollout, 40):
        depths = state.numpy()[::3, 0]
        assert depths.min() >= 0.0 and abs(areas @ depths - volume) <= 1e-13 * volume
    drifts, least = [], []
    for state in rolled(network(rollout, structure=FREE, wild=wild), rollout, 40):
        drifts.append(abs(areas @ state.numpy()[::3, 0] - volume))
        least.append(state.min())
    assert max(drifts) > 1e-3 * volume and min(least) < 0.0


def test_the_energy_of_water_does_not_grow_if_that_is_asked_for() -> None:
    trajectory = water(steps=41)
    rollout, areas = prepare_rollout(trajectory), trajectory.mass.diagonal()
    growths = {}
    for structure in (CONSERVATIVE, DISSIPATIVE, LOCAL):
        states = rolled(network(rollout, structure=structure, wild=0.5), rollout, 40)
        growths[structure] = np.diff([energy(areas, part.numpy()) for part in (rollout.states([0]), *states)])
    first = energy(areas, rollout.states([0]).numpy())
    # Sums here are in another order.
    assert max(growths[DISSIPATIVE].max(), growths[LOCAL].max()) <= 1e-15 * first
    assert growths[CONSERVATIVE].max() > 1e-3 * first


def test_depths_of_local_budgets_change_by_what_crosses_facets() -> None:
    t = water(steps=8)
    rollout, areas = prepare_rollout(t), t.mass.diagonal()
    made = network(rollout, structure=LOCAL)
    # Little water moves, so that no cell is drained and amounts are those predicted.
    caught: list[torch.Tensor] = []
    made.flux.register_forward_hook(lambda module, given, amounts: caught.append(amounts.double()))
    state = rollout.states([0])
    with torch.no_grad():
        for part in made.flux.last[-1].parameters():
            part *= 1e-3
        after = made(rollout, state, [0])
    change = areas * (after - state).numpy()[::3, 0]
    pairs, b = facets_of(rollout.graph)
    sizes = np.sqrt(areas[rollout.graph.source[pairs[0]]] * areas[rollout.graph.target[pairs[0]]])
    amounts = float(made.rate[0]) * t.times[1] * sizes * caught[0][:, 0].numpy()
    assert (abs(b) @ abs(amounts) < areas * state.numpy()[::3, 0]).all()
    # Or an equal share of them all, where the energy would grow.
    predicted = -b @ amounts
    share = (change @ predicted) / (predicted @ predicted)
    assert 0.0 < share <= 1.0 + 1e-12
    # Of depths near 1 rounding is left.
    np.testing.assert_allclose(change, share * predicted, rtol=0, atol=4e-16 * areas.max())


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_several_times_are_advanced_together_as_each_alone(kind: str) -> None:
    rollout = prepare_rollout(KINDS[kind](), dtype=torch.float64)
    made = network(rollout).double()
    starts = [2, 0, 3]
    with torch.no_grad():
        together = made(rollout, rollout.states(starts), starts)
        for column, start in enumerate(starts):
            alone = made(rollout, rollout.states([start]), [start])
            torch.testing.assert_close(together[:, column : column + 1], alone, rtol=0, atol=1e-12)


def test_steps_move_with_the_domain() -> None:
    t = water()
    moved = replace(t, points=t.points + 8.0, coarse=tuple(replace(c, points=c.points + 8.0) for c in t.coarse))
    first, second = (prepare_rollout(part, dtype=torch.float64) for part in (t, moved))
    made = network(first, structure=LOCAL).double()
    u, v = (rolled(made, part, 3)[-1] for part in (first, second))
    assert float((v - u).abs().max()) <= 1e-10 * float(u.abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_renumbered_with_the_nodes(kind: str) -> None:
    t = KINDS[kind]()
    n, c = t.fixed.shape
    order = np.random.default_rng(1).permutation(n)
    place = np.argsort(order)
    other = replace(
        t,
        points=t.points[order],
        edges=place[t.edges],
        mass=t.mass[order][:, order],
        fixed=t.fixed[order],
        features=t.features[order],
        fields=t.fields[:, order],
        coarse=(replace(t.coarse[0], prolongation=t.coarse[0].prolongation[order]), *t.coarse[1:]),
    )
    first, second = (prepare_rollout(part, dtype=torch.float64) for part in (t, other))
    made = network(first).double()
    u, v = (rolled(made, part, 3)[-1].reshape(n, c) for part in (first, second))
    assert float((v - u[order]).abs().max()) <= 1e-11 * float(u.abs().max())


def test_in_training_the_energy_is_not_limited_but_all_else_holds() -> None:
    t = water()
    rollout, areas = prepare_rollout(t), t.mass.diagonal()
    volume, first = areas @ t.fields[0, :, 0], rollout.states([0])
    for structure in (DISSIPATIVE, LOCAL):
        made = network(rollout, structure=structure, wild=1.0).train()
        with torch.no_grad():
            u = made(rollout, first, [0])
            limited = made.eval()(rollout, first, [0])
        depths = u.numpy()[::3, 0]
        assert depths.min() >= 0.0 and abs(areas @ depths - volume) <= 1e-13 * volume
        assert energy(areas, limited.numpy()) <= energy(areas, first.numpy()) < energy(areas, u.numpy())
    task = RolloutTask([rollout, rollout], 1)
    assert task.evaluate(made.train())["energy_growth"] <= 1e-15 and made.training


def test_features_boundary_values_and_loads_all_count() -> None:
    t = beam()
    n = len(t.points)
    first = prepare_rollout(t)
    made = network(first, structure=FREE)
    with torch.no_grad():
        u = made(first, first.states([0]), [0])
        bent = t.fields.copy()
        bent[1][t.fixed] += 1.0
        free = bent.copy()
        free[1] = t.fields[1] + ~t.fixed
        for change, counts in (
            ({"features": t.features[::-1].copy()}, True),
            ({"fields": bent}, True),
            ({"parameters": {**t.parameters, "pressure": -2.0}}, True),
            # Not told: it is in the boundary values. And the answer itself is not told either.
            ({"parameters": {**t.parameters, "shortening": 0.1}}, False),
            ({"fields": free}, False),
        ):
            other = prepare_rollout(replace(t, **change))
            moved = made(other, other.states([0]), [0])
            assert (float((moved - u).abs().max()) > 1e-6) == counts
    assert u.shape == (2 * n, 1)
    # The pressure grows with the load's share.
    np.testing.assert_allclose(first.told.numpy(), np.stack([np.full(5, 0.1), 2.0 * t.times], axis=1), rtol=1e-15)


def test_spreads_are_those_of_the_data_and_one_for_all_components_of_a_vector() -> None:
    trajectories = [water(seed=seed) for seed in range(2)]
    made = network(prepare_rollout(trajectories[0]))
    made.measure([prepare_rollout(part) for part in trajectories])
    states = np.concatenate([part.fields.reshape(-1, 3) for part in trajectories])
    rates = np.concatenate([np.diff(part.fields, axis=0).reshape(-1, 3) / 0.12 for part in trajectories])
    vector = np.sqrt((states[:, 1:] ** 2).mean())
    np.testing.assert_allclose(made.mean.numpy(), [states[:, 0].mean(), 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(made.spread.numpy(), [states[:, 0].std(), vector, vector], rtol=1e-6)
    rate = [np.sqrt((part**2).mean()) for part in (rates[:, :1], rates[:, 1:])]
    np.testing.assert_allclose(made.rate.numpy(), [rate[0], rate[1], rate[1]], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_distances_and_figures_are_integrals_over_the_domain(kind: str) -> None:
    t = KINDS[kind]()
    rollout = prepare_rollout(t)
    made = network(rollout, structure=FREE)
    spread, mass = made.spread.double().numpy(), t.mass.toarray()

    def distance(u: np.ndarray, v: np.ndarray) -> float:
        wrong = (u - v) / spread
        return float(np.sqrt(np.einsum("nc,nm,mc->", wrong, mass, wrong) / (mass.sum() * wrong.shape[1])))

    n, c = t.fixed.shape
    with torch.no_grad():
        figures = rollout_figures(made, rollout)
        steps = [made(rollout, rollout.states([k]), [k]).reshape(n, c).numpy() for k in range(t.steps - 1)]
    states = [part.reshape(n, c).numpy() for part in rolled(made, rollout, t.steps - 1)]
    expected = {
        "score": np.mean([distance(u, v) for u, v in zip(states, t.fields[1:], strict=True)]),
        "last": distance(states[-1], t.fields[-1]),
        "one_step": np.mean([distance(u, v) for u, v in zip(steps, t.fields[1:], strict=True)]),
        "still": np.mean([distance(t.fields[0], v) for v in t.fields[1:]]),
        "still_step": np.mean([distance(u, v) for u, v in zip(t.fields, t.fields[1:], strict=False)]),
    }
    if kind == "water":
        areas, depths = t.mass.diagonal(), np.array([t.fields[0], *states])[:, :, 0]
        expected["volume_drift"] = abs(depths @ areas / (depths[0] @ areas) - 1.0).max()
        expected["least_depth"] = depths.min()
    # The network is in float32.
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert figures["structure"] > 1e-3


def test_a_network_that_knows_the_rates_makes_no_error() -> None:
    t = water(steps=8)
    way = np.array([0.3, -0.2, 0.1])
    fields = t.fields[0] + t.times[:, None, None] * way
    rollout = prepare_rollout(replace(t, fields=fields), dtype=torch.float64)
    made = network(rollout, structure=FREE).double()
    last = made.processor.decode[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.from_numpy(way) / made.rate)
    task = RolloutTask([rollout, rollout], 1, unroll=3, starts=2, noise=0.0)
    figures = task.evaluate(made)
    for name in ("score", "last", "one_step"):
        assert figures[name] <= 1e-12
    assert float(task.loss(made, np.random.default_rng(0)).detach()) <= 1e-12
    assert figures["still_step"] == pytest.approx(float(made.distance(rollout, *rollout.states([0, 1]).split(1, 1))))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_mean_distance_over_unrolled_steps(kind: str) -> None:
    rollout = prepare_rollout(KINDS[kind]())
    made = network(rollout)
    task = RolloutTask([rollout, rollout], 1, unroll=2, starts=99, noise=0.0)
    loss = task.loss(made, np.random.default_rng(0))
    wrong = []
    with torch.no_grad():
        for start in range(rollout.steps - 2):
            states = made.roll(rollout, rollout.states([start]), [start], 2)
            ends = [rollout.states([start + 1]), rollout.states([start + 2])]
            wrong += [float(made.distance(rollout, u, v)) for u, v in zip(states, ends, strict=True)]
    assert float(loss.detach()) == pytest.approx(np.mean(wrong), rel=1e-5)
    gradients = torch.autograd.grad(loss, list(made.parameters()))
    square = sum(float(part.square().sum()) for part in gradients)
    assert np.isfinite(square) and square > 0.0
    step = 1e-3 * float(loss.detach()) / square
    with torch.no_grad():
        for parameter, part in zip(made.parameters(), gradients, strict=True):
            parameter -= step * part
        after = float(task.loss(made, np.random.default_rng(0)))
    assert 1.0 - after / float(loss.detach()) == pytest.approx(1e-3, rel=0.2)


def test_noise_is_a_share_of_a_step_and_leaves_boundary_values() -> None:
    rollout = prepare_rollout(beam(nodes=60))
    made = network(rollout)
    task = RolloutTask([rollout, rollout], 1, noise=0.1)
    noisy = task._noisy(made, rollout, [0, 1], np.random.default_rng(0)) - rollout.states([0, 1])
    assert float(noisy[rollout.fixed].abs().max()) == 0.0
    free = np.setdiff1d(np.arange(len(noisy)), rollout.fixed.numpy())
    size = 0.1 * float(made.rate[0]) * 0.2
    wet, rough = prepare_rollout(water()), RolloutTask([prepare_rollout(water())] * 2, 1, noise=9.0)
    assert float(rough._noisy(network(wet), wet, [0, 1], np.random.default_rng(0))[::3].min()) == 0.0
    # Of so many numbers the mean square is known to a few percent.
    assert float(noisy[free].square().mean().sqrt()) == pytest.approx(size, rel=4.0 / np.sqrt(2 * 2 * len(free)))


def test_what_does_not_fit_is_refused() -> None:
    rollout, other = prepare_rollout(beam()), prepare_rollout(water())
    with pytest.raises(ValueError, match=r"^rollout: got 3 components, 4 numbers of a node and 0 parameters, expected"):
        network(rollout)(other, other.states([0]), [0])
    with pytest.raises(ValueError, match=r"^held: got 2 of 2, expected at least one there and one left"):
        RolloutTask([rollout, rollout], 2)
    with pytest.raises(ValueError, match=r"^unroll: got 5 steps of 5 states, expected fewer, and one at least"):
        RolloutTask([rollout, rollout], 1, unroll=5)


def make(settings: None, number: int) -> dict[str, np.ndarray]:
    return trajectory_arrays(water(seed=number, nodes=8, levels=1))


class Settings:
    """What a file of trajectories is asked for."""

    def __init__(self, samples: int):
        self.samples = samples


@pytest.mark.parametrize("model", ["rollout", "rollout-twin"])
def test_training_leaves_weights_that_advance_states_as_the_card_says(model: str, tmp_path: Path) -> None:
    write_dataset(tmp_path / "trajectories.h5", Settings(5), make=make, schema=SCHEMA)
    request = TrainRequest(model, problem="dam-break", out=tmp_path, smoke=True, updates=3)
    silent = Watcher(report=lambda line: None)
    card = train_rollout(request, silent)
    assert (
        card.network == "rollout"
        and card.options["structure"] == (LOCAL if model == "rollout" else FREE)
        and card.epochs == 3
    )
    made, _ = load_weights(tmp_path / f"{model}-dam-break.safetensors")
    rollouts = [prepare_rollout(water(seed=number, nodes=8, levels=1)) for number in range(5)]
    assert RolloutTask(rollouts, 2).evaluate(made) == card.metrics
    assert (card.metrics["volume_drift"] <= 1e-13) == (model == "rollout")
    # What it was made to know of the data of training goes with the weights.
    assert float(made.spread[0]) == pytest.approx(
        float(torch.cat([part.fields[..., 0].ravel() for part in rollouts[:3]]).std(correction=0))
    )


def test_requests_that_cannot_be_met_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^--problem: got 'poisson', expected one of hyperelastic, cylinder, dam-brea"
    ):
        TrainRequest("rollout", problem="poisson")
    with pytest.raises(ValueError, match=r"^--problem: got 'dam-break', expected one of poisson, "):
        TrainRequest("spon", problem="dam-break")
    with pytest.raises(ValueError, match=r"^--stream: got it for rollout, expected drift or um2n or spon"):
        TrainRequest("rollout", problem="dam-break", stream=True)
    request = TrainRequest("rollout", problem="cylinder", out=tmp_path, smoke=True)
    with pytest.raises(
        ValueError, match=r"^--data: got no file .*trajectories.h5, expected one; make it: driftmesh da"
    ):
        train_rollout(request)
    write_dataset(tmp_path / "trajectories.h5", Settings(3), make=make, schema=SCHEMA)
    with pytest.raises(ValueError, match=r"^--data: got trajectories of dam-break in .*, expected cylinder; name the"):
        train_rollout(request)
    with pytest.raises(ValueError, match=r"^--data: got 3 trajectories in .*, expected more than the 8 held out"):
        train_rollout(replace(request, smoke=False))
    arguments = ["--problem", "cylinder", "--updates", "3"]
    assert parse_request("rollout", arguments) == TrainRequest("rollout", problem="cylinder", updates=3)
