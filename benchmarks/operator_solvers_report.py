"""The section of docs/benchmarks.md on operator networks inside solvers, from what ``operator_solvers.py`` measured."""

from __future__ import annotations

from benchmark_document import table

from cases.run_folder import commit, versions


def section(
    found: dict, linear: dict[str, list[dict]], steps: list[dict], newton: list[dict], networks: str, columns: int
) -> str:
    """Return the section of the document."""
    parts = [
        f"Measured by `benchmarks/operator_solvers.py` on {found['date']}: {found['cpu']}, {found['cores']} cores, one "
        f"thread, load {found['load']} at the start; driftmesh {versions()['driftmesh']}, commit {commit()}. Times are "
        f"those of the processor; means of {columns} right-hand sides. Networks: {networks}.",
        "What is set up once for a geometry [ms]: the network in two parts, what does not depend on weights and what "
        "does; one application of it, alone and as one of several; algebraic multigrid; a factorisation of the coarse "
        "mesh (each cell is four fine ones) as the control; MUMPS, which solves directly. Errors are those of starts.",
        _set_up(linear),
        "Warm starts of conjugate gradients with GAMG, to a residual of rtol times the right-hand side: iterations and "
        "time of a solve [ms] with the start included, set-up not; what the network saves of iterations; how the time "
        "differs from that from zero, of the network, of the same start if it cost nothing, and of the coarse mesh; "
        "after how many right-hand sides the network's set-up has paid. The network's start is that for right-hand "
        "sides like some others (`OperatorInverse.start_for`), drawn from the same distribution.",
        _starts(linear),
        "Preconditioners, to a residual of 1e-7 of the right-hand side: iterations, time of a solve [ms], error in "
        "energy.",
        _preconditioners(linear),
        "Twenty implicit steps of diffusion: all by finite elements (GAMG, rtol 1e-7), and by an untrained network "
        "that is corrected where the estimated error of a step is above a share of the state. Times [ms] with all "
        "set-up; of its parts by the clock.",
        _steps(steps),
        "Newton's method for a neo-Hookean beam, each step by MUMPS: iterations and time [ms] from rest, and from the "
        "steps of an untrained network made at rest; its set-up apart; what these leave of the residual's norm.",
        _newton(newton),
    ]
    return "\n\n".join(parts)


def _set_up(linear: dict[str, list[dict]]) -> str:
    header = ["problem", "unknowns", "prepared", "network", "applied", "of several", "GAMG", "coarse mesh", "MUMPS"]
    header += ["MUMPS solves", "error in L2", "in energy", "of the coarse mesh"]
    lines = []
    for family, row in _rows(linear):
        times = [row[f"{name}_s"] for name in ("prepare", "network", "apply", "apply_many", "gamg", "coarse")]
        times += [row["direct"]["setup_s"], row["direct"]["s"]]
        errors = [row["accuracy"], row["energy"]["network"], row["energy"]["coarse"]]
        line = [f"{family}, {row['kind']}", f"{row['unknowns']:,}", *(f"{1e3 * took:.2f}" for took in times)]
        lines.append([*line, *(f"{100 * error:.2f} %" for error in errors)])
    return table(header, lines)


def _starts(linear: dict[str, list[dict]]) -> str:
    header = ["problem", "unknowns", "rtol", "zero", "ms", "network", "ms", "coarse mesh", "ms", "fewer"]
    header += ["time, network", "free", "coarse mesh", "paid after"]
    lines = []
    for family, row in _rows(linear):
        set_up = row["prepare_s"] + row["network_s"]
        for case in {key.rpartition("|")[0]: None for key in row["starts"]}:
            name, tolerance = case.split("|")
            zero, network, free, coarse = (
                row["starts"][f"{case}|{start}"] for start in ("zero", "network", "network, free", "coarse")
            )
            line = [f"{family}, {name}", f"{row['unknowns']:,}", tolerance]
            for part in (zero, network, coarse):
                line += [f"{part['iterations']:.1f}", f"{1e3 * part['s']:.2f}"]
            line.append(f"{100 * (1.0 - network['iterations'] / zero['iterations']):.0f} %")
            line += [f"{100 * (part['s'] / zero['s'] - 1.0):+.0f} %" for part in (network, free, coarse)]
            saved = zero["s"] - network["s"]
            lines.append([*line, f"{set_up / saved:,.0f}" if saved > 0.0 else "never"])
    return table(header, lines)


def _preconditioners(linear: dict[str, list[dict]]) -> str:
    lines = []
    for family, row in _rows(linear):
        for key, part in row["preconditioners"].items():
            name, kind = key.split("|")
            figures = f"{part['iterations']:.1f}", f"{1e3 * part['s']:.2f}", f"{part['error']:.1e}"
            lines.append([f"{family}, {name}", f"{row['unknowns']:,}", kind, *figures])
    return table(["problem", "unknowns", "preconditioner", "iterations", "ms", "error"], lines)


def _steps(steps: list[dict]) -> str:
    header = ["unknowns", "tolerance", "finite elements", "network", "accepted", "corrected", "surrogate", "residual"]
    header += ["solve", "difference"]
    lines = []
    for row in steps:
        line = [f"{row['unknowns']:,}", f"{row['tolerance']:g}", f"{1e3 * row['fem_s']:.0f}", f"{1e3 * row['s']:.0f}"]
        line += [str(row["accepted"]), str(row["corrected"])]
        line += [f"{1e3 * row[name]:.0f}" for name in ("surrogate_s", "residual_s", "solve_s")]
        lines.append([*line, f"{row['difference']:.1e}"])
    return table(header, lines)


def _newton(newton: list[dict]) -> str:
    header = ["unknowns", "load", "deflection", "from rest", "ms", "from the network", "ms", "set-up", "its steps"]
    header += ["residuals", "left"]
    lines = []
    for row in newton:
        line = [f"{row['unknowns']:,}", f"{row['load']:g}", f"{row['deflection']:.2f}"]
        line += [str(row["zero"]), f"{1e3 * row['zero_s']:.0f}", str(row["warm"]), f"{1e3 * row['warm_s']:.0f}"]
        line += [f"{1e3 * row['setup_s']:.0f}", str(row["steps"]), str(row["trials"]), f"{row['fall']:.1e}"]
        lines.append(line)
    return table(header, lines)


def _rows(linear: dict[str, list[dict]]) -> list[tuple[str, dict]]:
    return [(family, row) for family, rows in linear.items() for row in rows]
