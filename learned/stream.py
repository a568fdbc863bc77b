"""Samples by number, made by other processes while somebody uses them: the same in the same order every time."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import count, islice
from multiprocessing import get_context, parent_process
from threading import Thread, current_thread, main_thread
from typing import Generic, TypeVar

import numpy as np

S = TypeVar("S")
T = TypeVar("T")


def stream(
    make: Callable[[S, int], T], settings: S, numbers: Iterable[int], *, processes: int, ahead: int = 4
) -> Generator[tuple[int, T], None, None]:
    """Yield the samples of some numbers, in the order of the numbers.

    Parameters
    ----------
    make
        Makes a sample from the settings and its number; a function of a module, for other processes to import, as are
        the settings. What it returns is pickled: arrays, not tensors.
    settings
        What to make.
    numbers
        Endless, or not.
    processes
        Processes that make them; 0 for this one, when a sample is asked for.
    ahead
        Samples a process may be ahead of who uses them: how much is kept in memory.

    Yields
    ------
    tuple
        A number and its sample. When the iterator is closed or fails, the processes end after the sample they are at,
        and they end when this process is killed.

    Raises
    ------
    RuntimeError
        With its text, if a sample could not be made; what came before has been given.
    """
    if processes <= 0:
        for number in numbers:
            yield number, make(settings, number)
        return
    _let_broken_pipes_raise()
    # A fresh interpreter each: forking one that has threads, as torch has, may leave a child waiting for ever.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_begin)
    wanted, ordered = iter(numbers), deque[tuple[int, Future[T]]]()
    try:
        while True:
            for number in islice(wanted, processes * ahead - len(ordered)):
                ordered.append((number, pool.submit(make, settings, number)))
            if not ordered:
                return
            number, job = ordered.popleft()
            yield number, _result(number, job)
    except BrokenProcessPool as error:
        raise RuntimeError("samples: got no answer from a process, it was killed; try fewer processes") from error
    finally:
        pool.shutdown(cancel_futures=True)


def endless(make: Callable[[S, int], T], settings: S, *, processes: int) -> Callable[[int], Generator[T, None, None]]:
    """Return what gives the samples from a number on, without end, made by other processes while they are used."""

    def samples(first: int) -> Generator[T, None, None]:
        with closing(stream(make, settings, count(first), processes=processes)) as made:
            for _, sample in made:
                yield sample

    return samples


def _result(number: int, job: Future[T]) -> T:
    try:
        return job.result()
    except BrokenProcessPool:
        raise
    except Exception as error:
        raise RuntimeError(f"sample {number}: {type(error).__name__}: {error}") from error


def _let_broken_pipes_raise() -> None:
    """Take what is written to a process that has died for an error, as Python does until PETSc ends the process."""
    if current_thread() is main_thread():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _begin() -> None:
    """Set up a process: one thread, Ctrl-C is for the parent to answer, and no life without a parent."""
    # What the maker imports will read this; not imported here, as what needs no PyTorch starts in a second.
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class RollingPool(Generic[T]):
    """The last samples of an endless source, of which a random one is drawn while new ones come.

    Which samples are there depends on the number of draws only, never on how fast they are made: a draw waits for its
    sample.

    Parameters
    ----------
    open_at
        Gives the samples from a number on, in order.
    most
        Largest number of samples kept; a new one takes the place of the oldest.
    reuse
        Draws for each new sample.
    """

    def __init__(self, open_at: Callable[[int], Generator[T, None, None]], *, most: int, reuse: int = 1):
        self._open_at, self._most, self._reuse = open_at, most, reuse
        self._source: Generator[T, None, None] | None = None
        self.draws = 0
        # One list for good: others may hold it.
        self.items: list[T] = []

    def draw(self, rng: np.random.Generator) -> T:
        """Return a random one of the samples there, after a new one has come if it is time for one."""
        if self.draws % self._reuse == 0:
            self._take(self.draws // self._reuse)
        self.draws += 1
        return self.items[int(rng.integers(len(self.items)))]

    def rewind(self, draws: int) -> None:
        """Be where so many draws have led, with the samples as their source gives them."""
        self.close()
        taken = -(-draws // self._reuse)
        self.draws = draws
        self.items.clear()
        for number in range(max(0, taken - self._most), taken):
            self._take(number)
        # By place, as a pool that has never been stopped has them.
        turn = -taken % len(self.items) if taken > self._most else 0
        self.items[:] = self.items[turn:] + self.items[:turn]

    def close(self) -> None:
        """Let the source go; the next draw opens it anew."""
        if self._source is not None:
            self._source.close()
        self._source = None

    def _take(self, number: int) -> None:
        if self._source is None:
            self._source = self._open_at(number)
        sample = next(self._source)
        if len(self.items) < self._most:
            self.items.append(sample)
        else:
            self.items[number % self._most] = sample
