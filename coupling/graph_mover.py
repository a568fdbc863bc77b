"""Learned movers behind the classical interface: the whole mesh goes to the first rank as a graph, and back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
from firedrake import Function, Mesh
from firedrake.exceptions import ConvergenceError
from torch import Tensor

from coupling.exact_boundary import ExactBoundary, gather_boundary
from coupling.gather import GatheredGraph, gather_graph
from coupling.graph import apply_positions
from learned.background import BackgroundMonitor
from learned.coarse import CoarseMesh, coarse_mesh
from learned.energy import SHAPE
from learned.graph import MeshGraph
from learned.prepared import TARGETS, PreparedMesh, prepare_mesh
from meshing.boundary import Boundary, boundary_of
from meshing.collective import on_first_rank
from meshing.computational import computational_points
from meshing.mover import Displacement, Mover
from meshing.patches import MeshPatches
from meshing.trial_mesh import TrialMesh

# An energy below this is that of a good mesh; what it differs by does not matter.
_FLOOR = 2e-3
# Meshes of more vertices are moved behind a coarse one.
_LARGE = 4000


@dataclass(frozen=True)
class GraphMove:
    """Where a learned mover has brought the vertices.

    Attributes
    ----------
    points
        Vertices in units of the domain, shape (d, N).
    converged
        Whether it reached what it aims at.
    iterations
        Steps it took.
    """

    points: Tensor
    converged: bool = True
    iterations: int = 1


@dataclass(frozen=True)
class WholeMesh:
    """What is known of all meshes of a topology, on the first rank.

    Attributes
    ----------
    places
        Vertices of the computational mesh, in the order of the graph, shape (N, d) [m].
    mesh
        Prepared; its units are those of the domain's size.
    coarse
        A coarse mesh of the domain if there are many vertices.
    """

    places: np.ndarray
    mesh: PreparedMesh
    coarse: CoarseMesh | None


class GraphMover(Mover):
    r"""Move the vertices to where a learned mover wants them; a subclass says which.

    The learned mover sees the mesh as a graph, whole, in an order that neither numbering nor partition has a part in:
    under MPI on the first rank, so that meshes are moved as on one. The monitor function is asked at the mesh as it is,
    and linear between its vertices from then on; then again at the moved mesh. If the energy of ``learned.energy`` is
    there what the linear one let expect, the mesh is as wanted; else it goes on from there. Of all meshes looked at,
    the one of least energy is taken, so that it never rises, if ``keep_best``; else the last, as it is. It computes in
    single precision; displacements are added to places in double precision. Metric tensors are not used.

    Parameters
    ----------
    target
        What to equidistribute: ``"relative"``, m over the volumes of the computational cells as the other movers do, or
        ``"integral"``, m over the volumes as they are.
    warm_start
        Begin with the mesh as it is if its energy is less than that of the computational mesh.
    rounds
        How often to move for a monitor function asked anew, at most.
    tolerance
        Share of the energy that does not matter.
    keep_best
        Whether the mesh of least energy is taken, or the last one whatever its energy.
    shape
        Weight of the cells' shape in the energy, between 0 and 1/2: less for meshes that equidistribute better, of
        cells that are worse.

    Raises
    ------
    ValueError
        For another target, less than one round, a tolerance that is negative, or a shape out of its bounds.
    """

    def __init__(
        self,
        *,
        target: str = "relative",
        warm_start: bool = True,
        rounds: int = 5,
        tolerance: float = 0.05,
        keep_best: bool = True,
        shape: float = SHAPE,
    ):
        if target not in TARGETS:
            raise ValueError(f"target: got {target!r}, expected one of {', '.join(TARGETS)}")
        if rounds < 1:
            raise ValueError(f"rounds: got {rounds}, expected 1 or more")
        if not tolerance >= 0.0:
            raise ValueError(f"tolerance: got {tolerance}, expected 0 or more, such as 0.05")
        self.target, self.warm_start, self.rounds, self.tolerance = target, warm_start, rounds, tolerance
        if not 0.0 < shape < 0.5:
            raise ValueError(f"shape: got {shape}, expected more than 0 and less than 0.5, such as {SHAPE}")
        self.keep_best, self.shape = keep_best, shape
        self._known: WeakKeyDictionary = WeakKeyDictionary()

    @abstractmethod
    def moved(self, whole: WholeMesh, points: Tensor, monitor: BackgroundMonitor) -> GraphMove:
        """Return where the vertices should go; on the first rank.

        Parameters
        ----------
        whole
            What is known of the mesh.
        points
            Vertices of a valid mesh to begin with, in units of the domain, shape (d, N).
        monitor
            m and its gradient at points.
        """

    def displacement(self, mesh, monitor: Callable[..., Function]) -> Displacement:
        """Return the displacement to the mesh that the class says; converged as it says."""
        patches = MeshPatches(mesh)
        kept = self._kept(mesh)
        trial, comm = TrialMesh(mesh, monitor, patches), mesh.comm
        points, ends = patches.points, False
        first = kept.gathered.gather(points)
        search = None if kept.whole is None or first is None else _Search(self, kept.whole, first)
        while not ends:
            try:
                values = trial.values(points)
            except ConvergenceError:
                # Not a place to be asked at: what has been found before counts. At the mesh as it is, there is nothing.
                if points is patches.points:
                    raise
                break
            ends = self._go_on(comm, search, kept.gathered.gather(np.column_stack([points, values])))
            if not ends:
                own = kept.gathered.scatter(None if search is None else search.wanted)
                points = apply_positions(mesh, own).dat.data_ro_with_halos
        own = kept.gathered.scatter(None if search is None else search.best)
        converged, iterations = comm.bcast(None if search is None else (search.converged, search.iterations))
        function = Function(mesh.coordinates.function_space(), name="displacement")
        function.dat.data_wo[:] = own - mesh.coordinates.dat.data_ro
        return Displacement(function, converged, iterations)

    def _go_on(self, comm, search: _Search | None, gathered: np.ndarray | None) -> bool:
        """Go on with vertices and m there, shape (N, d + 1), on the first rank; return on all if this is the end."""

        def go_on() -> bool:
            assert search is not None and gathered is not None  # as this is the first rank
            return search.go_on(gathered[:, :-1], gathered[:, -1])

        return bool(comm.bcast(on_first_rank(comm, go_on)))

    def _kept(self, mesh) -> _Kept:
        """Return what does not change with the vertices: kept for meshes of the same topology."""
        points, boundary = computational_points(mesh), boundary_of(mesh)
        kept = self._known.get(mesh.topology)
        # Both are the same objects until another computational mesh or boundary is set, on all ranks together.
        if kept is None or kept.points is not points or kept.boundary is not boundary:
            computational = mesh_at(mesh, points)
            gathered = gather_graph(computational)
            parts = gather_boundary(mesh, gathered)

            def prepared() -> WholeMesh:
                assert gathered.graph is not None and parts is not None  # as this is the first rank
                return _prepared(gathered.graph, parts, self.target, self.shape)

            whole = on_first_rank(mesh.comm, prepared)
            kept = self._known[mesh.topology] = _Kept(points, boundary, gathered, whole)
        return kept


class _Search:
    """The meshes that a mover goes through, on the first rank.

    Attributes
    ----------
    wanted, best
        Vertices that the monitor function is to be asked at next, and those to be taken, shape (N, d) [m].
    converged, iterations
        How it ended, and steps taken.
    """

    def __init__(self, mover: GraphMover, whole: WholeMesh, points: np.ndarray):
        self._mover, self._whole = mover, whole
        self.best = self.wanted = points
        self.converged, self.iterations = False, 0
        self._energy = self._expected = np.inf
        self._settled, self._again, self._rounds = False, True, 0

    def go_on(self, points: np.ndarray, values: np.ndarray) -> bool:
        """Look at a mesh, vertices (N, d) [m] and m there (N,), and move it; return whether this is the end."""
        mesh = self._whole.mesh
        here = mesh.inside(torch.from_numpy(points))
        # Of any scale; single precision has none too large or too small.
        nodal = torch.from_numpy(values / values.mean()).to(here.dtype)
        with torch.inference_mode():
            energy = float(mesh.energy(here, nodal).value)
            if energy < self._energy and self._mover.keep_best:
                self.best, self._energy = points, energy
            if not np.isfinite(energy):
                # Cells too narrow for single precision: begin with the computational mesh, which has none.
                again, self._again, self.wanted = self._again, False, self._whole.places
                return not again
            if energy <= (1.0 + self._mover.tolerance) * self._expected + _FLOOR and self._rounds:
                self.converged = self._settled
                return True
            if self._rounds == self._mover.rounds:
                return True
            monitor = BackgroundMonitor(mesh.topology, here, nodal)
            base, start = self._start(points, here, energy, monitor)
            move = self._mover.moved(self._whole, start, monitor)
            self._expected = float(mesh.energy(move.points, monitor(move.points)[0]).value)
        self._rounds += 1
        self._settled = move.converged
        self.iterations += move.iterations
        # Rounded are the ways, not the places.
        self.wanted = base + (move.points - start).T.double().numpy() * mesh.scale
        if self._mover.keep_best:
            return False
        # Taken whatever m is there: not asked for where nothing hangs on it.
        self.best, self.converged = self.wanted, move.converged
        return self._rounds == self._mover.rounds

    def _start(
        self, points: np.ndarray, here: Tensor, energy: float, monitor: BackgroundMonitor
    ) -> tuple[np.ndarray, Tensor]:
        """Return where to begin, in double precision [m] and in units of the domain."""
        reference = self._whole.mesh.reference
        if self._rounds:
            return points, here
        again = self._whole.mesh.energy(reference, monitor(reference)[0]).value
        if self._mover.warm_start and not float(again) < energy:
            return points, here
        return self._whole.places, reference


@dataclass(frozen=True)
class _Kept:
    """What is kept with a topology, and what it was made from."""

    points: np.ndarray
    boundary: Boundary
    gathered: GatheredGraph
    whole: WholeMesh | None


def _prepared(graph: MeshGraph, parts: list[tuple[Boundary, np.ndarray]], target: str, shape: float) -> WholeMesh:
    """Return what is known of a mesh; on the first rank."""
    mesh = prepare_mesh(graph, target=target).with_shape(shape)
    exact = ExactBoundary(parts, graph, mesh.origin, mesh.scale)
    if not exact.is_polygon(mesh.reference, mesh.boundary.vertices, mesh.boundary.fixed):
        bound, fixed = torch.zeros_like(mesh.bound), torch.zeros_like(mesh.fixed)
        bound[exact.vertices] = 1.0
        fixed[exact.vertices] = exact.fixed.to(fixed.dtype)
        mesh = replace(mesh, boundary=exact, bound=bound, fixed=fixed)
    coarse = coarse_mesh(graph, mesh) if len(graph.pos) > _LARGE else None
    return WholeMesh(graph.pos.numpy(), mesh, coarse)


def mesh_at(mesh, points: np.ndarray):
    """Return the mesh with its vertices elsewhere, shape (N, d), those of the halo included [m]."""
    coordinates = Function(mesh.coordinates.function_space())
    coordinates.dat.data_wo_with_halos[:] = points
    return Mesh(coordinates)
