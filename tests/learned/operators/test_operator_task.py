"""Training of operator networks: what is drawn and what is held out, errors, resumed trainings, weights in files."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from problems import elasticity, network, poisson, twin
from torch import Tensor, nn

from learned.dataset import write_dataset
from learned.operators.architectures import architecture
from learned.operators.prepared import PreparedProblem, prepare_for
from learned.operators.problem import SCHEMA, OperatorProblem, problem_arrays
from learned.operators.spon import SPON
from learned.operators.task import OperatorTask
from learned.stream import endless
from learned.train_operator import train_operator
from learned.train_request import PROBLEMS, TrainRequest
from learned.trainer import Watcher
from learned.training import TrainingSettings, train
from learned.weights import NETWORKS, ModelCard, load_weights, save_weights

SILENT = Watcher(report=lambda line: None)


def quiet(line: str) -> None:
    pass


@dataclass(frozen=True)
class Wanted:
    samples: int = 6
    levels: int = 0
    seed: int = 5


@cache
def problem(number: int, levels: int = 0) -> OperatorProblem:
    """Return the problem of a number; no two are the same."""
    return poisson(
        ("square", "holes", "l-shape")[number % 3], nodes=40 if not levels else 16, seed=number, levels=levels
    )


def make(wanted: Wanted, number: int) -> dict[str, np.ndarray]:
    return problem_arrays(problem(number, wanted.levels))


def numbered(prepared: PreparedProblem, count: int = 30) -> int:
    """Return which of the first problems it is."""
    same = [number for number in range(count) if np.array_equal(problem(number).solutions, prepared.solutions)]
    assert len(same) == 1
    return same[0]


class Recorder(nn.Module):
    """Gives zeros, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.asked: list[PreparedProblem] = []

    def forward(self, prepared: PreparedProblem) -> Tensor:
        self.asked.append(prepared)
        return self.weight * prepared.solutions


def test_problems_held_out_are_never_drawn_and_all_others_are() -> None:
    task = OperatorTask([problem(number) for number in range(6)], 2, Recorder())
    model, rng = Recorder(), np.random.default_rng(0)
    for _ in range(60):
        task.loss(model, rng)
    assert {numbered(one) for one in model.asked} == {0, 1, 2, 3}
    assert [numbered(one) for one in task.held_out()] == [4, 5]
    # Prepared once each.
    assert len({id(one) for one in model.asked}) == 4
    assert all(one is other for one, other in zip(task.held_out(), task.held_out(), strict=True))


def test_of_a_stream_problems_are_drawn_in_order_and_those_given_are_held_out() -> None:
    opened: list[int] = []

    def source(first: int) -> Generator[dict[str, np.ndarray], None, None]:
        opened.append(first)
        for number in range(2 + first, 30):
            yield make(Wanted(), number)

    task = OperatorTask([problem(0), problem(1)], 2, Recorder(), source=source)
    model, rng = Recorder(), np.random.default_rng(0)
    for _ in range(17):
        task.loss(model, rng)
    numbers = [numbered(one) for one in model.asked]
    # A new one after every eight draws.
    assert set(numbers[:8]) == {2} and set(numbers[:16]) == {2, 3} and max(numbers) <= 4
    assert [numbered(one) for one in task.held_out()] == [0, 1]
    assert opened == [0] and int(task.state()["draws"]) == 17
    task.close()
    task.loss(model, rng)
    assert opened == [0]


def test_errors_are_relative_and_figures_are_theirs() -> None:
    problems = [problem(number) for number in range(4)]
    task = OperatorTask(problems, 3, Recorder())
    model = Recorder()
    torch.testing.assert_close(task.errors(model), torch.ones(9).double(), rtol=1e-14, atol=0)
    with torch.no_grad():
        model.weight.fill_(0.25)
    assert float(task.loss(model, np.random.default_rng(0)).detach()) == pytest.approx(0.75, rel=1e-14)
    net = network(problems[0])
    task, expected = OperatorTask(problems, 3, net), []
    for one in problems[1:]:
        with torch.no_grad():
            wrong = net(prepare_for(net, one)).numpy() - one.solutions
        mass = one.mass.toarray()
        expected += [np.sqrt(w @ mass @ w / (u @ mass @ u)) for w, u in zip(wrong.T, one.solutions.T, strict=True)]
    np.testing.assert_allclose(task.errors(net), expected, rtol=1e-12)
    figures = task.evaluate(net)
    assert figures == {
        "score": pytest.approx(np.mean(expected), rel=1e-12),
        "median": pytest.approx(np.median(expected), rel=1e-12),
        "q90": pytest.approx(np.quantile(expected, 0.9), rel=1e-12),
        "worst": pytest.approx(np.max(expected), rel=1e-12),
    }


def test_errors_in_energy_are_those_in_which_conjugate_gradients_begin() -> None:
    problems = [problem(0), elasticity(nodes=30)]
    for one in problems:
        net = network(one)
        task = OperatorTask([one, one], 1, net, norm="energy")
        with torch.no_grad():
            wrong = net(prepare_for(net, one)).numpy() - one.solutions
        free, stiffness, rise = one.free, one.stiffness.toarray(), one.solutions - one.values
        # Of the free unknowns the energy is what minimising leaves; nothing is wrong at the others.
        assert not wrong[np.setdiff1d(np.arange(len(wrong)), free)].any()
        inner = stiffness[np.ix_(free, free)]
        expected = [np.sqrt(w @ stiffness @ w / (u @ inner @ u)) for w, u in zip(wrong.T, rise[free].T, strict=True)]
        np.testing.assert_allclose(task.errors(net), expected, rtol=1e-9)
        # From nothing but the boundary values it is one.
        prepared = prepare_for(net, one)
        torch.testing.assert_close(
            prepared.energy_error(prepared.values), torch.ones(wrong.shape[1]).double(), rtol=1e-14, atol=0
        )


@pytest.mark.parametrize("kind", ["stored", "streamed"])
def test_a_resumed_training_is_bitwise_the_one_that_was_never_stopped(kind: str, tmp_path: Path) -> None:
    def fresh() -> tuple[SPON, OperatorTask]:
        net = network(problem(0), wild=0.0)
        problems = endless(make, Wanted(), processes=0)
        if kind == "stored":
            return net, OperatorTask([problem(number) for number in range(5)], 1, net)
        return net, OperatorTask([problem(0)], 1, net, source=lambda first: problems(1 + first))

    settings = TrainingSettings(minutes=1e9, iterations=20, batch=2, every=5, warm_up=4)
    whole, task = fresh()
    train(whole, task, settings, tmp_path / "whole", report=quiet)

    class Stop(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("iteration 15"):
            raise Stop

    # Before the checkpoint of iteration 15 is written: it goes on from 10, in the middle of the third problem.
    with pytest.raises(Stop):
        train(*fresh(), settings, tmp_path / "parts", report=stop)
    again, resumed = fresh()
    progress = train(again, resumed, settings, tmp_path / "parts", resume=True, report=quiet)
    assert progress.iteration == 20 and progress.skipped == 0
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    assert task.state() == resumed.state() and (kind == "stored" or int(task.state()["draws"]) == 40)
    assert not torch.equal(next(whole.parameters()), next(fresh()[0].parameters()))


@pytest.mark.parametrize("structured", [True, False])
def test_some_updates_lower_the_error_on_problems_held_out(structured: bool, tmp_path: Path) -> None:
    problems = [problem(number) for number in range(9)]
    net: nn.Module = (network if structured else twin)(problems[0], wild=0.0, landmarks=6)
    task = OperatorTask(problems, 3, net)
    before = task.evaluate(net)["score"]
    settings = TrainingSettings(minutes=1e9, iterations=40, batch=2, every=20, warm_up=5, learning_rate=1e-2)
    progress = train(net, task, settings, tmp_path, report=quiet)
    print(f"error on problems held out {before:.3f} -> {progress.best:.3f}")
    assert progress.best < 0.95 * before and progress.skipped == 0


@pytest.mark.parametrize("held", [0, 3, 4])
def test_tasks_with_nothing_held_out_or_nothing_left_are_refused(held: int) -> None:
    problems = [problem(number) for number in range(3)]
    with pytest.raises(ValueError, match=rf"^held: got {held} of 3 problems, expected at least one there and one left"):
        OperatorTask(problems, held, Recorder())


@pytest.mark.parametrize(("model", "levels"), [("spon", 0), ("spon-mg", 1), ("spon-twin", 0)])
def test_a_file_of_problems_becomes_weights_with_their_card(model: str, levels: int, tmp_path: Path) -> None:
    path = tmp_path / "operators.h5"
    assert write_dataset(path, Wanted(levels=levels), make=make, schema=SCHEMA) == 6
    request = TrainRequest(model, out=tmp_path, smoke=True, updates=2, problem="poisson", data=path, seed=3)
    card = train_operator(request, SILENT)
    assert (card.epochs, card.samples, card.seed) == (2, 4, 3)
    assert card.data.startswith("poisson: 4 geometries, 2 more held out, seed 5, 3 right-hand sides on each")
    loaded, again = load_weights(tmp_path / f"{model}-poisson.safetensors")
    assert again == card and card.network == ("spon-twin" if model == "spon-twin" else "spon")
    # The file gives the problems back to the last bit, and so the figures.
    task = OperatorTask([problem(number, levels) for number in range(6)], 2, loaded)
    assert task.evaluate(loaded) == card.metrics
    # Gone on with from the checkpoint.
    more = TrainRequest(model, out=tmp_path, smoke=True, updates=3, problem="poisson", data=path, seed=3, resume=True)
    assert train_operator(more, SILENT).epochs == 3


def test_a_stream_holds_its_first_problems_out_and_trains_on_those_after(tmp_path: Path) -> None:
    made: list[int] = []

    def recorded(wanted: Wanted, number: int) -> dict[str, np.ndarray]:
        made.append(number)
        return make(wanted, number)

    request = TrainRequest("spon", out=tmp_path, smoke=True, stream=True, updates=5, problem="poisson")
    card = train_operator(request, SILENT, problems=endless(recorded, Wanted(), processes=0))
    # Two held out; then a new one after every eight of the ten samples of five updates.
    assert made == [0, 1, 2, 3] and card.samples == 10
    assert "a stream of problems, 2 before it held out" in card.data
    with pytest.raises(ValueError, match=r"^--stream: got no maker of problems, expected one; take `driftmesh train`"):
        train_operator(request, SILENT)


def test_files_that_are_not_there_or_hold_too_few_are_refused_in_one_line(tmp_path: Path) -> None:
    request = TrainRequest("spon", out=tmp_path, smoke=True, updates=2, problem="poisson")
    with pytest.raises(ValueError, match=r"^--data: got no file .*operators.h5, expected one; make it: driftmesh data"):
        train_operator(request, SILENT)
    write_dataset(tmp_path / "operators.h5", Wanted(samples=2), make=make, schema=SCHEMA)
    with pytest.raises(ValueError, match=r"^--data: got 2 geometries in .*, expected more than the 2 held out; make m"):
        train_operator(request, SILENT)


@pytest.mark.parametrize("structured", [True, False])
def test_weights_in_a_file_give_the_same_solution_to_the_last_bit(structured: bool, tmp_path: Path) -> None:
    body = elasticity("holes", nodes=60)
    options = {"landmarks": 8, "width": 12, "messages": 2} | ({"smoothing": 1} if structured else {"components": 2})
    net = network(body, smoothing=1) if structured else twin(body, channels=32, layers=4)
    card = ModelCard(network="spon" if structured else "spon-twin", options=options)
    save_weights(tmp_path / "one.safetensors", net, card)
    loaded, _ = load_weights(tmp_path / "one.safetensors")
    with torch.no_grad():
        one, other = (each(prepare_for(each, body)) for each in (net, loaded))
    assert torch.equal(one, other)


@pytest.mark.parametrize("model", ["spon", "spon-mg", "spon-twin"])
@pytest.mark.parametrize("sample", [poisson(nodes=20, features=1), elasticity(nodes=20)], ids=["scalar", "vector"])
def test_networks_are_made_for_the_features_and_components_of_their_problem(
    model: str, sample: OperatorProblem
) -> None:
    name, options = architecture(model, "elasticity", sample)
    assert name == ("spon-twin" if model == "spon-twin" else "spon")
    assert options["features"] == sample.features.shape[1]
    assert options.get("components", sample.components) == sample.components
    assert options.get("level", 0) == (model == "spon-mg")


@pytest.mark.parametrize("model", ["spon", "spon-mg", "spon-twin"])
@pytest.mark.parametrize("wanted", PROBLEMS)
def test_the_options_of_each_problem_make_a_network_that_adapts_functions_in_one_way(model: str, wanted: str) -> None:
    name, options = architecture(model, wanted, poisson(nodes=20))
    NETWORKS[name](**options)
    assert 0 in (options.get("smoothing", 0), options.get("degree", 0))
    assert model != "spon-mg" or options["relaxation"] > 0
