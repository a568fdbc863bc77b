"""The conventional movers by name; a new one is entered here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from meshing.mover import Mover


@dataclass(frozen=True)
class MoverEntry:
    """A mover in the registry.

    Attributes
    ----------
    summary
        What it does, in a line.
    place
        Where its class is, ``module:Class``; imported when asked for.
    dimensions
        Those of the meshes that it moves.
    """

    summary: str
    place: str
    dimensions: tuple[int, ...] = (2, 3)

    def load(self) -> Callable[..., Mover]:
        """Return the class."""
        module, name = self.place.split(":")
        return getattr(import_module(module), name)


MOVERS: dict[str, MoverEntry] = {
    "none": MoverEntry("leave the mesh as it is: the control of every comparison", "meshing.mover:NoMove"),
    "laplacian": MoverEntry("carry a given motion of the boundary into the interior", "meshing.laplacian:Laplacian"),
    "monge-ampere": MoverEntry(
        "equidistribute by optimal transport; closest to the monitor function, for convex domains",
        "meshing.monge_ampere:MongeAmpere",
    ),
    "mmpde": MoverEntry(
        "minimise Huang's functional: equidistribution and shape of cells; any domain, metric tensors",
        "meshing.mmpde:MMPDE",
    ),
}


def get_mover(name: str) -> Mover:
    """Return a mover with its defaults.

    Parameters
    ----------
    name
        Name in ``MOVERS``.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in MOVERS:
        raise ValueError(f"mover: got {name!r}, expected one of {', '.join(MOVERS)}")
    return MOVERS[name].load()()
