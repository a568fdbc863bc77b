"""Cases of operator networks: figures beside dense algebra, what a run leaves, stops, and what is refused."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import meshio
import numpy as np
import pytest
import torch
from run_files import run_json

from cases.operators import figures as operator_figures
from cases.operators import simulation
from cases.operators.field_figure import field_figure
from cases.operators.networks import TRAINED, weights_file
from cases.operators.operator_case import OperatorCase, OperatorSetup
from cases.registry import CASES, get_case
from cases.run import RunRequest, execute
from coupling.operator_data import OperatorSettings, make_operator
from learned.operators.prepared import prepare_for
from learned.operators.problem import OperatorProblem, problem_of
from learned.weights import NETWORKS, ModelCard, load_weights, save_weights

OPERATORS = [name for name in CASES if isinstance(get_case(name), OperatorCase)]
# Of each problem: features that it gives in the nodes, and components of what the twin predicts there.
TOLD = {"poisson": (0, 1), "stokes": (3, 2), "elasticity": (1, 2)}
SMALL = {"landmarks": 6, "width": 8, "messages": 1}


def options_of(model: str, problem: str) -> dict[str, int]:
    features, components = TOLD[problem]
    own = {
        "spon": {},
        "spon-mg": {"hats": 1, "smoothing": 1, "level": int(problem != "stokes")},
        "spon-twin": {"components": components, "channels": 8, "layers": 1},
    }
    return {**SMALL, "features": features, **own[model]}


def save(folder: Path, model: str, problem: str, *, seed: int = 0) -> None:
    """Save weights of which none is as a network begins."""
    torch.manual_seed(seed)
    name, options = "spon-twin" if model == "spon-twin" else "spon", options_of(model, problem)
    network = NETWORKS[name](**options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    save_weights(folder / f"{model}-{problem}.safetensors", network, ModelCard(name, options))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for problem in TOLD:
        for model in TRAINED:
            save(folder, model, problem)
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take longer than the runs do."""
    monkeypatch.setattr(operator_figures, "write_operator_figures", lambda *_: [])


def smallest(name: str, weights: Path, **options) -> tuple[str, ...]:
    found = {**get_case(name).smallest, "weights": str(weights), **options}
    return tuple(f"{key}={json.dumps(value)}" for key, value in found.items())


def run(name: str, weights: Path, out: Path, *, seed: int = 0, **options) -> dict:
    request = RunRequest(name, assignments=smallest(name, weights, **options), out=out, seed=seed)
    assert execute(request, quiet=True) == "done"
    return run_json(out)


def setup_of(name: str, weights: Path, **options) -> OperatorSetup:
    case = get_case(name)
    found = case.build(case.Options(**{**case.smallest, "weights": str(weights), **options}), None)
    assert isinstance(found, OperatorSetup)
    return found


def solved(problem: OperatorProblem, network: torch.nn.Module) -> np.ndarray:
    with torch.no_grad():
        return network(prepare_for(network, problem)).numpy()


# -- what comes out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATORS)
def test_structure_is_kept_by_any_weights_and_not_by_the_twin(
    name: str, weights: Path, tmp_path: Path, undrawn: None
) -> None:
    found = run(name, weights, tmp_path)
    metrics, networks = found["metrics"], found["metrics"]["networks"]
    assert (found["case"], found["mover"], found["status"], found["steps"]) == (name, "none", "done", 2)
    assert list(networks) == [*TRAINED, "untrained"]
    for network in ("spon", "spon-mg", "untrained"):
        residuals = networks[network]["residuals"]
        assert residuals["boundary values"] == 0.0
        assert residuals["reciprocity"] <= 1e-12
        assert ("divergence" in residuals) == (name == "operator-stokes")
        assert residuals.get("divergence", 0.0) <= 1e-12
        assert residuals["balance"] <= 1e-12
    twin = networks["spon-twin"]["residuals"]
    assert ("balance" in twin) == ("divergence" not in twin)
    for key, value in twin.items():
        assert value > 1e-3, key
    assert metrics["error"] == networks["spon-mg"]["error"]["mean"]
    assert 0.0 < networks["spon-mg"]["error"]["median"] <= networks["spon-mg"]["error"]["worst"]
    page = (tmp_path / "report.html").read_text()
    assert all(words in page for words in ("Structure", "spon-twin", "finite elements, direct", "moved meshes"))
    assert all(kind in page for kind in metrics["by_kind"])
    assert "Jacobian" not in page and "time steps" not in page


def test_errors_are_those_of_dense_algebra_on_the_drawn_problems(weights: Path, tmp_path: Path, undrawn: None) -> None:
    name = "operator-elasticity"
    metrics = run(name, weights, tmp_path, seed=5)["metrics"]
    network, _ = load_weights(weights / "spon-twin-elasticity.safetensors")
    errors = {}
    for number, moved in ((0, 0.0), (1, 1.0)):
        settings = OperatorSettings(problem="elasticity", seed=5, nodes=150, right_sides=2, moved=moved)
        problem = problem_of(make_operator(settings, 1_000_000 + number))
        free, a = problem.free, problem.stiffness.toarray()
        exact = problem.values.copy()
        exact[free] = np.linalg.solve(a[np.ix_(free, free)], (problem.loads - a @ problem.values)[free])
        mass = np.kron(problem.mass.toarray(), np.eye(2))
        wrong = solved(problem, network) - exact
        norms = [np.sqrt(np.einsum("nm,nk,km->m", part, mass, part)) for part in (wrong, exact)]
        errors[number] = norms[0] / norms[1]
    both = np.concatenate(list(errors.values()))
    found = metrics["networks"]["spon-twin"]["error"]
    # Two direct solves of a matrix whose condition is some 1e5.
    assert found["mean"] == pytest.approx(both.mean(), rel=1e-9)
    assert found["worst"] == pytest.approx(both.max(), rel=1e-9)
    assert metrics["unmoved"]["spon-twin"] == pytest.approx(errors[0].mean(), rel=1e-9)
    assert metrics["moved"]["spon-twin"] == pytest.approx(errors[1].mean(), rel=1e-9)
    assert metrics["right_sides"] == len(both)


def test_no_geometry_is_one_to_train_on_and_the_share_of_moved_ones_is_met(weights: Path) -> None:
    setup = setup_of("operator-poisson", weights)
    drawn = setup.draw(0, seed=0)
    for number in (0, 1):
        training = make_operator(OperatorSettings(problem="poisson", nodes=150, right_sides=2), number)
        assert training["loads"].shape != drawn.loads.shape or not np.array_equal(training["loads"], drawn.loads)
    for share in (0.0, 0.3, 0.5, 1.0):
        some = replace(setup, options=setup.options.model_copy(update={"moved": share}))
        counts = np.cumsum([some.is_moved(number) for number in range(40)])
        assert np.abs(counts - share * np.arange(1, 41)).max() < 1.0 + 1e-9


def test_what_is_shown_is_the_right_hand_side_of_the_median_error(weights: Path, tmp_path: Path, undrawn: None) -> None:
    run("operator-stokes", weights, tmp_path, seed=1)
    shown = dict(np.load(tmp_path / "shown.npz"))
    geometry, side = int(shown["geometry"]), int(shown["right_side"])
    records = [json.loads(file.read_text()) for file in sorted((tmp_path / "geometries").iterdir())]
    errors = np.array([one["networks"]["spon-mg"]["errors"] for one in records])
    assert sorted(errors.ravel())[(errors.size - 1) // 2] == errors[geometry, side]
    problem = setup_of("operator-stokes", weights).draw(geometry, seed=1)
    velocity = problem.extras["nodal_velocity"]
    np.testing.assert_array_equal(shown["fem"], (velocity @ problem.solutions)[:, side].reshape(-1, 2))
    for model in ("spon-mg", "spon-twin"):
        u = solved(problem, load_weights(weights / f"{model}-stokes.safetensors")[0])
        u = u if model == "spon-twin" else velocity @ u
        np.testing.assert_array_equal(shown[model], u[:, side].reshape(-1, 2))
    (file,) = (tmp_path / "fields").iterdir()
    assert f"fields/{file.name}" in (tmp_path / "fields.pvd").read_text()
    written = meshio.read(file)
    np.testing.assert_array_equal(written.points[:, :2], problem.points)
    np.testing.assert_array_equal(written.point_data["fem"][:, :2], shown["fem"])


# -- stopping and going on ------------------------------------------------------------------------------------


def test_a_run_that_was_stopped_goes_on_with_what_it_has(
    weights: Path, tmp_path: Path, undrawn: None, driftmesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "parts"
    run("operator-poisson", weights, whole, geometries=3)
    arguments = ("run", "operator-poisson", "--out", out)
    given = [word for text in smallest("operator-poisson", weights, geometries=3) for word in ("--set", text)]
    written = simulation.write_record

    def stop(*record) -> None:
        written(*record)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(simulation, "write_record", stop)
    outcome = driftmesh(*arguments, *given)
    assert (outcome.code, outcome.err) == (130, "")
    assert f"go on with: driftmesh run operator-poisson --resume --out {out}" in outcome.out
    stopped = run_json(out)
    assert (stopped["status"], stopped["steps"]) == ("interrupted", 1)
    assert len(stopped["metrics"]["by_kind"]) == 1
    first = (out / "geometries" / "00000.json").read_bytes()

    monkeypatch.setattr(simulation, "write_record", written)
    outcome = driftmesh(*arguments, "--resume")
    assert (outcome.code, outcome.err) == (0, "")
    assert (out / "geometries" / "00000.json").read_bytes() == first
    one, other = run_json(whole), run_json(out)
    assert (other["status"], other["steps"], other["dofs"]) == ("done", 3, one["dofs"])
    assert other["wall_s"] > stopped["solver_s"] + stopped["network_s"]
    for network in one["metrics"]["networks"]:
        for part in ("error", "residuals"):
            assert other["metrics"]["networks"][network][part] == one["metrics"]["networks"][network][part]


def test_a_longer_run_keeps_the_geometries_and_other_weights_do_not(
    weights: Path, tmp_path: Path, undrawn: None, driftmesh
) -> None:
    own, out = tmp_path / "own", tmp_path / "run"
    for model in TRAINED:
        save(own, model, "poisson")
    run("operator-poisson", own, out, geometries=1)
    file = out / "geometries" / "00000.json"
    before = file.read_bytes()
    again = ("run", "operator-poisson", "--resume", "--out", out)
    assert driftmesh(*again, "--set", "geometries=2").code == 0
    assert file.read_bytes() == before and run_json(out)["steps"] == 2
    save(own, "spon", "poisson", seed=9)
    assert driftmesh(*again).code == 0
    assert file.read_bytes() != before
    outcome = driftmesh(*again, "--set", "nodes=200")
    assert outcome.code == 2
    assert outcome.error_line.startswith("driftmesh: --resume: got another nodes, expected 150 as in the run; ")


def test_a_new_run_in_the_same_folder_keeps_nothing(weights: Path, tmp_path: Path, undrawn: None) -> None:
    run("operator-poisson", weights, tmp_path)
    before = (tmp_path / "geometries" / "00000.json").read_bytes()
    run("operator-poisson", weights, tmp_path, geometries=1)
    assert [file.name for file in (tmp_path / "geometries").iterdir()] == ["00000.json"]
    # Times never repeat to the last bit.
    assert (tmp_path / "geometries" / "00000.json").read_bytes() != before


# -- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run operator-poisson --mover mmpde", "mover: got 'mmpde', expected none for operator-poisson, which draws "),
        ("run operator-poisson --animation", "--animation: got it for operator-poisson, expected a case with a mesh "),
        ("compare operator-poisson", "compare: got operator-poisson, expected a case on a mesh that movers can move; "),
        ("run operator-poisson --set moved=2", "option moved: got 2, expected "),
        ("run operator-poisson --set geometries=0", "option geometries: got 0, expected greater than or equal to 1; "),
        (
            "run operator-poisson --set weights=.",
            "weights: got no spon-poisson.safetensors in {folder}, expected those of spon for poisson; `driftmesh "
            "train spon --problem poisson` makes them, --set weights=results/train finds them",
        ),
    ],
)
def test_what_cannot_be_run_is_one_line(words: str, said: str, driftmesh, tmp_path: Path) -> None:
    outcome = driftmesh(*words.split(), "--out", "run")
    assert outcome.code == 2
    assert outcome.error_line.startswith(f"driftmesh: {said.format(folder=tmp_path)}")
    assert not (tmp_path / "run").exists()


def test_weights_of_another_problem_are_refused(weights: Path, tmp_path: Path, driftmesh) -> None:
    for model in TRAINED:
        save(tmp_path, model, "poisson")
    for suffix in (".safetensors", ".json"):
        (tmp_path / f"spon-mg-poisson{suffix}").write_bytes((weights / f"spon-mg-stokes{suffix}").read_bytes())
    outcome = driftmesh("run", "operator-poisson", "--set", "weights=.", "--out", "run")
    assert outcome.code == 2
    assert outcome.error_line.startswith(
        "driftmesh: weights of spon-mg: got some that do not solve poisson (problem: got 0 features of each node, "
        "expected 3; "
    )
    assert not (tmp_path / "run").exists()


def test_a_network_without_structure_is_no_main_one(weights: Path, tmp_path: Path, driftmesh) -> None:
    for name, found in (("spon", "spon"), ("spon-mg", "spon-twin"), ("spon-twin", "spon-twin")):
        for suffix in (".safetensors", ".json"):
            (tmp_path / f"{name}-poisson{suffix}").write_bytes((weights / f"{found}-poisson{suffix}").read_bytes())
    outcome = driftmesh("run", "operator-poisson", "--set", "weights=.", "--out", "run")
    assert (outcome.code, outcome.error_line) == (
        2,
        "driftmesh: weights of spon-mg: got a network 'spon-twin', expected a spon; train them: driftmesh train "
        "spon-mg --problem poisson",
    )


def test_weights_are_found_as_training_leaves_them(weights: Path, tmp_path: Path) -> None:
    name = "spon-poisson.safetensors"
    inside = tmp_path / "spon-poisson" / name
    inside.parent.mkdir()
    inside.write_bytes((weights / name).read_bytes())
    assert weights_file("spon", "poisson", str(tmp_path)) == inside
    assert weights_file("spon", "poisson", str(weights)) == weights / name


@pytest.mark.parallel
def test_several_ranks_are_refused_once(weights: Path, tmp_path: Path, mpiexec) -> None:
    given = ["--set", f"weights={weights}", "--out", tmp_path / "run"]
    outcome = mpiexec(2, ["driftmesh", "run", "operator-poisson", *given])
    assert outcome.code == 2
    lines = [line for line in outcome.err.splitlines() if line.startswith("driftmesh: ")]
    assert lines == [
        "driftmesh: case operator-poisson: got 2 ranks, expected one, as networks see whole geometries; run it without "
        "mpiexec"
    ]
    assert not (tmp_path / "run").exists()


# -- figures --------------------------------------------------------------------------------------------------


def test_a_run_is_drawn(weights: Path, tmp_path: Path) -> None:
    run("operator-poisson", weights, tmp_path, geometries=1)
    names = ["errors.png", "fields.png", "structure.png"]
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == names
    assert (tmp_path / "report.html").read_text().count("data:image/png;base64,") == 3


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("height", [0.3, 1.0])
def test_solutions_of_any_shape_are_drawn_with_their_errors(name: str, height: float) -> None:
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(0.0, 1.0, 5), np.linspace(0.0, height, 4)))
    corner = np.array([row * 5 + column for row in range(3) for column in range(4)])
    cells = np.concatenate([corner[:, None] + [0, 1, 6], corner[:, None] + [0, 6, 5]])
    exact = np.stack([x * y, x - y], axis=1)[:, : TOLD[get_case(name).problem][1]]
    shown = {"points": np.stack([x, y], axis=1), "cells": cells, "fem": exact}
    shown |= {"spon-mg": 1.01 * exact, "spon-twin": np.full_like(exact, np.nan)}
    figure = field_figure(shown, get_case(name).look, {"spon-mg": "SPON-MG", "spon-twin": "twin"})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert "error of SPON-MG: at most 1 %" in titles and "finite elements" in titles and "20 nodes" in titles
    figure.draw_without_rendering()


def test_errors_and_residuals_that_are_zero_or_not_finite_are_drawn() -> None:
    errors = {"spon": np.array([0.0, 0.01, 0.1]), "spon-twin": np.full(3, np.nan)}
    figure = operator_figures.errors_figure(errors)
    figure.draw_without_rendering()
    (line,) = (one for one in figure.axes[0].lines if one.get_label() == "SPON")
    np.testing.assert_allclose(line.get_ydata()[-1], 2.0 / 3.0)
    residuals = {"spon": {"boundary values": 0.0, "balance": 1e-3}, "spon-twin": {"boundary values": None}}
    figure = operator_figures.structure_figure(residuals)
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts] == ["0", "1e-3"]
