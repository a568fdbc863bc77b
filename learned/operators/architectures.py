"""How operator networks are made for a problem: their sizes, and what their problem asks for."""

from __future__ import annotations

from learned.operators.nodal_problem import nodal_problem
from learned.operators.problem import OperatorProblem

# Network and options of each model, as shipped.
_MODELS: dict[str, tuple[str, dict[str, int]]] = {
    "spon": ("spon", {"landmarks": 32, "width": 32, "messages": 3}),
    "spon-mg": ("spon", {"landmarks": 20, "width": 32, "messages": 3, "level": 1, "hats": 1, "smoothing": 2}),
    "spon-twin": ("spon-twin", {"landmarks": 32, "width": 32, "messages": 3, "channels": 32, "layers": 4}),
}
# A problem's own options, of those networks that know them. Eddies behind obstacles are small; and functions that are
# linear between the nodes of a coarser level have no second derivatives, which Stokes' equations are about.
_PROBLEMS: dict[str, dict[str, int]] = {"stokes": {"landmarks": 48, "level": 0, "smoothing": 2}}
# Options of networks besides those that every one has.
_KNOWN = {"spon": ("smoothing",), "spon-twin": ("components",)}


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
    own = {name: value for name, value in _PROBLEMS.get(problem, {}).items() if name in known}
    of_sample = {"features": sample.features.shape[1]}
    if "components" in known:
        of_sample["components"] = nodal_problem(sample).components
    return network, options | own | of_sample
