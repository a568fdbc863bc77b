"""Training of operator networks: relative errors on geometries, half a dozen right-hand sides on each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from learned.device import to_device
from learned.operators.prepared import PreparedProblem, prepare_for
from learned.operators.problem import OperatorProblem, problem_of
from learned.stream import RollingPool

# Of problems that are made while they are used, so many are kept, and each is drawn about so often.
_KEPT, _REUSE = 300, 8

# Errors by the norms of ``learned.train_request.NORMS``.
_ERRORS: dict[str, Callable[[PreparedProblem, Tensor], Tensor]] = {
    "l2": PreparedProblem.error,
    "energy": PreparedProblem.energy_error,
}

# Gives the arrays of problems from a number on, in order.
Source = Callable[[int], Generator[dict[str, np.ndarray], None, None]]


class OperatorTask:
    """Problems to train on and problems held out.

    Each geometry is prepared when it is first seen, and kept.

    Parameters
    ----------
    problems
        The last ``held`` of them are held out.
    held
        How many.
    network
        Says how problems are prepared, see ``prepare_for``.
    source
        More problems while training goes on; those given may all be held out then.
    norm
        Of the errors, a name in ``learned.train_request.NORMS``.

    Raises
    ------
    ValueError
        If none are left to train on.
    """

    def __init__(
        self,
        problems: Sequence[OperatorProblem],
        held: int,
        network: nn.Module,
        *,
        source: Source | None = None,
        norm: str = "l2",
    ):
        if not 0 < held < len(problems) + (source is not None):
            raise ValueError(f"held: got {held} of {len(problems)} problems, expected at least one there and one left")
        self._network, self._error = network, _ERRORS[norm]
        self._device: torch.device | str = "cpu"
        self._pool, self._held = list(problems[:-held]), list(problems[-held:])
        self._prepared: dict[int, PreparedProblem] = {}
        self._rolling: RollingPool[PreparedProblem] | None = None
        if source is not None:
            self._rolling = RollingPool(partial(self._made, source), most=_KEPT, reuse=_REUSE)

    def to(self, device: torch.device | str) -> OperatorTask:
        """Put what is prepared from now on on a device; return the task."""
        self._device = device
        self._prepared.clear()
        return self

    def close(self) -> None:
        """Let the processes go that make problems."""
        if self._rolling is not None:
            self._rolling.close()

    def state(self) -> dict[str, Tensor]:
        """Return how many problems have been drawn of a stream."""
        return {} if self._rolling is None else {"draws": torch.tensor(self._rolling.draws)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Have drawn so many."""
        if self._rolling is not None:
            self._rolling.rewind(int(state["draws"]))

    def held_out(self) -> list[PreparedProblem]:
        """Return the problems held out."""
        return [self._at(-1 - number, problem) for number, problem in enumerate(self._held)]

    def loss(self, model: nn.Module, rng: np.random.Generator) -> Tensor:
        """Return the mean relative error of all right-hand sides on a random geometry."""
        if self._rolling is not None:
            problem = self._rolling.draw(rng)
        else:
            number = int(rng.integers(len(self._pool)))
            problem = self._at(number, self._pool[number])
        return self._error(problem, model(problem)).mean()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return figures of the relative errors on all geometries held out; ``score`` is their mean."""
        errors = self.errors(model)
        return {
            "score": float(errors.mean()),
            "median": float(errors.median()),
            "q90": float(errors.quantile(0.9)),
            "worst": float(errors.max()),
        }

    def errors(self, model: nn.Module) -> Tensor:
        """Return the relative errors of all right-hand sides held out, shape (held m,)."""
        with torch.no_grad():
            return torch.cat([self._error(problem, model(problem)) for problem in self.held_out()])

    def _at(self, number: int, problem: OperatorProblem) -> PreparedProblem:
        if number not in self._prepared:
            self._prepared[number] = self._prepare(problem)
        return self._prepared[number]

    def _prepare(self, problem: OperatorProblem) -> PreparedProblem:
        return to_device(prepare_for(self._network, problem), self._device)

    def _made(self, source: Source, first: int) -> Generator[PreparedProblem, None, None]:
        with closing(source(first)) as made:
            for arrays in made:
                yield self._prepare(problem_of(arrays))
