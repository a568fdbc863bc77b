"""What a user's case raises, wherever it comes up: one line with file, line and function."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from cases.case import Case
from cases.checkpoint import FILE_NAME
from cases.errors import InputError, in_one_line, raise_on_all_ranks
from cases.run_folder import write_atomically

# What a run leaves in its folder when the case raises something.
TRACEBACK = "traceback.txt"
# What the code of these must hold is no fault of a case that calls it.
_OURS = tuple(Path(__file__).resolve().parents[1] / name for name in ("cases", "coupling", "fem", "learned", "meshing"))


class CaseFileError(InputError):
    """A user's case has raised something, which is the cause of this; the message says where."""


@contextmanager
def located(path: Path) -> Iterator[None]:
    """Raise a CaseFileError with file, line and function for what goes wrong in a file; anything else as it is."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        said = place_in_words(error, path)
        if said is None or _is_broken_promise(error, path):
            raise
        # A ValueError says itself what to do, as those of the package do; others say what is wrong.
        remedy = "" if type(error) is ValueError else "; correct the file"
        raise CaseFileError(f"case file: {said}{remedy}") from error


@contextmanager
def errors_of_case(case: Case, comm, out: Path | None = None) -> Iterator[None]:
    """Turn what a user's case raises into one line; collective. Errors in which it has no part go on as they are.

    Parameters
    ----------
    case
        The case; nothing is done for those that come with the package.
    comm
        Ranks of the run: all of them end, in order if all of them raise something.
    out
        Folder of a run that has begun, with its own checkpoint in it or none: the traceback, from the first line of
        the case on, is written there, and the line says how to go on.

    Raises
    ------
    InputError
        On all ranks, with file, line and function, the exception's type and text, and what to do.
    """
    if case.file is None:
        yield
        return
    try:
        with located(case.file):
            yield
    except InputError as error:
        cause = error.__cause__
        if out is None or cause is None or not isinstance(error, CaseFileError):
            raise_on_all_ranks(comm, error)
        folder, text = out, _traceback_from(cause, case.file)
        told = CaseFileError(f"case file: {place_in_words(cause, case.file)}; {_way_on(case, folder, comm.size)}")
        raise_on_all_ranks(comm, told, lambda: write_atomically(folder / TRACEBACK, text))


def place_in_words(error: BaseException, path: Path | None) -> str | None:
    """Say where in a file an error was raised or what raised it was called, and what it is; None if nowhere there."""
    if path is None:
        return None
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno}: {kind}: {error.msg}"
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_in(frame.f_code, path)]
    if not frames:
        return None
    frame, line = frames[-1]
    name = frame.f_code.co_qualname.replace(".<locals>", "")
    function = "" if name == "<module>" else f", in {name}"
    text = in_one_line(error)
    return f"{path}:{line}{function}: {kind}" + (f": {text}" if text else "")


def _way_on(case: Case, out: Path, ranks: int) -> str:
    """Say where the traceback is, and how to go on."""
    checkpoint = out / FILE_NAME
    if not checkpoint.is_file():
        return f"traceback: {out / TRACEBACK}; correct the file and run it again"
    command = ["driftmesh", "run", case.reference, "--resume", "--out", str(out)]
    if ranks > 1:
        command = ["mpiexec", "-n", str(ranks), *command]
    return (
        f"traceback: {out / TRACEBACK}; last good checkpoint: {checkpoint}; correct the file and go on with: "
        f"{shlex.join(command)}"
    )


def _traceback_from(error: BaseException, path: Path) -> str:
    """Return the traceback from the first line of a file on: what has called that is of no interest to its author."""
    first: TracebackType | None = error.__traceback__
    while first is not None and not _is_in(first.tb_frame.f_code, path):
        first = first.tb_next
    return "".join(traceback.format_exception(type(error), error, first))


def _is_broken_promise(error: BaseException, path: Path) -> bool:
    """Tell whether the package has found that it does not hold what its own code must hold."""
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_in = Path(frames[-1][0].f_code.co_filename)
    ours = raised_in != path and any(raised_in.is_relative_to(folder) for folder in _OURS)
    return ours and isinstance(error, AssertionError)


def _is_in(code, path: Path) -> bool:
    return code.co_filename == str(path)
