"""The networks that a case of operators compares: with structure, without, and with it but not trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from coupling.operator_data import OperatorSettings, make_operator
from learned.operators.prepared import prepare_for
from learned.operators.problem import problem_of
from learned.operators.spon import SPON
from learned.weights import NETWORKS, PRETRAINED, load_weights

# Models whose weights are loaded. Errors of the first are those of the case; the second is what its structure is
# compared with.
MAIN, TWIN = "spon-mg", "spon-twin"
TRAINED = ("spon", MAIN, TWIN)
# What structure gives without training: the main model with the weights it begins with, of this seed.
UNTRAINED, _SEED = "untrained", 0


@dataclass(frozen=True)
class LoadedNetwork:
    """A network and where it comes from.

    Attributes
    ----------
    network
        In evaluation mode, on the CPU.
    parameters
        Number of its weights.
    checksum
        SHA-256 of the file of its weights; of the one that is not trained, network, options and seed.
    """

    network: nn.Module
    parameters: int
    checksum: str


def load_networks(problem: str, folder: str = "") -> dict[str, LoadedNetwork]:
    """Return the networks for a problem by their names, each tried on a small problem.

    Parameters
    ----------
    problem
        Name in ``coupling.operator_data.FAMILIES``.
    folder
        Where the weights are, see :func:`weights_file`; those of the package if empty.

    Raises
    ------
    ValueError
        In one line, for weights that are missing, damaged, or of another problem.
    """
    networks, card = {}, None
    for model in TRAINED:
        network, found = load_weights(weights_file(model, problem, folder))
        networks[model] = LoadedNetwork(network, found.parameters, found.sha256)
        card = found if model == MAIN else card
    assert card is not None, "the main model is among those trained"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        untrained = NETWORKS[card.network](**card.options).eval()
    if not isinstance(networks[MAIN].network, SPON):
        raise ValueError(
            f"weights of {MAIN}: got a network {card.network!r}, expected a spon; train them: driftmesh train {MAIN} "
            f"--problem {problem}"
        )
    networks[UNTRAINED] = LoadedNetwork(untrained, card.parameters, f"{card.network} {card.options} {_SEED}")
    # What compiles at its first use does so here, where nobody measures times.
    sample = problem_of(make_operator(OperatorSettings(problem=problem, nodes=100, right_sides=2), 0))
    for model, one in networks.items():
        try:
            with torch.no_grad():
                one.network(prepare_for(one.network, sample))
        except (ValueError, AttributeError) as error:
            raise ValueError(
                f"weights of {model}: got some that do not solve {problem} ({error}), expected {model}-{problem}; "
                f"train them: driftmesh train {model} --problem {problem}"
            ) from None
    return networks


def weights_file(model: str, problem: str, folder: str = "") -> Path:
    """Return the file of a model's weights for a problem.

    Parameters
    ----------
    model, problem
        Names.
    folder
        With ``MODEL-PROBLEM.safetensors`` or ``MODEL-PROBLEM/MODEL-PROBLEM.safetensors``, as ``driftmesh train`` leaves
        them; that of the package if empty.

    Raises
    ------
    ValueError
        If it has neither.
    """
    name = f"{model}-{problem}"
    root = Path(folder) if folder else PRETRAINED
    for path in (root / f"{name}.safetensors", root / name / f"{name}.safetensors"):
        if path.is_file():
            return path
    raise ValueError(
        f"weights: got no {name}.safetensors in {root}, expected those of {model} for {problem}; `driftmesh train "
        f"{model} --problem {problem}` makes them, --set weights=results/train finds them"
    )
