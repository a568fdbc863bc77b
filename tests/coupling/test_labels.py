"""Labels for UM2N are meshes that Monge-Ampère has moved; the shipped UM2N does on them what its card says."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from firedrake import UnitSquareMesh, assemble, dx

from coupling.labels import FeatureField, LabelledSettings, LabelSettings, make_label, make_labelled
from learned.dataset import (
    DatasetSettings,
    MoverDataset,
    MoverSample,
    make_sample,
    read_dataset,
    sample_of,
    write_dataset,
)
from learned.gaussians import random_gaussians
from learned.geometry import volumes
from learned.movers.um2n_task import UM2NTask
from learned.weights import PRETRAINED, load_weights

SETTINGS = LabelSettings(samples=4, seed=3, smallest=150, largest=250)


def spread(sample: MoverSample, points: torch.Tensor) -> float:
    """Return std/mean of m V over the volume of the computational cells."""
    cells = sample.graph.cells
    held = sample.monitor(points.T)[cells].mean(1) * volumes(points.T[:, cells.T])
    over = held / volumes(sample.graph.pos.T[:, cells.T])
    return float(over.std() / over.mean())


def test_labels_equidistribute_and_keep_the_square(tmp_path: Path) -> None:
    assert write_dataset(tmp_path / "labels.h5", SETTINGS, make=make_label) == 4
    structured = []
    for sample in read_dataset(tmp_path / "labels.h5"):
        assert sample.moved is not None
        before, after = spread(sample, sample.graph.pos), spread(sample, sample.moved)
        print(f"{len(sample.moved)} vertices: std/mean {before:.3f} -> {after:.3f}")
        assert after < 0.4 * before
        cells = sample.graph.cells
        moved = volumes(sample.moved.T[:, cells.T])
        assert moved.min() > 0
        assert float(moved.sum()) == pytest.approx(1.0, abs=1e-12)
        assert 0.8 * SETTINGS.smallest < len(sample.moved) < 1.2 * SETTINGS.largest
        structured.append(len(np.unique(sample.graph.pos[:, 0])) ** 2 == len(sample.moved))
    assert set(structured) == {True, False}


def test_an_interrupted_file_is_gone_on_with_and_samples_depend_on_their_number_only(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "parts.h5"
    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, LabelSettings(samples=2, seed=3, smallest=150, largest=250), make=make_label, advance=stop)
    assert write_dataset(path, SETTINGS, make=make_label) == 3
    with h5py.File(path) as file:
        for number in (0, 3):
            again = make_label(SETTINGS, number)
            assert all(np.array_equal(file[f"samples/{number:07d}/{name}"][:], again[name]) for name in again)
    with pytest.raises(ValueError, match=r"data set: got parts.h5 made with seed = 3, expected 4; name another file"):
        write_dataset(path, LabelSettings(samples=4, seed=4, smallest=150, largest=250), make=make_label)


def test_movers_have_labels_where_monge_ampere_moves_them(tmp_path: Path) -> None:
    settings = LabelledSettings(samples=10, seed=1, smallest=150, largest=300, solids=0.3)
    assert write_dataset(tmp_path / "movers.h5", settings, make=make_labelled) == 10
    data = MoverDataset(tmp_path / "movers.h5")
    print(f"{int(data.labelled.sum())} labels of {int((data.dimensions == 2).sum())} samples in the plane")
    assert set(data.dimensions) == {2, 3} and not data.labelled[data.dimensions == 3].any()
    # Some, so that what follows is looked at; how many are convex enough is a matter of the seed.
    assert data.labelled.sum() >= 2
    for number in np.flatnonzero(data.labelled):
        sample = data[int(number)]
        assert sample.moved is not None
        # In the order of the sample's own vertices: boundaries that are straight are kept, and no cell is inverted.
        assert volumes(sample.moved.T[:, sample.graph.cells.T]).min() > 0
        before, after = spread(sample, sample.graph.pos), spread(sample, sample.moved)
        assert after < 0.7 * before
    # Otherwise they are those without labels.
    plain = make_sample(DatasetSettings(samples=10, seed=1, smallest=150, largest=300, solids=0.3), 4)
    assert torch.equal(data[4].graph.pos, torch.from_numpy(plain["points"]))


def test_a_feature_field_is_a_monitor() -> None:
    mesh = UnitSquareMesh(7, 7)
    monitor = random_gaussians(np.random.default_rng(0), np.zeros(2), np.ones(2))
    field = FeatureField(monitor)(mesh)
    assert assemble(field * dx) == pytest.approx(1.0, abs=1e-12)
    exact = monitor(torch.from_numpy(mesh.coordinates.dat.data_ro.T.copy())).numpy()
    ratio = field.dat.data_ro / exact
    assert np.ptp(ratio) < 1e-12 * ratio.mean()


def test_the_card_of_um2n_says_what_is_measured_on_labels_made_anew() -> None:
    network, card = load_weights(PRETRAINED / "um2n.safetensors")
    # The last 50 of 500 have been held out; one more, as a task needs one to train on.
    samples = []
    for number in range(449, 500):
        samples.append(sample_of(make_label(LabelSettings(), number)))
    with torch.no_grad():
        found = UM2NTask(samples, held=50).evaluate(network)
    for name in ("score", "before", "after", "unlimited", "label"):
        assert found[name] == pytest.approx(card.metrics[name], rel=0.02)
    assert found["inverted"] == card.metrics["inverted"] == 0.0
    print(f"std/mean {found['before']:.3f} -> {found['after']:.3f}, the label's {found['label']:.3f}")
    assert found["after"] < 0.6 * found["before"]
    assert found["improved"] > 0.9
