"""Domains of flows: the channel behind a step, and meshes whose walls are curved as the domain's are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from firedrake import COMM_WORLD, DirichletBC, Function, FunctionSpace, Mesh, SpatialCoordinate, VectorFunctionSpace

from fem.scalar_law import PreparedInterpolation
from meshing.curves import BoundaryGeometry
from meshing.generation import check_lengths, polygon


def backward_step(
    *, length: float = 30.0, height: float = 1.0, size: float, comm=COMM_WORLD, save: str | Path | None = None
) -> Mesh:
    """Mesh the channel behind a step of half its height, from (0, -height/2) to (length, height/2).

    The domain of Gartling (1990), Int. J. Numer. Methods Fluids 11, 953: the channel before the step is left out, the
    flow comes in over the step, in the upper half of the left side.

    Parameters
    ----------
    length, height
        More than 0 [m].
    size
        Length of edges, about [m].
    comm
        Ranks over which the mesh is distributed.
    save
        File .msh to write it to as well; see ``meshing.gmsh_mesh.gmsh_mesh``.

    Returns
    -------
    Mesh
        Markers: 1 inflow, 2 outflow, 3 bottom, 4 top, 5 face of the step.

    Raises
    ------
    ValueError
        For a length that is not positive.
    """
    check_lengths("backward_step", {"length": length, "height": height, "size": size})
    half = 0.5 * height
    corners = [(0.0, -half), (length, -half), (length, half), (0.0, half), (0.0, 0.0)]
    return polygon(corners, size=size, markers=[3, 2, 4, 1, 5], comm=comm, save=save)


class CurvedMesh:
    r"""A mesh of triangles with sides curved quadratically along curved walls, that follows a straight one.

    The chords of a circle are off it by h^2 / 8R, which forces feel: a polygon of 63 sides in place of the cylinder of
    DFG 2D-1 has 0.1 % less drag, and as its sides become uneven, a lift that is 1 % off. With the middle of each side
    on the curve, the area is right to O(h^4). Movers move the straight mesh; a steady flow is found on the curved one
    (isoparametric elements). The topology is the same, and with it the numbering of nodes of the same element.

    Parameters
    ----------
    straight
        Mesh of triangles with straight edges, the vertices of its curved walls on them.
    walls
        Shape of each curved wall, by boundary marker.

    Attributes
    ----------
    mesh
        The curved mesh.
    """

    def __init__(self, straight: Mesh, walls: Mapping[int, BoundaryGeometry]):
        space = VectorFunctionSpace(straight, "CG", 2)
        self._straight = straight
        self._places = PreparedInterpolation(SpatialCoordinate(straight), space)
        self._walls = [(DirichletBC(space, 0.0, marker).nodes, shape) for marker, shape in walls.items()]
        self.mesh = Mesh(Function(space))
        self.follow()

    def follow(self) -> None:
        """Take over the vertices of the straight mesh; collective."""
        self._places()
        places = self.mesh.coordinates.dat.data_wo_with_halos
        places[:] = self._places.function.dat.data_ro_with_halos
        for nodes, shape in self._walls:
            places[nodes] = shape.closest(places[nodes])

    def on_straight(self, function: Function) -> Function:
        """Return a function of the curved mesh as one of the straight mesh, of the same nodal values."""
        space = FunctionSpace(self._straight, function.function_space().ufl_element())
        found = Function(space, name=function.name())
        found.dat.data_wo_with_halos[:] = np.asarray(function.dat.data_ro_with_halos)
        return found
