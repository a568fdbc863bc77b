"""What a run finds out about each geometry, kept in a file of its own, and what that comes to for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from cases.run_folder import write_json

if TYPE_CHECKING:
    from cases.operators.networks import LoadedNetwork
    from learned.operators.problem import OperatorProblem

FOLDER = "geometries"


@dataclass(frozen=True)
class NetworkRecord:
    """What a network does on a geometry.

    Attributes
    ----------
    errors
        Relative errors in L2 of each right-hand side against finite elements.
    residuals
        Of structure, by name, see ``learned.operators.evaluation``; None for one that is not finite.
    prepare_s, solve_s
        Time for what depends on the geometry only, and for all right-hand sides [s].
    """

    errors: list[float | None]
    residuals: dict[str, float | None]
    prepare_s: float
    solve_s: float


@dataclass(frozen=True)
class GeometryRecord:
    """What is known of a geometry.

    Attributes
    ----------
    made_of
        What it depends on: options, seed and checksums of weights.
    kind, moved
        Name of its family, and whether its mesh has been moved.
    cells, dofs
        Triangles between nodes, and degrees of freedom.
    fem_s
        Time of a direct solve for all right-hand sides on the same matrices, factorisation included [s].
    seconds
        Time for all, to draw it included [s].
    networks
        What each network does on it.
    """

    made_of: dict[str, Any]
    kind: str
    moved: bool
    cells: int
    dofs: int
    fem_s: float
    seconds: float
    networks: dict[str, NetworkRecord]

    @property
    def network_s(self) -> float:
        """Time of all networks [s]."""
        return sum(one.prepare_s + one.solve_s for one in self.networks.values())


def measure(
    draw: Callable[[], OperatorProblem],
    networks: Mapping[str, LoadedNetwork],
    *,
    tested: str,
    made_of: dict[str, Any],
    moved: bool,
) -> GeometryRecord:
    """Draw a problem, solve it by finite elements, for the time that takes, and by all networks.

    Parameters
    ----------
    draw
        Gives the problem.
    networks
        By name.
    tested
        The one whose functions test the balance of those that have no functions of their own.
    made_of, moved
        See ``GeometryRecord``.
    """
    from coupling.operator_problems.solve import solve_reduced
    from learned.operators.evaluation import evaluate
    from learned.operators.prepared import reduction
    from learned.operators.spon import SPON

    with_functions = networks[tested].network
    assert isinstance(with_functions, SPON), "the weights have been checked"
    start = perf_counter()
    problem = draw()
    began = perf_counter()
    solve_reduced(problem.stiffness, problem.loads, problem.values, reduction(problem)[0])
    fem_s, found = perf_counter() - began, {}
    for name, one in networks.items():
        figures = evaluate(one.network, [problem], tested=with_functions)
        found[name] = NetworkRecord(
            figures.errors.ravel().tolist(), dict(figures.residuals), figures.prepare_s, figures.solve_s
        )
    return GeometryRecord(
        made_of=made_of,
        kind=problem.kind,
        moved=moved,
        cells=len(problem.cells),
        dofs=problem.fixed.size,
        fem_s=fem_s,
        seconds=perf_counter() - start,
        networks=found,
    )


def write_record(out: Path, number: int, record: GeometryRecord) -> None:
    """Write ``out/geometries/NNNNN.json``."""
    (out / FOLDER).mkdir(exist_ok=True)
    write_json(_file(out, number), asdict(record))


def read_record(out: Path, number: int, made_of: Mapping[str, Any]) -> GeometryRecord | None:
    """Return the record of a geometry if there is one, and of the same options, seed and weights."""
    file = _file(out, number)
    if not file.is_file():
        return None
    said = json.loads(file.read_text())
    if said["made_of"] != made_of:
        return None
    networks = {name: NetworkRecord(**one) for name, one in said.pop("networks").items()}
    return GeometryRecord(**said, networks=networks)


def drop_records(out: Path) -> None:
    """Remove the records of an earlier run."""
    for file in (out / FOLDER).glob("[0-9]*.json"):
        file.unlink()


def _file(out: Path, number: int) -> Path:
    return out / FOLDER / f"{number:05d}.json"


def errors_of(name: str, records: Iterable[GeometryRecord]) -> np.ndarray:
    """Return the errors of a network on all right-hand sides, NaN where one is not finite, shape (geometries m,)."""
    return np.array([error for one in records for error in one.networks[name].errors], dtype=float)


def metrics_of(records: Sequence[GeometryRecord], networks: Mapping[str, LoadedNetwork], main: str) -> dict[str, Any]:
    """Return the metrics of ``run.json``; empty without records.

    Parameters
    ----------
    records
        Of all geometries.
    networks
        By name.
    main
        The one whose mean error is that of the run.
    """
    if not records:
        return {}
    kinds = {kind: [one for one in records if one.kind == kind] for kind in sorted({one.kind for one in records})}
    moved = {
        name: [one for one in records if one.moved == wanted] for name, wanted in (("moved", True), ("unmoved", False))
    }
    figures = {name: _network_figures(name, records, one.parameters) for name, one in networks.items()}
    return {
        "error": figures[main]["error"]["mean"],
        "right_sides": len(errors_of(main, records)),
        "networks": figures,
        "fem": {"solve_s": median(one.fem_s for one in records)},
        "by_kind": {kind: _means(networks, of_kind) for kind, of_kind in kinds.items()},
        **{name: _means(networks, some) for name, some in moved.items()},
    }


def _network_figures(name: str, records: Sequence[GeometryRecord], parameters: int) -> dict[str, Any]:
    from learned.operators.evaluation import RESIDUALS, Evaluation

    of_network = [one.networks[name] for one in records]
    residuals = {
        key: float(np.array([one.residuals[key] for one in of_network], dtype=float).max())
        for key in RESIDUALS
        if key in of_network[0].residuals
    }
    times = {key: median(getattr(one, key) for one in of_network) for key in ("prepare_s", "solve_s")}
    together = Evaluation(errors_of(name, records), residuals, **times)
    return {"parameters": parameters, "error": together.figures(), "residuals": residuals, **times}


def _means(networks: Iterable[str], records: Sequence[GeometryRecord]) -> dict[str, float | None]:
    """Return the mean error of each network on some geometries; None if there are none."""
    return {name: float(errors_of(name, records).mean()) if records else None for name in networks}
