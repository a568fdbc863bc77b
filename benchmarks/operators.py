"""Operator networks on geometries they have not seen: errors, structure, and what they cost beside finite elements.

driftmesh train spon --problem poisson           # and the others: see MODELS; weights into results/train
python benchmarks/operators.py                   # some minutes; writes docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")
# PETSc reads this script's arguments too: it must not tell that it knew none, nor catch signals.
os.environ["PETSC_OPTIONS"] = "-options_left no -no_signal_handler " + os.environ.get("PETSC_OPTIONS", "")

import numpy as np
import torch
from benchmark_document import DOCUMENT, machine, replace_section, table, warn_if_busy
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import nn

from cases.run_folder import commit
from coupling.operator_data import OperatorSettings, make_operator
from learned.operators.architectures import architecture
from learned.operators.evaluation import RESIDUALS, Evaluation, evaluate
from learned.operators.prepared import prepare_for, reduction
from learned.operators.problem import OperatorProblem, problem_of
from learned.operators.spon import SPON
from learned.train_request import OPERATORS, PROBLEMS
from learned.weights import NETWORKS, PRETRAINED, load_weights

# Geometries of training are numbers 0 to 399; nobody has seen these.
FIRST = 10**6
UNTRAINED = "spon-mg, untrained"


@dataclass(frozen=True)
class Row:
    """What is known of one network on one problem: its training's time [s], weights and figures."""

    name: str
    trained_s: float
    parameters: int
    figures: Evaluation


def problems(name: str, count: int) -> list[OperatorProblem]:
    """Return problems that no training has seen."""
    settings = OperatorSettings(problem=name)
    return [problem_of(make_operator(settings, FIRST + number)) for number in range(count)]


def networks(problem: str, sample: OperatorProblem, trained: Path) -> dict[str, tuple[nn.Module, float]]:
    """Return the trained networks for a problem with the seconds they were trained, and an untrained one."""
    found = {}
    for model in OPERATORS:
        for of in (problem, *(("poisson",) if problem == "poisson-grid" else ())):
            name = f"{model}-{of}"
            places = (trained / name / f"{name}.safetensors", PRETRAINED / f"{name}.safetensors")
            path = next((path for path in places if path.exists()), None)
            if path is not None:
                network, card = load_weights(path)
                found[model if of == problem else f"{model}, of {of}"] = network, card.seconds
    network, options = architecture("spon-mg", problem, sample)
    torch.manual_seed(0)
    found[UNTRAINED] = NETWORKS[network](**options), 0.0
    return found


def finite_elements(held: Sequence[OperatorProblem]) -> list[tuple[str, float, float, float]]:
    """Return the level, mean and worst error and the seconds of direct solves on each level, the finest first.

    A coarse level's solution is that of its own mesh, with the finest level's integrals: Galerkin's matrices.
    """
    rows = []
    for level in range(len(held[0].coarse) + 1):
        errors, seconds = [], []
        for problem in held:
            expand, reduce = reduction(problem)
            stiffness = sparse.csr_array(expand.T @ problem.stiffness @ expand)
            right = expand.T @ (problem.loads - problem.stiffness @ problem.values)
            way = sparse.eye_array(len(right), format="csr")
            if level:
                wide = sparse.kron(problem.prolongation(level), sparse.eye_array(problem.components))
                way = sparse.csr_array(reduce @ sparse.csr_array(wide))
                way = way[:, np.flatnonzero(abs(way).sum(axis=0))]
            matrix, small = sparse.csc_array(way.T @ stiffness @ way), way.T @ right
            began = perf_counter()
            unknown = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(small)
            seconds.append(perf_counter() - began)
            prepared = prepare_for(nn.Identity(), problem)
            errors.append(prepared.error(torch.from_numpy(problem.values + expand @ (way @ unknown))).numpy())
        name = "finite elements" + (f", 1/{4**level} of the cells" if level else ", this mesh")
        rows.append((name, float(np.mean(errors)), float(np.max(errors)), median(seconds)))
    return rows


def section(problem: str, rows: Sequence[Row], classical: Sequence[tuple[str, float, float, float]]) -> str:
    """Return the tables of one problem."""
    shown = [name for name in RESIDUALS if any(name in row.figures.residuals for row in rows)]
    header = ["network", "weights", "mean error [%]", "median", "90 %", "worst", "prepare [ms]", "solve [ms]", *shown]
    lines = []
    for row in rows:
        figures = row.figures.figures()
        errors = [f"{100 * figures[name]:.3g}" for name in ("mean", "median", "q90", "worst")]
        times = [f"{1e3 * row.figures.prepare_s:.1f}", f"{1e3 * row.figures.solve_s:.1f}"]
        residuals = [f"{row.figures.residuals[name]:.1e}" if name in row.figures.residuals else "–" for name in shown]
        lines.append([row.name, f"{row.parameters:,}", *errors, *times, *residuals])
    for name, mean, worst, seconds in classical:
        blank = ["–"] * len(shown)
        lines.append(
            [name, "–", f"{100 * mean:.3g}", "–", "–", f"{100 * worst:.3g}", "–", f"{1e3 * seconds:.1f}", *blank]
        )
    return f"### {problem}\n\n{table(header, lines)}\n\n{pay_back(rows, classical)}"


def pay_back(rows: Sequence[Row], classical: Sequence[tuple[str, float, float, float]]) -> str:
    """Return after how many geometries training has paid, against the cheapest level that is as accurate."""
    words = []
    for row in rows:
        error = row.figures.figures()["mean"]
        level = min((one for one in classical if one[1] <= error), key=lambda one: one[3])
        saved = level[3] - row.figures.prepare_s - row.figures.solve_s
        after = f"{row.trained_s / saved:,.0f} geometries" if saved > 0.0 and row.trained_s else "never"
        words.append(f"{row.name}: {after} (against {level[0]}, {1e3 * level[3]:.1f} ms)")
    return (
        "Training has paid back after, at equal error and with 8 right-hand sides a geometry: " + "; ".join(words) + "."
    )


def _weights(network: nn.Module) -> int:
    return sum(part.numel() for part in network.parameters())


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trained", type=Path, default=Path("results/train"), help="folder of trainings")
    parser.add_argument("--geometries", type=int, default=40)
    parser.add_argument("--dry", action="store_true", help="print only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = machine()
    warn_if_busy(found)
    parts = [
        f"{arguments.geometries} geometries that no training has seen, half of them with moved meshes, 8 right-hand "
        "sides on each, about 900 nodes. Errors are relative to the finite-element solution, in L2, for Stokes of "
        "velocities. "
        "`prepare` makes what depends on the geometry but not on weights; `solve` is for all 8; `finite elements` is a "
        "direct solve, factorisation included, the matrices given as they are to the networks. Residuals are those of "
        f"`learned.operators.evaluation`, the worst of all. {found['cpu']}, one thread, {found['date']}, {commit()}."
    ]
    for problem in PROBLEMS:
        held = problems(problem, arguments.geometries)
        found_here = networks(problem, held[0], arguments.trained)
        tested = found_here[UNTRAINED][0]
        assert isinstance(tested, SPON)
        rows = [
            Row(name, seconds, _weights(network), evaluate(network.eval(), held, tested=tested))
            for name, (network, seconds) in found_here.items()
        ]
        parts.append(section(problem, rows, finite_elements(held)))
        print(parts[-1], flush=True)
    if not arguments.dry:
        replace_section(DOCUMENT, "operators", "\n\n".join(parts))


if __name__ == "__main__":
    main()
