"""Gauges: point observations of a discontinuous field, in parallel and on meshes that move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from firedrake import Function
from mpi4py import MPI

# A point belongs to every cell in which no barycentric coordinate is below minus this.
INSIDE_TOLERANCE = 1e-9
# Such a point is at most this share of the cell's box beyond it.
_BOX_SLACK = 1e-8


class GaugeStencil:
    r"""Evaluate P0 or P1 discontinuous functions at fixed points as weighted sums of nodal values.

    A point inside one cell takes that cell's interpolant. A point on a facet or at a vertex, where the field has
    several values, takes their mean, so that the result depends neither on the numbering nor on the partition.

    Parameters
    ----------
    mesh
        Triangle mesh.
    points
        Gauge positions [m], shape (n, 2).

    Raises
    ------
    ValueError
        If a point lies outside the mesh.
    """

    def __init__(self, mesh, points: np.ndarray):
        self.mesh = mesh
        self.points = np.atleast_2d(np.asarray(points, dtype=float))
        self.comm = mesh.comm
        self.locate()

    def locate(self) -> None:
        """Find the cells again; to be called after the nodes of the mesh have moved."""
        x = self.mesh.coordinates.dat.data_ro_with_halos
        cells = self.mesh.coordinates.cell_node_map().values
        # Only the cells whose box, a little widened, has the point are looked at closely.
        corners = x.T[:, cells.T]
        low, high = corners.min(axis=1), corners.max(axis=1)
        slack = _BOX_SLACK * (high - low)
        low, high = low - slack, high + slack
        gauge: list[int] = []
        cell: list[int] = []
        weights: list[np.ndarray] = []
        for g, point in enumerate(self.points):
            near = np.flatnonzero(((low <= point[:, None]) & (point[:, None] <= high)).all(axis=0))
            corner = x[cells[near, 0]]
            edges = np.stack([x[cells[near, 1]] - corner, x[cells[near, 2]] - corner], axis=-1)
            local = np.linalg.solve(edges, (point - corner)[:, :, None])[:, :, 0]
            barycentric = np.column_stack([1.0 - local.sum(axis=1), local])
            good = (barycentric >= -INSIDE_TOLERANCE).all(axis=1)
            inside, barycentric = near[good], barycentric[good]
            gauge.extend([g] * len(inside))
            cell.extend(inside)
            weights.extend(barycentric)
        self._gauge = np.array(gauge, dtype=int)
        self._cell = np.array(cell, dtype=int)
        count = np.bincount(self._gauge, minlength=len(self.points)).astype(float)
        self.comm.Allreduce(MPI.IN_PLACE, count, op=MPI.SUM)
        if (count == 0).any():
            lost = self.points[count == 0].tolist()
            raise ValueError(f"gauges: got {lost}, expected points inside the mesh; check coordinates and unit")
        self._weights = np.reshape(weights, (-1, 3)) / count[self._gauge][:, None]

    def evaluate(self, function: Function) -> np.ndarray:
        """Return this rank's share of the values, shape (gauges, components); the sum over ranks is the value.

        The function is a discontinuous P0 or P1 one, whose nodes belong to the rank of their cell.
        """
        nodes = function.cell_node_map().values[self._cell]
        weights = self._weights if nodes.shape[1] == 3 else self._weights.sum(axis=1, keepdims=True)
        data = function.dat.data_ro
        values = data[nodes].reshape(*nodes.shape, function.function_space().value_size)
        share = np.zeros((len(self.points), values.shape[2]))
        np.add.at(share, self._gauge, np.einsum("cn,cnk->ck", weights, values))
        return share


@dataclass
class GaugeRecorder:
    """Record (elevation, hu, hv) at gauges at regular times, between the time steps that enclose them.

    Values between two steps are linear in time. Each rank keeps its share; :meth:`gather` adds them up once, so
    that recording costs no communication.

    Parameters
    ----------
    stencil
        Where the gauges are.
    state, bed
        The functions (h, hu, hv) [m, m^2/s] and b [m] to observe.
    interval
        Time between samples [s].
    """

    stencil: GaugeStencil
    state: Function
    bed: Function
    interval: float

    def __post_init__(self):
        self.times: list[float] = []
        self.shares: list[np.ndarray] = []
        self._previous: tuple[float, np.ndarray] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Look the bed up again; to be called after the mesh has moved and the stencil has been located anew."""
        self._bed = self.stencil.evaluate(self.bed)[:, 0]

    def _share(self) -> np.ndarray:
        share = self.stencil.evaluate(self.state)
        share[:, 0] += self._bed
        return share

    def record(self, t: float) -> None:
        """Take the state at time t [s] into the record; t must not decrease."""
        share = self._share()
        if self._previous is None:
            self.times.append(t)
            self.shares.append(share)
        else:
            before, old = self._previous
            due = self.times[0] + len(self.times) * self.interval
            while due <= t * (1 + 1e-14):
                fraction = (due - before) / (t - before) if t > before else 1.0
                self.times.append(due)
                self.shares.append((1 - fraction) * old + fraction * share)
                due = self.times[0] + len(self.times) * self.interval
        self._previous = (t, share)

    def gather(self) -> tuple[np.ndarray, np.ndarray]:
        """Return times (n,) [s] and values (n, gauges, 3) [m, m^2/s] on every rank; collective."""
        values = np.array(self.shares).reshape(len(self.times), len(self.stencil.points), 3)
        self.stencil.comm.Allreduce(MPI.IN_PLACE, values, op=MPI.SUM)
        return np.array(self.times), values

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint needs to go on, already summed over ranks; collective."""
        times, values = self.gather()
        previous = np.array(self._previous[1] if self._previous else np.zeros((len(self.stencil.points), 3)))
        self.stencil.comm.Allreduce(MPI.IN_PLACE, previous, op=MPI.SUM)
        return {"times": times, "values": values, "previous": previous}

    def restore(self, t: float, saved: dict[str, np.ndarray]) -> None:
        """Go on from :meth:`snapshot`, taken at time t [s]; rank 0 takes over all shares."""
        first = self.stencil.comm.rank == 0
        self.times = [float(s) for s in saved["times"]]
        self.shares = [v.copy() if first else np.zeros_like(v) for v in saved["values"]]
        self._previous = (t, saved["previous"].copy() if first else np.zeros_like(saved["previous"]))
