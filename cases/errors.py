"""Bad input: one line, on one rank, with one exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class InputError(ValueError):
    """What the user gave cannot be used; the message says got, expected and remedy in one line."""


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


@contextmanager
def as_input_error() -> Iterator[None]:
    """Let a ValueError that set-up code raises count as bad input."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(_in_one_line(error)) from error


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
            print(f"driftmesh: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(code)
    except typer.Abort:
        sys.exit(130)


def _rank() -> int:
    """Return this process's rank without starting MPI for a usage error."""
    if "mpi4py.MPI" not in sys.modules:
        import os

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
