"""How operator networks are made for a problem: their sizes, and what their problem asks for."""

from __future__ import annotations

from learned.operators.nodal_problem import nodal_problem
from learned.operators.problem import OperatorProblem
from learned.operators.rollout_data import CONSERVATIVE, FREE, LOCAL, WATER
from learned.operators.trajectory import OperatorTrajectory

# Network and options of each model, as shipped.
_MODELS: dict[str, tuple[str, dict[str, int]]] = {
    "spon": ("spon", {"landmarks": 32, "width": 32, "messages": 3}),
    "spon-mg": ("spon", {"landmarks": 16, "width": 32, "messages": 3, "level": 1, "degree": 4, "relaxation": 16}),
    "spon-twin": ("spon-twin", {"landmarks": 32, "width": 32, "messages": 3, "channels": 32, "layers": 4}),
    "message-passing": ("message-passing", {"width": 40, "channels": 16, "messages": 10}),
    "fno": ("fno", {"modes": 12, "width": 13, "layers": 4}),
    "mlp": ("mlp", {"hidden": 24}),
}
# A problem's own options, of those networks that know them: eddies behind obstacles are small; where coefficients jump
# and loads act on sides, functions have to follow the matrix.
_PROBLEMS: dict[str, dict[str, int]] = {
    "stokes": {"landmarks": 48, "smoothing": 2},
    "darcy": {"landmarks": 64, "degree": 20},
    "elasticity": {"landmarks": 48, "degree": 20},
}
# Those of the multigrid form, whose relaxation leaves little to more landmarks. Functions that are linear between the
# nodes of a coarser level have no second derivatives, which Stokes' equations are about.
_MULTIGRID: dict[str, dict[str, int]] = {
    "stokes": {"landmarks": 48, "level": 0, "hats": 1, "degree": 6, "relaxation": 24},
}
# The structure of those that advance states, see ``RolloutNetwork``; of water the budget of each cell.
_ROLLOUTS, _WATER = {"rollout": CONSERVATIVE, "rollout-twin": FREE}, {CONSERVATIVE: LOCAL}
# Options of networks besides those that every one has.
_KNOWN = {
    "spon": ("hats", "smoothing", "degree", "relaxation"),
    "spon-twin": ("components",),
    "message-passing": ("components",),
    "fno": ("components", "side"),
    "mlp": ("components", "nodes"),
}


def architecture(model: str, problem: str, sample: OperatorProblem) -> tuple[str, dict[str, int]]:
    """Return the name of a network and its options.

    Parameters
    ----------
    model
        Name in ``learned.train_request.OPERATORS``.
    problem
        Name in ``learned.train_request.PROBLEMS``.
    sample
        One of its problems.
    """
    network, options = _MODELS[model]
    known = {*options, *_KNOWN[network]}
    owned = _MULTIGRID if model == "spon-mg" else _PROBLEMS
    own = {name: value for name, value in owned.get(problem, {}).items() if name in known}
    nodes = len(sample.points)
    of_sample = {
        "features": sample.features.shape[1],
        "components": nodal_problem(sample).components,
        "nodes": nodes,
        "side": round(nodes**0.5),
    }
    known.add("features")
    return network, options | own | {name: value for name, value in of_sample.items() if name in known}


def rollout_architecture(model: str, sample: OperatorTrajectory, told: int) -> tuple[str, dict[str, int]]:
    """Return the name of a network that advances states, and its options.

    Parameters
    ----------
    model
        Name in ``learned.train_request.ROLLOUTS``.
    sample
        One of its trajectories.
    told
        Number of parameters that a step depends on.
    """
    of_sample = {
        "components": sample.fixed.shape[1],
        "features": sample.features.shape[1],
        "told": told,
        "dimension": sample.points.shape[1],
    }
    structure = _ROLLOUTS[model]
    if sample.kind in WATER:
        structure = _WATER.get(structure, structure)
    return "rollout", of_sample | {"structure": structure}
