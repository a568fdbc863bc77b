"""Compare operator networks inside solvers with algebraic multigrid: warm starts, preconditioners, time steps, Newton.

    python benchmarks/operator_solvers.py                    # about five minutes; writes docs/benchmarks.md
    python benchmarks/operator_solvers.py --weights darcy=FILE.safetensors elasticity=FILE.safetensors

Networks without weights given are untrained: their functions are Gaussians around landmarks, which is where training
begins. Every row is a process of its own. Times are those of the processor, of one thread, so that what else runs
counts for less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
# PETSc reads this script's arguments too: it must not tell that it knew none, nor catch signals.
os.environ["PETSC_OPTIONS"] = "-options_left no -no_signal_handler " + os.environ.get("PETSC_OPTIONS", "")

import numpy as np
import torch
from benchmark_document import DOCUMENT, machine, replace_section, warn_if_busy
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    NonlinearVariationalProblem,
    NonlinearVariationalSolver,
    RectangleMesh,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    derivative,
    dx,
    exp,
    grad,
    inner,
    sin,
)
from firedrake.petsc import PETSc
from operator_solvers_report import section
from scipy import sparse
from scipy.sparse.linalg import splu

from coupling.implicit_euler import ImplicitEuler
from coupling.newton_start import NewtonStart
from coupling.operator_data import FAMILIES
from coupling.operator_inverse import OperatorInverse, operator_problem
from coupling.operator_preconditioner import use_operator
from coupling.surrogate import SurrogateRecord, SurrogateStepper
from coupling.warm_start import WarmStart
from fem.problems.elasticity import Material
from fem.problems.hyperelasticity import stored_energy
from fem.solver_parameters import CG_GAMG, NEWTON_LU
from learned.operators.prepared import prepare_for
from learned.operators.problem import OperatorProblem
from learned.operators.spon import SPON
from learned.weights import load_weights

SIZES, TOLERANCES, COLUMNS, SEED = (1_000, 10_000, 100_000), (1e-5, 1e-7, 1e-10), 6, 7
# Right-hand sides that tell what is typical; none of them is solved for.
TYPICAL = 192
LINEAR = ("darcy", "elasticity")


def timed(action: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Return the least processor time [s] of an action, and its last result."""
    least, result = np.inf, None
    for _ in range(repeats):
        began = process_time()
        result = action()
        least = min(least, process_time() - began)
    return least, result


def network_for(features: int, weights: str | None) -> SPON:
    """Return the network of a file of weights, or an untrained one."""
    if weights:
        return load_weights(Path(weights))[0]
    torch.manual_seed(0)
    return SPON(features=features)


# -- linear problems ----------------------------------------------------------------------------------------


@dataclass
class System:
    """A problem of a data set as a solver has it: the identity where values are fixed."""

    problem: OperatorProblem

    def __post_init__(self) -> None:
        problem = self.problem
        fixed = problem.fixed.ravel()
        free = sparse.diags_array((~fixed).astype(float))
        self.matrix = sparse.csr_array(free @ problem.stiffness @ free + sparse.diags_array(fixed.astype(float)))
        self.matrix.sort_indices()
        self.columns = problem.loads - problem.stiffness @ problem.values
        self.columns[fixed] = 0.0
        self.solutions = problem.solutions - problem.values

    def petsc(self, *, rigid: bool = True) -> PETSc.Mat:
        """Return the matrix for PETSc, which is told of rigid motions or not."""
        parts, matrix = self.problem.components, self.matrix
        csr = (matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data)
        result = PETSc.Mat().createAIJ(matrix.shape, csr=csr, comm=PETSc.COMM_SELF)
        result.setBlockSize(parts)
        if parts > 1 and rigid:
            coordinates = PETSc.Vec().createWithArray(self.problem.points.ravel().copy(), bsize=2, comm=PETSc.COMM_SELF)
            result.setNearNullSpace(PETSc.NullSpace().createRigidBody(coordinates))
        return result

    def error(self, found: np.ndarray, column: int) -> float:
        """Return the relative error in energy."""
        wrong, exact = found - self.solutions[:, column], self.solutions[:, column]
        return float(np.sqrt(wrong @ (self.matrix @ wrong) / (exact @ (self.matrix @ exact))))


def solver(matrix: PETSc.Mat, kind: str, pc: str, rtol: float, norm: str | None = None) -> PETSc.KSP:
    """Return a KSP."""
    ksp = PETSc.KSP().create(comm=PETSc.COMM_SELF)
    ksp.setOperators(matrix)
    ksp.setType(kind)
    ksp.setTolerances(rtol=rtol, atol=0.0, max_it=10_000)
    if norm:
        ksp.setNormType(getattr(PETSc.KSP.NormType, norm))
    ksp.getPC().setType(pc)
    return ksp


def solve_all(system: System, ksp: PETSc.KSP, columns: int = COLUMNS, repeats: int = 2) -> dict[str, float]:
    """Return means over right-hand sides: iterations, processor time [s], error in energy."""
    ksp.setUp()
    b, x = ksp.getOperators()[0].createVecs()
    iterations, seconds, errors = [], [], []
    for column in range(columns):
        b.setArray(system.columns[:, column])
        took, _ = timed(lambda: ksp.solve(b, x), repeats)
        iterations.append(ksp.getIterationNumber())
        seconds.append(took)
        errors.append(system.error(x.getArray(), column))
    return {"iterations": float(np.mean(iterations)), "s": float(np.mean(seconds)), "error": float(np.mean(errors))}


@contextmanager
def inner_preconditioner(name: str | None) -> Iterator[None]:
    """Let ``OperatorPC`` be put around a preconditioner, or around none."""
    options = PETSc.Options("operator_")
    if name:
        options["pc_type"] = name
    yield
    options.delValue("pc_type")


def coarse_solve(system: System) -> tuple[float, Callable[[np.ndarray], np.ndarray]]:
    """Return Galerkin's solve on the coarse mesh, what a network has to beat, and its set-up time [s]."""

    def make() -> Callable[[np.ndarray], np.ndarray]:
        problem = system.problem
        way = sparse.csr_array(sparse.kron(problem.prolongation(1), sparse.eye_array(problem.components)))
        way = sparse.csr_array(sparse.diags_array((~problem.fixed.ravel()).astype(float)) @ way)
        way = sparse.csr_array(sparse.csc_array(way)[:, np.flatnonzero(abs(way).sum(axis=0))])
        back = sparse.csr_array(way.T)
        coarse = sparse.csc_array(back @ system.matrix @ way)
        # Columns that hardly any free node sees are nearly zero.
        factors = splu(coarse, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        return lambda b: way @ factors.solve(back @ b)

    return timed(make)


def measure_linear(family: str, size: int, weights: str | None) -> dict[str, Any]:
    """Solve problems of a family with every start and preconditioner."""
    components = 2 if family == "elasticity" else 1
    drawn = FAMILIES[family](np.random.default_rng([SEED, size]), size // components, COLUMNS + TYPICAL, False)
    parts = {name: getattr(drawn, name)[:, :COLUMNS] for name in ("loads", "values", "solutions")}
    problem, typical = replace(drawn, **parts), System(drawn).columns[:, COLUMNS:]
    system = System(problem)
    network = network_for(problem.features.shape[1], weights)
    with torch.no_grad():
        prepare_s, prepared = timed(lambda: prepare_for(network, problem), 2)
        network_s, _ = timed(lambda: network.inverse(prepared), 2)
        accuracy = float(prepared.error(network(prepared)).mean())
    inverse = OperatorInverse(network, problem)
    # With the functions in single precision, and what is typical of right-hand sides.
    took, start = timed(lambda: inverse.start_for(typical))
    network_s += took
    coarse_s, coarse = coarse_solve(system)
    known = {b.tobytes(): x for b, x in zip(system.columns.T, start(system.columns).T, strict=True)}
    slow = size > 50_000
    starts: dict[str, Callable[[np.ndarray], np.ndarray] | None] = {
        "zero": None,
        "network": start,
        "network, free": lambda b: known[b.tobytes()],
        "coarse": coarse,
    }
    matrix = system.petsc()
    gamg_s, _ = timed(lambda: solver(matrix, "cg", "gamg", 1e-7).setUp())
    result: dict[str, Any] = {
        "unknowns": len(problem.free),
        "kind": problem.kind,
        "accuracy": accuracy,
        "energy": {
            name: float(np.mean([system.error(predict(b), column) for column, b in enumerate(system.columns.T)]))
            for name, predict in (("network", start), ("coarse", coarse))
        },
        "prepare_s": prepare_s,
        "network_s": network_s,
        "apply_s": timed(lambda: start(system.columns[:, 0]), 3)[0],
        "apply_many_s": timed(lambda: start(system.columns), 3)[0] / COLUMNS,
        "gamg_s": gamg_s,
        "coarse_s": coarse_s,
        "starts": {},
        "preconditioners": {},
    }
    matrices = {"gamg": matrix} | ({"gamg, no rigid motions": system.petsc(rigid=False)} if components > 1 else {})
    for name, of in matrices.items():
        for tolerance in TOLERANCES:
            for start, predict in starts.items():
                # Of this norm PETSc has no need of another application of the preconditioner before it begins.
                ksp = solver(of, "cg", "gamg", tolerance, "UNPRECONDITIONED")
                if predict is not None:
                    # All are projections in energy, and so nearer than zero.
                    WarmStart(predict, norm=None).attach(ksp)
                result["starts"][f"{name}|{tolerance:g}|{start}"] = solve_all(system, ksp, repeats=1 if slow else 2)
    for name, of in matrices.items():
        for kind in ("jacobi", "gamg"):
            ksp = solver(of, "cg", kind, 1e-7, "UNPRECONDITIONED")
            result["preconditioners"][f"{name}|{kind}"] = solve_all(system, ksp)
        for kind, local in (("network", None), ("network around gamg", "gamg")):
            ksp = solver(of, "fcg", "none", 1e-7, "UNPRECONDITIONED")
            with inner_preconditioner(local):
                use_operator(ksp, inverse)
            # Slow on the largest; alone it does not see what GAMG is told.
            if local or name == "gamg":
                result["preconditioners"][f"{name}|{kind}"] = solve_all(system, ksp, columns=1, repeats=1)
    direct = solver(matrix, "preonly", "lu", 1e-7)
    direct.getPC().setFactorSolverType("mumps")
    direct_s, _ = timed(direct.setUp)
    result["direct"] = {"setup_s": direct_s, **solve_all(system, direct)}
    return result


# -- time steps and Newton's method -------------------------------------------------------------------------


def measure_steps(size: int, tolerance: float, dt: float = 0.05, steps: int = 20) -> dict[str, Any]:
    """Cool a hot spot by finite elements and by a network that is corrected."""
    side = round(size**0.5) - 1
    mesh = UnitSquareMesh(side, side)
    space, x = FunctionSpace(mesh, "CG", 1), SpatialCoordinate(mesh)
    u, v = TrialFunction(space), TestFunction(space)
    form = (0.2 + x[0]) * inner(grad(u), grad(v)) * dx
    source = (1 + sin(5 * x[1])) * v * dx
    bcs = [DirichletBC(space, 0.0, (1, 4))]

    parameters = CG_GAMG | {"ksp_rtol": 1e-7}

    def begin(sharp: bool) -> tuple[ImplicitEuler, Function]:
        state = Function(space).interpolate(exp(-30 * ((x[0] - 0.6) ** 2 + (x[1] - 0.4) ** 2)))
        for bc in bcs:
            bc.apply(state)
        return ImplicitEuler(form, source, bcs, sharp=sharp, parameters=parameters), state

    def alone() -> tuple[float, Function]:
        euler, state = begin(sharp=False)
        after = Function(space)

        def go() -> None:
            for _ in range(steps):
                euler.solve(state, state, after, dt)
                state.assign(after)

        return timed(go)[0], state

    def by_network() -> tuple[float, Function, SurrogateRecord]:
        euler, state = begin(sharp=True)
        network = network_for(0, None)
        stepper = SurrogateStepper(state, lambda: euler.surrogate(network, dt), euler, dt=dt, tolerance=tolerance)
        took, _ = timed(lambda: [stepper.step(0.0, dt) for _ in range(steps)])
        return took, state, stepper.record

    # Once for what is compiled.
    alone(), by_network()
    fem_s, expected = alone()
    took, found, record = by_network()
    wrong = float(np.linalg.norm(found.dat.data_ro - expected.dat.data_ro) / np.linalg.norm(expected.dat.data_ro))
    return {
        "unknowns": space.dim(),
        "tolerance": tolerance,
        "fem_s": fem_s,
        "s": took,
        "accepted": record.accepted,
        "corrected": record.corrected,
        "surrogate_s": record.surrogate_s,
        "residual_s": record.residual_s,
        "solve_s": record.solve_s,
        "worst": record.worst,
        "difference": wrong,
    }


def measure_newton(size: int, load: float) -> dict[str, Any]:
    """Bend a neo-Hookean beam by its weight, from rest and from a network's steps."""
    side = max(2, round((size / 2 / 4) ** 0.5))
    space = VectorFunctionSpace(RectangleMesh(4 * side, side, 4.0, 1.0), "CG", 1)
    u, v = Function(space), TestFunction(space)
    form = derivative(stored_energy(u, Material(young=1.0, poisson=0.3)) * dx(degree=4), u, v)
    form -= inner(Constant(as_vector([0.0, -load])), v) * dx
    problem = NonlinearVariationalProblem(form, u, bcs=[DirichletBC(space, 0, 1)])
    newton = NonlinearVariationalSolver(problem, solver_parameters=NEWTON_LU)
    newton.solve()
    u.assign(0.0)
    zero_s, _ = timed(newton.solve)
    row: dict[str, Any] = {
        "unknowns": space.dim(),
        "load": load,
        "zero_s": zero_s,
        "zero": newton.snes.getIterationNumber(),
    }
    deflection = float(np.abs(u.dat.data_ro).max())
    u.assign(0.0)
    setup_s, inverse = timed(
        lambda: OperatorInverse(network_for(0, None), operator_problem(derivative(form, u), problem.dirichlet_bcs()))
    )
    start = NewtonStart(problem, inverse)
    took, result = timed(lambda: start.solve(newton))
    return row | {
        "setup_s": setup_s,
        "warm_s": took,
        "warm": newton.snes.getIterationNumber(),
        "steps": result.steps,
        "trials": result.trials,
        "fall": result.after / result.before,
        "deflection": deflection,
    }


def main() -> None:
    """Measure all rows, or with ``--one`` a single one, printed as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--weights", nargs="*", default=[], metavar="FAMILY=FILE", help="trained networks")
    add("--one", nargs=3, metavar=("KIND", "SIZE", "OPTION"), help="a single row")
    add("--document", type=Path, default=DOCUMENT, help="Markdown file to write into [%(default)s]")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    weights = dict(pair.split("=", 1) for pair in arguments.weights)
    if arguments.one:
        kind, size, option = arguments.one
        if kind == "steps":
            row = measure_steps(int(size), float(option))
        elif kind == "newton":
            row = measure_newton(int(size), float(option))
        else:
            row = measure_linear(kind, int(size), weights.get(kind))
        print(json.dumps(row))
        return
    found = machine()
    warn_if_busy(found)

    def measured(kind: str, size: int, option: str = "-") -> dict:
        command = [sys.executable, __file__, "--one", kind, str(size), option, "--weights", *arguments.weights]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"{kind} {size} {option}: done", flush=True)
        return json.loads(output)

    linear = {family: [measured(family, size) for size in SIZES] for family in LINEAR}
    steps = [measured("steps", size, option) for size in SIZES for option in ("1e-2", "1e-3")]
    newton = [measured("newton", size, option) for size in SIZES[:2] for option in ("5e-4", "2e-3")]
    networks = ", ".join(f"{name}: {Path(weights[name]).name if name in weights else 'untrained'}" for name in LINEAR)
    text = section(found, linear, steps, newton, networks, COLUMNS)
    replace_section(arguments.document, "operator-solvers", text)
    print(f"{text}\n\nwritten into {arguments.document}")


if __name__ == "__main__":
    main()
