"""Curves and surfaces of a CAD file that boundary vertices slide along, through gmsh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from weakref import finalize

import gmsh
import numpy as np

from meshing.curves import BoundaryCurve, ParametricCurve, unit_vectors
from meshing.simplex import vector_lengths
from meshing.surfaces import BoundarySurface

# Samples of a curve, from the nearest of which its closest point is looked for.
_SAMPLES = 1000
# Steps that bring the closest point of a surface, which gmsh finds to about 1e-8, to rounding.
_GAUSS_NEWTON_STEPS = 4
_KINDS = {1: "curve", 2: "surface"}


class CADCurve(BoundaryCurve):
    """One or more curves of a CAD file in the plane z = 0.

    Parameters
    ----------
    path
        File that gmsh reads: .brep, .step, .iges, .geo or .geo_unrolled. Every rank reads it.
    tags
        Number of the curve, or of each of the curves, in gmsh.

    Raises
    ------
    ValueError
        If the file cannot be read, has no such curve, or the curve is not in the plane.
    """

    smooth = False
    dimension = 2

    def __init__(self, path: str | Path, tags: int | Sequence[int]):
        model = _Model(path)
        self._curves = [_CADCurve(model, tag) for tag in _as_tags(model, 1, tags)]

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points, shape (N, 2) [m]."""
        return self._of_nearest(points)[0]

    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return the unit tangents, shape (N, 2)."""
        nearest = self._of_nearest(points)[1]
        result = np.zeros_like(points)
        for number, curve in enumerate(self._curves):
            result[nearest == number] = curve.directions(points[nearest == number])
        return result

    def _of_nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _nearest([curve.closest(points) for curve in self._curves], points)


class CADSurface(BoundarySurface):
    """One or more surfaces of a CAD file, each with what continues it beyond its edges.

    Parameters
    ----------
    path
        File that gmsh reads: .brep, .step or .iges. Every rank reads it.
    tags
        Number of the surface, or of each of the surfaces, in gmsh.

    Raises
    ------
    ValueError
        If the file cannot be read or has no such surface.
    """

    smooth = False

    def __init__(self, path: str | Path, tags: int | Sequence[int]):
        self._model = _Model(path)
        self._tags = _as_tags(self._model, 2, tags)

    def closest(self, points: np.ndarray) -> np.ndarray:
        """Return the closest points, shape (N, 3) [m]."""
        return self._of_nearest(points)[0]

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Return the unit normals, shape (N, 3)."""
        _, nearest, parameters = self._of_nearest(points)
        result = np.zeros_like(points)
        with self._model.open():
            for number, tag in enumerate(self._tags):
                mine = nearest == number
                if mine.any():
                    result[mine] = gmsh.model.getNormal(tag, parameters[number][mine].ravel()).reshape(-1, 3)
        return unit_vectors(result)

    def _of_nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        with self._model.open():
            parameters = [_closest_parameters(tag, points) for tag in self._tags]
            places = [_evaluate(2, tag, uv, 0) for tag, uv in zip(self._tags, parameters, strict=True)]
        return *_nearest(places, points), parameters


def cad_tags(path: str | Path, dimension: int) -> list[int]:
    """Return the numbers that gmsh gives the curves (dimension 1) or surfaces (2) of a CAD file.

    Raises
    ------
    ValueError
        If the file cannot be read or has none.
    """
    return _tags(_Model(path), dimension)


class _CADCurve(ParametricCurve):
    """One curve of a model."""

    def __init__(self, model: _Model, tag: int):
        self._model, self._tag = model, tag
        with model.open():
            low, high = (float(bound[0]) for bound in gmsh.model.getParametrizationBounds(1, tag))
            samples = np.linspace(low, high, _SAMPLES)
            places = _evaluate(1, tag, samples, 0)
        self._low, self._length = low, high - low
        size = float(vector_lengths(np.ptp(places, axis=0)))
        if np.abs(places[:, 2]).max() > 1e-9 * size:
            raise ValueError(f"CADCurve: got curve {tag} of {model.path} outside of z = 0, expected one in the plane")
        self._closed = bool(vector_lengths(places[-1] - places[0]) <= 1e-9 * size)
        super().__init__(samples[:-1] if self._closed else samples, self._length if self._closed else None)

    def _at(self, parameters: np.ndarray, order: int) -> np.ndarray:
        if self._closed:
            parameters = self._low + np.mod(parameters - self._low, self._length)
        with self._model.open():
            return _evaluate(1, self._tag, parameters, order)[:, :2]


class _Model:
    """A CAD file in gmsh, loaded when it is needed and not there.

    Whoever else uses gmsh may finish it or clear its models at any time; what they have open is left as it was.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).resolve()
        self._name = f"driftmesh {self.path} {id(self)}"
        if not self.path.is_file():
            raise ValueError(f"CAD: got no file {path}, expected a .brep, .step, .iges or .geo file")
        with self.open():
            pass
        # Whoever has used the file has gone at the end of the process, and gmsh perhaps, too.
        finalize(self, _forget, self._name).atexit = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make the model gmsh's current one for a while."""
        started = not gmsh.isInitialized()
        if started:
            # Reading a file again takes long for a large one: gmsh stays open for the next use.
            gmsh.initialize(readConfigFiles=False, interruptible=False)
            gmsh.option.setNumber("General.Terminal", 0)
        before = gmsh.model.getCurrent()
        if self._name in gmsh.model.list():
            gmsh.model.setCurrent(self._name)
        else:
            self._load(before)
        try:
            yield
        finally:
            gmsh.model.setCurrent(before)

    def _load(self, before: str) -> None:
        gmsh.model.add(self._name)
        try:
            gmsh.merge(str(self.path))
        except Exception as error:
            gmsh.model.remove()
            gmsh.model.setCurrent(before)
            raise ValueError(f"CAD: got {self.path}, expected a CAD file that gmsh reads: {error}") from None


def _forget(name: str) -> None:
    """Remove a model from gmsh."""
    if gmsh.isInitialized() and name in gmsh.model.list():
        before = gmsh.model.getCurrent()
        gmsh.model.setCurrent(name)
        gmsh.model.remove()
        if before != name:
            gmsh.model.setCurrent(before)


def _tags(model: _Model, dimension: int) -> list[int]:
    with model.open():
        known = [int(tag) for _, tag in gmsh.model.getEntities(dimension)]
    if not known:
        raise ValueError(
            f"CAD: got no {_KINDS[dimension]} in {model.path}, expected a CAD file that gmsh reads, such as .brep"
        )
    return known


def _as_tags(model: _Model, dimension: int, tags: int | Sequence[int]) -> list[int]:
    chosen, known = [int(tag) for tag in np.atleast_1d(np.asarray(tags))], _tags(model, dimension)
    missing = sorted(set(chosen) - set(known))
    if missing or not chosen:
        got = missing[0] if missing else "none"
        expected = ", ".join(map(str, known))
        raise ValueError(f"CAD: got {_KINDS[dimension]} {got}, expected one of those in {model.path}: {expected}")
    return chosen


def _evaluate(dimension: int, tag: int, parameters: np.ndarray, order: int) -> np.ndarray:
    """Return places, or derivatives of a curve, at parameters, shape (N, 3)."""
    call = (gmsh.model.getValue, gmsh.model.getDerivative, gmsh.model.getSecondDerivative)[order]
    return np.asarray(call(dimension, tag, parameters.ravel())).reshape(-1, 3)


def _closest_parameters(tag: int, points: np.ndarray) -> np.ndarray:
    """Return the parameters of the closest points of a surface, shape (N, 2)."""
    parameters = np.asarray(gmsh.model.getClosestPoint(2, tag, points.ravel())[1]).reshape(-1, 2)
    for _ in range(_GAUSS_NEWTON_STEPS):
        away = points - _evaluate(2, tag, parameters, 0)
        slopes = np.asarray(gmsh.model.getDerivative(2, tag, parameters.ravel())).reshape(-1, 2, 3)
        gram = np.einsum("nai,nbi->nab", slopes, slopes)
        # At a pole one parameter has no effect, and stays.
        change = np.einsum("nab,nb->na", np.linalg.pinv(gram), np.einsum("nai,ni->na", slopes, away))
        parameters = parameters + change
    return parameters


def _nearest(candidates: list[np.ndarray], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest of the candidates for each point, and which it was."""
    places = np.stack(candidates)
    which = np.argmin(vector_lengths(places - points), axis=0)
    return places[which, np.arange(len(points))], which
