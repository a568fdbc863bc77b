"""Transfers between finite-element spaces on several meshes as sparse matrices."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from firedrake import FunctionSpace, TestFunction, TrialFunction, dx
from firedrake.mg.utils import get_level
from firedrake.supermeshing import assemble_mixed_mass_matrix
from scipy import sparse
from scipy.sparse.linalg import splu

from coupling.operator_matrices import csr
from coupling.operator_spaces import check_one_rank, scalar_element

# A vertex of a refined cell lies in a corner of its parent or in the middle of an edge, but for rounding.
_NESTED = 1e-6


def nested_prolongation(coarse, fine) -> sparse.csr_array:
    r"""Return the matrix that writes functions of a coarse space in a finer one.

    .. math:: P_{ij} = \phi^c_j(x_i)

    with the nodes x_i of the fine space and the basis functions of the coarse one.

    Parameters
    ----------
    coarse, fine
        Spaces of Lagrange elements, continuous or not, of triangles or tetrahedra on one rank, on neighbouring levels
        of a ``MeshHierarchy`` or on one mesh; the components of vectors share their nodes.

    Returns
    -------
    scipy.sparse.csr_array
        Shape (n, n_c): nodes, not degrees of freedom. Coarse functions are reproduced to rounding if the fine space
        holds them, on meshes moved by way of the coarse vertices too.

    Raises
    ------
    ValueError
        For meshes that are not neighbours in a hierarchy or no longer nested, several ranks, other elements.
    """
    check_one_rank(fine)
    parents = _parents(coarse.mesh(), fine.mesh())
    elements = [_lagrange(space) for space in (coarse, fine)]
    shares = _shares(coarse.mesh(), fine.mesh(), parents)
    # Few different places of a cell in its parent: each is tabulated once.
    kinds, kind_of = np.unique(shares.reshape(len(shares), -1), axis=0, return_inverse=True)
    kind_of = kind_of.ravel()
    inside = _barycentric(elements[1])
    corners = _corners(elements[0])
    values = np.stack(
        [
            elements[0].tabulate(0, inside @ kind.reshape(shares.shape[1:]) @ corners)[(0,) * corners.shape[1]].T
            for kind in kinds
        ]
    )
    rows = fine.cell_node_list
    nodes, first = np.unique(rows, return_index=True)
    cell, place = np.divmod(first, rows.shape[1])
    columns = coarse.cell_node_list[parents[cell]]
    entries = values[kind_of[cell], place]
    # Basis functions that vanish in a node leave rounding behind.
    entries[np.abs(entries) < 1e-14] = 0.0
    matrix = sparse.csr_array(
        (entries.ravel(), (np.repeat(nodes, columns.shape[1]), columns.ravel())),
        shape=(fine.node_count, coarse.node_count),
    )
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def supermesh_prolongation(coarse, fine) -> sparse.csr_array:
    r"""Return the matrix of the L2 projection between spaces on meshes that need not be nested.

    .. math:: P = M^{-1} C,\qquad M_{ij} = \int \phi_i \phi_j,\quad C_{ij} = \int \phi_i \phi^c_j

    C is integrated over the intersections of cells of both meshes, exactly.

    Parameters
    ----------
    coarse, fine
        Spaces of Lagrange elements, continuous or not, of triangles or tetrahedra on one rank; the components of
        vectors share their nodes.

    Returns
    -------
    scipy.sparse.csr_array
        Shape (n, n_c). Coarse functions that the fine space holds are reproduced and integrals kept, to rounding, where
        the meshes cover the same domain. Dense if the fine space is continuous, as inverse mass matrices are; entries
        below 1e-15 of the largest are left out.

    Raises
    ------
    ValueError
        For several ranks, other elements.

    Notes
    -----
    Farrell, Piggott, Pain, Gorman and Wilson (2009), Comput. Methods Appl. Mech. Engrg. 198, 2632, section 3.
    """
    for space in (coarse, fine):
        check_one_rank(space)
        _lagrange(space)
    first, second = (_component(space) for space in (coarse, fine))
    u, v = TrialFunction(second), TestFunction(second)
    mixed = csr(assemble_mixed_mass_matrix(first, second))
    entries = splu(csr(u * v * dx).tocsc()).solve(mixed.toarray())
    entries[np.abs(entries) < 1e-15 * np.abs(entries).max()] = 0.0
    return sparse.csr_array(entries)


def _component(space):
    """Return the scalar space of which a space has one or more copies."""
    element = space.ufl_element()
    return FunctionSpace(space.mesh(), element.sub_elements[0] if space.value_shape else element)


def _parents(coarse, fine) -> np.ndarray:
    """Return the coarse cell of each fine cell."""
    if coarse is fine:
        return np.arange(fine.num_cells())
    (hierarchy, level), (other, finer) = get_level(coarse), get_level(fine)
    if hierarchy is None or hierarchy is not other or finer - level != 1:
        raise ValueError(
            f"meshes: got levels {level} and {finer}, expected neighbours of one MeshHierarchy; "
            "use supermesh_prolongation for others"
        )
    children = hierarchy.coarse_to_fine_cells[Fraction(level)]
    parents = np.empty(fine.num_cells(), dtype=np.int64)
    parents[children] = np.arange(len(children))[:, None]
    return parents


def _shares(coarse, fine, parents: np.ndarray) -> np.ndarray:
    """Return the barycentric coordinates of each fine cell's vertices in its parent, (K, d + 1, d + 1): halves."""
    of_fine, of_coarse = (
        mesh.coordinates.dat.data_ro[mesh.coordinates.cell_node_map().values] for mesh in (fine, coarse)
    )
    of_coarse = of_coarse[parents]
    edges = of_coarse[:, 1:] - of_coarse[:, :1]
    inner = np.linalg.solve(edges.transpose(0, 2, 1), (of_fine - of_coarse[:, :1]).transpose(0, 2, 1))
    inner = inner.transpose(0, 2, 1)
    shares = np.concatenate([1.0 - inner.sum(axis=2, keepdims=True), inner], axis=2)
    halves = np.round(2.0 * shares) / 2.0
    off = float(np.abs(shares - halves).max())
    if off > _NESTED:
        raise ValueError(
            f"meshes: got a fine vertex {off:.1e} of a cell away from where refinement has put it, expected nested "
            "ones; move all levels by way of the coarsest's vertices, or use supermesh_prolongation"
        )
    return halves


def _lagrange(space):
    """Return the scalar element of a space as FIAT has it."""
    if len(space) == 1:
        fiat = scalar_element(space)
        points = [functional.get_point_dict() for functional in fiat.dual_basis()]
        if fiat.value_shape() == () and all(len(point) == 1 for point in points):
            return fiat
    raise ValueError(f"space: got {space.ufl_element()}, expected a Lagrange element (CG or DG)")


def _corners(element) -> np.ndarray:
    return np.array(element.get_reference_element().get_vertices())


def _barycentric(element) -> np.ndarray:
    """Return the barycentric coordinates of the nodes in the reference cell, shape (nodes, d + 1)."""
    points = np.array([next(iter(functional.get_point_dict())) for functional in element.dual_basis()])
    corners = _corners(element)
    inner = np.linalg.solve((corners[1:] - corners[0]).T, (points - corners[0]).T).T
    return np.concatenate([1.0 - inner.sum(axis=1, keepdims=True), inner], axis=1)
