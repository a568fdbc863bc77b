"""`driftmesh move`: from a mesh file with a field to the moved mesh, its numbers and a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from firedrake import COMM_WORLD, Constant, Function, FunctionSpace, Mesh, assemble, ds, dx
from rich.console import Console

from cases.errors import abort_all_ranks_on_crash, as_input_error, on_rank_zero
from cases.mesh_drawing import MeshPicture
from cases.mesh_figures import before_after_figure, save_figure
from cases.move_request import MoveRequest, check_request, scalar_field, vector_field
from cases.run_folder import commit, versions, write_json
from coupling.registry import get_mover
from meshing.background import BackgroundField
from meshing.boundary import boundary_of
from meshing.cad_boundary import attach_cad
from meshing.computational import set_computational_mesh
from meshing.laplacian import Laplacian
from meshing.mesh_file import MeshFile, read_mesh, write_mesh
from meshing.monitor import FieldMonitor, make_monitor
from meshing.mover import Mover, MoveResult, MoveStatus
from meshing.quality import MeshQuality, mesh_quality
from meshing.shaping import Shaping

DEFAULT_MONITOR = "hessian"
# Point field that keeps where the vertices were before the first move: what is moved again is not adapted twice.
COMPUTATIONAL = "computational_mesh"
# Change of the volume of the domain that is worth a remark.
_VOLUME_CHANGE = 1e-3
REMARKS = {
    MoveStatus.DONE: "",
    MoveStatus.LIMITED: "; as far towards what the mover wanted as no cell is inverted",
    MoveStatus.NOT_CONVERGED: "; the mover gave up: this is what it had reached, a valid mesh",
    MoveStatus.FAILED: "; the mover diverged: this is the mesh as it was",
}


@dataclass(frozen=True)
class _State:
    """The mesh before or after, and what is known of it."""

    mesh: Any
    field: Function
    monitor: Function
    quality: MeshQuality


def execute(request: MoveRequest, *, quiet: bool = False) -> MoveStatus:
    """Move a mesh as requested, on all ranks; write mesh, numbers and picture.

    All point fields of the mesh are taken along: interpolated, linearly on the mesh as it was, at the vertices' new
    places; where a boundary has left the domain, from its nearest point. The moved mesh has the vertices and cells of
    the first one, in its order, and its markers. If the mover fails, what is written is the mesh as it was.

    Returns
    -------
    MoveStatus
        How the move ended.

    Raises
    ------
    InputError
        For bad input, before anything is computed or written; after it, if the format cannot hold this mesh.
    """
    comm = COMM_WORLD
    abort_all_ranks_on_crash(comm)
    on_rank_zero(comm, lambda: check_request(request))
    console = Console(quiet=quiet or comm.rank != 0, highlight=False, soft_wrap=True)
    with as_input_error():
        file = read_mesh(request.mesh, comm)
        if request.cad is not None:
            attach_cad(file.mesh, request.cad)
        computational = _computational_mesh(file)
        mover, monitor, field = _mover(request, file), _monitor(request, file), _drawn_field(request, file)
        before = _state(file.mesh, computational, monitor, field)
        result = mover.move(file.mesh, monitor)
    after = _state(Mesh(result.coordinates), computational, monitor, _carried(field, result))
    summary = _summary(request, result, before, after)
    fields = {name: _carried(function, result) for name, function in file.point_fields.items()}
    fields[COMPUTATIONAL] = computational.coordinates
    with as_input_error():
        write_mesh(request.out, file, result.coordinates, fields)
    pictures = _picture(before), _picture(after)

    def write() -> None:
        shown, shown_after = pictures
        assert shown is not None and shown_after is not None  # as this is rank 0
        write_json(request.numbers_file, summary)
        title = f"{request.mesh.name}, {field.name()}: {request.mover}, {result.status.value}"
        figure = before_after_figure(shown, shown_after, field_name=field.name(), title=title)
        save_figure(request.picture_file, figure)

    on_rank_zero(comm, write)
    _say(request, summary, console)
    return result.status


def _computational_mesh(file: MeshFile):
    """Return the computational mesh: what an earlier move has left in the file, else the mesh as it is."""
    coordinates = file.mesh.coordinates.copy(deepcopy=True)
    if COMPUTATIONAL in file.point_fields:
        kept = vector_field(file, "mesh", COMPUTATIONAL)
        del file.point_fields[COMPUTATIONAL]
        coordinates.assign(kept)
    mesh = Mesh(coordinates)
    set_computational_mesh(mesh)
    boundary_of(mesh)  # the shape that vertices slide along is that of the mesh before the first move, too
    return mesh


def _mover(request: MoveRequest, file: MeshFile) -> Mover:
    if request.boundary_motion is None:
        return get_mover(request.mover)
    motion = vector_field(file, "--boundary-motion", request.boundary_motion)
    return Laplacian(lambda _: motion)


def _monitor(request: MoveRequest, file: MeshFile) -> Callable[..., Function]:
    shaping = Shaping(smoothing=request.smoothing, max_size_ratio=request.max_size_ratio)
    if request.monitor_field is not None:
        return FieldMonitor(scalar_field(file, "--monitor-field", request.monitor_field), shaping=shaping)
    if request.field is not None:
        field = scalar_field(file, "--field", request.field, magnitude=True)
        return make_monitor(request.monitor or DEFAULT_MONITOR, field, shaping)
    return lambda mesh: Function(FunctionSpace(mesh, "CG", 1), name="monitor").assign(1.0)


def _drawn_field(request: MoveRequest, file: MeshFile) -> Function:
    """Return the field that colours the picture: of those asked for, the first."""
    for option, name in (("--field", request.field), ("--monitor-field", request.monitor_field)):
        if name is not None:
            return scalar_field(file, option, name, magnitude=True)
    assert request.boundary_motion is not None  # as the request has been checked
    return scalar_field(file, "--boundary-motion", request.boundary_motion, magnitude=True)


def _state(mesh, reference, monitor: Callable[..., Function], field: Function) -> _State:
    values = monitor(mesh)
    metric = monitor.metric(mesh) if hasattr(monitor, "metric") else None
    return _State(mesh, field, values, mesh_quality(mesh, reference, values, metric=metric))


def _carried(function: Function, result: MoveResult) -> Function:
    """Return a point field at the moved vertices; where they have not moved, the values are the same bit for bit."""
    carried = Function(function.function_space(), name=function.name())
    before, after = function.function_space().mesh().coordinates.dat.data_ro, result.coordinates.dat.data_ro
    moved, values = (before != after).any(axis=1), function.dat.data_ro.copy()
    values[moved] = BackgroundField(function).evaluate(after)[moved]
    carried.dat.data_wo[:] = values
    return carried


def _picture(state: _State) -> MeshPicture | None:
    """Gather a mesh and its values on rank 0; None on the others."""
    comm = state.mesh.comm
    space = FunctionSpace(state.mesh, "CG", 1)
    cells = space.cell_node_map().values
    shares = (
        state.mesh.coordinates.dat.data_ro,
        space.dof_dset.lgmap.apply(cells).reshape(cells.shape),
        state.field.dat.data_ro,
        state.monitor.dat.data_ro,
    )
    parts = [comm.gather(share) for share in shares]
    if comm.rank:
        return None
    points, cells, field, monitor = (np.concatenate(part) for part in parts)
    return MeshPicture(points, cells, field, monitor)


def _summary(request: MoveRequest, result: MoveResult, before: _State, after: _State) -> dict[str, Any]:
    comm = before.mesh.comm
    monitor = None
    if request.field is not None:
        monitor = request.monitor or DEFAULT_MONITOR
    return {
        "mover": request.mover,
        "status": result.status.value,
        "seconds": result.seconds,
        "nodes": int(before.field.function_space().dim()),
        "cells": before.quality.cells,
        "equidistribution": {"before": before.quality.spread, "after": after.quality.spread},
        "min_jacobian_ratio": result.min_jacobian_ratio,
        "tangled": after.quality.tangled,
        "iterations": result.iterations,
        "mesh": str(request.mesh),
        "out": str(request.out),
        "field": request.field,
        "monitor": monitor,
        "monitor_field": request.monitor_field,
        "cad": None if request.cad is None else str(request.cad),
        "domain": {"before": _measures(before.mesh), "after": _measures(after.mesh)},
        "quality": {"before": asdict(before.quality), "after": asdict(after.quality)},
        "ranks": comm.size,
        "versions": versions(),
        "commit": comm.bcast(commit() if comm.rank == 0 else None),
    }


def _measures(mesh) -> dict[str, float]:
    """Return volume of the domain and length or area of its boundary, those of the cells."""
    one = Constant(1.0)
    return {"volume": float(assemble(one * dx(domain=mesh))), "boundary": float(assemble(one * ds(domain=mesh)))}


def _say(request: MoveRequest, summary: dict[str, Any], console: Console) -> None:
    before, after = summary["quality"]["before"], summary["quality"]["after"]
    console.print(
        f"{summary['mover']}: {summary['status']} in {summary['seconds']:.2f} s, {summary['nodes']} nodes, "
        f"{summary['cells']} cells{REMARKS[MoveStatus(summary['status'])]}"
    )
    console.print(
        f"  equidistribution (std/mean of m|K|): {before['spread']:.3g} -> {after['spread']:.3g}, relative to the "
        f"computational cells: {before['relative_spread']:.3g} -> {after['relative_spread']:.3g}"
    )
    if after["relative_spread"] > before["relative_spread"]:
        console.print(
            "  worse than before: smooth the monitor function more (--smoothing), or cap it (--max-size-ratio)"
        )
    volumes = [summary["domain"][when]["volume"] for when in ("before", "after")]
    if abs(volumes[1] / volumes[0] - 1.0) > _VOLUME_CHANGE:
        console.print(
            f"  the domain's volume has changed by {100 * (volumes[1] / volumes[0] - 1):+.2g} %: chords of long edges "
            "along curved boundaries; refine those, or cap the monitor function"
        )
    console.print(
        f"  least scaled Jacobian: {before['min_scaled_jacobian']:.3g} -> {after['min_scaled_jacobian']:.3g}, "
        f"tangled cells: {summary['tangled']}"
    )
    console.print(f"written: {request.out}, {request.numbers_file}, {request.picture_file}")
