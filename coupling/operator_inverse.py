"""What operator networks make of a problem of Firedrake: an approximate inverse that acts on vectors of its solvers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from firedrake import DirichletBC, Function, TestFunction, TrialFunction, dx, inner
from scipy import sparse

from coupling.operator_matrices import csr
from coupling.operator_problems.geometry import coarse_levels
from coupling.operator_spaces import node_points
from learned.operators.prepared import prepare_for, reduction
from learned.operators.problem import OperatorProblem
from learned.operators.spon import SPON

# Of the entries of A - A^T, relative to the largest of A: rounding of integrals, with room.
_SYMMETRIC = 1e-10


def operator_problem(
    form,
    bcs: Sequence[DirichletBC] = (),
    *,
    features: np.ndarray | None = None,
    coarse: Sequence[Any] = (),
    loaded: np.ndarray | None = None,
) -> OperatorProblem:
    r"""Return what operator networks are told of a bilinear form and its boundary conditions, without right-hand sides.

    .. math:: a(u, v) = \sum_{ij} v_i A_{ij} u_j

    Parameters
    ----------
    form
        a, symmetric and positive definite where nothing is fixed, on a space of scalars or vectors; on one rank.
    bcs
        What is fixed; the values do not matter.
    features
        What else the network sees in the nodes, shape (n, k), such as the logarithm of a coefficient; none if None.
    coarse
        Scalar spaces of coarser levels, from fine to coarse, see ``coupling.operator_transfers``.
    loaded
        Nodes where right-hand sides will be concentrated, as tractions on a side are, shape (n,), bool; none if None.
        There functions are not made to follow the matrix, for which nothing acts there.

    Raises
    ------
    ValueError
        On all ranks: for several ranks, a mixed space, a form that is not symmetric, conditions that are no
        ``DirichletBC``, features of another shape.
    """
    space = form.arguments()[0].function_space()
    # Known to all ranks, so that all raise.
    ranks = space.mesh().comm.size
    if ranks > 1:
        raise ValueError(
            f"form: got one divided over {ranks} ranks, expected one rank; networks see whole problems: run without "
            "mpiexec, or make the mesh with comm=COMM_SELF"
        )
    if len(space) > 1:
        raise ValueError(f"form: got one on {space.ufl_element()}, expected a space of scalars or vectors")
    stiffness = csr(form)
    defect = abs(stiffness - stiffness.T).max()
    if not defect <= _SYMMETRIC * abs(stiffness).max():
        raise ValueError(f"form: got a defect of symmetry of {defect:.1e}, expected a symmetric form")
    scalar = space.sub(0).collapse() if space.value_size > 1 else space
    nodes, parts = space.node_count, space.block_size
    features = np.zeros((nodes, 0)) if features is None else np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or len(features) != nodes:
        raise ValueError(f"features: got shape {features.shape}, expected ({nodes}, k), a row for each node")
    boundary = np.zeros(nodes, dtype=bool)
    boundary[space.boundary_nodes("on_boundary")] = True
    nothing = np.zeros((nodes * parts, 1))
    return OperatorProblem(
        points=node_points(space),
        stiffness=stiffness,
        mass=csr(inner(TrialFunction(scalar), TestFunction(scalar)) * dx),
        fixed=_fixed(space, bcs).reshape(nodes, parts),
        boundary=boundary,
        features=features,
        loads=nothing,
        values=nothing,
        solutions=nothing,
        coarse=coarse_levels([*list(coarse)[::-1], scalar]),
        loaded=None if loaded is None else np.asarray(loaded, dtype=bool),
    )


def _fixed(space, bcs: Sequence[DirichletBC]) -> np.ndarray:
    """Return which degrees of freedom conditions fix, shape (N,)."""
    marks = Function(space)
    for bc in bcs:
        if not isinstance(bc, DirichletBC):
            raise ValueError(f"bcs: got {type(bc).__name__}, expected DirichletBC; put other conditions into the form")
        bc.set(marks, 1.0)
    return marks.dat.data_ro.ravel() > 0.0


class OperatorInverse:
    r"""Apply the approximate inverse that a network makes for a problem, set up once for any number of vectors.

    .. math:: z = T\, S\, T^T r + \chi r

    with S of the network, T from the unknowns to the degrees of freedom (``PreparedProblem``), and :math:`\chi` that is
    1 at fixed ones and 0 elsewhere: there matrices of Firedrake are the identity. For ``SPON`` and whatever weights:
    symmetric and positive definite, so that it may precondition conjugate gradients; z for the right-hand side of a
    solver with boundary values g, which is :math:`b - A g` and at fixed ones 0 or g, is the network's solution, less
    :math:`\chi g` in the first case.

    Parameters
    ----------
    network
        Makes S by its ``inverse``.
    problem
        From ``operator_problem``, or of a data set; its right-hand sides do not matter.

    Attributes
    ----------
    size
        N, number of degrees of freedom, fixed ones included.

    Raises
    ------
    ValueError
        For a problem with fewer coarse levels than the network asks for.
    """

    def __init__(self, network: SPON, problem: OperatorProblem):
        self.size = problem.fixed.size
        self._fixed = np.flatnonzero(problem.fixed)
        self._expand = reduction(problem)[0]
        self._reduce = sparse.csr_array(self._expand.T)
        with torch.no_grad():
            self._inverse = network.inverse(prepare_for(network, problem))

    def __call__(self, residuals: np.ndarray) -> np.ndarray:
        """Return z, float64, for residuals of shape (N,) or (N, m); many at once take less time each.

        Raises
        ------
        ValueError
            For another number of degrees of freedom.
        """
        result = self._through(self._inverse, residuals)
        result[self._fixed] = residuals[self._fixed]
        return result

    def coarse(self, residuals: np.ndarray) -> np.ndarray:
        """Return T Q T^T r: of S only the solve in the span of the network's functions, see ``BalancedInverse``.

        Symmetric, not negative; zero at fixed degrees of freedom.
        """
        return self._through(self._inverse.coarse, residuals)

    @cached_property
    def _half(self) -> np.ndarray:
        return np.ascontiguousarray((self._expand @ self._inverse.half().numpy()).astype(np.float32))

    def start(self, right_sides: np.ndarray) -> np.ndarray:
        r"""Return about where to begin: the solve in the span of the network's functions, in single precision.

        .. math:: x = H H^T b,\qquad H^T A H = I

        to 1e-6, right where values are fixed. A tenth of the time of a call, as the functions are gone through twice
        and take half the memory: a warm start has to cost less than the iterations that it saves.

        Parameters
        ----------
        right_sides
            Shape (N,) or (N, m).
        """
        return self._within(self._half, right_sides)

    def start_for(self, typical: np.ndarray, *, rest: float = 2e-4) -> Callable[[np.ndarray], np.ndarray]:
        r"""Return a start like ``start`` that takes a fraction of its time, for right-hand sides like some others.

        .. math:: x = H V V^T H^T b,\qquad V^T V = I

        V are the principal directions of :math:`H^T b_k`, each over its length, beyond which less than ``rest`` is left
        of them in the mean of squares (proper orthogonal decomposition). For any b that is a solve in the span of some
        functions, so x is nearer to the solution in energy than zero; how near depends on how typical b is.

        Parameters
        ----------
        typical
            b_k, shape (N, m): some hundred, such as random loads of the kind that will come; x has no more directions.
        rest
            At least 0, less than 1.

        Raises
        ------
        ValueError
            For another number of degrees of freedom, if all are zero, or for another ``rest``.

        Notes
        -----
        Sirovich, Quart. Appl. Math. 45 (1987), 561.
        """
        self._check(typical)
        if not 0.0 <= rest < 1.0:
            raise ValueError(f"rest: got {rest}, expected at least 0 and less than 1; it is the share that is left out")
        seen = self._half.T.astype(np.float64) @ typical.reshape(self.size, -1)
        lengths = np.linalg.norm(seen, axis=0)
        if not (lengths > 0.0).any():
            raise ValueError("typical: got nothing but zeros, expected right-hand sides; give some that will come")
        directions, sizes, _ = np.linalg.svd(seen[:, lengths > 0.0] / lengths[lengths > 0.0], full_matrices=False)
        left = np.append(np.cumsum(sizes[::-1] ** 2)[::-1], 0.0)
        rank = int(np.argmax(left <= rest**2 * left[0]))
        half = np.ascontiguousarray(self._half @ directions[:, :rank].astype(np.float32))
        return lambda right_sides: self._within(half, right_sides)

    def _within(self, half: np.ndarray, right_sides: np.ndarray) -> np.ndarray:
        self._check(right_sides)
        result = (half @ (half.T @ right_sides.astype(np.float32))).astype(np.float64)
        result[self._fixed] = right_sides[self._fixed]
        return result

    def _check(self, residuals: np.ndarray) -> None:
        if residuals.ndim not in (1, 2) or len(residuals) != self.size:
            raise ValueError(f"residuals: got shape {residuals.shape}, expected ({self.size},) or ({self.size}, m)")

    def _through(self, operator, residuals: np.ndarray) -> np.ndarray:
        self._check(residuals)
        columns = self._reduce @ residuals.reshape(self.size, -1)
        with torch.no_grad():
            result = operator(torch.from_numpy(columns)).numpy()
        return (self._expand @ result).reshape(residuals.shape)
