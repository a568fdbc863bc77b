"""From a request to weights with a card: what the card says, what is refused, and what a resumed training keeps."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from learned_meshes import some_mesh

import learned.train_drift
from learned.dataset import DatasetSettings, MoverDataset, sample_arrays, write_dataset
from learned.gaussians import random_gaussians
from learned.movers.drift_pool import stored_groups
from learned.stream import endless
from learned.train_dmm import train_dmm
from learned.train_drift import train_drift
from learned.train_request import TrainRequest, parse_request
from learned.train_um2n import train_um2n
from learned.trainer import Watcher, settings_of
from learned.training import Progress, TrainingSettings
from learned.weights import load_weights

SETTINGS = DatasetSettings(samples=9, seed=2, smallest=60, largest=90, solids=0.4)
SILENT = Watcher(report=lambda line: None)


def make_labelled(settings: None, number: int) -> dict[str, np.ndarray]:
    """Return a mesh with itself as label."""
    graph = some_mesh(2, nodes=60, seed=number)
    monitor = random_gaussians(np.random.default_rng(number), np.zeros(2), np.ones(2))
    return sample_arrays(graph.pos.numpy(), graph.cells.numpy(), monitor) | {"moved": graph.pos.numpy()}


def test_a_request_is_what_the_command_line_says() -> None:
    request = parse_request(
        "drift", ["--out", "there", "--updates", "7", "--stream", "--maps", "0.5", "--patience", "3"]
    )
    assert request == TrainRequest("drift", out=Path("there"), updates=7, stream=True, maps=0.5, patience=3)
    assert parse_request("um2n", ["--no-transformer"]) == TrainRequest("um2n", transformer=False)
    assert parse_request("dmm", []).folder == Path("results/train/dmm")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "m2n"}, "model: got 'm2n', expected one of drift, um2n, dmm, spon"),
        ({"model": "dmm", "stream": True}, "--stream: got it for dmm, expected drift or um2n or spon"),
        ({"model": "um2n", "maps": 0.5}, "--maps: got it for um2n, expected drift; its samples are those of a square"),
        ({"model": "drift", "transformer": False}, "--no-transformer: got it for drift, expected um2n; it has none"),
        ({"model": "drift", "smoke": True, "minutes": 3.0}, "--minutes: got --smoke too, which takes a minute, "),
        ({"model": "drift", "stream": True, "data": Path("a.h5")}, "--stream: got --data too, expected one of them"),
        ({"model": "drift", "maps": 1.5}, "--maps: got 1.5, expected a share between 0 and 1"),
        (
            {"model": "spon-twin", "problem": "darcy", "norm": "energy"},
            "--norm: got it for spon-twin, expected spon or ",
        ),
        ({"model": "spon", "problem": "darcy", "norm": "h1"}, "--norm: got 'h1', expected one of l2, energy"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        TrainRequest(**options)
    assert str(caught.value).startswith(message)


def test_a_request_changes_a_models_own_settings_where_it_says_so() -> None:
    own = TrainingSettings(minutes=8.0, iterations=100, batch=4, learning_rate=2e-3)
    assert settings_of(TrainRequest("dmm", seed=3), own) == TrainingSettings(8.0, 100, 4, 2e-3, seed=3)
    asked = settings_of(TrainRequest("dmm", updates=7, rate=1e-4, patience=2), own)
    assert (asked.iterations, asked.learning_rate, asked.patience, asked.batch) == (7, 1e-4, 2, 4)
    # Time matters no more, so that the learning rate follows the updates.
    assert Progress(iteration=3, seconds=1e5).share(asked) == pytest.approx(3 / 7)


def test_the_card_says_what_was_done_and_at_which_commit_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    watcher = Watcher(lambda line: None, lambda progress, settings: shown.append(progress.iteration))
    monkeypatch.setattr("learned.trainer.source_commit", lambda: "first+")
    card = train_dmm(TrainRequest("dmm", out=tmp_path, smoke=True, updates=3, seed=1), watcher)
    assert (card.epochs, card.samples, card.seed, card.commit) == (3, 12, 1, "first+")
    assert shown == [1, 2, 3] and 0.0 < card.seconds < 60.0
    assert {"score", "fit_after"} <= set(card.metrics)
    # Gone on with later, from other source.
    monkeypatch.setattr("learned.trainer.source_commit", lambda: "second")
    again = train_dmm(TrainRequest("dmm", out=tmp_path, smoke=True, updates=5, seed=1, resume=True), SILENT)
    assert (again.epochs, again.samples, again.commit) == (5, 20, "first+")
    network, loaded = load_weights(tmp_path / "dmm.safetensors")
    assert loaded == again and not network.training
    with pytest.raises(ValueError, match=r"^--resume: got seed 2, expected 1 as when it was begun; give the same"):
        train_dmm(TrainRequest("dmm", out=tmp_path, smoke=True, updates=6, seed=2, resume=True), SILENT)
    init = tmp_path / "dmm.safetensors"
    begun = train_dmm(TrainRequest("dmm", out=tmp_path / "two", smoke=True, updates=1, rate=0.0, init=init), SILENT)
    assert begun.data.endswith(f"begun from {init}")
    changed = load_weights(tmp_path / "two" / "dmm.safetensors")[0].state_dict()
    assert all(torch.equal(changed[name], value) for name, value in network.state_dict().items())
    with pytest.raises(ValueError, match=r"^--init: got .*dmm.safetensors, expected weights of this network"):
        train_drift(TrainRequest("drift", out=tmp_path / "three", smoke=True, init=init), SILENT)
    assert not (tmp_path / "three").exists()


def test_drift_trains_on_a_file_whose_held_out_samples_it_never_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path / "movers.h5", SETTINGS)
    seen: list[float] = []
    task = learned.train_drift.DriftTask

    class Watched(task):  # type: ignore[misc, valid-type]
        def loss(self, model, rng):
            value = super().loss(model, rng)
            seen.extend(float(graph.pos.abs().sum()) for group in self.pool for graph in group.graphs)
            tasks.append(self)
            return value

    tasks: list[Watched] = []
    monkeypatch.setattr(learned.train_drift, "DriftTask", Watched)
    request = TrainRequest("drift", out=tmp_path / "out", smoke=True, data=tmp_path / "movers.h5", updates=8)
    card = train_drift(request, SILENT)
    assert card.data.startswith("8 meshes of movers.h5, 1 more held out")
    held = [float(graph.pos.abs().sum()) for group in tasks[0].held_out for graph in group.graphs]
    assert len(held) == 1 and len(set(seen)) == 8 and held[0] not in seen
    write_dataset(tmp_path / "one.h5", DatasetSettings(samples=1, smallest=60, largest=70))
    with pytest.raises(ValueError, match=r"^--data: got .*one.h5 with 1 samples, expected 2 or more; make more"):
        train_drift(TrainRequest("drift", out=tmp_path / "no", smoke=True, data=tmp_path / "one.h5"), SILENT)


def test_an_epoch_has_every_sample_once_and_groups_of_one_dimension(tmp_path: Path) -> None:
    write_dataset(tmp_path / "movers.h5", SETTINGS)
    data = MoverDataset(tmp_path / "movers.h5")
    assert len(data) == 9 and set(data.dimensions) == {2, 3}
    chosen, large = np.arange(1, 9), int(np.sort(data.vertices)[-2])
    source = stored_groups(data, chosen, seed=5, together=2, large=large)
    names = {float(data[number].graph.pos.sum()): number for number in range(9)}

    def numbers(groups) -> list[list[int]]:
        return [[names[float(sample.graph.pos.sum())] for sample in group] for group in groups]

    def first(count: int, start: int = 0) -> list[list[int]]:
        groups = source(start)
        return numbers(next(groups) for _ in range(count))

    epoch = 1
    while sum(map(len, first(epoch))) < len(chosen):
        epoch += 1
    both = first(2 * epoch)
    for groups in (both[:epoch], both[epoch:]):
        assert sorted(chain(*groups)) == list(chosen)
        for group in groups:
            assert len(set(data.dimensions[group])) == 1
            assert len(group) == 1 or data.vertices[group].max() <= large
    assert both[:epoch] != both[epoch:]
    # From wherever it is opened, the same.
    assert all(first(3, start) == both[start : start + 3] for start in range(2 * epoch - 3))


def test_um2n_holds_the_first_labels_of_a_stream_out_and_trains_on_those_after(tmp_path: Path) -> None:
    made: list[int] = []

    def make(settings: None, number: int) -> dict[str, np.ndarray]:
        made.append(number)
        return make_labelled(settings, number)

    request = TrainRequest("um2n", out=tmp_path, smoke=True, stream=True, updates=6, seed=1)
    card = train_um2n(request, SILENT, labels=endless(make, None, processes=0))
    # Two held out; then a new one every twelve of the 30 samples of six updates.
    assert made == [0, 1, 2, 3, 4] and card.samples == 30
    assert card.options["transformer"] == 1 and "a stream of labels" in card.data
    with pytest.raises(
        ValueError, match=r"^--stream: got no maker of labels, expected one; take `driftmesh train um2n"
    ):
        train_um2n(request, SILENT)


def test_um2n_wants_labels_in_the_plane(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^labels: got no file .*labels.h5, expected one; make it: driftmesh dataset"):
        train_um2n(TrainRequest("um2n", out=tmp_path, smoke=True), SILENT)
    write_dataset(tmp_path / "none.h5", DatasetSettings(samples=2, smallest=60, largest=70))
    request = TrainRequest("um2n", out=tmp_path / "out", smoke=True, data=tmp_path / "none.h5")
    with pytest.raises(ValueError, match=r"^labels: got 0 samples in 2D with a label in .*none.h5, expected more than"):
        train_um2n(request, SILENT)
    assert not (tmp_path / "out").exists()


def test_the_command_of_a_machine_with_torch_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from learned.trainer import command_line

    arguments = ["train_drift", "--smoke", "--updates", "2", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    command_line("drift", train_drift)
    assert json.loads((tmp_path / "drift.json").read_text())["epochs"] == 2
    assert capsys.readouterr().out.startswith("iteration 2 seconds ")
    monkeypatch.setattr("sys.argv", [*arguments, "--device", "gpu"])
    with pytest.raises(SystemExit) as caught:
        command_line("drift", train_drift)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "--device: got 'gpu', expected cpu, cuda or cuda:N\n"
