"""Data sets: the same whatever the number of processes and interruptions, and refused if they are something else."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from learned.dataset import DatasetSettings, MoverDataset, read_arrays, read_dataset, samples_wanted, write_dataset

SETTINGS = DatasetSettings(samples=6, seed=5, smallest=80, largest=150, solids=0.3)


def same(one: Path, other: Path) -> bool:
    pairs = list(zip(read_dataset(one), read_dataset(other), strict=True))
    return all(
        torch.equal(a.graph.pos, b.graph.pos)
        and torch.equal(a.graph.cells, b.graph.cells)
        and torch.equal(a.monitor(a.graph.pos.T), b.monitor(b.graph.pos.T))
        for a, b in pairs
    )


def test_samples_are_read_as_they_were_made_by_any_number_of_processes(tmp_path: Path) -> None:
    grown: list[int] = []
    assert write_dataset(tmp_path / "one.h5", SETTINGS, advance=grown.append) == 6
    assert sum(grown) == 6
    assert write_dataset(tmp_path / "two.h5", SETTINGS, processes=2) == 6
    assert same(tmp_path / "one.h5", tmp_path / "two.h5")
    dimensions = [sample.graph.pos.shape[1] for sample in read_dataset(tmp_path / "one.h5")]
    assert set(dimensions) == {2, 3}
    assert all(float(s.monitor(s.graph.pos.T).max()) > 1.5 for s in read_dataset(tmp_path / "one.h5"))


def test_an_interrupted_one_is_gone_on_with(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "parts.h5", SETTINGS, advance=stop)
    with h5py.File(tmp_path / "parts.h5", "a") as file:
        # What a process killed while it writes leaves behind.
        file.create_group("unfinished").create_dataset("points", data=[1.0])
    assert write_dataset(tmp_path / "parts.h5", SETTINGS) == 5
    assert write_dataset(tmp_path / "parts.h5", SETTINGS) == 0
    write_dataset(tmp_path / "whole.h5", SETTINGS)
    assert same(tmp_path / "parts.h5", tmp_path / "whole.h5")


def test_a_file_knows_how_many_samples_it_was_asked_to_have_and_gives_any_of_them(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    path, begun = tmp_path / "parts.h5", list[int]()
    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, SETTINGS, begin=begun.append, advance=stop)
    assert samples_wanted(path) == (1, 6)
    write_dataset(path, SETTINGS, begin=begun.append)
    assert samples_wanted(path) == (6, 6) and begun == [0, 1]
    data = MoverDataset(path)
    for number, sample in enumerate(read_dataset(path)):
        assert torch.equal(data[number].graph.pos, sample.graph.pos)
        assert sample.graph.pos.shape == (data.vertices[number], data.dimensions[number])
    assert len(data) == 6 and not data.labelled.any()
    with pytest.raises(ValueError, match=r"data set: got .*absent.h5, expected an HDF5 file"):
        MoverDataset(tmp_path / "absent.h5")


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    write_dataset(tmp_path / "one.h5", DatasetSettings(samples=1, smallest=80, largest=90))
    with pytest.raises(
        ValueError, match=r"data set: got one.h5 made with smallest = 80, expected 81; name another file"
    ):
        write_dataset(tmp_path / "one.h5", DatasetSettings(samples=1, smallest=81, largest=90))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("samples")
    with pytest.raises(
        ValueError, match=r"data set: got other.h5 with schema None None, expected driftmesh-movers 1; make it"
    ):
        next(read_dataset(tmp_path / "other.h5"))
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(ValueError, match=r"data set: got .*text.h5, expected an HDF5 file"):
        next(read_dataset(tmp_path / "text.h5"))


def ramp(settings: DatasetSettings, number: int) -> dict[str, np.ndarray]:
    return {"ramp": np.arange(number + 1.0), "none": np.zeros((number, 0))}


def test_samples_of_another_schema_come_back_under_it_only(tmp_path: Path) -> None:
    path, settings = tmp_path / "ramps.h5", DatasetSettings(samples=3)
    assert write_dataset(path, settings, make=ramp, schema="ramps") == 3
    assert write_dataset(path, settings, make=ramp, schema="ramps") == 0
    for number, arrays in enumerate(read_arrays(path, "ramps")):
        assert all(np.array_equal(arrays[name], array) for name, array in ramp(settings, number).items())
    assert samples_wanted(path, "ramps") == (3, 3)
    for use in (lambda: next(read_dataset(path)), lambda: write_dataset(path, settings)):
        with pytest.raises(ValueError, match=r"got ramps.h5 with schema ramps 1, expected driftmesh-movers 1; make it"):
            use()
