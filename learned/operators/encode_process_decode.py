"""Encode, process, decode: learned operators between any two finite-element spaces."""

from __future__ import annotations

from itertools import pairwise

import torch
from scipy import sparse
from torch import Tensor, nn

from learned.operators.exchange import MessageLayers
from learned.operators.nodes import NodeGraph
from learned.operators.structure import Structure
from learned.operators.structure.data import Matrix
from learned.sparse import SparseMap, sparse_map


class OperatorNetwork(nn.Module):
    r"""Map functions of one finite-element space to functions of another, on one geometry.

    .. math:: u = S\big(D\, \mathrm{process}(G, E f)\big)

    E and D are matrices that follow from the spaces, only what happens between is learned: the weights are those of the
    processor, which other geometries share, each with an ``OperatorNetwork`` of its own. Guaranteed: u has the
    structure S, whatever the weights; it depends on f by way of E f only.

    Parameters
    ----------
    graph
        G: the nodes between encoder and decoder, n of them. Its floating-point type is that of the weights.
    encoder
        E, sparse, shape (n C, N_in): degrees of freedom of the input to C numbers in each node, node after node. For a
        coarser space in a finer one ``nested_prolongation`` of ``coupling.operator_transfers`` interpolates, and
        ``supermesh_prolongation`` projects in L2; the mixed mass matrix gives load vectors. None where the input is in
        the nodes already, as ``coupling.operator_encoders`` give functions.
    processor
        Any module: ``processor(graph, h)`` with h of shape (n, m, C), a column for each of m inputs, gives shape
        (n, m, C'). ``MessagePassing``, ``NodeMLP``, ``MultigridProcessor`` or another.
    decoder
        D, sparse, shape (N_out, n C'); None if the answer is in the nodes.
    structure
        S: what the solution must have on this geometry, such as ``Dirichlet`` for boundary values by lifting. None for
        the unconstrained twin.

    Raises
    ------
    ValueError
        For a matrix that does not fit the nodes.

    Notes
    -----
    Bouziani and Boulle (2024), Structure-preserving operator learning, arXiv 2410.01065.

    Examples
    --------
    From sources, linear on a coarse mesh, to solutions, quadratic on a fine one, zero on the boundary::

        graph = node_graph(points, None, mass, fixed, boundary, features)
        processor = MessagePassing(told=graph.nodes.shape[1], inputs=1, outputs=1)
        network = OperatorNetwork(graph, prolongation, processor, None, Dirichlet(numbers, 0.0, size=len(points)))
        u = network(f)
    """

    def __init__(
        self,
        graph: NodeGraph,
        encoder: Matrix | None,
        processor: nn.Module,
        decoder: Matrix | None,
        structure: Structure | None = None,
    ):
        super().__init__()
        self.graph, self.structure, self.processor = graph, structure, processor
        n, dtype = len(graph.points), graph.points.dtype
        self.encoder = None if encoder is None else _map("encoder", encoder, 0, n, dtype)
        self.decoder = None if decoder is None else _map("decoder", decoder, 1, n, dtype)

    def forward(self, f: Tensor) -> Tensor:
        """Return the degrees of freedom of the solutions.

        Parameters
        ----------
        f
            Degrees of freedom of the inputs, shape (N_in, m), floating point.

        Returns
        -------
        Tensor
            Shape (N_out, m), float64.

        Raises
        ------
        ValueError
            For another number of degrees of freedom, and a processor's answer of another shape.
        """
        n, m = len(self.graph.points), f.shape[-1]
        size = n if self.encoder is None else self.encoder.shape[1]
        if f.ndim != 2 or (len(f) % size if self.encoder is None else len(f) != size):
            wanted = f"a multiple of {n}" if self.encoder is None else str(size)
            raise ValueError(f"f: got shape {tuple(f.shape)}, expected ({wanted}, m); encode it in the input space")
        f = f.to(self.graph.points.dtype)
        encoded = f if self.encoder is None else self.encoder(f)
        h = self.processor(self.graph, encoded.reshape(n, -1, m).transpose(1, 2))
        wide = None if self.decoder is None else self.decoder.shape[1] // n
        if h.ndim != 3 or h.shape[:2] != (n, m) or wide not in (None, h.shape[2]):
            raise ValueError(
                f"processor: got an answer of shape {tuple(h.shape)}, expected ({n}, {m}, {wide or 'any'}): channels "
                "of each node and input; set its outputs"
            )
        u = h.transpose(1, 2).reshape(-1, m)
        u = (u if self.decoder is None else self.decoder(u)).double()
        return u if self.structure is None else self.structure(u)


class MessagePassing(MessageLayers):
    """Process by messages between neighbours: see ``MessageLayers``, also for the parameters.

    Guaranteed: the answer is renumbered with the nodes and, without directions, stays the same when the domain is
    moved, turned, mirrored or enlarged; a node sees no farther than ``messages`` edges.
    """

    def __init__(
        self,
        *,
        told: int,
        inputs: int,
        outputs: int,
        width: int = 40,
        channels: int = 16,
        messages: int = 6,
        directions: int = 0,
    ):
        super().__init__(
            told=told,
            inputs=inputs,
            outputs=outputs,
            width=width,
            channels=channels,
            messages=messages,
            directions=directions,
        )

    def forward(self, graph: NodeGraph, h: Tensor) -> Tensor:
        """Return the answer in the nodes, shape (n, m, outputs), to data of shape (n, m, inputs)."""
        return self.exchanged(graph, h)


class NodeMLP(nn.Module):
    r"""Process each node on its own, by an MLP that all share.

    .. math:: h_i' = \mathrm{mlp}(q_i, h_i)

    with what a node is told of the geometry, q. For maps that are local, as material laws are, and as a control: it
    shows what an exchange is worth.

    Parameters
    ----------
    told
        Numbers that a node is told of the geometry, see ``NodeGraph.nodes``.
    inputs, outputs
        Channels of the data and of the answer.
    width, layers
        Of the hidden layers.
    """

    def __init__(self, *, told: int, inputs: int, outputs: int, width: int = 64, layers: int = 2):
        super().__init__()
        sizes = [told + inputs, *[width] * layers]
        hidden = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.SiLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))

    def forward(self, graph: NodeGraph, h: Tensor) -> Tensor:
        """Return the answer in the nodes, shape (n, m, outputs), to data of shape (n, m, inputs)."""
        told = graph.nodes[:, None].expand(-1, h.shape[1], -1)
        return self.layers(torch.cat([told, h], dim=2))


def _map(name: str, matrix: Matrix, axis: int, nodes: int, dtype: torch.dtype) -> SparseMap:
    """Return a matrix one of whose sides has so many numbers for each node, as a map."""
    if not sparse.issparse(matrix) or matrix.shape[axis] % nodes:
        side = "rows" if axis == 0 else "columns"
        raise ValueError(
            f"{name}: got {type(matrix).__name__} of shape {tuple(getattr(matrix, 'shape', ()))}, expected a sparse "
            f"matrix of scipy with a multiple of {nodes} {side}, as many for each node; number node after node"
        )
    return sparse_map(matrix, dtype)
