"""`driftmesh dataset`: training data into one file, by several processes, to be gone on with after a stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cases.errors import InputError, as_input_error
from cases.progress import is_a_terminal
from learned.train_request import PROBLEMS, TRAJECTORIES

# Name, what is in it, and how many samples unless asked otherwise.
DATASETS = {
    "movers": ("meshes in 2D and 3D with monitor functions, to train and to try movers on", 1000),
    "labels": ("meshes of the unit square as Monge-Ampère moves them, to train um2n on", 500),
    "operators": ("problems solved by Firedrake, of 100 samples if they are trajectories, to train operators on", 400),
}


@dataclass(frozen=True)
class Samples:
    """How samples are made, as ``learned.dataset.write_dataset`` takes it.

    Attributes
    ----------
    settings
        What to make; ``settings.samples`` of them.
    make
        Gives the arrays of the sample of a number.
    schema
        Name of what the arrays are.
    """

    settings: Any
    make: Callable[[Any, int], dict]
    schema: str


def mover_samples(count: int, seed: int, *, labels: bool) -> Samples:
    """Return how meshes with monitor functions are made, the plane ones moved by Monge-Ampère if asked."""
    from learned.dataset import SCHEMA, DatasetSettings, make_sample

    if labels:
        from coupling.labels import LabelledSettings, make_labelled

        return Samples(LabelledSettings(samples=count, seed=seed), make_labelled, SCHEMA)
    return Samples(DatasetSettings(samples=count, seed=seed), make_sample, SCHEMA)


def label_samples(count: int, seed: int) -> Samples:
    """Return how meshes of the unit square are made as Monge-Ampère moves them."""
    from coupling.labels import LabelSettings, make_label
    from learned.dataset import SCHEMA

    return Samples(LabelSettings(samples=count, seed=seed), make_label, SCHEMA)


def operator_samples(problem: str, seed: int, *, count: int | None = None, nodes: int | None = None) -> Samples:
    """Return how problems are made, or trajectories, of a name in ``PROBLEMS`` or ``TRAJECTORIES``.

    Parameters
    ----------
    problem, seed
        Which, and what samples depend on besides their number.
    count, nodes
        How many, and of about how many nodes; as the problem has it if None.
    """
    asked = {name: value for name, value in (("samples", count), ("nodes", nodes)) if value is not None}
    if problem in TRAJECTORIES:
        from coupling.operator_trajectories import TrajectorySettings, make_trajectory
        from learned.operators.trajectory import SCHEMA as TRAJECTORY_SCHEMA

        return Samples(TrajectorySettings(problem, seed=seed, **asked), make_trajectory, TRAJECTORY_SCHEMA)
    from coupling.operator_data import OperatorSettings, make_operator
    from learned.operators.problem import SCHEMA

    return Samples(OperatorSettings(problem, seed=seed, **asked), make_operator, SCHEMA)


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
    nodes: int | None = None,
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
        Of ``operators``, which one: a name in ``PROBLEMS`` or ``TRAJECTORIES`` of
        ``learned.train_request``.
    nodes
        Of ``operators``, of about how many nodes; as the problem has it if None.
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
    known_problems = (*PROBLEMS, *TRAJECTORIES)
    if (problem in known_problems) != (name == "operators"):
        expected = f"one of {', '.join(known_problems)} for operators, and none for other data sets"
        raise InputError(f"--problem: got {problem!r} for {name}, expected {expected}")
    if nodes is not None and name != "operators":
        raise InputError(f"--nodes: got it for {name}, expected operators; others draw their sizes")
    path = out or Path("results") / "dataset" / f"{name}{f'-{problem}' if problem else ''}.h5"
    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    number = DATASETS[name][1] if count is None else count
    if name == "operators":
        # Trajectories have their own number.
        own = count is None and problem in TRAJECTORIES
        samples = operator_samples(str(problem), seed, count=None if own else number, nodes=nodes)
    elif name == "labels":
        samples = label_samples(number, seed)
    else:
        samples = mover_samples(number, seed, labels=labels)
    made = write_samples(path, samples, name=name, processes=processes, console=console)
    there = samples.settings.samples - made
    console.print(f"written: {path}, {made} samples made, {there} were there")
    return path


def write_samples(path: Path, samples: Samples, *, name: str, processes: int, console: Console) -> int:
    """Make the samples that a file lacks, with a bar on a terminal; return how many they were.

    Parameters
    ----------
    path, processes
        See ``learned.dataset.write_dataset``.
    samples
        How they are made.
    name
        What the bar is called.
    console
        Where it is drawn.

    Raises
    ------
    InputError
        In one line, if this is another file, one of other settings, or one that cannot be written.
    """
    from learned.dataset import write_dataset

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
        task = bar.add_task(name, total=samples.settings.samples)
        try:
            return write_dataset(
                path,
                samples.settings,
                make=samples.make,
                schema=samples.schema,
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
