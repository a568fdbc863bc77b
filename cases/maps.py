"""Fields over the mesh at chosen times: ParaView files, and arrays for the figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from firedrake import Function, SpatialCoordinate, VectorFunctionSpace, VTKFile, assemble, interpolate


class FieldMaps:
    """Write fields to ``fields.pvd`` and, gathered, to ``maps/NNNN.npz``: what the maps of all equations share.

    The gathered arrays hold every node of every cell once (P = cells * nodes per cell), so that a discontinuous
    field is drawn as it is. ``maps/mesh.npz``: points (P, 2) [m], cells (K, 3). Where the mesh of a map may be another
    one than that of the beginning, as it moves or has been numbered anew on going on from a checkpoint, the map has
    points of its own. What else there is, a subclass says.

    Parameters
    ----------
    out
        Run folder.
    field
        A field of the run, discontinuous P0 or P1.
    after
        Time [s] of the state that the run goes on from: maps up to it are kept, later ones are dropped, as
        they will be written again. None for a new run, which keeps none.
    moves
        Whether the mesh moves.
    """

    def __init__(self, out: Path, field: Function, *, after: float | None, moves: bool):
        mesh = field.function_space().mesh()
        self.comm = mesh.comm
        self.folder = out / "maps"
        self._per_cell = field.function_space().finat_element.space_dimension()
        if self.comm.rank == 0:
            self.folder.mkdir(exist_ok=True)
            self._drop_maps(out / "fields.pvd", after=-np.inf if after is None else after)
        self.comm.Barrier()
        self._vtk = VTKFile(str(out / "fields.pvd"), mode="w" if after is None else "a", comm=self.comm)
        self._mesh_apart = moves or after is not None
        self._keeps = after is not None
        self._corners = VectorFunctionSpace(mesh, "DG", 1, variant="equispaced")

    def _write_mesh(self, **others: Any) -> None:
        """Write the mesh of the beginning, unless it is there from before."""
        first = self._mesh_arrays()
        if self.comm.rank == 0 and not (self._keeps and (self.folder / "mesh.npz").is_file()):
            cells = np.arange(len(first["points"]), dtype=np.int32).reshape(-1, 3)
            np.savez_compressed(self.folder / "mesh.npz", cells=cells, **others, **first)

    def _drop_maps(self, collection: Path, after: float) -> None:
        """Forget the maps of an earlier run later than a time [s], on rank 0."""
        self._count = 0
        for file in sorted(self.folder.glob("[0-9]*.npz")):
            with np.load(file) as archive:
                keep = float(archive["time"]) <= after
            if keep:
                self._count += 1
            else:
                file.unlink()
        if collection.is_file():
            entry = re.compile(r'<DataSet timestep="([^"]+)"')
            lines = ((line, entry.match(line)) for line in collection.read_text().splitlines(keepends=True))
            collection.write_text("".join(line for line, at in lines if not at or float(at[1]) <= after))

    def _mesh_arrays(self) -> dict[str, Any]:
        """Gather the corners of the cells as they are now; collective."""
        points = assemble(interpolate(SpatialCoordinate(self._corners.mesh()), self._corners)).dat.data_ro
        return {"points": self._gather(points)}

    def _gather(self, share: np.ndarray) -> np.ndarray:
        """Return the shares of all ranks, one after another, on rank 0, and nothing on the others."""
        parts = self.comm.gather(np.ascontiguousarray(share))
        return np.concatenate(parts) if parts else share[:0]

    def _corner_values(self, nodal: np.ndarray) -> np.ndarray:
        """Gather nodal values; a P0 value stands in each of its cell's corners."""
        return self._gather(nodal if self._per_cell == 3 else np.repeat(nodal, 3))

    def _write_arrays(self, t: float, **fields: np.ndarray) -> None:
        """Write the next map, of values in corners that are gathered already; collective."""
        mesh = self._mesh_arrays() if self._mesh_apart else {}
        if self.comm.rank == 0:
            np.savez_compressed(self.folder / f"{self._count:04d}.npz", time=t, **fields, **mesh)  # type: ignore[arg-type]
            self._count += 1


class MapWriter(FieldMaps):
    """Write depth, elevation, velocity and bed to ``fields.pvd`` and, gathered, to ``maps/*.npz``.

    See :class:`FieldMaps`. ``maps/mesh.npz`` has also bathymetry (P,) [m] and still_level [m]; ``maps/NNNN.npz``: time
    [s], elevation and depth (P,) [m]; ``maps/maximum.npz``: elevation, depth. A map with points of its own has
    bathymetry of its own, too.

    Parameters
    ----------
    out
        Run folder.
    bed, state
        Bathymetry and (h, hu, hv).
    dry_depth
        Depth below which a node counts as dry [m].
    after, moves
        See :class:`FieldMaps`.
    still_level
        Elevation of still water [m].
    """

    def __init__(
        self,
        out: Path,
        bed: Function,
        state: Function,
        dry_depth: float,
        *,
        after: float | None,
        moves: bool = False,
        still_level: float = 0.0,
    ):
        super().__init__(out, bed, after=after, moves=moves)
        self.bed, self.state, self.dry_depth = bed, state, dry_depth
        scalar = bed.function_space()
        self._elevation = Function(scalar, name="elevation")
        self._depth = Function(scalar, name="depth")
        vector = VectorFunctionSpace(scalar.mesh(), "DG", scalar.ufl_element().degree(), variant="equispaced")
        self._velocity = Function(vector, name="velocity")
        self._write_mesh(still_level=still_level)

    def _mesh_arrays(self) -> dict[str, Any]:
        """Gather the corners of the cells as they are now, and the bed there; collective."""
        return {**super()._mesh_arrays(), "bathymetry": self._corner_values(self.bed.dat.data_ro)}

    def write(self, t: float) -> None:
        """Write the state at time t [s]; collective."""
        data, bed = self.state.dat.data_ro, self.bed.dat.data_ro
        depth = data[:, 0]
        wet = depth > self.dry_depth
        self._depth.dat.data_wo[:] = depth
        self._elevation.dat.data_wo[:] = depth + bed
        self._velocity.dat.data_wo[:] = (
            np.where(wet, 1.0 / np.maximum(depth, self.dry_depth), 0.0)[:, None] * data[:, 1:]
        )
        self._vtk.write(self._elevation, self._depth, self._velocity, self.bed, time=t)
        elevation, depths = self._corner_values(depth + bed), self._corner_values(depth)
        self._write_arrays(t, elevation=elevation, depth=depths)

    def write_maximum(self, maximum: Function) -> None:
        """Write the maximum elevation so far and the depth it stands over the bed; collective."""
        elevation = self._corner_values(maximum.dat.data_ro)
        depth = self._corner_values(maximum.dat.data_ro - self.bed.dat.data_ro)
        mesh: dict[str, Any] = self._mesh_arrays() if self._mesh_apart else {}
        if self.comm.rank == 0:
            np.savez_compressed(self.folder / "maximum.npz", elevation=elevation, depth=depth, **mesh)


class ScalarMapWriter(FieldMaps):
    """Write a scalar u to ``fields.pvd`` and, gathered, to ``maps/NNNN.npz``: time [s], u (P,).

    Parameters
    ----------
    out
        Run folder.
    state
        u.
    after, moves
        See :class:`FieldMaps`.
    label
        Name of the field, for figures.
    """

    def __init__(self, out: Path, state: Function, *, after: float | None, moves: bool, label: str = "u"):
        super().__init__(out, state, after=after, moves=moves)
        self.state = state
        self._write_mesh(label=label)

    def write(self, t: float, others: Sequence[Function] = ()) -> None:
        """Write the state at time t [s], and others, always of the same names, for ParaView only; collective."""
        self._vtk.write(self.state, *others, time=t)
        self._write_arrays(t, u=self._corner_values(self.state.dat.data_ro))
