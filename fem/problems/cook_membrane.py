"""Cook's membrane: a tapered panel, clamped on the left and sheared on the right."""

from __future__ import annotations

from typing import Any

from firedrake import COMM_WORLD, Constant, Function, Mesh, as_vector

from fem.goal import point_value
from fem.problems.elasticity import Material, solve_elasticity
from meshing.generation import polygon

MATERIAL = Material(young=1.0, poisson=1.0 / 3.0, plane="stress")
# Where the deflection is compared: in the middle of the loaded side [m]. Meshes have a vertex there.
POINT = (48.0, 52.0)
# u_y there [m]: what fine meshes of many elements converge to. Bergan and Felippa (1985), Comput. Meth. Appl. Mech.
# Engng 50, 25, have 23.9. Some sources give 23.96 for the corner (48, 60), where it is 25.1.
PUBLISHED = 23.96

_CORNERS = ((0.0, 0.0), (48.0, 44.0), POINT, (48.0, 60.0), (0.0, 44.0))
_LENGTH = 16.0
_FREE, _LOADED, _CLAMPED = 1, 2, 3


def cook_mesh(*, size: float, comm=COMM_WORLD) -> Mesh:
    """Mesh the membrane with triangles.

    Parameters
    ----------
    size
        Length of edges, about [m].
    comm
        Ranks over which the mesh is distributed.

    Returns
    -------
    Mesh
        Markers: 1 free sides, 2 loaded, 3 clamped.

    Raises
    ------
    ValueError
        For a length that is not positive.
    """
    markers = [_FREE, _LOADED, _LOADED, _FREE, _CLAMPED]
    return polygon(_CORNERS, size=size, markers=markers, comm=comm)


def solve_cook(mesh, *, degree: int = 1, material: Material = MATERIAL, force: float = 1.0) -> Function:
    """Return the displacement [m] under a shear force [N/m], even over the loaded side; errors as the material's.

    Notes
    -----
    Cook (1974), J. Struct. Div. ASCE 100, 1851: E = 1, nu = 1/3, plane stress, F = 1.
    """
    return solve_elasticity(
        mesh,
        material,
        degree=degree,
        fixed={_CLAMPED: (0.0, 0.0)},
        tractions={_LOADED: as_vector([0.0, Constant(force / _LENGTH)])},
    )


def deflection(u: Function) -> Any:
    """Return u_y in the middle of the loaded side [m], a functional that can be the goal of adaptation; collective."""
    return point_value(u[1], u.function_space().mesh(), POINT)
