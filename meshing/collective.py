"""Work that one rank does for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def on_first_rank(comm, action: Callable[[], T]) -> T | None:
    """Do something on the first rank alone, and fail on all ranks if it fails there; collective.

    Parameters
    ----------
    comm
        Communicator of the ranks that take part.
    action
        What to do; not collective.

    Returns
    -------
    object
        The result on the first rank, None on the others.

    Raises
    ------
    ValueError
        On all ranks, with its message, if the action raises one.
    RuntimeError
        On the other ranks, if the action raises anything else, which goes on on the first.
    """
    result, failure, raised = None, None, None
    if comm.rank == 0:
        try:
            result = action()
        except Exception as error:
            failure, raised = (isinstance(error, ValueError), str(error)), error
    failure = comm.bcast(failure, root=0)
    if raised is not None:
        raise raised
    if failure is not None:
        is_value_error, message = failure
        raise (ValueError if is_value_error else RuntimeError)(message)
    return result
