"""Explicit Runge-Kutta schemes as data, and the interface of time steppers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Tableau:
    r"""Low-storage strong-stability-preserving Runge-Kutta scheme in Shu-Osher form.

    .. math:: U_i = a_i U_0 + (1 - a_i)\,\big(U_{i-1} + \beta_i\,\Delta t\, L(U_{i-1}, t + c_i \Delta t)\big)

    Each stage is a convex combination of the start and a forward Euler step, so that positivity and still
    water carry over from one Euler step.

    Attributes
    ----------
    keep
        a_i.
    scale
        beta_i.
    abscissae
        c_i, the time of the state that stage i starts from.
    order
        Order of accuracy.
    """

    keep: tuple[float, ...]
    scale: tuple[float, ...]
    abscissae: tuple[float, ...]
    order: int

    @property
    def largest_euler_step(self) -> float:
        """Largest beta_i: the Euler step in units of the time step, which the CFL condition bounds."""
        return max(self.scale)

    @property
    def ends(self) -> tuple[float, ...]:
        """Times of the states that the stages end with, in units of the time step: c_{i+1}, and 1."""
        return (*self.abscissae[1:], 1.0)


def ssp_second_order(stages: int) -> Tableau:
    """Optimal second-order scheme of s stages, SSP coefficient s - 1 (Gottlieb, Shu, Tadmor 2001, section 3)."""
    beta = 1.0 / (stages - 1)
    return Tableau(
        keep=(0.0,) * (stages - 1) + (1.0 / stages,),
        scale=(beta,) * stages,
        abscissae=tuple(i * beta for i in range(stages)),
        order=2,
    )


TABLEAUX = {
    "euler": Tableau((0.0,), (1.0,), (0.0,), 1),
    "ssp-rk2": ssp_second_order(2),
    "ssp-rk2-3": ssp_second_order(3),
    "ssp-rk2-4": ssp_second_order(4),
    "ssp-rk3": Tableau((0.0, 0.75, 1.0 / 3.0), (1.0, 1.0, 1.0), (0.0, 1.0, 0.5), 3),  # Shu and Osher (1988)
}


class StepStatus(Enum):
    """How a step ended."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class StepResult:
    """What a step did.

    Attributes
    ----------
    status
        ``FAILED`` when no time step, however small, gave a valid state; the state is then that of the start.
    dt
        Time step taken [s].
    retries
        How often the step was taken back and halved.
    """

    status: StepStatus
    dt: float
    retries: int = 0


class TimeStepper(ABC):
    """Advance a state in time, and the mesh with it while it is on its way (see ``begin_motion`` of the steppers)."""

    @property
    def is_moving(self) -> bool:
        """Whether the mesh is on its way."""
        return False

    @abstractmethod
    def step(self, t: float, dt_max: float) -> StepResult:
        """Advance the state from t [s] by at most dt_max [s] and by no more than stability allows."""
