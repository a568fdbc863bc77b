"""Reading what a run leaves in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def run_json(out: Path) -> dict:
    """Return ``run.json``, which must be JSON in the strict sense: no NaN."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads((out / "run.json").read_text(), parse_constant=refuse)


def maps(out: Path) -> list[dict[str, np.ndarray]]:
    """Return the maps in order, each with its mesh."""
    with np.load(out / "maps" / "mesh.npz") as archive:
        mesh = dict(archive)
    return [mesh | dict(np.load(file)) for file in sorted((out / "maps").glob("[0-9]*.npz"))]


def by_place(shot: dict[str, np.ndarray]) -> np.ndarray:
    """Return x, y and u at the corners of all cells, sorted by place and cell."""
    centre = shot["points"].reshape(-1, 3, 2).mean(axis=1).repeat(3, axis=0)
    order = np.lexsort(np.hstack([centre, shot["points"]]).round(7).T)
    return np.column_stack([shot["points"], shot["u"]])[order]
