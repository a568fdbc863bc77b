"""From a request on the command line to a finished run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firedrake import COMM_WORLD
from rich.console import Console

from cases.case import Case, ScalarSetup, Setup
from cases.case_file import find_case, find_case_on_all_ranks
from cases.case_file_errors import TRACEBACK, errors_of_case
from cases.case_run import CaseRun
from cases.checkpoint import FILE_NAME, Checkpoint, load_checkpoint
from cases.errors import InputError, abort_all_ranks_on_crash, as_input_error, on_rank_zero
from cases.flow_setup import FlowSetup
from cases.flow_simulation import FlowSimulation
from cases.moving import FIXED, check_mover
from cases.operators.operator_case import OperatorSetup
from cases.operators.simulation import OperatorSimulation
from cases.options import CaseOptions, build_options, options_from, parse_assignment, read_run_config
from cases.run_folder import check_folder, default_folder, prepare_folder, write_config
from cases.scalar_simulation import ScalarSimulation
from cases.simulation import Simulation
from cases.steady_case import SteadySetup
from cases.steady_simulation import SteadySimulation

# Options that may change when a run goes on; any other would make it another run.
CHANGEABLE_ON_RESUME = frozenset({"t_end", "output_interval", "checkpoint_interval", "geometries"})


# What runs a setup, by its kind.
SIMULATIONS: dict[type, Callable[..., CaseRun]] = {
    Setup: Simulation,
    ScalarSetup: ScalarSimulation,
    SteadySetup: SteadySimulation,
    FlowSetup: FlowSimulation,
    OperatorSetup: OperatorSimulation,
}


@dataclass(frozen=True)
class RunRequest:
    """What `driftmesh run` was asked for; ``case`` is a name or the path of a case file."""

    case: str
    mover: str | None = None
    assignments: tuple[str, ...] = ()
    config: Path | None = None
    out: Path | None = None
    seed: int | None = None
    resume: bool = False
    animation: bool = False


@dataclass(frozen=True)
class RunPlan:
    """A request that has been checked: nothing in it can be bad input any more."""

    case: Case
    options: CaseOptions
    mover: str
    seed: int
    out: Path
    resume: bool


def plan(request: RunRequest) -> RunPlan:
    """Check a request; on one rank. Nothing is written.

    Raises
    ------
    ValueError
        For an unknown case, mover or key, a value out of bounds, a broken file, a folder that cannot be written.
    """
    found = find_case(request.case)
    case, model = found.case, found.case.Options
    stored: Mapping[str, Any] = {}
    if request.resume:
        if request.out is None:
            raise InputError("--resume: got no --out, expected the folder of the run to go on with; add --out DIR")
        if not (request.out / "config.toml").is_file():
            raise InputError(
                f"--resume: got no {request.out / 'config.toml'}, expected one written by an earlier run; "
                "leave out --resume to start anew"
            )
        stored = read_run_config(request.out / "config.toml")
        if stored.get("case") != case.name:
            raise InputError(
                f"--resume: got case {case.name!r}, expected {stored.get('case')!r}, the case in {request.out}"
            )
    config = read_run_config(request.config) if request.config else {}
    if config.get("case", case.name) != case.name:
        raise InputError(f"config: got case {config['case']!r} in {request.config}, expected {case.name!r}")
    # From the weakest to the strongest: the file of the case, the run to go on with, the file of options, --set.
    folder = request.config.parent if request.config else Path()
    given = options_from(model, found.config.get("options", {}), found.folder)
    kept = stored.get("options", {})
    named = options_from(model, config.get("options", {}), folder)
    assigned = options_from(model, dict(parse_assignment(text) for text in request.assignments), Path())
    options = build_options(model, given, kept, named, assigned)
    if request.resume:
        before = build_options(model, kept)
        changed = [k for k in model.model_fields if getattr(options, k) != getattr(before, k)]
        fixed = sorted(set(changed) - CHANGEABLE_ON_RESUME)
        if fixed:
            raise InputError(
                f"--resume: got another {fixed[0]}, expected {getattr(before, fixed[0])!r} as in the run; "
                "start a new run in another folder"
            )
    layers = (config, stored, found.config)
    mover = check_mover(request.mover or _first("mover", layers, FIXED))
    if not case.has_mesh:
        check_no_mesh_is_needed(case.name, mover, animation=request.animation)
    if request.resume and mover != stored.get("mover", FIXED):
        raise InputError(
            f"--resume: got mover {mover!r}, expected {stored.get('mover', FIXED)!r} as in the run; "
            "start a new run in another folder"
        )
    seed = request.seed if request.seed is not None else _first("seed", layers, 0)
    if type(seed) is not int or seed < 0:
        raise InputError(f"seed: got {seed!r}, expected an integer from 0 on; for example --seed 1")
    out = request.out or default_folder(case.name)
    check_folder(out)
    return RunPlan(case, options, mover, seed, out, request.resume)


def check_no_mesh_is_needed(case: str, mover: str, *, animation: bool = False) -> None:
    """Check what a run of a case without a mesh of its own is asked for.

    Raises
    ------
    ValueError
        For a mover, and for an animation.
    """
    if mover != FIXED:
        raise InputError(
            f"mover: got {mover!r}, expected {FIXED} for {case}, which draws its own meshes, moved or not; see the "
            f"options of `driftmesh options {case}`"
        )
    if animation:
        raise InputError(f"--animation: got it for {case}, expected a case with a mesh and maps of it; leave it out")


def _first(key: str, layers: Sequence[Mapping[str, Any]], default: Any) -> Any:
    """Return what the first of the layers that has a key says."""
    return next((layer[key] for layer in layers if key in layer), default)


def execute(request: RunRequest, *, quiet: bool = False) -> str:
    """Run a request on all ranks and return its status, ``done``, ``interrupted`` or ``failed``.

    Raises
    ------
    InputError
        For bad input, before anything is computed; for what a user's case raises, also later.
    """
    comm = COMM_WORLD
    abort_all_ranks_on_crash(comm)
    # On all ranks: a case that comes from a file has to be known before it can be sent from one to another.
    find_case_on_all_ranks(request.case, comm)
    checked = on_rank_zero(comm, lambda: plan(request))
    console = Console(quiet=quiet or comm.rank != 0, highlight=False, soft_wrap=True)
    with as_input_error(), errors_of_case(checked.case, comm):
        checkpoint: Checkpoint | None = (
            load_checkpoint(checked.out, comm) if checked.resume and checked.case.has_mesh else None
        )
        mesh = checkpoint.mesh if checkpoint else checked.case.mesh_of(checked.options)
        setup = checked.case.build(checked.options, mesh)
    if type(setup) not in SIMULATIONS:
        kinds = ", ".join(kind.__name__ for kind in SIMULATIONS)
        raise InputError(f"case {checked.case.name}: got a {type(setup).__name__} from build, expected one of {kinds}")

    def begin() -> None:
        prepare_folder(checked.out)
        (checked.out / TRACEBACK).unlink(missing_ok=True)
        if not checked.resume:
            # What is offered for going on is to be of this run.
            (checked.out / FILE_NAME).unlink(missing_ok=True)
        options = checked.options.model_dump()
        case = checked.case
        write_config(checked.out, case.name, checked.mover, checked.seed, options, case_file=case.file)

    on_rank_zero(comm, begin)
    simulate = SIMULATIONS[type(setup)]
    with errors_of_case(checked.case, comm, checked.out):
        simulation = simulate(checked.case, setup, checked.out, checkpoint, mover=checked.mover)
        status = simulation.run(console, seed=checked.seed, resume=checked.resume)
        simulation.finish(status, checked.options, console)
    if request.animation:
        from cases.animation import write_animation

        file = on_rank_zero(comm, lambda: write_animation(checked.out, dry_depth=simulation.dry_depth))
        console.print(f"animation: {file}")
    return status
