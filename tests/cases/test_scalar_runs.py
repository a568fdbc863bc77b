"""Runs of swirl and Burgers' equation: errors that are errors, a beginning that is exact, restarts, two ranks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from firedrake import COMM_WORLD, Function, FunctionSpace, SpatialCoordinate, UnitSquareMesh
from run_files import by_place, maps, run_json

from cases.checkpoint import load_checkpoint
from cases.compare import CompareRequest, compare
from cases.exact_error import l2_error
from cases.run import RunRequest, execute
from cases.scalar_simulation import ScalarSimulation
from fem.analytic.burgers import TravellingFront
from fem.analytic.swirl import Swirl
from meshing.mover import Displacement, Mover

MOVERS = ("none", "mmpde", "monge-ampere")
SWIRL = ("resolution=12", "t_end=0.6", "checkpoint_interval=0.2", "move_every=5")
# What of a checkpoint measures the run, and is not what it computes.
TIMES = {"solver_s", "io_s", "loop_s", "mover_s", "monitor_s", "transfer_s", "overhead_s", "overhead_moves"}


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take longer than the runs do."""
    monkeypatch.setattr("cases.scalar_figures.write_scalar_figures", lambda *_, **__: [])


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a comparison of all movers on the swirl, to be read only."""
    out = tmp_path_factory.mktemp("swirl") / "compare"
    assert compare(CompareRequest("swirl", MOVERS, SWIRL, out=out), quiet=True) == "done"
    return out


# -- the error --------------------------------------------------------------------------------------------------


def _square_of_x(points: np.ndarray, t: float) -> np.ndarray:
    return t * points[:, 0] ** 2


@pytest.mark.parametrize("degree", [0, 1])
def test_the_error_is_integrated_exactly_up_to_degree_four(degree: int) -> None:
    """Against 1, by hand: the integral of (2 x^2 - 1)^2 is 4/5 - 4/3 + 1 = 7/15."""
    mesh = UnitSquareMesh(3, 4)
    u = Function(FunctionSpace(mesh, "DG", degree)).assign(1.0)
    assert l2_error(u, _square_of_x, 2.0) == pytest.approx(np.sqrt(7 / 15), rel=1e-13)


def test_the_error_takes_values_in_their_own_vertices() -> None:
    """Against x + 3 y: the integral of (x + 3 y - x^2)^2 is 3 + 3/2 + 1/3 - 1/2 - 1 + 1/5 = 53/15."""
    mesh = UnitSquareMesh(5, 2, diagonal="crossed")
    x, y = SpatialCoordinate(mesh)
    u = Function(FunctionSpace(mesh, "DG", 1, variant="equispaced")).interpolate(x + 3 * y)
    assert l2_error(u, _square_of_x, 1.0) == pytest.approx(np.sqrt(53 / 15), rel=1e-13)


def test_the_fixed_mesh_has_second_order(no_pictures, tmp_path: Path) -> None:
    errors = []
    for n in (8, 16):
        options = (f"resolution={n}", "viscosity=0.05", "t_end=0.9")
        assert execute(RunRequest("burgers", assignments=options, out=tmp_path / str(n)), quiet=True) == "done"
        errors.append([run_json(tmp_path / str(n))["metrics"][name] for name in ("error", "error_half")])
    assert np.log2(np.divide(*errors)).min() > 1.75


# -- what a run leaves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mover", MOVERS)
def test_numbers(mover: str, compared: Path) -> None:
    run = run_json(compared / mover)
    metrics = run["metrics"]
    assert (run["cells"], run["dofs"], metrics["t_end"]) == (4 * 12**2, 3 * 4 * 12**2, 0.6)
    assert metrics["mass_drift_rel"] <= 1e-12 and metrics["tangled_moves"] == 0
    assert metrics["error"] > 0.0 and metrics["error_half"] > 0.0
    parts = [run[f"{part}_s"] for part in ("solver", "mover", "monitor", "transfer", "io")]
    assert sum(parts) <= run["wall_s"] and (mover == "none" or min(parts) > 0.0)
    starts = run["moves"] - run["steps"] // 5
    assert run["moves"] == 0 if mover == "none" else 2 <= starts <= 8


@pytest.mark.parametrize("mover", MOVERS)
def test_the_beginning_is_the_solution_on_the_moved_mesh(mover: str, compared: Path) -> None:
    """No mesh move has smeared it: in the nodes it is the initial condition, however far those have come."""
    shots = maps(compared / mover)
    np.testing.assert_allclose([float(shot["time"]) for shot in shots], [0.1 * k for k in range(7)], rtol=1e-15)
    np.testing.assert_allclose(shots[0]["u"], Swirl().initial(shots[0]["points"]), rtol=0, atol=1e-13)
    corners = shots[0]["points"].reshape(-1, 3, 2)
    near = np.abs(np.linalg.norm(corners.mean(axis=1) - 0.25, axis=1) - 0.2) < 0.03
    # The ring takes less than a tenth of the square, and more than its share of the cells where they can move.
    assert near.sum() > 2 * 0.0754 * len(near) if mover != "none" else near.sum() < 1.2 * 0.0754 * len(near)


@pytest.mark.parametrize("mover", MOVERS)
def test_the_error_is_that_of_the_maps(mover: str, compared: Path) -> None:
    """By the midpoint rule on 144 parts of each cell: another one, near enough."""
    metrics = run_json(compared / mover)["metrics"]
    for number, name in ((5, "error_half"), (6, "error")):
        shot = maps(compared / mover)[number]
        corners, u = shot["points"].reshape(-1, 3, 2), shot["u"].reshape(-1, 3)
        edges = corners[:, 1:] - corners[:, :1]
        areas, square, n = 0.5 * np.abs(np.linalg.det(edges)), 0.0, 12
        shares = [((i + 1 / 3) / n, (j + 1 / 3) / n) for i in range(n) for j in range(n - i)]
        shares += [((i + 2 / 3) / n, (j + 2 / 3) / n) for i in range(n - 1) for j in range(n - 1 - i)]
        for a, b in shares:
            weights = np.array([1 - a - b, a, b])
            exact = Swirl().exact(np.einsum("i,kid->kd", weights, corners), float(shot["time"]))
            square += float(areas @ (u @ weights - exact) ** 2) / n**2
        assert metrics[name] == pytest.approx(np.sqrt(square), rel=0.05)


def test_figures_and_report(compared: Path) -> None:
    out = compared / "mmpde"
    assert [file.name for file in (out / "figures").iterdir()] == ["meshes.png"]
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    for words in ("mover mmpde", "mesh moves by mmpde", "error half", "; error "):
        assert words in page


def test_comparison(compared: Path) -> None:
    runs = json.loads((compared / "compare.json").read_text())["runs"]
    assert tuple(runs) == MOVERS
    for name in ("error", "error_half"):
        fixed = runs["none"]["metrics"][name]
        for mover in MOVERS:
            metrics = runs[mover]["metrics"]
            reduction = metrics[f"{name}_reduction_pct"]
            assert reduction == pytest.approx(100.0 * (1.0 - metrics[name] / fixed), abs=1e-12)
            assert reduction == 0.0 if mover == "none" else reduction > 5.0
    assert "| error at half time | reduction [%] |" in (compared / "compare.md").read_text()
    assert (compared / "compare.png").stat().st_size > 20_000


def test_burgers_on_moving_meshes(no_pictures, tmp_path: Path) -> None:
    """The front is thinner than a cell of the fixed mesh: a moving one takes more than 30 % off the error."""
    errors = {}
    for mover in MOVERS:
        options = ("resolution=12", "t_end=0.8", "output_interval=0.25")
        request = RunRequest("burgers", mover=mover, assignments=options, out=tmp_path / mover)
        assert execute(request, quiet=True) == "done"
        run = run_json(tmp_path / mover)
        assert run["metrics"]["mass_drift_rel"] <= 1e-12
        assert run["metrics"]["error_half"] == run["metrics"]["error"]
        errors[mover] = run["metrics"]["error"]
        shots = maps(tmp_path / mover)
        np.testing.assert_allclose([float(shot["time"]) for shot in shots], [0.3, 0.5, 0.75, 0.8], rtol=1e-15)
        exact = TravellingFront().exact(shots[0]["points"], 0.3)
        np.testing.assert_allclose(shots[0]["u"], exact, rtol=0, atol=1e-13)
    assert max(errors["mmpde"], errors["monge-ampere"]) < 0.7 * errors["none"]


# -- going on ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mover", MOVERS)
def test_a_crashed_run_goes_on_exactly(
    mover: str, compared: Path, driftmesh, no_pictures, monkeypatch, tmp_path: Path
) -> None:
    """From the checkpoint at 0.2, before half time, on a mesh that has been moved, with what the mover remembered."""
    save, saved = ScalarSimulation.save, 0

    def crash(self) -> bool:
        nonlocal saved
        saved += 1
        if saved == 3:
            raise RuntimeError("the machine is gone")
        return save(self)

    with monkeypatch.context() as patch:
        patch.setattr(ScalarSimulation, "save", crash)
        request = RunRequest("swirl", mover=mover, assignments=SWIRL, out=tmp_path / "parts")
        with pytest.raises(RuntimeError, match="the machine is gone"):
            execute(request, quiet=True)
    stopped = load_checkpoint(tmp_path / "parts", COMM_WORLD)
    assert stopped.scalars["t"] == pytest.approx(0.2) and np.isnan(stopped.scalars["error_half"])

    outcome = driftmesh("run", "swirl", "--resume", "--out", "parts")
    assert (outcome.code, outcome.err) == (0, "")
    whole, parts = compared / mover, tmp_path / "parts"
    for one, other in zip(maps(whole), maps(parts), strict=True):
        np.testing.assert_allclose(by_place(other), by_place(one), rtol=0, atol=1e-13)
    ends = [load_checkpoint(out, COMM_WORLD).scalars for out in (whole, parts)]
    assert ends[0].keys() == ends[1].keys()
    for name in ends[0].keys() - TIMES:
        assert ends[1][name] == pytest.approx(ends[0][name], rel=0, abs=1e-13), name


def test_a_run_can_be_prolonged(compared: Path, driftmesh, no_pictures, tmp_path: Path) -> None:
    """Half time comes after the first end; the checkpoint keeps the error taken there."""
    short = ("--set", "resolution=8", "--set", "t_end=0.4")
    assert driftmesh("run", "swirl", "--mover", "mmpde", *short, "--out", "run").code == 0
    assert run_json(tmp_path / "run")["metrics"]["error_half"] is None
    halves = []
    for t_end in (0.55, 0.6):
        assert driftmesh("run", "swirl", "--resume", "--set", f"t_end={t_end}", "--out", "run").code == 0
        halves.append(run_json(tmp_path / "run")["metrics"]["error_half"])
    assert halves[0] == halves[1] > 0.0


# -- what is refused, and what does not stop a run --------------------------------------------------------------


def test_an_end_before_the_beginning(driftmesh, tmp_path: Path) -> None:
    outcome = driftmesh("run", "burgers", "--set", "t_end=0.3", "--out", "new")
    assert outcome.code == 2 and not (tmp_path / "new").exists()
    assert outcome.error_line == (
        "driftmesh: option t_end: got 0.3, expected greater than 0.3; time of the end; the beginning is at 0.3 s [s]"
    )


class Failing(Mover):
    """Give places that are no numbers."""

    def displacement(self, mesh, monitor) -> Displacement:
        function = Function(mesh.coordinates.function_space())
        function.dat.data_wo[0] = np.nan
        return Displacement(function)


def test_a_mover_that_always_fails(monkeypatch, compared: Path, no_pictures, tmp_path: Path) -> None:
    """The run is that on the fixed mesh."""
    monkeypatch.setattr("cases.moving.get_mover", lambda _: Failing())
    assert execute(RunRequest("swirl", mover="mmpde", assignments=SWIRL, out=tmp_path), quiet=True) == "done"
    run, fixed = run_json(tmp_path), run_json(compared / "none")
    assert run["moves"] == 0 and run["metrics"]["failed_moves"] == 1 + run["steps"] // 5
    assert run["metrics"]["error"] == pytest.approx(fixed["metrics"]["error"], rel=1e-12)


# -- in parallel ------------------------------------------------------------------------------------------------


@pytest.mark.parallel
@pytest.mark.parametrize(("case", "mover", "t_end"), [("swirl", "monge-ampere", 0.15), ("burgers", "mmpde", 0.45)])
def test_two_ranks_compute_what_one_computes(
    case: str, mover: str, t_end: float, mpiexec, no_pictures, tmp_path: Path
) -> None:
    options = ("resolution=8", f"t_end={t_end}", "output_interval=0.05", "move_every=5")
    out = {ranks: tmp_path / str(ranks) for ranks in (1, 2)}
    assert execute(RunRequest(case, mover=mover, assignments=options, out=out[1]), quiet=True) == "done"
    settings = [word for option in options for word in ("--set", option)]
    outcome = mpiexec(2, ["driftmesh", "run", case, "--mover", mover, *settings, "--out", out[2]])
    assert (outcome.code, outcome.err) == (0, "")
    one, two = run_json(out[1]), run_json(out[2])
    assert (one["ranks"], two["ranks"], one["dofs"]) == (1, 2, two["dofs"])
    assert (one["steps"], one["moves"]) == (two["steps"], two["moves"]) and one["moves"] > 3
    assert two["metrics"]["mass_drift_rel"] <= 1e-12
    assert two["metrics"]["error"] == pytest.approx(one["metrics"]["error"], rel=1e-8)
    for shots in zip(maps(out[1]), maps(out[2]), strict=True):
        np.testing.assert_allclose(by_place(shots[1]), by_place(shots[0]), rtol=0, atol=1e-8)
