"""What `driftmesh move` is asked for, checked: files, names, and the fields of a mesh that they stand for."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from firedrake import Function, FunctionSpace
from mpi4py import MPI

from cases.errors import InputError
from coupling.registry import MOVERS
from meshing.mesh_contents import check_format
from meshing.mesh_file import MeshFile
from meshing.monitor import MONITORS


@dataclass(frozen=True)
class MoveRequest:
    """What `driftmesh move` was asked for.

    Attributes
    ----------
    mesh, out
        Mesh files to read and to write, in any format of meshio.
    field
        Point field of which the monitor function is made, and which is drawn; of a vector field, its length.
    monitor
        Name of the monitor function, see ``meshing.monitor.MONITORS``; None for the default one.
    monitor_field
        Positive point field that is the monitor function itself, instead.
    mover
        Name of the mover, see ``coupling.registry.MOVERS``.
    smoothing, max_size_ratio
        Length of the filter of the monitor function [cells], and the greatest ratio of cell sizes that it may ask for;
        None for the defaults.
    boundary_motion
        Point vector field: where the mover ``laplacian`` takes the boundary.
    cad
        CAD file from which the mesh was made, along whose curves or surfaces its boundary slides.
    """

    mesh: Path
    out: Path
    field: str | None = None
    monitor: str | None = None
    monitor_field: str | None = None
    mover: str = "mmpde"
    smoothing: float | None = None
    max_size_ratio: float | None = None
    boundary_motion: str | None = None
    cad: Path | None = None

    @property
    def numbers_file(self) -> Path:
        """Where the numbers go."""
        return self.out.with_suffix(".json")

    @property
    def picture_file(self) -> Path:
        """Where the picture goes."""
        return self.out.with_suffix(".png")


def check_request(request: MoveRequest) -> None:
    """Check what can be checked without reading the mesh; on one rank. Nothing is written.

    Raises
    ------
    ValueError
        For unknown names, options that do not go together, a file that is not there, a format or a folder that cannot
        be written.
    """
    _check_name("mover", request.mover, MOVERS, "`driftmesh movers` lists them")
    if request.monitor is not None:
        _check_name("monitor", request.monitor, MONITORS, "`driftmesh move --help` explains them")
    if request.field is None and request.monitor_field is None and request.boundary_motion is None:
        raise InputError("--field: got none, expected the name of a point field; add --field NAME")
    if request.monitor is not None and request.monitor_field is not None:
        raise InputError("--monitor-field: got --monitor too, expected one of them; leave out the other")
    if request.monitor is not None and request.field is None:
        raise InputError("--monitor: got no --field, expected the field to make it of; add --field NAME")
    if request.mover == "laplacian" and request.boundary_motion is None:
        raise InputError(
            "--mover laplacian: got no --boundary-motion, expected a point vector field; add --boundary-motion NAME"
        )
    if request.mover != "laplacian" and request.boundary_motion is not None:
        raise InputError(
            f"--boundary-motion: got mover {request.mover!r}, expected 'laplacian', the one that takes the boundary "
            "along; add --mover laplacian"
        )
    for option, number, lowest in (
        ("--smoothing", request.smoothing, 0),
        ("--max-size-ratio", request.max_size_ratio, 1),
    ):
        if number is not None and not lowest <= number < np.inf:
            raise InputError(f"{option}: got {number}, expected a finite number from {lowest} on")
    if not request.mesh.is_file():
        raise InputError(f"mesh: got no file {request.mesh}, expected a mesh in a format of meshio; check the path")
    if request.cad is not None and not request.cad.is_file():
        raise InputError(
            f"--cad: got no file {request.cad}, expected a .brep, .step, .iges or .geo file; check the path"
        )
    _check_out(request)


def _check_out(request: MoveRequest) -> None:
    check_format(request.out, write=True)
    folder = request.out.parent
    if not folder.is_dir():
        raise InputError(f"--out: got {request.out}, expected a file in a folder that exists; make the folder first")
    for file in (request.out, request.numbers_file, request.picture_file):
        if file.is_dir():
            raise InputError(f"--out: got {request.out}, expected a name whose {file} is no folder; use another name")
        if file.exists() and request.mesh.samefile(file):
            raise InputError(f"--out: got {request.out}, expected another name than that of the mesh; it would be lost")
        if not os.access(file if file.exists() else folder, os.W_OK):
            raise InputError(
                f"--out: got {request.out}, expected a place that can be written; no permission for {file}"
            )


def _check_name(what: str, name: str, known: Iterable[str], where: str) -> None:
    names = list(known)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else where
        raise InputError(f"{what}: got {name!r}, expected one of {', '.join(names)}; {hint}")


def scalar_field(file: MeshFile, option: str, name: str, *, magnitude: bool = False) -> Function:
    """Return a point field of a mesh file, or the length of a vector field; collective.

    Parameters
    ----------
    file
        The mesh file.
    option
        Option that names the field.
    name
        Name of the field.
    magnitude
        Whether a vector field is taken too, by its length.

    Raises
    ------
    InputError
        If there is no such field, or it has values that are not finite, or it is no scalar.
    """
    function = _point_field(file, option, name)
    shape = function.function_space().value_shape
    if shape == ():
        return function
    if not magnitude or len(shape) != 1:
        wanted = "a scalar or a vector" if magnitude else "a scalar"
        raise InputError(f"{option}: got {name!r} with {_components(shape)} components, expected {wanted}")
    length = Function(FunctionSpace(file.mesh, "CG", 1), name=f"|{name}|")
    length.dat.data_wo_with_halos[:] = np.linalg.norm(function.dat.data_ro_with_halos, axis=1)
    return length


def vector_field(file: MeshFile, option: str, name: str) -> Function:
    """Return a point vector field of a mesh file in the space of the mesh's coordinates; collective.

    Plane meshes may have vectors of three components, the last of which must be zero: some formats know no others.

    Raises
    ------
    InputError
        If there is no such field, or it has values that are not finite, or it is no vector of the space.
    """
    function = _point_field(file, option, name)
    shape, dimension = function.function_space().value_shape, file.mesh.geometric_dimension
    if len(shape) != 1 or shape[0] < dimension:
        raise InputError(
            f"{option}: got {name!r} with {_components(shape)} components, expected a vector of {dimension}"
        )
    values = function.dat.data_ro_with_halos
    beyond = float(np.abs(values[:, dimension:]).max(initial=0.0))
    if file.mesh.comm.allreduce(beyond, MPI.MAX) > 0:
        raise InputError(f"{option}: got {name!r}, which leads out of the plane, expected a vector of {dimension}")
    vectors = Function(file.mesh.coordinates.function_space(), name=name)
    vectors.dat.data_wo_with_halos[:] = values[:, :dimension]
    return vectors


def _point_field(file: MeshFile, option: str, name: str) -> Function:
    known = list(file.point_fields)
    if not known:
        raise InputError(
            f"{option}: got {name!r}, expected a point field of the mesh, which has none; add it to the file"
        )
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(f"{option}: got {name!r}, expected one of the mesh's point fields, {', '.join(known)}{hint}")
    function = file.point_fields[name]
    bad = int(np.count_nonzero(~np.isfinite(function.dat.data_ro)))
    bad = file.mesh.comm.allreduce(bad)
    if bad:
        raise InputError(f"{option}: got {bad} values of {name!r} that are not finite, expected none; mend the field")
    return function


def _components(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) if shape else "1"
