"""The monitor function of shallow water: small cells where waves are steep for the depth, and where it is shallow."""

from __future__ import annotations

import numpy as np
from firedrake import Function, FunctionSpace
from mpi4py import MPI

from fem.problems.shallow_water import ShallowWater
from meshing.monitor import FieldMonitor, Monitor
from meshing.patches import MeshPatches
from meshing.recovery import recovered_derivatives, vertex_values
from meshing.shaping import Shaping, mean_of_vertices

# Chosen by trial on Monai with 1,836 cells, against a run with 119,680 (docs/moving_meshes.md), and kept on other
# meshes. Depths are in units of the greatest, D.
_FILM = 0.3  # added to the depth, so that the shore does not take all cells
_TYPICAL = 0.75  # depth at which waves and depth weigh as much as the regularisation says
_DRY, _ON_LAND = 0.4, 0.25  # ground higher than that has this share of its monitor function
_VELOCITY = 2.0  # weight of the velocity's curvature beside that of the surface
_CALM = 2.0  # mean steepness, times the area of the domain, below which the sea counts as calm
_EXPONENT = 2.0 / 3.0  # 2 d/(d + 4): least error in L2 of linear interpolation, see HessianMonitor


def wave_monitor(
    problem: ShallowWater, state: Function, still_level: float, shaping: Shaping, regularisation: float
) -> Monitor:
    r"""Return the monitor function of a state; collective.

    .. math::
        m \propto \Big(\zeta^{-3} + \frac{S}{c\,\max(\bar S, 2/|\Omega|)}\Big)^{2/3}, \qquad
        S = \frac{\|\nabla\nabla\eta\| + 2 \sum_i \|\nabla\nabla (u_i \sqrt{h/g})\|}{d + 0.3 D}, \qquad
        \zeta = \frac{d + 0.3 D}{0.75 D}

    with the surface :math:`\eta`, which is the still level on land, the depth d of still water and its maximum D, and
    the mean :math:`\bar S` over the domain. Of calm water cells are as wide as it is deep, but for D; waves draw them
    where they are steep for the depth, and :math:`u\sqrt{h/g}`, which equals :math:`\eta` in a plane wave, sees eddies
    besides. Ground higher than 0.4 D over the still level gets a quarter of it.

    Parameters
    ----------
    problem
        Equations.
    state
        (h, hu, hv) of ``problem.space()``.
    still_level
        L [m].
    shaping
        What to do with the values.
    regularisation
        c; the smaller, the more cells go to the waves.
    """
    bed, mesh = problem.bathymetry, problem.mesh
    values, ground = state.dat.data_ro_with_halos, bed.dat.data_ro_with_halos
    h = values[:, 0]
    wet = h > problem.dry_depth
    patches, field = MeshPatches(mesh), Function(bed.function_space())

    def curvature(nodal: np.ndarray) -> np.ndarray:
        field.dat.data_wo_with_halos[:] = np.where(wet, nodal, 0.0)
        return np.linalg.norm(recovered_derivatives(field, patches)[1], axis=(1, 2))

    steepness = curvature(h + ground - still_level)
    for component in (1, 2):
        like_surface = values[:, component] / np.sqrt(problem.gravity * np.where(wet, h, 1.0))
        steepness += _VELOCITY * curvature(like_surface)
    level = still_level - vertex_values(bed, patches)
    deepest = mesh.comm.allreduce(float(level.max(initial=-np.inf)), MPI.MAX)
    deepest = deepest if deepest > 0.0 else 1.0
    depth = np.maximum(0.0, level) + _FILM * deepest
    steepness /= depth
    area = mesh.comm.allreduce(float(patches.volumes.sum()))
    much = max(mean_of_vertices(mesh, steepness), _CALM / area)
    raw = ((_TYPICAL * deepest / depth) ** 3 + steepness / (regularisation * much)) ** _EXPONENT
    made = Function(FunctionSpace(mesh, "CG", 1), name="wave_monitor")
    made.dat.data_wo_with_halos[:] = np.where(level < -_DRY * deepest, _ON_LAND * raw, raw)
    return FieldMonitor(made, shaping=shaping)
