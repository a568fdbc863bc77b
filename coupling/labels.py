"""Labels for UM2N: meshes of the unit square as Monge-Ampère moves them; ``learned`` knows no conventional mover.

``python -m coupling.labels FILE [--samples N] [--seed S] [--processes P]`` makes a file that ``learned.dataset`` reads.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from firedrake import COMM_SELF, Function, UnitSquareMesh

from learned.dataset import sample_arrays, write_dataset
from learned.gaussians import random_gaussians
from learned.monitors import FeatureMonitor
from meshing.generation import rectangle
from meshing.monge_ampere import MongeAmpere
from meshing.monitor import Monitor
from meshing.mover import MoveStatus
from meshing.shaping import Shaping


@dataclass(frozen=True)
class LabelSettings:
    """What a data set of labels holds; written into its file.

    Attributes
    ----------
    samples
        Number of samples.
    seed
        Sample i depends on this and i only.
    smallest, largest
        Bounds of the number of vertices, drawn evenly; met to a few per cent.
    strongest
        Largest amplitude of a Gaussian; Monge-Ampère needs monitor functions that vary by less than about a hundred.
    tolerance
        Of Monge-Ampère.
    structured
        Share of meshes of squares cut in two; the others are of gmsh.
    """

    samples: int = 500
    seed: int = 0
    smallest: int = 400
    largest: int = 700
    strongest: float = 20.0
    tolerance: float = 1e-3
    structured: float = 0.5


class FeatureField(Monitor):
    """A function of the place that ``learned`` knows, evaluated in the vertices wherever they are.

    Parameters
    ----------
    function
        Takes places, shape (d, n), and gives positive values, shape (n,).
    """

    def __init__(self, function: FeatureMonitor):
        self._function, self._shaping = function, Shaping()

    def __call__(self, mesh) -> Function:
        """Evaluate the function in the vertices, exactly."""
        points = torch.from_numpy(mesh.coordinates.dat.data_ro_with_halos.T.copy())
        return self._shaping.monitor_function(mesh, self._function(points).numpy(), name="features")


def make_label(settings: LabelSettings, number: int) -> dict[str, np.ndarray]:
    """Return the arrays of a sample, ``moved`` (N, 2) among them: the vertices as Monge-Ampère has moved them.

    Where it does not reach its tolerance, or the limiter stops it, another mesh and monitor function are drawn.
    """
    for attempt in count():
        rng = np.random.default_rng([settings.seed, number, attempt])
        mesh = _mesh(rng, settings)
        monitor = random_gaussians(rng, np.zeros(2), np.ones(2), strongest=settings.strongest)
        mover = MongeAmpere(tolerance=settings.tolerance, warm_start=False)
        result = mover.move(mesh, FeatureField(monitor))
        if result.status is MoveStatus.DONE:
            break
    coordinates = mesh.coordinates
    arrays = sample_arrays(coordinates.dat.data_ro.copy(), coordinates.cell_node_map().values.astype(np.int64), monitor)
    return arrays | {"moved": result.coordinates.dat.data_ro.copy()}


def _mesh(rng: np.random.Generator, settings: LabelSettings):
    """Return a mesh of the unit square of this process alone."""
    nodes = rng.uniform(settings.smallest, settings.largest)
    if rng.random() < settings.structured:
        squares = max(2, round(np.sqrt(nodes)) - 1)
        return UnitSquareMesh(squares, squares, diagonal=str(rng.choice(["left", "right"])), comm=COMM_SELF)
    # Equilateral triangles inside, and half of the rows at the sides.
    size = (1.0 + np.sqrt(1.0 + 2.0 * np.sqrt(3.0) * nodes)) / (np.sqrt(3.0) * nodes)
    return rectangle(size=float(size), comm=COMM_SELF)


def main() -> None:
    """Make a file as the command line says; one that is there already is gone on with."""
    parser = argparse.ArgumentParser(description="Make Monge-Ampère labels for UM2N.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--samples", type=int, default=LabelSettings.samples)
    parser.add_argument("--seed", type=int, default=LabelSettings.seed)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    settings = LabelSettings(samples=options.samples, seed=options.seed)
    made = write_dataset(options.file, settings, make=make_label, processes=options.processes)
    print(f"{options.file}: {made} samples made, {settings.samples} there")


if __name__ == "__main__":
    main()
