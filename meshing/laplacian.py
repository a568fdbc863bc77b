"""The Laplacian mover: a given motion of the boundary, carried into the interior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from firedrake import Function

from meshing.cell_maps import CellMaps
from meshing.limiter import displacement_values
from meshing.mover import Displacement, Mover
from meshing.patches import MeshPatches
from meshing.vertex_system import VertexSystem


class Laplacian(Mover):
    r"""Carry a motion of the boundary into the interior, small cells stiffer than large ones.

    .. math:: \nabla \cdot \big(|K|^{-s}\, \nabla \delta\big) = 0,\qquad \delta = g \text{ on the boundary}

    Translations are carried over exactly; with s = 0 all affine motions. The boundary goes where it is told: its
    vertices do not slide, and its shape is what g makes of it. The monitor function plays no part.

    Parameters
    ----------
    boundary_motion
        Gives for a mesh a displacement g in the space of its coordinates [m], of which the values in the vertices
        on the boundary count. Without it the boundary rests, and so does the mesh.
    stiffening
        s, 0 or more: how much stiffer small cells are.

    Raises
    ------
    ValueError
        For a stiffening below 0.

    Notes
    -----
    Masud and Hughes (1997), Comput. Methods Appl. Mech. Engrg. 146, 91 (stiffness by cell size).
    """

    slides = False

    def __init__(self, boundary_motion: Callable[..., Function] | None = None, *, stiffening: float = 1.0):
        if not stiffening >= 0.0:
            raise ValueError(f"stiffening: got {stiffening}, expected 0 or more, such as 1")
        self.boundary_motion = boundary_motion
        self.stiffening = stiffening

    def displacement(self, mesh, monitor: Callable[..., Function]) -> Displacement:
        """Return the harmonic extension of the boundary's motion."""
        function = Function(mesh.coordinates.function_space(), name="displacement")
        if self.boundary_motion is None:
            return Displacement(function)
        patches = MeshPatches(mesh)
        boundary = patches.boundary()
        given = np.where(boundary[:, None], displacement_values(mesh, self.boundary_motion(mesh)), 0.0)
        maps = CellMaps(patches.points, patches.cells)
        weights = maps.volumes * (maps.volumes / patches.smallest(maps.volumes)) ** -self.stiffening
        cells = (maps.gradients @ np.swapaxes(maps.gradients, 1, 2)) * weights[:, None, None]
        loads = cells @ given[patches.cells]
        diagonal = patches.sum(np.einsum("kii->ki", cells))
        # Rows and columns of the boundary are those of the diagonal, so that the matrix stays symmetric.
        inside = ~boundary[patches.cells]
        cells *= inside[:, :, None] & inside[:, None, :]
        vertices = np.where(boundary, diagonal, 0.0)[:, None, None]
        with VertexSystem(mesh, patches, 1) as system:
            for component in range(given.shape[1]):
                load = -patches.sum(loads[:, :, component])
                right = np.where(boundary, diagonal * given[:, component], load)
                solution = system.solve(cells, vertices, right[:, None])
                function.dat.data_wo_with_halos[:, component] = np.where(boundary, given[:, component], solution[:, 0])
        return Displacement(function)
