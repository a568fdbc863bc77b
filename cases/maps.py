"""Fields over the mesh at chosen times: ParaView files, and arrays for the figures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from firedrake import Function, SpatialCoordinate, VectorFunctionSpace, VTKFile, assemble, interpolate


class MapWriter:
    """Write depth, elevation, velocity and bed to ``fields.pvd`` and, gathered, to ``maps/*.npz``.

    The gathered arrays hold every node of every cell once (P = cells * nodes per cell), so that a discontinuous
    field is drawn as it is. ``maps/mesh.npz``: points (P, 2) [m], cells (K, 3), bathymetry (P,) [m];
    ``maps/NNNN.npz``: time [s], elevation and depth (P,) [m]; ``maps/maximum.npz``: elevation, depth.

    Parameters
    ----------
    out
        Run folder.
    bed, state
        Bathymetry and (h, hu, hv).
    dry_depth
        Depth below which a node counts as dry [m].
    after
        Time [s] of the state that the run goes on from: maps up to it are kept, later ones are dropped, as
        they will be written again. None for a new run, which keeps none.
    """

    def __init__(self, out: Path, bed: Function, state: Function, dry_depth: float, *, after: float | None):
        mesh = bed.function_space().mesh()
        self.comm = mesh.comm
        self.folder = out / "maps"
        self.bed, self.state, self.dry_depth = bed, state, dry_depth
        scalar = bed.function_space()
        self._elevation = Function(scalar, name="elevation")
        self._depth = Function(scalar, name="depth")
        vector = VectorFunctionSpace(mesh, "DG", scalar.ufl_element().degree(), variant="equispaced")
        self._velocity = Function(vector, name="velocity")
        if self.comm.rank == 0:
            self.folder.mkdir(exist_ok=True)
            self._drop_maps(out / "fields.pvd", after=-1.0 if after is None else after)
        self.comm.Barrier()
        self._vtk = VTKFile(str(out / "fields.pvd"), mode="w" if after is None else "a", comm=self.comm)
        corners = VectorFunctionSpace(mesh, "DG", 1, variant="equispaced")
        points = self._gather(assemble(interpolate(SpatialCoordinate(mesh), corners)).dat.data_ro)
        beds = self._corner_values(bed.dat.data_ro)
        if self.comm.rank == 0:
            cells = np.arange(len(points), dtype=np.int32).reshape(-1, 3)
            np.savez_compressed(self.folder / "mesh.npz", points=points, cells=cells, bathymetry=beds)

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

    def _gather(self, share: np.ndarray) -> np.ndarray:
        """Return the shares of all ranks, one after another, on rank 0, and nothing on the others."""
        parts = self.comm.gather(np.ascontiguousarray(share))
        return np.concatenate(parts) if parts else share[:0]

    def _corner_values(self, nodal: np.ndarray) -> np.ndarray:
        """Gather nodal values; a P0 value stands in each of its cell's corners."""
        per_cell = self.bed.function_space().finat_element.space_dimension()
        return self._gather(nodal if per_cell == 3 else np.repeat(nodal, 3))

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
        if self.comm.rank == 0:
            name = self.folder / f"{self._count:04d}.npz"
            np.savez_compressed(name, time=t, elevation=elevation, depth=depths)
            self._count += 1

    def write_maximum(self, maximum: Function) -> None:
        """Write the maximum elevation so far and the depth it stands over the bed; collective."""
        elevation = self._corner_values(maximum.dat.data_ro)
        depth = self._corner_values(maximum.dat.data_ro - self.bed.dat.data_ro)
        if self.comm.rank == 0:
            np.savez_compressed(self.folder / "maximum.npz", elevation=elevation, depth=depth)
