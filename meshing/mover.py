"""The interface of mesh movers, and the one that does not move."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import final

import numpy as np
from firedrake import Function
from firedrake.exceptions import ConvergenceError
from mpi4py import MPI

from meshing.boundary import boundary_of
from meshing.limiter import displacement_values
from meshing.patches import MeshPatches
from meshing.travel import TravelLimits, follow_displacement


class MoveStatus(Enum):
    """How a move ended. The coordinates are those of a valid mesh in every case."""

    DONE = "done"  # moved as the mover wanted
    LIMITED = "limited"  # moved as far towards it as the limiter allowed
    NOT_CONVERGED = "not converged"  # moved by what the mover had reached when it gave up, limited where needed
    FAILED = "failed"  # not moved: the mover diverged, or its displacement was not finite


@dataclass(frozen=True)
class Displacement:
    """What a mover has computed.

    Attributes
    ----------
    function
        Displacement of the vertices, in the space of the mesh's coordinates [m].
    converged
        Whether the mover reached its tolerance.
    iterations
        Iterations it took; 0 for one that does not iterate.
    """

    function: Function
    converged: bool = True
    iterations: int = 0


@dataclass(frozen=True)
class MoveResult:
    """What a move did; the same on all ranks but for the coordinates' own part.

    Attributes
    ----------
    coordinates
        Coordinates of the moved mesh, a Function in the space of the input mesh's coordinates [m];
        ``Mesh(coordinates)`` is the moved mesh.
    status
        How the move ended.
    iterations
        Iterations the mover took.
    min_jacobian_ratio
        Least ratio of an element's signed volume after the move to that before; always positive, 1 if not moved.
    seconds
        Wall time of the slowest rank [s].
    """

    coordinates: Function
    status: MoveStatus
    iterations: int
    min_jacobian_ratio: float
    seconds: float


class Mover(ABC):
    """Move the vertices of a mesh; the topology stays.

    A mover computes a displacement; ``move`` applies it. As ``move`` is final, no mover, learned ones included, can
    invert an element: a displacement that would is followed in limited steps instead (``meshing.travel``). Nor can
    one change the shape of the domain, unless it is there for that: boundary vertices are brought back onto the
    boundary (``meshing.boundary``), its corners stay.

    Attributes
    ----------
    limits
        Limits of those steps; a mover may set others.
    slides
        Whether boundary vertices slide along the boundary; False for a mover that moves the boundary on purpose.
    """

    limits: TravelLimits = TravelLimits()
    slides: bool = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A type checker sees that `move` is final; users' movers meet no type checker.
        if cls.move is not Mover.move:
            raise TypeError(f"{cls.__name__}: got a `move` of its own, expected `displacement` only; `move` is final")

    @abstractmethod
    def displacement(self, mesh, monitor: Callable[..., Function]) -> Displacement:
        """Compute where the vertices should go.

        It returns more than the Function because ``move`` has to report iterations and convergence, and a mover that
        kept them as attributes would depend on its last call.

        Parameters
        ----------
        mesh
            Mesh of triangles in 2D or tetrahedra in 3D.
        monitor
            Monitor function: gives for a mesh a positive P1 field, dimensionless, mean 1.

        Returns
        -------
        Displacement
            The best displacement found, converged or not. On boundaries it should be tangential; what is not is
            projected. It need not be free of tangling, nor finite.
        """

    def memory(self, mesh) -> dict[str, Function]:
        """Return what the mover remembers of earlier moves of meshes of a topology, by name, for a checkpoint.

        A mover that is given it by ``remember`` goes on as this one does. By default there is nothing.

        Parameters
        ----------
        mesh
            Mesh of the topology; the functions are on it.
        """
        return {}

    def remember(self, mesh, memory: Mapping[str, Function]) -> None:
        """Take over what ``memory`` has returned, on a mesh of the same cells and numbering.

        Parameters
        ----------
        mesh
            Mesh of the topology that is to be moved.
        memory
            The functions by name; without one, the mover does without.
        """
        assert not memory, f"{type(self).__name__}: got a memory of {', '.join(memory)}, but has none"

    @final
    def move(self, mesh, monitor: Callable[..., Function]) -> MoveResult:
        """Compute the displacement and follow it as far as no element is inverted.

        Parameters
        ----------
        mesh
            Mesh of triangles in 2D or tetrahedra in 3D, without degenerate cells.
        monitor
            Monitor function: gives for a mesh a positive P1 field, dimensionless, mean 1.

        Returns
        -------
        MoveResult
            Coordinates of a mesh without inverted elements, and the status. None is inverted on the straight way
            there either, so that the mesh may also be moved in time. If the mover slides, boundary vertices are on
            their curve or surface to 1e-12 of its size, or the rounding of the coordinates if that is more, and
            corners where they were. The input mesh is left untouched. A mover that diverges is a status, not an
            exception.

        Raises
        ------
        ValueError
            For a mesh that cannot be moved (other cells, curved, periodic, degenerate), or a displacement that is
            not in the space of its coordinates.
        """
        start = perf_counter()
        patches = MeshPatches(mesh)
        computed = self._displacement_aside(mesh, monitor)
        vectors = displacement_values(mesh, computed.function)
        failed = patches.smallest(np.isfinite(vectors).all(axis=1).astype(float)) < 1.0
        if failed:
            vectors = np.zeros_like(vectors)
        project = boundary_of(mesh).project if self.slides and not failed else np.copy
        travel = follow_displacement(patches, patches.points, vectors, self.limits, patches.boundary(), project)
        coordinates = Function(mesh.coordinates.function_space(), name="moved_coordinates")
        coordinates.dat.data_wo_with_halos[:] = travel.points
        if failed:
            status = MoveStatus.FAILED
        elif not computed.converged:
            status = MoveStatus.NOT_CONVERGED
        else:
            status = MoveStatus.DONE if travel.arrived else MoveStatus.LIMITED
        seconds = mesh.comm.allreduce(perf_counter() - start, MPI.MAX)
        return MoveResult(coordinates, status, computed.iterations, travel.min_jacobian_ratio, seconds)

    def _displacement_aside(self, mesh, monitor: Callable[..., Function]) -> Displacement:
        """Compute the displacement and give the mesh its coordinates back, should the mover have worked on them."""
        version = mesh.coordinates.dat.dat_version
        saved = mesh.coordinates.copy(deepcopy=True)
        try:
            return self.displacement(mesh, monitor)
        except ConvergenceError:
            # A solver of the mover has diverged, on all ranks alike: no displacement, which is no finite one.
            return Displacement(Function(saved.function_space()).assign(np.nan), converged=False)
        finally:
            if mesh.coordinates.dat.dat_version != version:
                mesh.coordinates.assign(saved)


class NoMove(Mover):
    """Leave the mesh as it is: the control that belongs into every comparison."""

    # Vertices that are off their curve from the beginning stay there, too.
    slides = False

    def displacement(self, mesh, monitor: Callable[..., Function]) -> Displacement:
        """Return no displacement: zero."""
        return Displacement(Function(mesh.coordinates.function_space(), name="displacement"))
