"""`driftmesh dataset`: training data into one file, by several processes, to be gone on with after a stop."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cases.errors import InputError, as_input_error
from cases.progress import is_a_terminal

# Name and what is in it.
DATASETS = {"movers": "meshes and monitor functions to train and to try movers on"}


def make_dataset(
    name: str, out: Path | None = None, *, count: int = 1000, seed: int = 0, processes: int = 1, quiet: bool = False
) -> Path:
    """Make the samples that the file lacks yet; return the file.

    Parameters
    ----------
    name
        Name in ``DATASETS``.
    out
        HDF5 file, ``results/dataset/NAME.h5`` if None.
    count
        Number of samples in all.
    seed
        A sample depends on this and its number only.
    processes
        Processes that make them; the file does not depend on it.
    quiet
        Say nothing.

    Raises
    ------
    InputError
        In one line: for an unknown name, another file, one of another seed, or one that cannot be written.
    KeyboardInterrupt
        If it is stopped; what is in the file stays and counts.
    """
    if name not in DATASETS:
        known = ", ".join(f"{known} ({content})" for known, content in DATASETS.items())
        raise InputError(f"data set: got {name!r}, expected one of {known}")
    from learned.dataset import DatasetSettings, write_dataset

    path = out or Path("results") / "dataset" / f"{name}.h5"
    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not is_a_terminal(console),
        transient=True,
    )
    with bar, as_input_error():
        task = bar.add_task(name, total=count)
        try:
            made = write_dataset(
                path,
                DatasetSettings(samples=count, seed=seed),
                processes=processes,
                advance=lambda grown: bar.advance(task, grown),
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"--out: got {path}, expected an HDF5 file that can be written; {reason}") from None
        except KeyboardInterrupt:
            console.print(f"stopped; the same command goes on with {path}")
            raise
    console.print(f"written: {path}, {made} samples made, {count - made} were there")
    return path
