"""Samples on disk, meshes with monitor functions or others: seeded, made by several processes, restartable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import h5py
import numpy as np
import torch
from torch import Tensor

from learned.domains import AIRFOIL, KINDS, box_mesh, graph_of, random_mesh
from learned.graph import MeshGraph
from learned.monitors import FeatureMonitor, random_monitor
from learned.stream import stream

T = TypeVar("T")

SCHEMA = "driftmesh-movers"
VERSION = 1
# Parts of a FeatureMonitor.
MONITOR = ("centres", "amplitudes", "kinds", "frames", "radii", "thicknesses", "waves")


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


# Gives the arrays of the sample of a number: of movers points, cells, the parts of the monitor function, moved if there
# is one; the names are the maker's own in other schemas.
Maker = Callable[[Any, int], dict[str, np.ndarray]]


def make_sample(settings: DatasetSettings, number: int) -> dict[str, np.ndarray]:
    """Return the arrays of a sample: ``points`` (N, d), ``cells`` (K, d + 1), and the parts of the monitor function."""
    rng = np.random.default_rng([settings.seed, number])
    nodes = int(np.exp(rng.uniform(np.log(settings.smallest), np.log(settings.largest))))
    solid = rng.random() < settings.solids
    kind = str(rng.choice((*KINDS, AIRFOIL)))
    graph = box_mesh(rng, nodes=nodes) if solid else random_mesh(rng, nodes=nodes, kind=kind)
    points = graph.pos.numpy()
    extent = points.max(axis=0) - points.min(axis=0)
    spacing = float((extent.prod() / len(points)) ** (1.0 / points.shape[1]))
    monitor = random_monitor(rng, points, size=float(extent.max()), spacing=spacing)
    return sample_arrays(points, graph.cells.numpy(), monitor)


def sample_arrays(points: np.ndarray, cells: np.ndarray, monitor: FeatureMonitor) -> dict[str, np.ndarray]:
    """Return what a file holds of a mesh, points (N, d) and cells (K, d + 1), and a monitor function."""
    parts = {name: np.asarray(part) for name, part in zip(MONITOR, monitor.parts, strict=True)}
    return {"points": points, "cells": cells} | parts


def sample_of(arrays: Mapping[str, np.ndarray]) -> MoverSample:
    """Return the sample of arrays as ``make_sample`` gives them, with its label if ``moved`` is among them."""
    moved = torch.from_numpy(arrays["moved"]) if "moved" in arrays else None
    graph = graph_of(arrays["points"], arrays["cells"])
    return MoverSample(graph, FeatureMonitor(*(arrays[part] for part in MONITOR)), moved)


def write_dataset(
    path: Path,
    settings: Settings,
    *,
    make: Maker = make_sample,
    schema: str = SCHEMA,
    processes: int = 1,
    begin: Callable[[int], None] | None = None,
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
    schema
        Name of what the arrays of ``make`` are, by which readers know the file.
    processes
        Number of processes; the file does not depend on it.
    begin
        Is told how many samples are there already.
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
        _claim(file, path, settings, schema)
        missing = [number for number in range(settings.samples) if _name(number) not in file["samples"]]
        if begin is not None:
            begin(settings.samples - len(missing))
        workers = processes if processes > 1 else 0
        with closing(stream(make, settings, missing, processes=workers)) as samples:
            for number, arrays in samples:
                # Under another name first: what a killed process has begun does not count as there.
                file.pop("unfinished", None)
                group = file.create_group("unfinished")
                for name, values in arrays.items():
                    # HDF5 cannot compress what has no values.
                    packed = {"compression": "gzip", "shuffle": True} if np.size(values) else {}
                    group.create_dataset(name, data=values, **packed)
                file.move("unfinished", f"samples/{_name(number)}")
                file.flush()
                if advance is not None:
                    advance(1)
    return len(missing)


def read_arrays(path: Path, schema: str = SCHEMA) -> Iterator[dict[str, np.ndarray]]:
    """Yield the arrays of a file's samples in order, as their maker gave them.

    Raises
    ------
    ValueError
        If the file is no data set of this schema.
    """
    with _opened(path, schema) as file:
        for name in sorted(file["samples"]):
            yield _arrays(file["samples"][name])


def training_pool(
    path: Path, schema: str, convert: Callable[[dict[str, np.ndarray]], T], *, held: int, content: str, problem: str
) -> list[T]:
    """Return the samples of a file to train an operator on.

    Parameters
    ----------
    path, schema
        See ``read_arrays``.
    convert
        Makes a sample of its arrays.
    held
        How many will be held out.
    content, problem
        What samples are called, and what they are made for.

    Raises
    ------
    ValueError
        If there is no such file, or too little in it.
    """
    if not path.exists():
        raise ValueError(
            f"--data: got no file {path}, expected one; make it: "
            f"driftmesh dataset operators --problem {problem} --out {path}"
        )
    pool = [convert(arrays) for arrays in read_arrays(path, schema)]
    if len(pool) <= held:
        raise ValueError(
            f"--data: got {len(pool)} {content} in {path}, expected more than the {held} held out; make more"
        )
    return pool


def read_dataset(path: Path) -> Iterator[MoverSample]:
    """Yield the samples of a file in order.

    Raises
    ------
    ValueError
        If the file is no such data set.
    """
    yield from map(sample_of, read_arrays(path))


class MoverDataset(Sequence[MoverSample]):
    """The samples of a file by their place in it, read one at a time.

    Parameters
    ----------
    path
        HDF5 file.

    Attributes
    ----------
    vertices, dimensions
        Number of vertices and dimension of each sample, shape (samples,).
    labelled
        Which have a label, shape (samples,), bool.

    Raises
    ------
    ValueError
        If the file is no such data set.
    """

    def __init__(self, path: Path):
        self._path = path
        with _opened(path) as file:
            self._names = sorted(file["samples"])
            groups = [file["samples"][name] for name in self._names]
            shapes = np.array([group["points"].shape for group in groups], dtype=np.int64).reshape(-1, 2)
            self.vertices, self.dimensions = shapes.T
            self.labelled = np.array(["moved" in group for group in groups], dtype=bool)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._names)

    def __getitem__(self, number):
        """Return the sample at a place."""
        with _opened(self._path) as file:
            return sample_of(_arrays(file["samples"][self._names[number]]))


def samples_wanted(path: Path, schema: str = SCHEMA) -> tuple[int, int]:
    """Return how many samples a file has, and how many it was last asked to have: more, if it was interrupted.

    Raises
    ------
    ValueError
        If the file is no such data set.
    """
    with _opened(path, schema) as file:
        there = len(file["samples"])
        return there, int(file.attrs.get("samples", there))


def made_with(path: Path, schema: str = SCHEMA) -> dict[str, object]:
    """Return the settings that a file was made with, but for the number of samples.

    Raises
    ------
    ValueError
        If the file is no such data set.
    """
    with _opened(path, schema) as file:
        return _settings(file)


def _settings(file: h5py.File) -> dict[str, object]:
    return {name: value for name, value in file.attrs.items() if name not in ("schema", "version", "samples")}


def _opened(path: Path, schema: str = SCHEMA) -> h5py.File:
    """Return a data set, open to be read."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"data set: got {path}, expected an HDF5 file ({error}); make it first") from None
    try:
        _check_schema(file, path, schema)
    except ValueError:
        file.close()
        raise
    return file


def _arrays(group: h5py.Group) -> dict[str, np.ndarray]:
    return {name: group[name][:] for name in group}


def _claim(file: h5py.File, path: Path, settings: Settings, schema: str) -> None:
    """Write schema and settings into a new file; refuse one of others. More samples may be asked for."""
    wanted = {name: value for name, value in vars(settings).items() if name != "samples"}
    if not len(file) and not len(file.attrs):
        file.attrs.update({"schema": schema, "version": VERSION} | wanted)
        file.create_group("samples")
    _check_schema(file, path, schema)
    made = _settings(file)
    for name in wanted | made:
        if made.get(name) != wanted.get(name):
            raise ValueError(
                f"data set: got {path.name} made with {name} = {made.get(name)}, expected {wanted.get(name)}; "
                "name another file or the same settings"
            )
    file.attrs["samples"] = max(settings.samples, int(file.attrs.get("samples", 0)))


def _check_schema(file: h5py.File, path: Path, schema: str) -> None:
    said = file.attrs.get("schema"), file.attrs.get("version")
    if said != (schema, VERSION):
        raise ValueError(
            f"data set: got {path.name} with schema {said[0]} {said[1]}, expected {schema} {VERSION}; make it anew"
        )


def _name(number: int) -> str:
    return f"{number:07d}"
