"""Time steps taken by a network where a residual allows it, and by the finite-element solve where it does not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import perf_counter

import numpy as np
from firedrake import Function
from firedrake.exceptions import ConvergenceError

from fem.timestep import StepResult, StepStatus, TimeStepper

Surrogate = Callable[[np.ndarray], np.ndarray]
"""Takes the degrees of freedom that this rank owns, shape (N,), and gives those a time step later."""


class ImplicitStep(ABC):
    """The discrete equation of one time step, which a state after it solves more or less."""

    @abstractmethod
    def solve(self, before: Function, start: Function, after: Function, dt: float) -> None:
        """Solve for ``after``, by iterations that begin at ``start``.

        Raises
        ------
        ConvergenceError
            If that fails.
        """

    @abstractmethod
    def residual(self, before: Function, after: Function, dt: float) -> float:
        """Return by how much ``after`` misses the equation, relative to its right-hand side; the same on all ranks."""

    @abstractmethod
    def mesh_changed(self) -> None:
        """Take note of coordinates set from outside."""


@dataclass
class SurrogateRecord:
    """What a stepper has done so far.

    Attributes
    ----------
    accepted, corrected
        Steps taken by the surrogate, and by the solve.
    warm
        Those of the corrected ones whose solve began at what the surrogate had given.
    worst
        Largest relative residual of a step taken.
    surrogate_s, residual_s, solve_s
        Wall time [s]; that of the surrogate includes making it.
    """

    accepted: int = 0
    corrected: int = 0
    warm: int = 0
    worst: float = 0.0
    surrogate_s: float = 0.0
    residual_s: float = 0.0
    solve_s: float = 0.0


class SurrogateStepper(TimeStepper):
    r"""Take each step by a surrogate, and again by the solve if the residual is above a tolerance.

    .. math:: \|R(u_{n+1}, u_n)\| \le \text{tol}

    in the relative norm of the equation, for every step that is taken; a step whose solve misses it fails and leaves
    the state as it was. The solve begins at what the surrogate has given if the residual there is below that of the
    state before, and else at that state: with a surrogate that is never any good, the states are those of the
    equation without one, bit for bit.

    Parameters
    ----------
    state
        What is advanced.
    surrogate
        Makes the surrogate for the mesh as it is: when the first step is taken, and after ``mesh_changed``.
    equation
        What a step has to solve.
    dt
        Time step of the surrogate [s]; a shorter one, at the end, is taken by the solve.
    tolerance
        Largest relative residual.

    Attributes
    ----------
    record
        What has been done.

    Raises
    ------
    ValueError
        For a time step or a tolerance that is not positive.
    """

    def __init__(
        self,
        state: Function,
        surrogate: Callable[[], Surrogate],
        equation: ImplicitStep,
        *,
        dt: float,
        tolerance: float,
    ):
        for name, value, unit in (("dt", dt, " s"), ("tolerance", tolerance, "")):
            if not 0.0 < value < inf:
                raise ValueError(f"{name}: got {value}, expected a positive number{unit}")
        self.state, self.record = state, SurrogateRecord()
        self._make, self._equation, self._dt, self._tolerance = surrogate, equation, dt, tolerance
        self._surrogate: Surrogate | None = None
        self._guess, self._after = Function(state), Function(state)

    def mesh_changed(self) -> None:
        """Take note of coordinates set from outside, as ``MovingMesh`` does by its ``refresh``."""
        self._surrogate = None
        self._equation.mesh_changed()

    def step(self, t: float, dt_max: float) -> StepResult:
        """See ``TimeStepper``; what the equation depends on besides must be set to the time after the step."""
        # What rounding leaves of a step is no shorter step.
        whole = dt_max >= self._dt * (1.0 - 1e-9)
        dt = self._dt if whole else dt_max
        residual = self._predict(dt) if whole else inf
        if residual <= self._tolerance:
            self.record.accepted += 1
            self.state.assign(self._guess)
        else:
            residual = self._correct(residual, dt)
            if not residual <= self._tolerance:
                return StepResult(StepStatus.FAILED, 0.0)
            self.record.corrected += 1
            self.state.assign(self._after)
        self.record.worst = max(self.record.worst, residual)
        return StepResult(StepStatus.DONE, dt)

    def _predict(self, dt: float) -> float:
        """Let the surrogate step, and return the residual."""
        began = perf_counter()
        if self._surrogate is None:
            self._surrogate = self._make()
        values = self.state.dat.data_ro
        self._guess.dat.data_wo[...] = self._surrogate(values.ravel().copy()).reshape(values.shape)
        self.record.surrogate_s += perf_counter() - began
        return self._residual(self._guess, dt)

    def _correct(self, residual: float, dt: float) -> float:
        """Solve, and return the residual; infinity for a solve that has failed."""
        # Without a prediction, as with a useless one.
        warm = residual < inf and residual < self._residual(self.state, dt)
        began = perf_counter()
        try:
            self._equation.solve(self.state, self._guess if warm else self.state, self._after, dt)
        except ConvergenceError:
            return inf
        finally:
            self.record.solve_s += perf_counter() - began
        self.record.warm += warm
        return self._residual(self._after, dt)

    def _residual(self, after: Function, dt: float) -> float:
        began = perf_counter()
        residual = self._equation.residual(self.state, after, dt)
        self.record.residual_s += perf_counter() - began
        # NaN is less than nothing.
        return residual if residual >= 0.0 else inf
