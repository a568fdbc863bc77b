r"""Shorten displacements of vertices so that no element is inverted, whatever they are and wherever they come from.

Let w be the minimum width of simplex K (``meshing.simplex``) and d_i the displacements of its vertices.

.. math:: |d_i - d_j| \le 2 f w \text{ for all } i, j \in K,\ f < 1/2 \quad\Rightarrow\quad
          \sigma(I + t G) \in [1 - 2 f t,\, 1 + 2 f t],\ 0 \le t \le 1

where G is the gradient of the piecewise linear displacement in K and sigma any singular value. Proof: for a unit vector
n put g = G^T n, so that the range of n.d over K is the range of g.x, at least \|g\| w by the definition of the width.
It is also at most max \|d_i - d_j\|, hence \|G\| <= 2 f. Therefore, along the whole straight path, in 2D and 3D,

- no element is inverted: \|K\| stays above (1 - 2 f t)^d times what it was;
- the width of an element stays above (1 - 2 f t) times what it was, so that limited steps can be composed.

A common translation of an element plays no part. Both forms below keep the condition: the absolute form because
\|d_i\| <= f w for all vertices implies it, the relative form by looking at differences only. Rounding matters only to
elements as narrow as the rounding of their coordinates.
"""

from __future__ import annotations

import numpy as np
from firedrake import Function

from meshing.patches import MeshPatches, VertexPatches
from meshing.simplex import edge_lengths, simplex_widths, vector_lengths

# Longest displacement [m] that sums are taken of; longer ones, which lead nowhere, would overflow.
_LONGEST = 1e300


def limit_displacement(
    mesh, displacement: Function, *, fraction: float = 0.45, relative: bool = False, sweeps: int = 4
) -> Function:
    r"""Shorten a displacement of the vertices so that no element is inverted.

    .. math:: |\delta_i| \le f \min_{K \ni i} w_K \quad\text{or, relative,}\quad
              |\delta_i - \delta_j| \le 2 f w_K \text{ for all } i, j \in K

    The relative form lets a large motion that neighbours share pass unclipped; see ``clip_differences``.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.
    displacement
        Displacement of the vertices, in the space of the mesh's coordinates (continuous P1 vectors) [m].
    fraction
        f, between 0 and 1/2.
    relative
        Bound the differences between the vertices of an element instead of the displacements.
    sweeps
        Averaging sweeps of the relative form; each spreads a steep difference over one more layer of cells.

    Returns
    -------
    Function
        The limited displacement [m]. On the path x + t delta, 0 <= t <= 1, the volume of each cell is at least
        (1 - 2 f t)^d of what it was. What satisfies the bound is returned unchanged. On the boundary directions
        stay as given, no vertex moves further than given, and zero normal components stay zero; in the absolute
        form this holds for all vertices. The partition does not matter, but to rounding in the relative form.

    Raises
    ------
    ValueError
        If the fraction is not between 0 and 1/2, if sweeps are negative, for a displacement in another space or
        with values that are not finite, for other meshes.
    """
    patches = MeshPatches(mesh)
    vectors = displacement_values(mesh, displacement)
    # Decided by all ranks together: one that raised alone would leave the others waiting.
    if patches.smallest(np.isfinite(vectors).astype(float)) < 1.0:
        raise ValueError("displacement: got values that are not finite, expected finite ones; check what computed them")
    room = largest_differences(patches.points, patches.cells, fraction)
    if relative:
        limited = clip_differences(patches, vectors, room, sweeps=sweeps, held=patches.boundary())
    else:
        limited = clip_lengths(patches, vectors, room)
    result = Function(displacement.function_space(), name="limited_displacement")
    result.dat.data_wo_with_halos[:] = limited
    return result


def displacement_values(mesh, displacement: Function) -> np.ndarray:
    """Return a displacement's values in the vertices this rank knows, shape (N, d), to be read only [m].

    Raises
    ------
    ValueError
        If the displacement is not in the space of the mesh's coordinates.
    """
    space = displacement.function_space()
    if space != mesh.coordinates.function_space():
        raise ValueError(
            f"displacement: got {space.ufl_element()} on {space.mesh().name}, expected "
            f"{mesh.coordinates.ufl_element()} on {mesh.name}; make it in mesh.coordinates.function_space()"
        )
    return displacement.dat.data_ro_with_halos


def largest_differences(points: np.ndarray, cells: np.ndarray, fraction: float) -> np.ndarray:
    r"""Return how far the displacements of two vertices of a cell may differ.

    .. math:: r_K = 2 f w_K

    Parameters
    ----------
    points
        Vertices, shape (N, d), d = 2 or 3 [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.
    fraction
        f, between 0 and 1/2.

    Returns
    -------
    numpy.ndarray
        Room of each cell, shape (K,) [m].

    Raises
    ------
    ValueError
        If the fraction is not between 0 and 1/2, or for other cells than simplices.
    """
    if not 0.0 < fraction < 0.5:
        raise ValueError(f"fraction: got {fraction}, expected more than 0 and less than 0.5, such as 0.45")
    return 2.0 * fraction * simplex_widths(points, cells)


def clip_lengths(patches: VertexPatches, displacement: np.ndarray, room: np.ndarray) -> np.ndarray:
    r"""Shorten each displacement to half the least room around its vertex: the absolute form of the limiter.

    .. math:: |\delta_i| \le \tfrac12 \min_{K \ni i} r_K

    Parameters
    ----------
    patches
        Cells around the vertices.
    displacement
        Displacement of each vertex, shape (N, d) [m].
    room
        r_K, largest difference of two displacements in a cell, shape (K,) [m]; see ``largest_differences``.

    Returns
    -------
    numpy.ndarray
        Shape (N, d) [m]. All directions stay, what satisfies the bound stays unchanged, and the displacements of
        two vertices of a cell differ by no more than its room.
    """
    return _shorten(displacement, 0.5 * patches.minimum(room))


def clip_differences(
    patches: VertexPatches, displacement: np.ndarray, room: np.ndarray, *, sweeps: int, held: np.ndarray
) -> np.ndarray:
    r"""Bring displacements of neighbours near to each other: the translation-invariant form of the limiter.

    .. math:: \delta = s\,q + c,\qquad s = \min\Big(1, \min_K \frac{r_K}{\max_{ij} |q_i - q_j|}\Big),\qquad
              |c_i| \le \tfrac12 \min_{K \ni i} \big(r_K - s \max_{ij} |q_i - q_j|\big)

    Sweeps of averaging turn the displacement d into q: a cell that exceeds its room by a factor 1/p draws its
    vertices towards their mean, :math:`\bar q_K + p\,(q_i - \bar q_K)`, and a vertex follows the mean of what its
    cells want, weighted by 1 - p. What is still too steep is scaled as a whole, exactly, by s. As one bad cell must not
    throttle all vertices, c then clips d - s q in each patch to the room that s q has left there.

    Parameters
    ----------
    patches
        Cells around the vertices.
    displacement
        d, displacement of each vertex, shape (N, d) [m].
    room
        r_K, largest difference of two displacements in a cell, shape (K,) [m]; see ``largest_differences``.
    sweeps
        Number of averaging sweeps, 0 or more.
    held
        Vertices that keep their direction and are only shortened, shape (N,), bool: those on boundaries.

    Returns
    -------
    numpy.ndarray
        Shape (N, d) [m]. The displacements of two vertices of a cell differ by no more than its room; what
        satisfies this is returned unchanged, a common translation of any length included.

    Raises
    ------
    ValueError
        If sweeps are negative.
    """
    if sweeps < 0:
        raise ValueError(f"sweeps: got {sweeps}, expected 0 or more, such as 4")
    displacement = _shorten(displacement, np.full(len(displacement), _LONGEST))
    length = vector_lengths(displacement)[held, None]
    direction = np.divide(displacement[held], length, out=np.zeros_like(displacement[held]), where=length > 0)
    common = displacement.copy()
    for _ in range(sweeps):
        passing = _passing(room, common[patches.cells])
        if patches.smallest(passing) >= 1.0:
            break
        common += _towards_means(patches, common[patches.cells], 1.0 - passing)
        along = np.einsum("ni,ni->n", common[held], direction)[:, None]
        common[held] = np.clip(along, 0.0, length) * direction
    common *= min(1.0, patches.smallest(_passing(room, common[patches.cells])))
    left = np.maximum(0.0, room - _largest_difference(common[patches.cells]))
    return common + _shorten(displacement - common, 0.5 * patches.minimum(left))


def _towards_means(patches: VertexPatches, corners: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return by how much each vertex follows the cells that draw it towards their mean, shape (N, d)."""
    # What a cell wants is weight times the way to the mean, and counts by its weight: a cell that just begins to
    # exceed its room changes nothing, so that the result depends continuously on the displacement.
    wanted = (weight**2)[:, None, None] * (corners.mean(axis=1, keepdims=True) - corners)
    total = patches.sum(np.broadcast_to(weight[:, None], patches.cells.shape))
    pull = np.stack([patches.sum(component) for component in np.moveaxis(wanted, 2, 0)], axis=1)
    return np.divide(pull, total[:, None], out=np.zeros_like(pull), where=total[:, None] > 0)


def _passing(room: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the share of each cell's differences that its room lets pass, shape (K,), at most 1."""
    difference = _largest_difference(corners)
    return np.divide(room, difference, out=np.ones_like(room), where=difference > room)


def _largest_difference(corners: np.ndarray) -> np.ndarray:
    return edge_lengths(corners).max(axis=1)


def _shorten(vectors: np.ndarray, longest: np.ndarray) -> np.ndarray:
    """Return the vectors, those that are too long with their direction and the longest length allowed."""
    length = vector_lengths(vectors)
    long = length > longest
    shortened = vectors.copy()
    # Direction first: the quotient of the two lengths may be subnormal, which code compiled with -ffast-math, as
    # PyOP2's is, makes the processor flush to zero.
    shortened[long] = vectors[long] / length[long, None] * longest[long, None]
    return shortened
