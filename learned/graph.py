"""A mesh of simplices as tensors: what networks see of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import permutations

import torch
from torch import Tensor
from torch_geometric.data import Data

# Marker of vertices inside the domain; those of facets are any other integers.
INSIDE = -2
# Sums of facet vectors below this share of the facets' sizes are taken for zero: the facets' normals cancel.
_CANCELLED = 1e-8


@dataclass(frozen=True)
class MeshGraph:
    r"""Vertices, cells, edges and boundary of a mesh of triangles or tetrahedra.

    N vertices in d = 2 or 3 dimensions, K cells, E directed edges, B boundary facets. Of a whole mesh, the edges are
    all those of the cells. Of the part of a mesh that one rank of several holds, cells, edges and facets are those
    that the rank owns, so that over all ranks each occurs once; vertices are those it knows, see ``owned``.

    Attributes
    ----------
    pos
        Places of the vertices, shape (N, d), floating point [m].
    cells
        Vertices of each cell, shape (K, d + 1), int64.
    edge_index
        Start and end of each edge, in both directions, in ascending order, shape (2, E), int64.
    facets
        Vertices of each boundary facet, shape (B, d), int64, in the order that makes ``facet_vectors`` point outward.
    facet_markers
        Marker of each boundary facet, shape (B,), int64; -1 without.
    vertex_markers
        Least marker of the boundary facets around each vertex, shape (N,), int64; ``INSIDE`` in the domain.
    normals
        Outward unit normal of each boundary vertex, shape (N, d): the mean of its facets' normals weighted by their
        sizes, brought to length one, at corners too. Zero in the domain, and where the facets' normals cancel.
    owned
        Vertices that this rank owns, shape (N,), bool; those of the halo follow after. All, if there is one rank.

    Raises
    ------
    ValueError
        For shapes, types, devices or indices that do not fit together, and for edges in another order, given twice
        or in one direction only.
    """

    pos: Tensor
    cells: Tensor
    edge_index: Tensor
    facets: Tensor
    facet_markers: Tensor
    vertex_markers: Tensor
    normals: Tensor
    owned: Tensor

    def __post_init__(self) -> None:
        _check_positions(self.pos)
        vertices, dimension = self.pos.shape
        _check("cells", self.cells, (None, dimension + 1), torch.int64)
        _check("edge_index", self.edge_index, (2, None), torch.int64)
        _check("facets", self.facets, (None, dimension), torch.int64)
        _check("facet_markers", self.facet_markers, (len(self.facets),), torch.int64)
        _check("vertex_markers", self.vertex_markers, (vertices,), torch.int64)
        _check("normals", self.normals, (vertices, dimension), self.pos.dtype)
        _check("owned", self.owned, (vertices,), torch.bool)
        devices = {str(getattr(self, field.name).device) for field in fields(self)}
        if len(devices) > 1:
            raise ValueError(f"graph: got tensors on {', '.join(sorted(devices))}, expected one device; move them")
        for name in ("cells", "edge_index", "facets"):
            _check_indices(name, getattr(self, name), vertices)
        _check_edges(self.edge_index, vertices)

    @property
    def on_boundary(self) -> Tensor:
        """Which vertices lie on the boundary of the whole mesh, shape (N,), bool."""
        return self.vertex_markers != INSIDE

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> MeshGraph:
        """Return the graph on another device, or with places and normals in another floating-point type.

        Parameters
        ----------
        device
            Device of all tensors; the one they are on if None.
        dtype
            Type of ``pos`` and ``normals``; the one they have if None.

        Returns
        -------
        MeshGraph
            The graph; tensors that are already so are shared.
        """
        moved = {field.name: getattr(self, field.name).to(device=device) for field in fields(self)}
        for name in ("pos", "normals"):
            moved[name] = moved[name].to(dtype=dtype)
        return MeshGraph(**moved)

    def to_data(self) -> MeshData:
        """Return the graph for PyG, under the names of the attributes.

        Returns
        -------
        MeshData
            Shares the tensors. In a ``Batch`` of several, cells, edges and facets have the vertex numbers of the whole.
        """
        return MeshData(**{field.name: getattr(self, field.name) for field in fields(self)})


class MeshData(Data):
    """A PyG ``Data`` that knows that cells and facets hold vertex numbers, which a batch must offset.

    Made by ``MeshGraph.to_data``; further features can be set as on any ``Data``.
    """

    def __inc__(self, key: str, value, *args, **kwargs):
        if key in ("cells", "facets"):
            return self.num_nodes
        return super().__inc__(key, value, *args, **kwargs)


def cell_edges(cells: Tensor) -> Tensor:
    """Return the edges of cells, in both directions, each once, in ascending order.

    Parameters
    ----------
    cells
        Vertices of each cell, shape (K, d + 1), int64.

    Returns
    -------
    Tensor
        Shape (2, E), int64; fit for ``MeshGraph.edge_index``.
    """
    corners = cells.shape[1]
    pairs = torch.cat([cells[:, [one, other]] for one, other in permutations(range(corners), 2)])
    # A number for each pair, as to sort numbers is many times faster than to sort rows.
    base = int(cells.max()) + 1 if cells.numel() else 1
    numbers = torch.unique(pairs[:, 0] * base + pairs[:, 1])
    return torch.stack([numbers // base, numbers % base])


def facet_vectors(pos: Tensor, facets: Tensor) -> Tensor:
    r"""Return each facet's normal times its size.

    .. math:: (e_y, -e_x),\ e = x_1 - x_0 \quad\text{in 2D},\qquad
              \tfrac12 (x_1 - x_0) \times (x_2 - x_0) \quad\text{in 3D}

    Parameters
    ----------
    pos
        Places of the vertices, shape (N, d) [m].
    facets
        Vertices of each facet, shape (B, d), int64.

    Returns
    -------
    Tensor
        Shape (B, d), of the length [m] or area [m^2] of each facet.
    """
    corners = pos[facets]
    first = corners[:, 1] - corners[:, 0]
    if pos.shape[1] == 2:
        return torch.stack([first[:, 1], -first[:, 0]], dim=1)
    return 0.5 * torch.linalg.cross(first, corners[:, 2] - corners[:, 0])


def unit_normals(vectors: Tensor, sizes: Tensor) -> Tensor:
    """Return sums of facet vectors brought to length one, zero where they cancel.

    Parameters
    ----------
    vectors
        Sum of the facet vectors around each vertex, shape (N, d).
    sizes
        Sum of their lengths, shape (N,).

    Returns
    -------
    Tensor
        Shape (N, d).
    """
    length = torch.linalg.vector_norm(vectors, dim=1)
    there = length > _CANCELLED * sizes
    return torch.where(there[:, None], vectors / torch.where(there, length, 1.0)[:, None], 0.0)


def _check_positions(pos: Tensor) -> None:
    if not isinstance(pos, Tensor) or pos.ndim != 2 or pos.shape[1] not in (2, 3) or not pos.is_floating_point():
        raise ValueError(f"pos: got {_described(pos)}, expected floating point of shape (N, 2) or (N, 3)")


def _check(name: str, tensor: Tensor, shape: tuple[int | None, ...], dtype: torch.dtype) -> None:
    """Refuse a tensor of another type or shape; None fits any length."""
    fits = isinstance(tensor, Tensor) and tensor.dtype == dtype and tensor.ndim == len(shape)
    if not fits or any(wanted not in (None, got) for wanted, got in zip(shape, tensor.shape, strict=True)):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name}: got {_described(tensor)}, expected {_type_name(dtype)} of shape ({sizes})")


def _check_indices(name: str, indices: Tensor, vertices: int) -> None:
    if indices.numel():
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= vertices:
            raise ValueError(
                f"{name}: got vertex numbers from {low} to {high}, expected 0 to {vertices - 1}; "
                "number the vertices by their rows in pos"
            )


def _check_edges(edges: Tensor, vertices: int) -> None:
    forth, back = edges[0] * vertices + edges[1], edges[1] * vertices + edges[0]
    ascending = bool((forth[1:] > forth[:-1]).all())
    if not ascending or bool((edges[0] == edges[1]).any()) or not torch.equal(forth, back.sort().values):
        raise ValueError(
            "edge_index: got edges out of order, given twice, in one direction only or from a vertex to itself, "
            "expected both directions of each edge, ascending; make them with cell_edges"
        )


def _described(value) -> str:
    if isinstance(value, Tensor):
        return f"{_type_name(value.dtype)} of shape {tuple(value.shape)}"
    return type(value).__name__


def _type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
