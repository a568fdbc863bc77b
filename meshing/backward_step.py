"""The channel behind a step."""

from __future__ import annotations

from pathlib import Path

from firedrake import COMM_WORLD, Mesh

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
