"""Labels for UM2N: meshes as Monge-Ampère moves them, as ``learned`` knows no conventional mover.

``driftmesh dataset`` and ``driftmesh train um2n`` write them into files that ``learned.dataset`` reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from firedrake import COMM_SELF, Function, UnitSquareMesh

from learned.dataset import MONITOR, DatasetSettings, make_sample, sample_arrays
from learned.gaussians import random_gaussians
from learned.monitors import FeatureMonitor
from meshing.generation import rectangle
from meshing.monge_ampere import MongeAmpere
from meshing.monitor import Monitor
from meshing.mover import MoveResult, MoveStatus
from meshing.plex import mesh_from_cells
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
        result = _moved(mesh, monitor, settings.tolerance)
        if result.status is MoveStatus.DONE:
            break
    coordinates = mesh.coordinates
    arrays = sample_arrays(coordinates.dat.data_ro.copy(), coordinates.cell_node_map().values.astype(np.int64), monitor)
    return arrays | {"moved": result.coordinates.dat.data_ro.copy()}


@dataclass(frozen=True)
class LabelledSettings(DatasetSettings):
    """What a data set of movers holds if those of its samples that Monge-Ampère can move have labels.

    Attributes
    ----------
    tolerance
        Of Monge-Ampère.
    """

    tolerance: float = 1e-3


def make_labelled(settings: LabelledSettings, number: int) -> dict[str, np.ndarray]:
    """Return the arrays of the sample of this number in a data set of movers, with ``moved`` (N, 2) if that is found.

    None in 3D, nor where Monge-Ampère does not reach its tolerance, as on many domains that are not convex.
    """
    arrays = make_sample(settings, number)
    points, cells = arrays["points"], arrays["cells"]
    if points.shape[1] != 2:
        return arrays
    none = np.zeros((0, 2), dtype=np.int64)
    mesh = mesh_from_cells(points, cells, none, none[:, 0], comm=COMM_SELF)
    result = _moved(mesh, FeatureMonitor(*(arrays[part] for part in MONITOR)), settings.tolerance)
    if result.status is not MoveStatus.DONE:
        return arrays
    # The mesh has the vertices bit for bit, in another order.
    places = mesh.coordinates.dat.data_ro
    order, theirs = np.lexsort(points.T), np.lexsort(places.T)
    assert np.array_equal(points[order], places[theirs])
    moved = np.empty_like(points)
    moved[order] = result.coordinates.dat.data_ro[theirs]
    return arrays | {"moved": moved}


def _moved(mesh, monitor: FeatureMonitor, tolerance: float) -> MoveResult:
    return MongeAmpere(tolerance=tolerance, warm_start=False).move(mesh, FeatureField(monitor))


def _mesh(rng: np.random.Generator, settings: LabelSettings):
    """Return a mesh of the unit square of this process alone."""
    nodes = rng.uniform(settings.smallest, settings.largest)
    if rng.random() < settings.structured:
        squares = max(2, round(np.sqrt(nodes)) - 1)
        return UnitSquareMesh(squares, squares, diagonal=str(rng.choice(["left", "right"])), comm=COMM_SELF)
    # Equilateral triangles inside, and half of the rows at the sides.
    size = (1.0 + np.sqrt(1.0 + 2.0 * np.sqrt(3.0) * nodes)) / (np.sqrt(3.0) * nodes)
    return rectangle(size=float(size), comm=COMM_SELF)
