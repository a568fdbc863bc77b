"""What does not depend on weights, made once for a problem: reduced unknowns, graphs, landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from learned.operators.chebyshev import diagonal_bound
from learned.operators.kernel_basis import Landmarks, landmarks
from learned.operators.nodal_problem import nodal_problem
from learned.operators.nodes import NODE_FEATURES, NodeGraph, node_graph, node_weights
from learned.operators.problem import OperatorProblem
from learned.sparse import SparseMap, sparse_map

# The least eigenvalue of the Laplacian on a square of area one.
_EIGENVALUE = 2.0 * np.pi**2


@dataclass(frozen=True)
class PreparedProblem:
    r"""A problem as an operator network takes it.

    .. math:: u = g + T v,\qquad T^T A T v = T^T (b - A g)

    T takes the unknowns to the degrees of freedom: it leaves out the fixed ones and repeats the one of each island. In
    float64, but for what networks see, which is of their own type.

    Attributes
    ----------
    graph, places
        Nodes and landmarks on the level where the network works.
    light
        The finest nodes, if that is a coarser level.
    prolongation
        From there to the finest nodes, (n, n_c), if it is coarser.
    hats
        The functions of the coarsest level in the unknowns, shape (V, H); none unless the network asks for them.
    components
        Of each node.
    expand, reduce
        T, and its inverse on what T gives: means over islands.
    stiffness
        Of the unknowns, symmetric and positive definite.
    jacobi
        Inverse of its diagonal, whose mean over the components of a node is taken, so that it turns with the domain,
        shape (V,).
    bound
        Inverse of a diagonal that is larger than the stiffness, see ``diagonal_bound``, shape (V,).
    unloaded
        1, but 0 where loads are concentrated, shape (V,).
    right_sides
        Shape (V, m).
    loads, values, solutions
        Of the degrees of freedom, shape (N, m).
    mass
        Gives squares of norms in L2 of degrees of freedom: of the velocities of stream functions.
    norms
        Norm of each solution, shape (m,).
    fixed
        Shape (N,), bool.
    """

    graph: NodeGraph
    places: Landmarks
    light: NodeGraph | None
    prolongation: SparseMap | None
    hats: Tensor
    components: int
    expand: SparseMap
    reduce: SparseMap
    stiffness: SparseMap
    jacobi: Tensor
    bound: Tensor
    unloaded: Tensor
    right_sides: Tensor
    loads: Tensor
    values: Tensor
    solutions: Tensor
    mass: SparseMap
    norms: Tensor
    fixed: Tensor

    def error(self, u: Tensor) -> Tensor:
        """Return the error in L2 of degrees of freedom (N, m), over the solution's norm, shape (m,)."""
        wrong = u - self.solutions
        return (wrong * self.mass(wrong)).sum(0).clamp_min(0.0).sqrt() / self.norms

    def energy_error(self, u: Tensor) -> Tensor:
        r"""Return the error of the unknowns in energy, over that of starting at the boundary values, shape (m,).

        .. math:: \|v - T^{-1} (u - g)\|_{T^T A T} \big/ \|v\|_{T^T A T}

        In this norm conjugate gradients begin where u lets them.
        """
        exact, wrong = self.reduce(self.solutions - self.values), self.reduce(u - self.solutions)
        whole, left = ((part * self.stiffness(part)).sum(0).clamp_min(0.0) for part in (exact, wrong))
        return (left / whole).sqrt()

    def sources(self) -> Tensor:
        r"""Return sources of the size of solutions, shape (n, c, m).

        .. math:: f_i = \frac{|\Omega|^{2/d}}{2 \pi^2} \frac{b_i}{w_i}

        The factor is the inverse of the Laplacian's least eigenvalue on a square as large as the domain.
        """
        weights = self.graph.weights.double()[:, None, None]
        scale = weights.sum() ** (2.0 / self.graph.points.shape[1]) / _EIGENVALUE
        return scale * self.loads.reshape(len(weights), self.components, -1) / weights


def prepare(
    problem: OperatorProblem,
    *,
    landmark_count: int,
    level: int = 0,
    hats: bool = False,
    dtype: torch.dtype = torch.float32,
) -> PreparedProblem:
    """Return what networks take.

    Parameters
    ----------
    problem
        The problem.
    landmark_count
        Number of landmarks.
    level
        Coarse level on which the network works, 0 for the finest.
    hats
        Whether it takes the functions of the coarsest level.
    dtype
        Floating-point type of the network's weights.

    Raises
    ------
    ValueError
        If the problem has not so many levels.
    """
    needed = max(level, int(hats))
    if needed > len(problem.coarse):
        raise ValueError(f"problem: got {len(problem.coarse)} coarse levels, expected {needed}; make it with more")
    expand, reduce = reduction(problem)
    c = problem.components
    stiffness = _reduced(problem.stiffness, expand)
    right_sides = expand.T @ (problem.loads - problem.stiffness @ problem.values)
    mass = _mass(problem)
    norms = np.sqrt(np.einsum("nm,nm->m", problem.solutions, mass @ problem.solutions))
    fixed, islands = problem.fixed, _islands(problem)
    graph = node_graph(
        problem.points, problem.stiffness, problem.mass, problem.fixed, problem.boundary, problem.features, dtype=dtype
    )
    points, light, prolongation = problem.points, None, None
    if level:
        way = problem.prolongation(level)
        points, light, prolongation = problem.coarse[level - 1].points, graph, sparse_map(way)
        graph, fixed, islands = _coarse_graph(problem, way, points, islands, dtype)
    volume = float(problem.mass.sum())
    return PreparedProblem(
        graph=graph,
        places=landmarks(points, volume, fixed, islands, landmark_count, dtype=dtype),
        light=light,
        prolongation=prolongation,
        hats=_hats(problem, reduce) if hats else torch.zeros(reduce.shape[0], 0, dtype=torch.float64),
        components=c,
        expand=sparse_map(expand),
        reduce=sparse_map(reduce),
        stiffness=sparse_map(stiffness),
        jacobi=torch.from_numpy(1.0 / _node_means(stiffness.diagonal(), expand, reduce, c)),
        bound=torch.from_numpy(1.0 / (expand.T @ np.repeat(diagonal_bound(problem.stiffness, c), c))),
        unloaded=torch.from_numpy(_unloaded(problem, reduce)),
        right_sides=torch.from_numpy(right_sides),
        loads=torch.from_numpy(problem.loads),
        values=torch.from_numpy(problem.values),
        solutions=torch.from_numpy(problem.solutions),
        mass=sparse_map(mass),
        norms=torch.from_numpy(norms),
        fixed=torch.from_numpy(problem.fixed.ravel()),
    )


def prepare_for(network: nn.Module, problem: OperatorProblem, *, dtype: torch.dtype = torch.float32) -> PreparedProblem:
    """Return what a network takes, as its attributes ``landmarks``, ``level``, ``hats``, ``nodal`` say, if it has them.

    Networks with ``nodal`` are given velocities in the nodes instead of stream functions.
    """
    return prepare(
        nodal_problem(problem) if getattr(network, "nodal", False) else problem,
        landmark_count=int(getattr(network, "landmarks", 1)),
        level=int(getattr(network, "level", 0)),
        hats=bool(getattr(network, "hats", False)),
        dtype=dtype,
    )


def check_told(problem: PreparedProblem, *, features: int, components: int | None = None) -> None:
    """Refuse a problem with other numbers of features, or of components if they matter, than a network is made for."""
    told = problem.graph.nodes.shape[1] - NODE_FEATURES
    for name, got, expected in (("features", told, features), ("components", problem.components, components)):
        if expected not in (None, got):
            raise ValueError(
                f"problem: got {got} {name} of each node, expected {expected}; make the network with {name}={got}"
            )


def reduction(problem: OperatorProblem) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return T, shape (N, V), and its left inverse, shape (V, N): see ``PreparedProblem``."""
    expand = problem.extras.get("reduction")
    if expand is None:
        free, size = problem.free, problem.fixed.size
        expand = sparse.csr_array((np.ones(len(free)), (free, np.arange(len(free)))), shape=(size, len(free)))
    counts = np.asarray(expand.sum(axis=0)).ravel()
    return expand, sparse.csr_array(sparse.diags_array(1.0 / counts) @ expand.T)


def _reduced(matrix: sparse.csr_array, expand: sparse.csr_array) -> sparse.csr_array:
    """Return T^T A T, each entry rounded once.

    Where a column stands for an island, large entries cancel in sums over it; what is lost is large beside the loads.
    """
    repeats = expand.nnz > expand.shape[1]
    kind = np.longdouble if repeats else np.float64
    expand = expand.astype(kind)
    return sparse.csr_array(expand.T @ matrix.astype(kind) @ expand).astype(np.float64)


def _mass(problem: OperatorProblem) -> sparse.csr_array:
    rotation = problem.extras.get("rotation")
    if rotation is None:
        return sparse.csr_array(sparse.kron(problem.mass, sparse.eye_array(problem.components)))
    return sparse.csr_array(rotation.T @ problem.extras["velocity_mass"] @ rotation)


def _node_means(values: np.ndarray, expand: sparse.csr_array, reduce: sparse.csr_array, components: int) -> np.ndarray:
    """Return values of the unknowns, shape (V,), each as the mean over the free components of its node."""
    free = np.diff(expand.indptr).reshape(-1, components).sum(axis=1)
    means = (expand @ values).reshape(-1, components).sum(axis=1) / np.maximum(free, 1)
    return reduce @ np.repeat(means, components)


def _unloaded(problem: OperatorProblem, reduce: sparse.csr_array) -> np.ndarray:
    loaded = np.zeros(len(problem.points), dtype=bool) if problem.loaded is None else problem.loaded
    return reduce @ np.repeat(~loaded, problem.components).astype(float)


def _hats(problem: OperatorProblem, reduce: sparse.csr_array) -> Tensor:
    """Return the functions of the coarsest level for each component in the unknowns; those that vanish left out."""
    way = sparse.kron(problem.prolongation(len(problem.coarse)), sparse.eye_array(problem.components))
    columns = (reduce @ sparse.csr_array(way)).toarray()
    return torch.from_numpy(columns[:, np.abs(columns).sum(axis=0) > 0.0])


def _islands(problem: OperatorProblem) -> np.ndarray:
    """Return the number of the island of each node, -1 for none, shape (n,)."""
    islands = np.full(len(problem.points), -1)
    expand = problem.extras.get("reduction")
    if expand is not None:
        columns = sparse.csc_array(expand)
        many = np.flatnonzero(np.diff(columns.indptr) > 1)
        for number, column in enumerate(many):
            islands[columns.indices[columns.indptr[column] : columns.indptr[column + 1]]] = number
    return islands


def _coarse_graph(
    problem: OperatorProblem, way: sparse.csr_array, points: np.ndarray, islands: np.ndarray, dtype: torch.dtype
) -> tuple[NodeGraph, np.ndarray, np.ndarray]:
    """Return the graph of a coarse level with Galerkin's matrices, what is fixed of its nodes, and their islands."""
    c = problem.components
    wide = sparse.csr_array(sparse.kron(way, sparse.eye_array(c)))
    # A coarse node is where the finest one is that has its value alone.
    nearest = np.asarray(sparse.csc_array(way).argmax(axis=0)).ravel()
    fixed = problem.fixed[nearest]
    weights = node_weights(problem.mass)
    mean = (way.T @ (weights[:, None] * problem.features)) / (way.T @ weights)[:, None]
    graph = node_graph(
        points,
        sparse.csr_array(wide.T @ problem.stiffness @ wide),
        sparse.csr_array(way.T @ problem.mass @ way),
        fixed,
        problem.boundary[nearest],
        mean,
        dtype=dtype,
    )
    return graph, fixed, islands[nearest]
