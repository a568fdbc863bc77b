"""The vorticity of a plane flow, and the monitor function that follows it."""

from __future__ import annotations

import numpy as np
from firedrake import Function, FunctionSpace

from meshing.computational import computational_points
from meshing.monitor import FieldMonitor, Monitor
from meshing.patches import MeshPatches
from meshing.recovery import recovered_derivatives, vertex_values
from meshing.shaping import Shaping, mean_of_vertices
from meshing.simplex import simplex_volumes


def vorticity(state: Function) -> Function:
    """Return the vorticity of a flow [1/s], linear in each cell.

    Of quadratic velocities it is just that; of others it is interpolated in the corners of the cells.

    Parameters
    ----------
    state
        (u, p).
    """
    velocity = state.subfunctions[0]
    found = Function(FunctionSpace(velocity.function_space().mesh(), "DG", 1, variant="equispaced"), name="vorticity")
    return found.interpolate(velocity[1].dx(0) - velocity[0].dx(1))


def vorticity_monitor(state: Function, shaping: Shaping, regularisation: float) -> Monitor:
    r"""Return the monitor function of the change of vorticity over a cell of the computational mesh; collective.

    .. math:: m \propto 1 + \frac{A\,|\nabla\omega|}{c\,\overline{A\,|\nabla\omega|}}

    A is the area of the cells around a vertex in the computational mesh, the bar the mean over the domain. Linear
    cells of the size h miss about :math:`h^2 |\nabla\omega|` of the velocity, and h^2 goes like A / m: the factor A
    makes cells move to where those of the computational mesh are too large, and leaves alone where they are small
    enough already, as at a cylinder around which the mesh was made fine. The 1 is the share of the cells that stay.

    Parameters
    ----------
    state
        (u, p).
    shaping
        What to do with the values.
    regularisation
        c; the smaller, the more cells go where the vorticity changes.
    """
    field = vorticity(state)
    mesh = field.function_space().mesh()
    patches = MeshPatches(mesh)
    volumes = np.abs(simplex_volumes(computational_points(mesh), patches.cells))
    corners = np.ones(patches.cells.shape[1])
    areas = patches.sum(np.outer(volumes, corners)) / patches.sum(np.outer(np.ones_like(volumes), corners))
    gradient, _ = recovered_derivatives(field, patches, vertex_values(field, patches))
    change = areas * np.linalg.norm(gradient, axis=1)
    mean = mean_of_vertices(mesh, change, patches)
    raw = Function(FunctionSpace(mesh, "CG", 1), name="vorticity_monitor")
    raw.dat.data_wo_with_halos[:] = 1.0 + (change / (regularisation * mean) if mean > 0.0 else 0.0)
    return FieldMonitor(raw, shaping)
