"""What a case is: options, and how they become a simulation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from firedrake import Function
from firedrake.mesh import MeshGeometry

from cases.moving import Movement
from cases.options import CaseOptions
from fem.problems.shallow_water import ShallowWater
from fem.scalar_law import ScalarLaw
from meshing.mesh_file import read_mesh


@dataclass(frozen=True)
class Gauges:
    """Named observation points, and measurements there if there are any.

    Attributes
    ----------
    names
        One name each.
    points
        Positions [m], shape (n, 2).
    reference_time, reference_elevation
        Measured record: times (m,) [s] and elevations (m, n) [m], or None.
    """

    names: tuple[str, ...] = ()
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    reference_time: np.ndarray | None = None
    reference_elevation: np.ndarray | None = None


@dataclass(frozen=True)
class Setup:
    """All a shallow-water simulation needs, made by :meth:`Case.build` before anything is computed.

    Attributes
    ----------
    problem
        Equations with bathymetry and boundary conditions.
    initial
        State (h, hu, hv) at t = 0.
    tableau
        Name of the Runge-Kutta scheme, see :data:`fem.timestep.TABLEAUX`.
    courant
        Fraction of the smallest altitude that the fastest wave may cross in one stage's step.
    t_end
        End [s].
    gauges, gauge_interval
        Observation points and the time between samples [s].
    output_interval
        Time between field outputs [s].
    checkpoint_interval
        Time between checkpoints [s].
    movement
        How the mesh is to be moved.
    sample_bed
        Gives for a mesh the bed in the nodes of the state's element [m].
    still_level
        Elevation of still water [m].
    exact_output
        Whether steps are shortened so that field outputs fall on their times exactly.
    """

    problem: ShallowWater
    initial: Function
    tableau: str
    courant: float
    t_end: float
    gauges: Gauges
    gauge_interval: float
    output_interval: float
    checkpoint_interval: float
    movement: Movement
    sample_bed: Callable[..., Function]
    still_level: float
    exact_output: bool = False


@dataclass(frozen=True)
class ScalarSetup:
    """All that the simulation of a scalar law needs whose solution is known.

    Attributes
    ----------
    problem
        Equation, on the mesh as it is at the beginning.
    initial
        u, to be set to the solution at ``t_start``.
    exact
        Solution: of points (N, 2) [m] and time [s] to (N,).
    t_start, t_end
        Beginning and end [s].
    t_half
        Time at which the error is taken too [s].
    tableau, courant
        Name of the Runge-Kutta scheme and Courant number, see :class:`fem.scalar_stepper.ScalarStepper`.
    output_interval
        Time between field outputs [s].
    checkpoint_interval
        Time between checkpoints [s].
    movement
        How the mesh is to be moved.
    exact_output
        Whether steps are shortened so that field outputs fall on their times exactly.
    """

    problem: ScalarLaw
    initial: Function
    exact: Callable[[np.ndarray, float], np.ndarray]
    t_start: float
    t_end: float
    t_half: float
    tableau: str
    courant: float
    output_interval: float
    checkpoint_interval: float
    movement: Movement
    exact_output: bool = True


class Case(ABC):
    """One scenario; a subclass in a file of its own, entered in :mod:`cases.registry`."""

    name: ClassVar[str]
    summary: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    Options: ClassVar[type[CaseOptions]]
    # Options of the smallest run that makes sense, for tests.
    smallest: ClassVar[Mapping[str, Any]] = {}

    # Whether a run is on one mesh, which a mover may move and of which there are maps and checkpoints.
    has_mesh: ClassVar[bool] = True
    # Markers that the boundary of a mesh from a file has to have, with what they mark.
    markers: ClassVar[Mapping[int, str]] = {}
    # Python file that the case is from, absolute; None for the cases that come with the package.
    file: Path | None = None

    @property
    def reference(self) -> str:
        """What `driftmesh run` is to be told to run the case."""
        return self.name if self.file is None else str(self.file)

    @final
    def mesh_of(self, options):
        """Return the mesh of these options on all ranks: that of the file in the option ``mesh``, or the case's own.

        Raises
        ------
        ValueError
            As :func:`meshing.mesh_file.read_mesh` and :meth:`check_mesh`, for a file without the markers, and for what
            is no mesh.
        """
        path = getattr(options, "mesh", "")
        if not path:
            mesh = self.mesh(options)
            if self.has_mesh and not isinstance(mesh, MeshGeometry):
                raise ValueError(
                    f"case {self.name}: got a {type(mesh).__name__} from mesh, expected a mesh of Firedrake; return it"
                )
            return mesh
        mesh = read_mesh(path).mesh
        found = sorted(map(int, mesh.exterior_facets.unique_markers))
        missing = [f"{marker} ({side})" for marker, side in self.markers.items() if marker not in found]
        if missing:
            raise ValueError(
                f"option mesh: got boundary markers {', '.join(map(str, found))} in {path}, expected also "
                f"{', '.join(missing)}; in gmsh make them physical groups"
            )
        self.check_mesh(options, mesh)
        return mesh

    def check_mesh(self, options, mesh) -> None:  # noqa: B027 (any mesh will do unless a case says otherwise)
        """Check that the case can be run on a mesh from a file; collective.

        Raises
        ------
        ValueError
            If not, on all ranks.
        """

    @abstractmethod
    def mesh(self, options):
        """Return the mesh of these options, on all ranks; None if there is not one."""

    @abstractmethod
    def build(self, options, mesh) -> Any:
        """Return the simulation of these options on this mesh: a setup of a kind in :data:`cases.run.SIMULATIONS`.

        Raises
        ------
        ValueError
            For data that is missing, broken or does not cover the mesh.
        """
