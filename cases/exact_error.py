"""Distance of a finite-element function from a solution that is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from firedrake import Function

from meshing.simplex import simplex_volumes

# Rule of six points on the triangle, exact up to degree 4: two groups of three by symmetry, each with the barycentric
# coordinate that two vertices share, and its weight. D. A. Dunavant, Int. J. Numer. Meth. Engng 21, 1985, 1129.
_GROUPS = ((0.445948490915965, 0.223381589678011), (0.091576213509771, 0.109951743655322))
CUTS = 3


def rule(cuts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return barycentric coordinates (6 n^2, 3) and weights (6 n^2,) of the rule on each of n^2 parts of a triangle.

    Parameters
    ----------
    cuts
        n, into how many pieces each side is cut.
    """
    points = np.array([np.where(np.eye(3, dtype=bool)[k], 1.0 - 2.0 * a, a) for a, _ in _GROUPS for k in range(3)])
    weights = np.array([weight for _, weight in _GROUPS for _ in range(3)])
    corners = [np.array([(i, j), (i + 1, j), (i, j + 1)]) for i in range(cuts) for j in range(cuts - i)]
    corners += [
        np.array([(i + 1, j), (i + 1, j + 1), (i, j + 1)]) for i in range(cuts - 1) for j in range(cuts - 1 - i)
    ]
    places = np.concatenate([points @ part for part in corners]) / cuts
    return np.column_stack([1.0 - places.sum(axis=1), places]), np.tile(weights, len(corners)) / len(corners)


def l2_error(u: Function, exact: Callable[[np.ndarray, float], np.ndarray], t: float, *, cuts: int = CUTS) -> float:
    r"""Return the error in L2, see :func:`error_norm`."""
    return error_norm(u, exact, t, power=2, cuts=cuts)


def error_norm(
    u: Function, exact: Callable[[np.ndarray, float], np.ndarray], t: float, *, power: int, cuts: int = CUTS
) -> float:
    r"""Return the error in L^p, by a rule of degree 4 on each of the parts of every cell; collective.

    .. math:: \Big(\int_\Omega |u_h - u|^p\Big)^{1/p}

    Parameters
    ----------
    u
        Of discontinuous P0 or P1, nodes in the vertices, on triangles.
    exact
        Of points (N, 2) [m] and time [s] to (N,).
    t
        Time of u [s].
    power
        p, 1 or more.
    cuts
        Into how many pieces the sides of cells are cut, for a solution that is thin beside them.
    """
    shares, weights = rule(cuts)
    mesh = u.function_space().mesh()
    coordinates = mesh.coordinates
    cells = coordinates.cell_node_map().values  # those that this rank owns
    corners = coordinates.dat.data_ro_with_halos
    points = np.einsum("qi,kid->kqd", shares, corners[cells])
    nodal = u.dat.data_ro_with_halos[u.cell_node_map().values]
    values = nodal @ shares.T if nodal.shape[1] == 3 else np.repeat(nodal, len(weights), axis=1)
    difference = values - exact(points.reshape(-1, 2), t).reshape(values.shape)
    integral = float(np.abs(simplex_volumes(corners, cells)) @ (np.abs(difference) ** power @ weights))
    return float(mesh.comm.allreduce(integral) ** (1.0 / power))
