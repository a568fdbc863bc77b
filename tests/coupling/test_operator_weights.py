"""Weights of operators that are shipped: errors as their cards say, on the geometries that the cards are about."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from coupling.operator_data import OperatorSettings, make_operator
from learned.operators.prepared import PreparedProblem, prepare_for
from learned.operators.problem import OperatorProblem, problem_of
from learned.train_operator import HELD
from learned.train_request import OPERATORS
from learned.weights import PRETRAINED, load_weights

CASES = ("poisson", "stokes", "elasticity")
SHIPPED = sorted(path.stem for path in PRETRAINED.glob("spon*.safetensors"))


@pytest.fixture(scope="module")
def held_out():
    """Return some of the geometries that training has held out: the last ones of the file, drawn anew."""
    drawn: dict[str, list[OperatorProblem]] = {}

    def problems(name: str) -> list[OperatorProblem]:
        if name not in drawn:
            settings = OperatorSettings(problem=name, samples=400)
            numbers = range(settings.samples - HELD, settings.samples - HELD + 3)
            drawn[name] = [problem_of(make_operator(settings, number)) for number in numbers]
        return drawn[name]

    return problems


def errors(network: nn.Module, problems: list[OperatorProblem], *, energy: bool = False) -> np.ndarray:
    measure = PreparedProblem.energy_error if energy else PreparedProblem.error
    with torch.no_grad():
        prepared = [prepare_for(network, problem) for problem in problems]
        return np.concatenate([measure(one, network(one)).numpy() for one in prepared])


def test_networks_with_structure_and_their_twins_are_shipped_for_every_case() -> None:
    assert {f"{model}-{problem}" for model in ("spon", "spon-mg", "spon-twin") for problem in CASES} <= set(SHIPPED)
    assert sum(path.stat().st_size for path in PRETRAINED.glob("spon*")) <= 8e6


@pytest.mark.parametrize("name", SHIPPED)
def test_errors_are_those_of_the_card(name: str, held_out) -> None:
    network, card = load_weights(PRETRAINED / f"{name}.safetensors")
    model = max((model for model in OPERATORS if name.startswith(f"{model}-")), key=len)
    # Those in energy are about larger meshes, on which errors are no smaller.
    found = errors(network, held_out(name.removeprefix(f"{model}-")), energy="errors in energy" in card.data)
    # Part of what the card is about: none is worse than its worst, and they are not all of another size.
    assert found.max() <= 1.001 * card.metrics["worst"]
    assert card.metrics["median"] / 10.0 < np.median(found) < 10.0 * card.metrics["median"]


@pytest.mark.parametrize("problem", CASES)
def test_structure_makes_them_more_accurate_than_their_twins(problem: str, held_out) -> None:
    with_structure, without = (
        errors(load_weights(PRETRAINED / f"{model}-{problem}.safetensors")[0], held_out(problem)).mean()
        for model in ("spon-mg", "spon-twin")
    )
    print(f"{problem}: {with_structure:.2%}, twin {without:.2%}")
    assert with_structure < 0.5 * without
