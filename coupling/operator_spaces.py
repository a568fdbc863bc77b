"""Nodes of finite-element spaces: where they are, and which are neighbours."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def node_points(space) -> np.ndarray:
    r"""Return the places of a space's nodes.

    .. math:: x_i = F_K\left(\frac{1}{Q} \sum_q \hat x_q\right)

    with the points :math:`\hat x_q` where the functional of node i evaluates a function: one for Lagrange elements,
    those of its quadrature for a moment over a facet or a cell; F_K maps the reference cell to a cell with the node.

    Parameters
    ----------
    space
        Space of any element that FIAT has, also of vectors, on one rank; or a mixed one of such.

    Returns
    -------
    numpy.ndarray
        Shape (n, d) [m], in the order of the degrees of freedom, the components of a node being one; those of a mixed
        space part by part.

    Raises
    ------
    ValueError
        On several ranks.
    """
    check_one_rank(space)
    return np.concatenate([_points(part) for part in space])


def node_graph(space) -> np.ndarray:
    """Return which nodes are neighbours: those that share a cell, and of discontinuous spaces also a facet's two cells.

    Parameters
    ----------
    space
        As for ``node_points``; all nodes of a mixed space in a cell are neighbours.

    Returns
    -------
    numpy.ndarray
        Pairs of nodes, shape (2, E), int64: in both directions, each once, ascending, no node with itself.

    Raises
    ------
    ValueError
        On several ranks.
    """
    check_one_rank(space)
    cells = [_cell_nodes(part) for part in space]
    together = sparse.hstack(cells, format="csr")
    # Of discontinuous parts no node is in two cells.
    across = sparse.hstack([part if _is_discontinuous(of) else 0 * part for part, of in zip(cells, space, strict=True)])
    pairs = together.T @ together + across.T @ _neighbours(next(iter(space)).mesh()) @ across
    pairs = sparse.csr_array(pairs)
    pairs.eliminate_zeros()
    pairs.sort_indices()
    rows = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    apart = rows != pairs.indices
    return np.stack([rows[apart], pairs.indices[apart]]).astype(np.int64)


def scalar_element(space):
    """Return the element of a space, of one component where the space has vectors of it, as FIAT has it."""
    element = space.finat_element
    return getattr(element, "base_element", element).fiat_equivalent


def check_one_rank(space) -> None:
    """Refuse a space that is divided over several ranks, whose numbers of nodes are each rank's own."""
    ranks = space.mesh().comm.size
    if ranks > 1:
        raise ValueError(f"space: got {ranks} ranks, expected one; make the mesh with comm=COMM_SELF")


def _points(space) -> np.ndarray:
    inner = np.array([np.mean(list(node.get_point_dict()), axis=0) for node in scalar_element(space).dual_basis()])
    coordinates = space.mesh().coordinates
    weights = scalar_element(coordinates.function_space()).tabulate(0, inner)[(0,) * inner.shape[1]]
    corners = coordinates.dat.data_ro[coordinates.cell_node_map().values]
    # A node is one place in all of its cells, but for rounding: the last one counts.
    places = np.empty((space.node_count, corners.shape[2]))
    places[space.cell_node_list] = np.einsum("ci,kcd->kid", weights, corners)
    return places


def _cell_nodes(space) -> sparse.csr_array:
    """Return which nodes are in which cell, shape (K, n): ones."""
    nodes = space.cell_node_list
    start = np.arange(0, nodes.size + 1, nodes.shape[1])
    return sparse.csr_array((np.ones(nodes.size), nodes.ravel(), start), shape=(len(nodes), space.node_count))


def _is_discontinuous(space) -> bool:
    inside = scalar_element(space).entity_dofs()
    return not any(dofs for dimension in list(inside)[:-1] for dofs in inside[dimension].values())


def _neighbours(mesh) -> sparse.csr_array:
    """Return which cells have a facet in common, shape (K, K): ones."""
    one, other = mesh.interior_facets.facet_cell.T
    place = np.concatenate([one, other]), np.concatenate([other, one])
    return sparse.csr_array((np.ones(len(place[0])), place), shape=(mesh.num_cells(),) * 2)
