"""Operator networks: errors on geometries that no training has seen, and structure for weights drawn at random."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from cases.validation.row import Row
from coupling.operator_data import OperatorSettings, make_operator
from learned.operators.evaluation import evaluate
from learned.operators.problem import OperatorProblem, problem_of
from learned.operators.spon import SPON
from learned.weights import PRETRAINED, load_weights

# Bounds of the structure residuals, relative.
_BOUNDS = {"boundary values": 0.0, "divergence": 1e-12, "reciprocity": 1e-12, "balance": 1e-12}
_PAPER = "FNO in Bouziani and Boullé (2024), on their own data"
_GEOMETRIES = 20
# Training has the numbers from 0 on.
_FIRST = 10**6


def _problems(name: str) -> list[OperatorProblem]:
    settings = OperatorSettings(problem=name)
    return [problem_of(make_operator(settings, _FIRST + number)) for number in range(_GEOMETRIES)]


def _shaken(network: SPON) -> SPON:
    """Return a network of the same kind with weights of which no training knows."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


def operators() -> Iterator[Row]:
    """Errors of Poisson beside that of the paper's Fourier neural operator, and what is kept for any weights."""
    for name in ("poisson", "stokes", "elasticity"):
        problems = _problems(name)
        where = f"{_GEOMETRIES} geometries not seen, half of the meshes moved"
        for model in ("spon", "spon-mg"):
            network = load_weights(PRETRAINED / f"{model}-{name}.safetensors")[0]
            assert isinstance(network, SPON)
            began = time.perf_counter()
            found = evaluate(network, problems)
            seconds = time.perf_counter() - began
            if name == "poisson":
                what = f"{model} {name}: mean error in L2 to finite elements [%]"
                error = 100.0 * found.figures()["mean"]
                yield Row("operators", what, "at most", 1.7, error, 0.0, seconds, where, _PAPER)
            for weights, residuals in (
                ("trained", found.residuals),
                ("random weights", evaluate(_shaken(network), problems).residuals),
            ):
                for residual, value in residuals.items():
                    what = f"{model} {name}, {weights}: {residual}"
                    yield Row("operators", what, "at most", _BOUNDS[residual], value, 0.0, 0.0, where)
