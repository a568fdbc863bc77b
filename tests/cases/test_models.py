"""`driftmesh models`, `train` and `dataset`, and learned movers in the other commands."""

from __future__ import annotations

import json
import re
import shutil
from io import StringIO
from pathlib import Path
from time import perf_counter

import h5py
import meshio
import numpy as np
import pytest
from rich.console import Console

import coupling.movers
import learned.train_drift
from cases.dataset import DATASETS
from cases.moving import check_mover
from cases.train import train
from coupling.labels import LabelSettings, make_label
from coupling.registry import LEARNED, MOVERS
from learned.dataset import DatasetSettings, read_dataset, write_dataset
from learned.train_request import GRID, MODELS, OPERATORS, ROLLOUTS, TrainRequest
from learned.trainer import Watcher
from learned.weights import PRETRAINED, load_weights


def test_movers_and_models_are_listed(driftmesh) -> None:
    lines = driftmesh("movers").out.splitlines()
    assert [line.split()[0] for line in lines] == list(MOVERS) and "drift" in LEARNED
    listed = {line.split()[0]: line for line in driftmesh("models").out.splitlines()}
    assert set(listed) == {path.stem for path in PRETRAINED.glob("*.safetensors")}
    card = json.loads((PRETRAINED / "drift.json").read_text())
    assert f"{card['parameters']:,} weights" in listed["drift"]
    assert f"spread {card['metrics']['spread']:.3g}" in listed["drift"]


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the package's weights, to be spoilt."""
    copy = shutil.copytree(PRETRAINED, tmp_path / "pretrained")
    monkeypatch.setattr("learned.weights.PRETRAINED", copy)
    monkeypatch.setattr(coupling.movers, "PRETRAINED", copy)
    return copy


def _meshes(folder: Path) -> None:
    rng = np.random.default_rng(0)
    points = np.stack(np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9)), axis=-1).reshape(-1, 2)
    low = (np.arange(8)[:, None] * 9 + np.arange(8)).reshape(-1)
    cells = np.concatenate([np.stack([low, low + 1, low + 10], 1), np.stack([low, low + 10, low + 9], 1)])
    ring = np.tanh(20.0 * (np.hypot(*(points - 0.5).T) - 0.3)) + 1e-3 * rng.standard_normal(len(points))
    meshio.write(folder / "mesh.vtu", meshio.Mesh(np.pad(points, ((0, 0), (0, 1))), [("triangle", cells)], {"u": ring}))


@pytest.mark.parametrize("spoil", ["checksum", "missing"])
@pytest.mark.parametrize(
    "command",
    [
        "models",
        "run monai --mover drift --out new",
        "compare swirl --movers none,drift --out new",
        "move mesh.vtu --field u --mover drift -o new.vtu",
    ],
)
def test_weights_that_are_damaged_are_bad_input(
    command: str, spoil: str, pretrained: Path, driftmesh, tmp_path: Path
) -> None:
    _meshes(tmp_path)
    weights = pretrained / "drift.safetensors"
    if spoil == "missing":
        weights.unlink()
    else:
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    outcome = driftmesh(*command.split())
    assert outcome.code == 2 and not list(tmp_path.glob("new*"))
    expected = {"missing": "weights: got no file ", "checksum": "weights: got drift.safetensors with checksum "}[spoil]
    assert outcome.error_line.startswith(f"driftmesh: {expected}")


@pytest.mark.parametrize("name", LEARNED)
def test_a_mesh_file_is_moved(name: str, driftmesh, tmp_path: Path) -> None:
    _meshes(tmp_path)
    outcome = driftmesh("move", "mesh.vtu", "--field", "u", "--mover", name, "-o", "moved.vtu")
    assert (outcome.code, outcome.err) == (0, "")
    numbers = json.loads((tmp_path / "moved.json").read_text())
    assert (numbers["mover"], numbers["tangled"], numbers["nodes"]) == (name, 0, 81)
    # Only drift goes by what it has reached.
    share = 0.5 if name == "drift" else 1.0
    assert numbers["equidistribution"]["after"] < share * numbers["equidistribution"]["before"]


@pytest.mark.parametrize("name", LEARNED)
def test_a_run_on_a_learned_mesh(name: str, driftmesh, no_figures, tmp_path: Path) -> None:
    options = ("--set", "resolution=10", "--set", "t_end=0.1")
    assert check_mover(name) == name
    outcome = driftmesh("run", "swirl", "--mover", name, *options, "--out", "run")
    assert (outcome.code, outcome.err) == (0, "")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["mover"] == name and run["moves"] > 0
    assert run["metrics"]["tangled_moves"] == run["metrics"]["failed_moves"] == 0


# -- training -----------------------------------------------------------------------------------------------------


# What operators are smoked on; Poisson's equation, if nothing is said.
SMOKED = {"fno": GRID, "mlp": GRID} | dict.fromkeys(ROLLOUTS, "dam-break")


@pytest.mark.parametrize("model", MODELS)
def test_a_smoke_of_every_model_takes_less_than_a_minute(model: str, driftmesh, tmp_path: Path) -> None:
    start = perf_counter()
    problem = ("--problem", SMOKED.get(model, "poisson")) if model in OPERATORS else ()
    outcome = driftmesh("train", model, *problem, "--smoke", "--seed", 3, "--updates", 30, "--out", "trained")
    seconds = perf_counter() - start
    *lines, last = outcome.out.splitlines()
    name = "-".join((model, *problem[1:]))
    assert (outcome.code, outcome.err, last) == (0, "", f"written: trained/{name}.safetensors, trained/{name}.json")
    _, card = load_weights(tmp_path / "trained" / f"{name}.safetensors")
    assert (card.seed, card.epochs) == (3, 30) and lines[-1].startswith("iteration 30 seconds ")
    print(f"{name}: {seconds:.1f} s, score {card.metrics['score']:.3f}")
    assert seconds < 60.0
    if model == "um2n":
        # Made first, as they were not there.
        labels = list(read_dataset(tmp_path / "trained" / "labels.h5"))
        assert len(labels) == 8 and all(label.moved is not None for label in labels)


def test_labels_that_were_interrupted_are_gone_on_with(driftmesh, tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    few = LabelSettings(samples=8, smallest=150, largest=250)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "some.h5", few, make=make_label, advance=stop)
    smoke = ("train", "um2n", "--smoke", "--updates", 2)
    assert driftmesh(*smoke, "--data", "some.h5", "--out", "one").code == 0
    assert len(list(read_dataset(tmp_path / "some.h5"))) == 8
    # One that is whole is taken as it is, whatever its seed.
    assert driftmesh(*smoke, "--data", "some.h5", "--seed", 7, "--out", "two").code == 0
    assert load_weights(tmp_path / "two" / "um2n.safetensors")[1].data.startswith("6 labels, ")


def test_training_stops_and_goes_on(driftmesh, tmp_path: Path) -> None:
    smoke = ("train", "drift", "--smoke", "--out", "trained")
    assert driftmesh(*smoke, "--updates", 2).code == 0
    outcome = driftmesh(*smoke, "--updates", 4)
    assert outcome.code == 2
    assert outcome.error_line.startswith("driftmesh: --out: got trained with a training in it, expected none; ")
    assert driftmesh(*smoke, "--updates", 4, "--resume").code == 0
    assert load_weights(tmp_path / "trained" / "drift.safetensors")[1].epochs == 4
    outcome = driftmesh(*smoke, "--updates", 6, "--resume", "--seed", 1)
    assert outcome.code == 2
    assert outcome.error_line.startswith("driftmesh: --resume: got seed 1, expected 0 as when it was begun; ")


def test_training_on_a_stream_and_on_a_file(driftmesh, tmp_path: Path) -> None:
    write_dataset(tmp_path / "movers.h5", DatasetSettings(samples=4, smallest=100, largest=200))
    smoke = ("train", "drift", "--smoke", "--updates", 3)
    assert driftmesh(*smoke, "--data", "movers.h5", "--out", "one").code == 0
    assert driftmesh(*smoke, "--stream", "--processes", 1, "--out", "two").code == 0
    here = TrainRequest("drift", out=tmp_path / "three", smoke=True, updates=3, stream=True, processes=0)
    train(here, lambda line: None)
    said = {name: load_weights(tmp_path / name / "drift.safetensors")[1] for name in ("one", "two", "three")}
    assert said["one"].data.startswith("3 meshes of movers.h5, 1 more held out")
    assert said["two"].data.startswith("a stream of random meshes")
    # Whichever process makes a sample, this one too.
    assert said["two"].sha256 == said["three"].sha256 != said["one"].sha256


def test_a_stopped_training_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stopped(request: TrainRequest, watcher: Watcher) -> None:
        tmp_path.joinpath("checkpoint.json").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(learned.train_drift, "train_drift", stopped)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train(TrainRequest("drift", out=tmp_path), said.append)
    assert said == [f"stopped; `driftmesh train drift --resume --out {tmp_path}` goes on"]


def test_who_watches_a_training_sees_a_bar_instead_of_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # mpiexec gives its processes a terminal, and this one may have started MPI.
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    screen, said = StringIO(), list[str]()
    console = Console(file=screen, force_terminal=True, width=150)
    train(TrainRequest("dmm", out=tmp_path, smoke=True, updates=60), said.append, console)
    assert said == [f"written: {tmp_path / 'dmm.safetensors'}, {tmp_path / 'dmm.json'}"]
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert re.search(r"dmm .*update \d+  loss [\d.]+", drawn)
    assert re.search(r"update 60  loss [\d.]+  score [\d.]+ \(best [\d.]+\) \d:\d\d:\d\d", drawn)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train drfit", "model: got 'drfit', expected one of drift"),
        ("train drift --device gpu", "--device: got 'gpu', expected cpu, cuda or cuda:N"),
        ("train drift --device cuda:99", "--device: got 'cuda:99', expected one that is there, "),
        ("train dmm --stream", "--stream: got it for dmm, expected drift or um2n or spon"),
        ("train drift --problem poisson", "--problem: got it for drift, expected spon or spon-mg or "),
        ("train spon", "--problem: got None, expected one of poisson, poisson-grid, darcy, stokes, elasticity"),
        ("train fno --problem darcy", "--problem: got darcy for fno, expected poisson-grid; it knows one mesh only"),
        ("dataset operators", "--problem: got None for operators, expected one of poisson, "),
        ("dataset labels --problem poisson", "--problem: got 'poisson' for labels, expected "),
        ("train drift --smoke --minutes 3", "--minutes: got --smoke too, "),
        ("train drift --resume --out absent", "--resume: got absent without a checkpoint, "),
        ("train drift --out file", "--out: got file, expected a folder; name another one"),
        ("train drift --data absent", "--data: got no file absent, expected one; make it: driftmesh dataset movers"),
        ("train drift --data file --out new", "data set: got file, expected an HDF5 file "),
        ("train um2n --data file --out new", "data set: got file, expected an HDF5 file "),
        ("dataset mover", "data set: got 'mover', expected one of movers (meshes in 2D and 3D with monitor functions"),
        ("dataset movers --out file", "--out: got file, expected an HDF5 file that can be written; "),
        ("dataset labels --labels", "--labels: got it for labels, expected movers; they are labelled anyway"),
        ("dataset movers --nodes 300", "--nodes: got it for movers, expected operators; others draw their sizes"),
    ],
)
def test_bad_input_is_one_line(arguments: str, message: str, driftmesh, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no HDF5 file")
    outcome = driftmesh(*arguments.split())
    assert outcome.code == 2 and outcome.error_line.startswith(f"driftmesh: {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# -- data ---------------------------------------------------------------------------------------------------------


def test_data_sets_are_listed_and_some_have_labels(driftmesh, tmp_path: Path) -> None:
    assert [line.split()[0] for line in driftmesh("dataset").out.splitlines()] == list(DATASETS)
    options = ("--count", 2, "--seed", 1, "--out", "labels.h5")
    assert driftmesh("dataset", "labels", *options).out == "written: labels.h5, 2 samples made, 0 were there\n"
    assert all(sample.moved is not None for sample in read_dataset(tmp_path / "labels.h5"))
    assert driftmesh("dataset", "movers", "--labels", "--count", 1, "--out", "moved.h5").code == 0
    outcome = driftmesh("dataset", "movers", "--count", 1, "--out", "moved.h5")
    assert outcome.code == 2 and "moved.h5 made with tolerance = 0.001, expected None; " in outcome.error_line


def test_a_data_set_goes_on_and_does_not_depend_on_how_it_was_made(driftmesh, tmp_path: Path) -> None:
    outcome = driftmesh("dataset", "movers", "--count", 2, "--seed", 1, "--out", "data/some.h5")
    assert outcome.code == 0 and outcome.out == "written: data/some.h5, 2 samples made, 0 were there\n"
    outcome = driftmesh("dataset", "movers", "--count", 3, "--seed", 1, "--out", "data/some.h5")
    assert outcome.out == "written: data/some.h5, 1 samples made, 2 were there\n"
    outcome = driftmesh("dataset", "movers", "--count", 3, "--seed", 1, "--out", "data/some.h5", "--processes", 2)
    assert outcome.out == "written: data/some.h5, 0 samples made, 3 were there\n"
    assert driftmesh("dataset", "movers", "--count", 3, "--seed", 1, "--out", "once.h5").code == 0
    assert len(list(read_dataset(tmp_path / "once.h5"))) == 3
    with h5py.File(tmp_path / "once.h5") as once, h5py.File(tmp_path / "data" / "some.h5") as some:
        for name, group in once["samples"].items():
            for part, values in group.items():
                np.testing.assert_array_equal(values[:], some["samples"][name][part][:])
    outcome = driftmesh("dataset", "movers", "--count", 3, "--seed", 2, "--out", "once.h5")
    assert outcome.code == 2 and "once.h5 made with seed = 1, expected 2" in outcome.error_line
