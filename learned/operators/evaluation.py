"""What an operator network is worth on problems it has not seen: errors, times, and the structure it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from learned.operators.prepared import PreparedProblem, prepare_for, reduction
from learned.operators.problem import OperatorProblem
from learned.operators.spon import SPON
from learned.operators.structure.dirichlet import Dirichlet
from learned.operators.structure.divergence_free import DivergenceFree
from learned.operators.structure.self_adjoint import SelfAdjoint

# Rows of structure residuals, in the order of reports.
RESIDUALS = ("boundary values", "divergence", "reciprocity", "balance")


@dataclass(frozen=True)
class Evaluation:
    """Figures of one network on several geometries.

    Attributes
    ----------
    errors
        Relative errors in L2 of each geometry's right-hand sides, shape (geometries, m).
    residuals
        The greatest of each structure residual by its name in ``RESIDUALS``; without those that have no meaning.
    prepare_s, solve_s
        Median times to make what depends on the geometry but not on weights, and to solve for all m right-hand sides
        [s].
    """

    errors: np.ndarray
    residuals: dict[str, float]
    prepare_s: float
    solve_s: float

    def figures(self) -> dict[str, float]:
        """Return mean, median, 90th percentile and worst of the errors."""
        flat = self.errors.ravel()
        return {
            "mean": float(flat.mean()),
            "median": float(np.median(flat)),
            "q90": float(np.quantile(flat, 0.9)),
            "worst": float(flat.max()),
        }


def evaluate(network: nn.Module, problems: Sequence[OperatorProblem], *, tested: SPON | None = None) -> Evaluation:
    """Return the figures of a network on problems, on the CPU.

    Parameters
    ----------
    network
        Any operator network.
    problems
        What it is asked.
    tested
        Whose functions test the balance of the answers of other networks; a ``SPON`` is tested by its own.
    """
    errors, residuals, prepare_s, solve_s = [], [], [], []
    for problem in problems:
        began = perf_counter()
        prepared = prepare_for(network, problem)
        prepare_s.append(perf_counter() - began)
        with torch.no_grad():
            began = perf_counter()
            u = network(prepared)
            solve_s.append(perf_counter() - began)
            errors.append(prepared.error(u).numpy())
            residuals.append(structure_residuals(network, problem, prepared, u, tested=tested))
    worst = {name: max(one[name] for one in residuals) for name in RESIDUALS if name in residuals[0]}
    return Evaluation(np.stack(errors), worst, median(prepare_s), median(solve_s))


def structure_residuals(
    network: nn.Module, problem: OperatorProblem, prepared: PreparedProblem, u: Tensor, *, tested: SPON | None = None
) -> dict[str, float]:
    r"""Return how far a solution is from what the exact discrete one has.

    - ``boundary values``: the largest difference from those given, over the largest value.
    - ``divergence`` of velocities: see ``DivergenceFree``.
    - ``reciprocity``, of problems for u itself: :math:`|b_1 \cdot u_2 - b_2 \cdot u_1|` over
      :math:`|b_1| |u_2| + |b_2| |u_1|` for loads without boundary values (Betti).
    - ``balance``, of the same: :math:`\|\Phi^T (b - A u)\| / \|b\|` on the functions of a ``SPON``, of length one, each
      of which tests whether loads and stresses around a place balance; b is less what the boundary values take.

    Parameters
    ----------
    network
        Any.
    problem, prepared
        The problem, and as the network takes it.
    u
        Its solution, shape (N, m).
    tested
        See ``evaluate``.
    """
    fixed = prepared.fixed.nonzero().ravel()
    result = {"boundary values": Dirichlet(fixed, prepared.values[fixed]).residual(u)}
    nodal = bool(getattr(network, "nodal", False)) and "nodal_velocity" in problem.extras
    if "rotation" in problem.extras:
        name = "nodal_divergence" if nodal else "divergence"
        velocity = u if nodal else torch.from_numpy(problem.extras["rotation"] @ u.numpy())
        # The rotation has been taken.
        unchanged = sparse.eye_array(len(velocity), format="csr")
        result["divergence"] = DivergenceFree(unchanged, problem.extras[name]).residual(velocity)
    if nodal:
        return result
    result["reciprocity"] = reciprocity(network, problem, prepared)
    tested = network if isinstance(network, SPON) else tested
    if tested is not None:
        result["balance"] = balance(tested, problem, u)
    return result


def reciprocity(network: nn.Module, problem: OperatorProblem, prepared: PreparedProblem) -> float:
    """Return the asymmetry of a network's answers to its loads without boundary values, see ``structure_residuals``."""
    loads = torch.where(prepared.fixed[:, None], 0.0, prepared.loads)
    right_sides = torch.from_numpy(reduction(problem)[0].T @ loads.numpy())
    answers = network(replace(prepared, loads=loads, values=torch.zeros_like(loads), right_sides=right_sides))
    return SelfAdjoint(sparse.eye_array(len(loads), format="csr"), 1.0, loads=loads).residual(answers)


def balance(network: SPON, problem: OperatorProblem, u: Tensor) -> float:
    """Return what is left of the balance of loads on a network's functions, see ``structure_residuals``."""
    own = prepare_for(network, problem)
    functions = network.inverse(own).basis.numpy()
    # In more digits than u has, as terms of A u are large; and with functions as they are: of length one, they would be
    # rounded to others.
    long = np.longdouble
    left = problem.loads.astype(long) - problem.stiffness.astype(long) @ u.numpy().astype(long)
    seen = functions.T.astype(long) @ (reduction(problem)[0].T.astype(long) @ left)
    defect = (seen / np.linalg.norm(functions, axis=0)[:, None]).astype(float)
    whole = np.linalg.norm(own.right_sides.numpy(), axis=0)
    return float((np.linalg.norm(defect, axis=0) / np.where(whole > 0.0, whole, 1.0)).max())
