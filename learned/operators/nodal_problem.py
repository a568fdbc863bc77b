"""Stokes' problem for velocities in the nodes: for networks that know of no stream function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from learned.operators.problem import OperatorProblem


def nodal_problem(problem: OperatorProblem) -> OperatorProblem:
    """Return the same flows with velocities in the nodes for solutions; any other problem as it is.

    A network is told as much as one for stream functions: load vectors of the forces, and the lifting's velocities,
    which are right at walls, inlet and obstacles. The matrix is only there for what edges are told.
    """
    velocity = problem.extras.get("nodal_velocity")
    if velocity is None:
        return problem
    reduction = problem.extras["reduction"]
    # Where a column is alone in its row, and the row in its column, psi is free: everywhere else velocities are given.
    alone = np.asarray(reduction.sum(axis=0)).ravel() == 1.0
    free = np.asarray(reduction[:, np.flatnonzero(alone)].sum(axis=1)).ravel() > 0.0
    extras = {name: matrix for name, matrix in problem.extras.items() if name not in ("reduction", "rotation")}
    return replace(
        problem,
        stiffness=sparse.csr_array(sparse.kron(problem.stiffness, sparse.eye_array(2))),
        fixed=np.repeat(~free[:, None], 2, axis=1),
        loads=problem.extras["nodal_loads"].toarray(),
        values=velocity @ problem.values,
        solutions=velocity @ problem.solutions,
        extras=extras,
    )
