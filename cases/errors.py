"""Bad input: one line, on one rank, with one exit code."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

T = TypeVar("T")

EXIT_BAD_INPUT = 2
# How long a rank with an error waits for those of the others [s].
PATIENCE = 10.0
# Of the messages by which ranks tell each other that they have one.
_TAG = 7919


class InputError(ValueError):
    """What the user gave cannot be used; the message says got, expected and remedy in one line."""


def in_one_line(error: BaseException) -> str:
    """Return what an error says, without line breaks."""
    return " ".join(str(error).split())


@contextmanager
def as_input_error() -> Iterator[None]:
    """Let a ValueError that set-up code raises count as bad input."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(in_one_line(error)) from error


@contextmanager
def one_line_errors(code: int) -> Iterator[None]:
    """Turn bad input and usage errors into one line on standard error and an exit code."""
    import typer

    try:
        yield
    except (InputError, typer.exceptions.TyperException) as error:
        # A usage error of the parser words itself with its parameter; ours are whole already.
        message = getattr(error, "format_message", error.__str__)()
        context = getattr(error, "ctx", None)
        if context is not None:
            message = f"{message.rstrip('.')}; see `{context.command_path} --help`"
        if _rank() == 0:
            _say(message)
        if "mpi4py.MPI" in sys.modules:
            end_together(sys.modules["mpi4py.MPI"].COMM_WORLD, code)
        sys.exit(code)
    except typer.Abort:
        sys.exit(130)


def _say(message: str) -> None:
    print(f"driftmesh: {' '.join(message.split())}", file=sys.stderr)


def _rank() -> int:
    """Return this process's rank without starting MPI for a usage error."""
    if "mpi4py.MPI" not in sys.modules:
        return int(os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", "0")))
    from mpi4py import MPI

    return MPI.COMM_WORLD.rank


def on_rank_zero(comm, action: Callable[[], T]) -> T:
    """Do something on rank 0 and return its result, or raise its InputError, on all ranks."""
    result: T | None = None
    error: str | None = None
    if comm.rank == 0:
        try:
            with as_input_error():
                result = action()
        except InputError as caught:
            error = str(caught)
    result, error = comm.bcast((result, error), root=0)
    if error is not None:
        raise InputError(error)
    return result


def raise_on_all_ranks(
    comm, error: InputError, record: Callable[[], object] = lambda: None, *, patience: float = PATIENCE
) -> NoReturn:
    """Raise an error that this rank has met, and perhaps others; all ranks end and one line is said.

    If all ranks come here, each raises its own error, and that of the first is the one that is said. Otherwise some may
    wait in a collective call for those that have come: then the first of these says its line, and all are aborted.

    Parameters
    ----------
    comm
        All ranks.
    error
        Error of this rank.
    record
        Done once before anything is said, by the rank whose error it will be.
    patience
        How long to wait for the others [s].

    Raises
    ------
    InputError
        The error.
    """
    missing = set(range(comm.size)) - {comm.rank}
    messages = [comm.isend(None, rank, _TAG) for rank in missing]
    met = {comm.rank}
    until = time.monotonic() + patience
    while missing and time.monotonic() < until:
        come = {rank for rank in missing if comm.iprobe(rank, _TAG)}
        for rank in come:
            comm.recv(source=rank, tag=_TAG)
        met, missing = met | come, missing - come
        time.sleep(0.01 if missing else 0.0)
    if comm.rank == min(met):
        record()
    if missing:
        if comm.rank == min(met):
            _say(str(error))
            sys.stderr.flush()
        else:
            time.sleep(patience)  # to be ended by the rank that says its line
        comm.Abort(EXIT_BAD_INPUT)
    for message in messages:
        message.wait()
    raise error


def abort_all_ranks_on_crash(comm) -> None:
    """End every rank when one of them meets an unexpected exception, instead of leaving the others waiting."""
    if comm.size == 1:
        return

    def hook(kind, error, trace):
        traceback.print_exception(kind, error, trace)
        sys.stderr.flush()
        comm.Abort(1)

    sys.excepthook = hook


def end_together(comm, code: int = 0) -> None:
    """End the processes of all ranks; collective, to be called when PETSc's work is done. On one rank nothing is done.

    PetscFinalize would free what Python's garbage collector has found of PETSc's objects, all ranks together, and wait
    for ever for ranks that have none. What is left is freed with the process instead.

    Parameters
    ----------
    comm
        Of all ranks.
    code
        Exit code.
    """
    if comm.size > 1:
        from mpi4py import MPI

        sys.stdout.flush()
        sys.stderr.flush()
        comm.Barrier()
        MPI.Finalize()
        os._exit(code)
