"""What a mesh from a file must have for the Monai Valley benchmark."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from cases.monai_data import MonaiData
from fem.gauges import GaugeStencil

OFFSHORE = 1  # marker of the side x = 0, as in Firedrake's RectangleMesh
# How far vertices may be beyond the survey, and those of the side x = 0 off it, as a share of the extent.
_SLACK = 1e-9


def check_basin(mesh, data: MonaiData) -> None:
    """Check that the benchmark can be run on a mesh with the marker :data:`OFFSHORE`; collective.

    Parameters
    ----------
    mesh
        Mesh from a file.
    data
        Data of the benchmark.

    Raises
    ------
    ValueError
        On all ranks: for a mesh in space, one that leaves the survey, the wave's marker away from x = 0, boundary
        facets without a marker, where there would be neither wave nor wall, and for gauges outside of the mesh.
    """
    comm, points = mesh.comm, mesh.coordinates.dat.data_ro_with_halos
    if points.shape[1] != 2:
        raise ValueError(
            f"option mesh: got a mesh in {points.shape[1]}D, expected triangles in the plane; mesh the plan"
        )
    low = comm.allreduce(points.min(axis=0, initial=np.inf), np.minimum)
    high = comm.allreduce(points.max(axis=0, initial=-np.inf), np.maximum)
    first, last = np.array([data.x[0], data.y[0]]), np.array([data.x[-1], data.y[-1]])
    slack = _SLACK * (last - first)
    if ((low < first - slack) | (high > last + slack)).any():
        raise ValueError(
            f"option mesh: got coordinates from {_point(low)} to {_point(high)}, expected all from {_point(first)} to "
            f"{_point(last)} m, where the bed is surveyed; scale the mesh to metres, or cut it"
        )
    offshore = points[mesh.coordinates.function_space().boundary_nodes(OFFSHORE), 0]
    farthest = comm.allreduce(float(offshore.max(initial=0.0)), MPI.MAX)
    if farthest > slack[0]:
        raise ValueError(
            f"option mesh: got marker {OFFSHORE} as far as x = {farthest:.4g} m, expected it on x = 0 only, where the "
            "wave enters; give walls another marker, in gmsh another physical group"
        )
    facets = mesh.exterior_facets
    marked = facets.measure_set("exterior_facet", tuple(map(int, facets.unique_markers)))
    missing = comm.allreduce(facets.set.size - marked.size)
    if missing:
        raise ValueError(
            f"option mesh: got {missing} edges of the boundary without a marker, expected one on each, other than "
            f"{OFFSHORE} on walls; in gmsh make the walls a physical group, too"
        )
    GaugeStencil(mesh, data.gauge_points)


def _point(place: np.ndarray) -> str:
    return f"({place[0]:.4g}, {place[1]:.4g})"
