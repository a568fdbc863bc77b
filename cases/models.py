"""`driftmesh models`: the weights that come with the package, with the figures of their model cards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cases.errors import as_input_error


def list_models(echo: Callable[[str], None], folder: Path | None = None) -> None:
    """Write a line for each file of weights: its name, size, and figures on samples held out.

    Every file is loaded, so that what is listed can be used.

    Parameters
    ----------
    echo
        Takes a line.
    folder
        Where the weights are; those of the package if None.

    Raises
    ------
    InputError
        In one line, for weights that are missing or damaged, or differ from their card.
    """
    from learned.weights import PRETRAINED, load_weights

    with as_input_error():
        cards = {
            path.stem: load_weights(path.with_suffix(".safetensors"))[1]
            for path in sorted((folder or PRETRAINED).glob("*.json"))
        }
    width = max(map(len, cards), default=0)
    for name, card in cards.items():
        figures = ", ".join(f"{figure} {value:.3g}" for figure, value in card.metrics.items())
        echo(f"{name:{width}}  {card.parameters:,} weights, {card.epochs:,} updates, seed {card.seed}: {figures}")
