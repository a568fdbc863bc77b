"""All movers by name, conventional and learned; a new learned one is entered here."""

from __future__ import annotations

from meshing.mover import Mover
from meshing.registry import MOVERS as CONVENTIONAL
from meshing.registry import MoverEntry

# By name alone: torch is imported when one is asked for.
LEARNED: dict[str, MoverEntry] = {
    "drift": MoverEntry(
        "equidistribute by a learned optimiser, cells never inverted; any domain, fast in running solves",
        "coupling.movers:Drift",
    ),
    "um2n": MoverEntry(
        "one pass of a graph transformer trained on Monge-Ampère meshes; plane domains, boundary vertices stay",
        "coupling.movers:UM2N",
        dimensions=(2,),
    ),
    "dmm": MoverEntry(
        "the gradient of a potential from a data-free operator network, its last layer fitted; plane domains",
        "coupling.movers:DMM",
        dimensions=(2,),
    ),
}
MOVERS: dict[str, MoverEntry] = CONVENTIONAL | LEARNED


def get_mover(name: str) -> Mover:
    """Return a mover with its defaults.

    Parameters
    ----------
    name
        Name in ``MOVERS``.

    Raises
    ------
    ValueError
        If there is none of that name; for a learned one, if its weights are missing or damaged.
    """
    if name not in MOVERS:
        raise ValueError(f"mover: got {name!r}, expected one of {', '.join(MOVERS)}")
    try:
        return MOVERS[name].load()()
    except ModuleNotFoundError as error:
        if name in CONVENTIONAL:
            raise
        raise ValueError(
            f"mover: got {name!r} without {error.name} installed, expected what learned movers need; "
            "pip install 'driftmesh[learned]'"
        ) from error
