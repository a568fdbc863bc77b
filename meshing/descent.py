"""Quasi-Newton iteration with step halving, as movers use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from firedrake.exceptions import ConvergenceError

State = TypeVar("State")

_HALVINGS = 10
# A step that is not smaller than this share of the one before, which was taken whole, begins to cycle.
_SHRINKING = 0.9
_LEAST_RELAXATION = 0.125


def descend(
    state: State,
    *,
    direction: Callable[[State], np.ndarray],
    moved: Callable[[np.ndarray], float],
    step: Callable[[State, np.ndarray], State],
    improves: Callable[[State, State], bool],
    tolerance: float,
    max_iterations: int,
) -> tuple[State, bool, int]:
    """Go from state to state in full steps, or halves, quarters ... of them where a full one is no improvement.

    Where the steps themselves do not get smaller although they are taken whole, as in a cycle, they are halved from
    then on.

    Parameters
    ----------
    state
        Where to begin.
    direction
        Gives for a state the full step. This one and the next may raise firedrake's ConvergenceError, on all ranks:
        then there is no step, or it is no improvement.
    moved
        Size of a step, to be compared with the tolerance.
    step
        Gives the state after a step.
    improves
        Whether the first state is good enough to go on with after the second.
    tolerance
        The iteration has converged when a full step is not larger.
    max_iterations
        Most steps.

    Returns
    -------
    tuple
        The last state, which is the best, whether the iteration has converged, and the steps computed.
    """
    relaxation, before = 1.0, np.inf
    for iteration in range(1, max_iterations + 1):
        try:
            full = direction(state)
        except ConvergenceError:
            return state, False, iteration
        size = moved(full)
        converged = size <= tolerance
        if size > _SHRINKING * before:
            relaxation = max(0.5 * relaxation, _LEAST_RELAXATION)
        for halving in range(_HALVINGS):
            try:
                trial = step(state, relaxation * 0.5**halving * full)
            except ConvergenceError:
                continue
            if improves(trial, state):
                state = trial
                break
        else:
            return state, converged, iteration
        before = size if halving == 0 else np.inf
        if converged:
            return state, True, iteration
    return state, False, max_iterations
