"""Show where the time of a shallow-water step goes, on the Monai case, and what its outputs cost.

    python benchmarks/profile_shallow_water.py --resolution 0.1        # about a minute

The parts are timed inside real steps, from the state at ``--time`` on: each prepared loop is timed where the
stepper calls it, so that memory is as warm or cold as in a run. What no loop accounts for (Python, clearing
and copying arrays, the values of the incident wave) is the rest, of a step that is not timed inside.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
# PETSc reads this script's arguments too: it must not tell that it knew none, nor catch signals.
os.environ["PETSC_OPTIONS"] = "-options_left no -no_signal_handler " + os.environ.get("PETSC_OPTIONS", "")

from benchmark_document import DOCUMENT, machine, replace_section, table, warn_if_busy

from cases.monai import Monai
from cases.options import build_options
from cases.run_folder import commit, versions
from cases.simulation import Simulation
from fem.prepared_loop import PreparedLoop
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import StepStatus

PARTS = {
    "cell_integral": "volume terms",
    "interior_facet_integral": "interior facets",
    "exterior_facet_integral": "boundary facets",
    "advance": "advance a stage, cell means to vertex bounds",
    "limit": "limit, shore, allowed time step",
    "friction": "friction",
}
REST, OUTFLOW, OTHER = "the rest", "outflow through the boundary", "other loops"


def part_of(loop: PreparedLoop, stepper: ShallowWaterStepper) -> str:
    """Return the part of a step that a loop belongs to, by its kernel's name."""
    if stepper._outflow is not None and any(loop is own for own in stepper._outflow._loops):
        return OUTFLOW
    name = loop._loop.global_kernel.local_kernel.name
    return next((part for ending, part in PARTS.items() if name.endswith(ending)), OTHER)


@contextmanager
def timed_loops(stepper: ShallowWaterStepper) -> Iterator[dict[str, float]]:
    """Add up the seconds of every prepared loop by part, while inside."""
    seconds: dict[str, float] = {}
    part: dict[int, str] = {}
    original, clock = PreparedLoop.__call__, time.perf_counter

    def call(loop: PreparedLoop) -> None:
        began = clock()
        original(loop)
        took = clock() - began
        name = part.get(id(loop)) or part.setdefault(id(loop), part_of(loop, stepper))
        seconds[name] = seconds.get(name, 0.0) + took

    PreparedLoop.__call__ = call
    try:
        yield seconds
    finally:
        PreparedLoop.__call__ = original


def advance(simulation: Simulation, *, t_end: float = float("inf"), steps: int | None = None) -> None:
    """Step to a time, or a number of steps; the simulation's clock goes along."""
    while simulation.t < t_end and (steps is None or steps > 0):
        result = simulation.stepper.step(simulation.t, t_end - simulation.t)
        assert result.status is StepStatus.DONE, f"no valid step at t = {simulation.t} s"
        simulation.t += result.dt
        steps = None if steps is None else steps - 1


def fastest(action: Callable[[], object], repeats: int) -> float:
    """Return the least seconds an action takes, after one call that does not count."""
    action()
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        took.append(time.perf_counter() - began)
    return min(took)


def profile_step(simulation: Simulation, steps: int, batches: int) -> tuple[float, dict[str, float]]:
    """Return seconds of a step, untouched, and of its parts, from the fastest batch of each kind."""
    state, began_at = simulation.state.dat.data_ro.copy(), simulation.t
    scale, whole, parts = simulation.stepper.time_scale, [], []
    for batch in range(2 * batches):
        simulation.state.dat.data_wo[:] = state  # every batch takes the same steps
        simulation.stepper.state_changed()
        simulation.stepper.time_scale, simulation.t = scale, began_at
        began = time.perf_counter()
        if batch % 2:
            with timed_loops(simulation.stepper) as seconds:
                advance(simulation, steps=steps)
            parts.append({name: took / steps for name, took in seconds.items()})
        else:
            advance(simulation, steps=steps)
            whole.append((time.perf_counter() - began) / steps)
    step = min(whole)
    found = min(parts, key=lambda one: sum(one.values()))
    return step, {**found, REST: step - sum(found.values())}


def main() -> None:
    """Parse the arguments, measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--resolution", type=float, default=0.1, help="of the Monai case, m [%(default)s]")
    add("--time", type=float, default=15.0, help="simulated time to measure at, s [%(default)s]")
    add("--steps", type=int, default=100, help="steps in a batch [%(default)s]")
    add("--batches", type=int, default=5, help="batches of each kind; the fastest counts [%(default)s]")
    add("--document", type=Path, default=DOCUMENT, help="Markdown file to write into [%(default)s]")
    arguments = parser.parse_args()
    found = machine()
    warn_if_busy(found)

    case = Monai()
    options = build_options(Monai.Options, {"resolution": arguments.resolution})
    mesh = case.mesh(options)
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(case, case.build(options, mesh), Path(folder))
        simulation._began = time.perf_counter()  # a run sets it; checkpoints ask for it
        print(f"{mesh.num_cells()} cells: stepping to t = {arguments.time:g} s", flush=True)
        advance(simulation, t_end=arguments.time)
        step, parts = profile_step(simulation, arguments.steps, arguments.batches)
        before = simulation.t
        advance(simulation, steps=arguments.steps)
        dt = (simulation.t - before) / arguments.steps
        outputs = [  # name, seconds of one, simulated seconds between two
            ("gauge record", fastest(lambda: simulation.recorder.record(simulation.t), 200), dt),
            ("maximum elevation", fastest(simulation.maximum.update, 200), dt),
            ("map (ParaView and arrays)", fastest(simulation._write_maps, 5), options.output_interval),
            ("checkpoint", fastest(simulation.save, 5), options.checkpoint_interval),
        ]
    text = section(found, mesh.num_cells(), arguments, len(simulation.stepper.tableau.scale), step, dt, parts, outputs)
    replace_section(arguments.document, "profile", text)
    print(f"{text}\n\nwritten into {arguments.document}")


def section(found, cells, arguments, stages, step, dt, parts, outputs) -> str:
    """Return the Markdown of the profile."""
    order = [*PARTS.values(), OUTFLOW, OTHER, REST]
    rows = [
        [
            name,
            f"{1e6 * parts[name]:.1f}",
            f"{1e9 * parts[name] / cells:.1f}",
            f"{100 * parts[name] / step:.1f} %",
        ]
        for name in order
        if name in parts
    ]
    rows.append(["**step**", f"{1e6 * step:.1f}", f"{1e9 * step / cells:.1f}", "100 %"])
    load = {name: took / every for name, took, every in outputs}  # seconds per simulated second
    total = step / dt + sum(load.values())
    costs = [
        [
            name,
            f"{1e3 * took:.3f}",
            "step" if every == dt else f"{every:g} s",
            f"{100 * load[name] / total:.1f} %",
        ]
        for name, took, every in outputs
    ]
    costs.append(["steps", f"{1e3 * step:.3f}", "step", f"{100 * step / dt / total:.1f} %"])
    conditions = (
        f"Measured by `benchmarks/profile_shallow_water.py` on {found['date']}: {found['cpu']}, "
        f"{found['cores']} cores, {found['system']}, one thread, load {found['load']} at the start; "
        f"driftmesh commit {commit()}, firedrake {versions()['firedrake']}. Monai at resolution "
        f"{arguments.resolution:g} m, {cells:,} cells, from t = {arguments.time:g} s on; P1, {stages} stages "
        f"a step, mean time step {1e3 * dt:.2f} ms."
    )
    return "\n\n".join(
        [
            conditions,
            "A step; all stages together, from the fastest batch:",
            table(["part", "time [us]", "per cell [ns]", "share"], rows),
            "The time loop with its outputs, at the intervals of a run by default:",
            table(["what", "one [ms]", "every", "share of the loop"], costs),
        ]
    )


if __name__ == "__main__":
    main()
