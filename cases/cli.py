"""The command ``driftmesh``."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

# One thread a process unless asked otherwise: ranks and thread pools would compete for the same cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# With threads Scotch gives other partitions and orders of elimination every time, and so other rounding.
os.environ.setdefault("SCOTCH_PTHREAD_NUMBER", "1")
# Without this PETSc answers Ctrl-C or a closed pipe with a page about debuggers.
os.environ["PETSC_OPTIONS"] = "-no_signal_handler " + os.environ.get("PETSC_OPTIONS", "")

import typer

from cases.errors import EXIT_BAD_INPUT
from learned.train_request import PROBLEMS, TRAJECTORIES

CASE = "name of a case, see `driftmesh cases`, or a case file: .py with a case of your own, .toml with options of one"
EXIT_NUMERICAL_FAILURE = 3
EXIT_INTERRUPTED = 130  # as a shell reports Ctrl-C

app = typer.Typer(
    name="driftmesh",
    help="Moving-mesh finite elements with learned adaptivity.\n\n"
    "Start with `driftmesh cases`, then `driftmesh run monai`.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def cases() -> None:
    """List the cases, a line each."""
    from cases.registry import CASES, get_case

    width = max(map(len, CASES))
    for name in CASES:
        typer.echo(f"{name:{width}}  {get_case(name).summary}")


@app.command()
def options(case: Annotated[str, typer.Argument(help=CASE)]) -> None:
    """List the options of a case with units, defaults and meaning."""
    from cases.case_file import find_case
    from cases.errors import as_input_error
    from cases.options import option_names

    with as_input_error():
        found = find_case(case)
    fields, names = found.case.Options.model_fields, option_names(found.case.Options)
    given = found.config.get("options", {})
    width = max(map(len, fields))
    for name in names:
        value = given.get(name, fields[name].default)
        typer.echo(f"{name:{width}} = {value!r:<10}  {fields[name].description}")


@app.command()
def doctor() -> None:
    """Check the installation: versions, MPI, PETSc packages, a one-second solve."""
    from cases.doctor import report

    if not report(typer.echo):
        raise typer.Exit(1)


@app.command()
def run(
    case: Annotated[str, typer.Argument(help=CASE)],
    mover: Annotated[
        str | None,
        typer.Option(
            help="mesh mover: none (fixed mesh), mmpde, monge-ampere or drift, see `driftmesh movers`  [default: none]",
            show_default=False,
        ),
    ] = None,
    assignment: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="set an option, e.g. --set resolution='5 cm'; repeatable"),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of options, such as a run's config.toml")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="folder to write into  [default: results/CASE/TIME]", show_default=False),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="seed of everything random")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the checkpoint in --out")] = False,
    animation: Annotated[
        bool, typer.Option("--animation", help="write the maps as a film, too: animation.mp4 or, without ffmpeg, .gif")
    ] = False,
) -> None:
    """Run a case and write numbers, fields, figures and a report.

    In parallel: mpiexec -n P driftmesh run CASE ...
    """
    from cases.run import RunRequest, execute

    request = RunRequest(
        case=case,
        mover=mover,
        assignments=tuple(assignment or ()),
        config=config,
        out=out,
        seed=seed,
        resume=resume,
        animation=animation,
    )
    _exit_unless_done(execute(request))


def _exit_unless_done(status: str) -> None:
    if status != "done":
        raise typer.Exit(EXIT_INTERRUPTED if status == "interrupted" else EXIT_NUMERICAL_FAILURE)


@app.command()
def compare(
    case: Annotated[str, typer.Argument(help=CASE)],
    movers: Annotated[
        str,
        typer.Option(metavar="NAME,...", help="movers, see `driftmesh movers`; `none` is always among them"),
    ] = "none,mmpde,monge-ampere",
    assignment: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="set an option for all runs, as for `run`; repeatable"),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of options, such as a run's config.toml")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="folder to write into, a folder below for each mover  [default: results/CASE/TIME]"),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="finished run of the case on a fine mesh, to measure the error against"),
    ] = None,
) -> None:
    """Run a case with several movers and put their errors and times beside each other.

    Outputs fall on their times exactly (--set exact_output=true); a reference should have been run so, too.
    """
    from cases.compare import CompareRequest
    from cases.compare import compare as run_comparison

    request = CompareRequest(
        case=case,
        movers=tuple(movers.split(",")),
        assignments=tuple(assignment or ()),
        config=config,
        out=out,
        reference=reference,
    )
    _exit_unless_done(run_comparison(request))


@app.command()
def movers() -> None:
    """List the mesh movers, a line each."""
    from coupling.registry import MOVERS

    width = max(map(len, MOVERS))
    for name, entry in MOVERS.items():
        typer.echo(f"{name:{width}}  {entry.summary}")


@app.command()
def models() -> None:
    """List the trained models that come with the package, with their figures, a line each."""
    from cases.models import list_models

    list_models(typer.echo)


@app.command()
def train(
    model: Annotated[
        str,
        typer.Argument(
            help="a mover (drift, um2n, dmm), an operator (spon, spon-mg, spon-twin, message-passing, fno, mlp) or one "
            "that advances states (rollout, rollout-twin)"
        ),
    ],
    problem: Annotated[
        str | None,
        typer.Option(
            help=f"of an operator: {', '.join(PROBLEMS)}; of a rollout: {', '.join(TRAJECTORIES)}", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="folder for weights, checkpoints and log  [default: results/train/MODEL]", show_default=False
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="how long to train  [default: the model's]")] = None,
    updates: Annotated[
        int | None, typer.Option(min=1, help="most updates; without --minutes no matter how long")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.0, help="largest learning rate  [default: the model's]")] = None,
    patience: Annotated[
        int, typer.Option(min=0, help="stop after so many evaluations without a better score; 0: never")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="seed of weights and samples")] = 0,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="few small samples, a small network, under a minute: to see that it works")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the checkpoint in --out")] = False,
    device: Annotated[str, typer.Option(help="where to train: cpu, cuda or cuda:N")] = "cpu",
    data: Annotated[
        Path | None,
        typer.Option(
            help="HDF5 file to train on, see `driftmesh dataset`; drift: meshes, drawn at random without it; um2n and "
            "operators: made if they are not there  [default: OUT/labels.h5, OUT/operators.h5 or "
            "OUT/trajectories.h5]",
            show_default=False,
        ),
    ] = None,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="make samples in other processes while training goes on; not dmm and rollouts"),
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="processes that make samples")] = 1,
    maps: Annotated[float, typer.Option(help="drift: share of samples that are seen in random coordinates")] = 0.0,
    init: Annotated[Path | None, typer.Option(help="weights to begin with, a .safetensors file")] = None,
    no_transformer: Annotated[
        bool, typer.Option("--no-transformer", help="um2n: without its transformer, as M2N, an ablation")
    ] = False,
    norm: Annotated[str, typer.Option(help="spon, spon-mg: norm of errors, l2 or energy (for warm starts)")] = "l2",
) -> None:
    """Train a model; leaves its weights with a model card."""
    from cases.errors import as_input_error
    from cases.train import TrainRequest
    from cases.train import train as run_training

    with as_input_error():
        request = TrainRequest(
            model=model,
            out=out,
            minutes=minutes,
            updates=updates,
            rate=rate,
            patience=patience,
            seed=seed,
            smoke=smoke,
            resume=resume,
            device=device,
            problem=problem,
            data=data,
            stream=stream,
            processes=processes,
            maps=maps,
            init=init,
            transformer=not no_transformer,
            norm=norm,
        )
    run_training(request, typer.echo)


@app.command()
def dataset(
    name: Annotated[str | None, typer.Argument(help="movers, labels or operators; without it, a list of them")] = None,
    out: Annotated[
        Path | None, typer.Option(help="HDF5 file  [default: results/dataset/NAME.h5]", show_default=False)
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="number of samples in all  [default: see the list]", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="a sample depends on this and its number")] = 0,
    processes: Annotated[int, typer.Option(min=1, help="processes that make them")] = 1,
    labels: Annotated[
        bool, typer.Option("--labels", help="movers: also where Monge-Ampère moves the plane ones, if it can")
    ] = False,
    problem: Annotated[
        str | None,
        typer.Option(help=f"of operators: {', '.join((*PROBLEMS, *TRAJECTORIES))}", show_default=False),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(
            min=100, help="of operators: about how many in a mesh  [default: 900 or 1200]", show_default=False
        ),
    ] = None,
) -> None:
    """Make training data; what is in the file already stays, so that it goes on after a stop."""
    from cases.dataset import list_datasets, make_dataset

    if name is None:
        list_datasets(typer.echo)
    else:
        make_dataset(
            name, out, count=count, seed=seed, processes=processes, labels=labels, problem=problem, nodes=nodes
        )


@app.command()
def move(
    mesh: Annotated[Path, typer.Argument(help="mesh file of triangles or tetrahedra, any format of meshio")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="mesh file to write; numbers (.json) and picture (.png) beside")
    ],
    field: Annotated[
        str | None, typer.Option(metavar="NAME", help="point field to adapt to; of a vector field, its length")
    ] = None,
    monitor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="hessian (fine where the field is curved), gradient or arc-length (steep), "
            "metric (curved, cells long along fronts)  [default: hessian]",
            show_default=False,
        ),
    ] = None,
    monitor_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="point field that is the monitor function itself, instead")
    ] = None,
    mover: Annotated[str, typer.Option(help="see `driftmesh movers`")] = "mmpde",
    smoothing: Annotated[float | None, typer.Option(metavar="CELLS", help="length of the monitor's filter")] = None,
    max_size_ratio: Annotated[
        float | None, typer.Option(metavar="RATIO", help="greatest ratio of cell sizes to ask for")
    ] = None,
    boundary_motion: Annotated[
        str | None, typer.Option(metavar="NAME", help="point vector field: where `laplacian` takes the boundary")
    ] = None,
    cad: Annotated[
        Path | None, typer.Option(help="CAD file that the mesh was made from, for boundaries to slide along")
    ] = None,
) -> None:
    """Move the nodes of a mesh to where a field needs them.

    For example: driftmesh move wing.msh --field pressure -o moved.vtu

    In parallel: mpiexec -n P driftmesh move MESH ...
    """
    from cases.move import execute
    from cases.move_request import MoveRequest

    request = MoveRequest(
        mesh=mesh,
        out=out,
        field=field,
        monitor=monitor,
        monitor_field=monitor_field,
        mover=mover,
        smoothing=smoothing,
        max_size_ratio=max_size_ratio,
        boundary_motion=boundary_motion,
        cad=cad,
    )
    if execute(request).value == "failed":
        raise typer.Exit(EXIT_NUMERICAL_FAILURE)


@app.command()
def validate(
    suite: Annotated[str | None, typer.Argument(help="one suite only; all of them without it")] = None,
    out: Annotated[Path, typer.Option(help="folder for validation.json and validation.md")] = Path(
        "results/validation"
    ),
    table: Annotated[Path | None, typer.Option(help="write the Markdown table here too")] = None,
) -> None:
    """Run the published benchmarks and put the measured value beside the published one."""
    from cases.validation import run_suites

    if not run_suites(suite, out, table, typer.echo):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; bad input ends in one line on standard error and exit code 2."""
    arguments, sys.argv = sys.argv[1:], sys.argv[:1]  # PETSc would read them too
    # Two processes that compile the same kernel at once, which is harmless.
    warnings.filterwarnings("ignore", message=".*key collision in cache.*")
    from cases.errors import one_line_errors

    with one_line_errors(EXIT_BAD_INPUT):
        code = app(args=arguments or ["--help"], prog_name="driftmesh", standalone_mode=False)
        if "mpi4py.MPI" in sys.modules:
            from cases.errors import end_together

            end_together(sys.modules["mpi4py.MPI"].COMM_WORLD, code if isinstance(code, int) else 0)
        sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
