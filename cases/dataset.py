"""`driftmesh dataset`: training data into one file, by several processes, to be gone on with after a stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cases.errors import InputError, as_input_error
from cases.progress import is_a_terminal
from learned.train_request import PROBLEMS

# Name, what is in it, and how many samples unless asked otherwise.
DATASETS = {
    "movers": ("meshes in 2D and 3D with monitor functions, to train and to try movers on", 1000),
    "labels": ("meshes of the unit square as Monge-Ampère moves them, to train um2n on", 500),
    "operators": ("boundary value problems solved by Firedrake, to train operator networks on", 400),
}


def list_datasets(echo: Callable[[str], None]) -> None:
    """Write a line for each data set that can be made."""
    width = max(map(len, DATASETS))
    for name, (content, count) in DATASETS.items():
        echo(f"{name:{width}}  {content}; {count} samples")


def make_dataset(
    name: str,
    out: Path | None = None,
    *,
    count: int | None = None,
    seed: int = 0,
    processes: int = 1,
    labels: bool = False,
    problem: str | None = None,
    quiet: bool = False,
) -> Path:
    """Make the samples that the file lacks yet; return the file.

    Parameters
    ----------
    name
        Name in ``DATASETS``.
    out
        HDF5 file, ``results/dataset/NAME.h5`` if None.
    count
        Number of samples in all, that of ``DATASETS`` if None.
    seed
        A sample depends on this and its number only.
    processes
        Processes that make them; the file does not depend on it.
    labels
        Also move the plane ones of ``movers`` by Monge-Ampère, where it can.
    problem
        Of ``operators``, which one: a name in ``learned.train_request.PROBLEMS``.
    quiet
        Say nothing.

    Raises
    ------
    InputError
        In one line: for an unknown name, another file, one of other settings, or one that cannot be written.
    KeyboardInterrupt
        If it is stopped; what is in the file stays and counts.
    """
    if name not in DATASETS:
        known = ", ".join(f"{known} ({content})" for known, (content, _) in DATASETS.items())
        raise InputError(f"data set: got {name!r}, expected one of {known}")
    if labels and name != "movers":
        raise InputError(f"--labels: got it for {name}, expected movers; they are labelled anyway")
    if (problem in PROBLEMS) != (name == "operators"):
        expected = f"one of {', '.join(PROBLEMS)} for operators, and none for other data sets"
        raise InputError(f"--problem: got {problem!r} for {name}, expected {expected}")
    samples = DATASETS[name][1] if count is None else count
    path = out or Path("results") / "dataset" / f"{name}{f'-{problem}' if problem else ''}.h5"
    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    settings: Any
    make: Callable[[Any, int], dict]
    schema = None
    if name == "operators":
        from coupling.operator_data import OperatorSettings, make_operator
        from learned.operators.problem import SCHEMA as OPERATORS

        settings, make = OperatorSettings(problem=str(problem), samples=samples, seed=seed), make_operator
        schema = OPERATORS
    elif name == "labels":
        from coupling.labels import LabelSettings, make_label

        settings, make = LabelSettings(samples=samples, seed=seed), make_label
    elif labels:
        from coupling.labels import LabelledSettings, make_labelled

        settings, make = LabelledSettings(samples=samples, seed=seed), make_labelled
    else:
        from learned.dataset import DatasetSettings, make_sample

        settings, make = DatasetSettings(samples=samples, seed=seed), make_sample
    made = write_samples(path, settings, make, schema=schema, name=name, processes=processes, console=console)
    console.print(f"written: {path}, {made} samples made, {samples - made} were there")
    return path


def write_samples(
    path: Path, settings, make, *, schema: str | None = None, name: str, processes: int, console: Console
) -> int:
    """Make the samples that a file lacks, with a bar on a terminal; return how many they were.

    Parameters
    ----------
    path, settings, make, schema, processes
        See ``learned.dataset.write_dataset``; samples of movers if no schema is given.
    name
        What the bar is called.
    console
        Where it is drawn.

    Raises
    ------
    InputError
        In one line, if this is another file, one of other settings, or one that cannot be written.
    """
    from learned.dataset import SCHEMA, write_dataset

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=console.quiet or not is_a_terminal(console),
        transient=True,
    )
    with bar, as_input_error():
        task = bar.add_task(name, total=settings.samples)
        try:
            return write_dataset(
                path,
                settings,
                make=make,
                schema=schema or SCHEMA,
                processes=processes,
                begin=lambda there: bar.update(task, completed=there),
                advance=lambda grown: bar.advance(task, grown),
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"--out: got {path}, expected an HDF5 file that can be written; {reason}") from None
        except KeyboardInterrupt:
            console.print(f"stopped; the same command goes on with {path}")
            raise
