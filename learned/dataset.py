"""Meshes and monitor functions on disk: seeded, made by several processes, restartable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import torch
from torch import Tensor

from learned.domains import box_mesh, graph_of, random_mesh
from learned.graph import MeshGraph
from learned.monitors import FeatureMonitor, random_monitor

SCHEMA = "driftmesh-movers"
VERSION = 1
_MONITOR = ("centres", "amplitudes", "kinds", "frames", "radii", "thicknesses", "waves")


@dataclass(frozen=True)
class DatasetSettings:
    """What a data set of movers holds; written into its file.

    Attributes
    ----------
    samples
        Number of samples.
    seed
        Sample i depends on this and i only.
    smallest, largest
        Bounds of the number of vertices, drawn evenly in the logarithm.
    solids
        Share of meshes of boxes in 3D.
    """

    samples: int = 1000
    seed: int = 0
    smallest: int = 200
    largest: int = 3000
    solids: float = 0.1


@dataclass(frozen=True)
class MoverSample:
    """A mesh and a monitor function on it, both in the mesh's own coordinates.

    Attributes
    ----------
    graph, monitor
        What a mover is given.
    moved
        Where another mover has brought the vertices, shape (N, d), if the data set has labels.
    """

    graph: MeshGraph
    monitor: FeatureMonitor
    moved: Tensor | None = None


class Settings(Protocol):
    """What any data set is asked for: a dataclass of numbers."""

    @property
    def samples(self) -> int:
        """Number of samples, which may grow."""


# Gives the arrays of the sample of a number: points, cells, the parts of the monitor function, moved if there is one.
Maker = Callable[[Any, int], dict[str, np.ndarray]]


def make_sample(settings: DatasetSettings, number: int) -> dict[str, np.ndarray]:
    """Return the arrays of a sample: ``points`` (N, d), ``cells`` (K, d + 1), and the parts of the monitor function."""
    rng = np.random.default_rng([settings.seed, number])
    nodes = int(np.exp(rng.uniform(np.log(settings.smallest), np.log(settings.largest))))
    solid = rng.random() < settings.solids
    graph = box_mesh(rng, nodes=nodes) if solid else random_mesh(rng, nodes=nodes)
    points = graph.pos.numpy()
    extent = points.max(axis=0) - points.min(axis=0)
    spacing = float((extent.prod() / len(points)) ** (1.0 / points.shape[1]))
    monitor = random_monitor(rng, points, size=float(extent.max()), spacing=spacing)
    return sample_arrays(points, graph.cells.numpy(), monitor)


def sample_arrays(points: np.ndarray, cells: np.ndarray, monitor: FeatureMonitor) -> dict[str, np.ndarray]:
    """Return what a file holds of a mesh, points (N, d) and cells (K, d + 1), and a monitor function."""
    parts = {name: np.asarray(part) for name, part in zip(_MONITOR, monitor.parts, strict=True)}
    return {"points": points, "cells": cells} | parts


def write_dataset(
    path: Path,
    settings: Settings,
    *,
    make: Maker = make_sample,
    processes: int = 1,
    advance: Callable[[int], None] | None = None,
) -> int:
    """Make the samples that a file lacks yet.

    Parameters
    ----------
    path
        HDF5 file; one that an earlier call has begun is gone on with.
    settings
        What to make.
    make
        Makes a sample from the settings and its number; a function of a module, for other processes to import.
    processes
        Number of processes; the file does not depend on it.
    advance
        Is told by how many samples the file has grown.

    Returns
    -------
    int
        Number of samples made.

    Raises
    ------
    ValueError
        If the file is another data set, or one of other settings.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "a") as file:
        _claim(file, path, settings)
        missing = [number for number in range(settings.samples) if _name(number) not in file["samples"]]
        for number, arrays in _made(make, settings, missing, processes):
            # Under another name first: what a killed process has begun does not count as there.
            file.pop("unfinished", None)
            group = file.create_group("unfinished")
            for name, values in arrays.items():
                group.create_dataset(name, data=values, compression="gzip", shuffle=True)
            file.move("unfinished", f"samples/{_name(number)}")
            file.flush()
            if advance is not None:
                advance(1)
    return len(missing)


def read_dataset(path: Path) -> Iterator[MoverSample]:
    """Yield the samples of a file in order.

    Raises
    ------
    ValueError
        If the file is no such data set.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"data set: got {path}, expected an HDF5 file ({error}); make it first") from None
    with file:
        _check_schema(file, path)
        for name in sorted(file["samples"]):
            group = file["samples"][name]
            graph = graph_of(group["points"][:], group["cells"][:])
            moved = torch.from_numpy(group["moved"][:]) if "moved" in group else None
            yield MoverSample(graph, FeatureMonitor(*(group[part][:] for part in _MONITOR)), moved)


def _made(make: Maker, settings: Settings, numbers: list[int], processes: int):
    if processes <= 1:
        yield from ((number, make(settings, number)) for number in numbers)
        return
    # A fresh interpreter each: forking one that has threads, as torch has, may leave a child waiting for ever.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = pool.map(make, [settings] * len(numbers), numbers, chunksize=4)
        yield from zip(numbers, jobs, strict=True)


def _claim(file: h5py.File, path: Path, settings: Settings) -> None:
    """Write schema and settings into a new file; refuse one of others. More samples may be asked for."""
    wanted = {name: value for name, value in vars(settings).items() if name != "samples"}
    if not len(file) and not len(file.attrs):
        file.attrs.update({"schema": SCHEMA, "version": VERSION} | wanted)
        file.create_group("samples")
        return
    _check_schema(file, path)
    for name, value in wanted.items():
        if file.attrs.get(name) != value:
            raise ValueError(
                f"data set: got {path.name} made with {name} = {file.attrs.get(name)}, expected {value}; "
                "name another file or the same settings"
            )


def _check_schema(file: h5py.File, path: Path) -> None:
    said = file.attrs.get("schema"), file.attrs.get("version")
    if said != (SCHEMA, VERSION):
        raise ValueError(
            f"data set: got {path.name} with schema {said[0]} {said[1]}, expected {SCHEMA} {VERSION}; make it anew"
        )


def _name(number: int) -> str:
    return f"{number:07d}"
