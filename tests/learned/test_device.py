"""Tensors are made on the device of their inputs: checked on a machine that has the CPU only.

With ``meta`` as the default device every tensor that is made without saying where has no values, and what it meets
next fails; arrays that come from or go to NumPy without saying so are refused too. On a CUDA machine the same tests run
there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from learned_meshes import bump_monitor, some_mesh
from torch import nn

from learned.dataset import MoverSample
from learned.device import parse_device, to_device
from learned.gaussians import random_gaussians
from learned.movers.dmm_task import DMMTask
from learned.movers.drift import drift
from learned.movers.drift_task import DriftTask
from learned.movers.um2n_task import UM2NTask
from learned.networks.dmm import DMMNetwork
from learned.networks.drift import DriftNetwork
from learned.networks.um2n import UM2NNetwork
from learned.prepared import prepare_mesh, prepare_meshes

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@contextmanager
def nothing_implicit(monkeypatch: pytest.MonkeyPatch, *, arrays: bool = False) -> Iterator[None]:
    """Let tensors without a device, and unless arrays are allowed also those that share one's memory, fail."""
    whole = torch.Tensor.numpy

    def numpy(tensor: torch.Tensor, *, force: bool = False) -> np.ndarray:
        assert force, "numpy() without force=True fails on a CUDA device"
        return whole(tensor, force=True)

    def from_numpy(array: np.ndarray) -> torch.Tensor:
        raise AssertionError("from_numpy is on the CPU")

    with monkeypatch.context() as patch, torch.device("meta"):
        if not arrays:
            patch.setattr(torch.Tensor, "numpy", numpy)
            patch.setattr(torch, "from_numpy", from_numpy)
        yield


def test_what_is_implicit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    there = torch.ones(3)
    with nothing_implicit(monkeypatch):
        assert float(there.sum()) == 3.0
        with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
            float((there + torch.zeros(3)).sum())
        with pytest.raises(AssertionError, match="force"):
            there.numpy()


def drift_task(device: str, *, maps: float = 0.0) -> tuple[nn.Module, DriftTask]:
    task = DriftTask(seed=0, groups=2, together=2, nodes=(60, 90), large=100, steps=2, solids=0.5, maps=maps)
    return DriftNetwork(fine=8, coarse=8, vectors=4), task.to(device)


def um2n_task(device: str) -> tuple[nn.Module, UM2NTask]:
    graph = some_mesh(2, nodes=80)
    monitor = random_gaussians(np.random.default_rng(0), np.zeros(2), np.ones(2))
    samples = [MoverSample(graph, monitor, graph.pos) for _ in range(2)]
    return UM2NNetwork(width=8, heads=2, layers=1, blocks=2), UM2NTask(samples, held=1).to(device)


def dmm_task(device: str) -> tuple[nn.Module, DMMTask]:
    task = DMMTask(seed=0, meshes=1, held=1, nodes=(60, 90), places=32).to(device)
    return DMMNetwork(width=8, rounds=1, depth=2, modes=4), task


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("make", [drift_task, um2n_task, dmm_task])
def test_losses_gradients_and_figures(make: Callable, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, task = make(device)
    model.to(device)
    with nothing_implicit(monkeypatch, arrays=make is dmm_task):
        rng = np.random.default_rng(0)
        losses = [task.loss(model, rng) for _ in range(3)]
        gradients = torch.autograd.grad(sum(losses), list(model.parameters()), allow_unused=True)
        with torch.no_grad():
            figures = task.evaluate(model)
    assert all(bool(torch.isfinite(loss)) for loss in losses)
    assert any(float(gradient.abs().max()) > 0 for gradient in gradients if gradient is not None)
    assert np.isfinite(figures["score"])


@pytest.mark.parametrize("device", DEVICES)
def test_random_coordinates_and_the_fit_of_the_last_layer(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, task = drift_task(device, maps=1.0)
    model.to(device)
    fit, other = dmm_task(device)
    fit.to(device)
    # New meshes are prepared on the CPU, and the fit is SciPy's: both say so.
    with nothing_implicit(monkeypatch, arrays=True), torch.no_grad():
        assert bool(torch.isfinite(task.loss(model, np.random.default_rng(0))))
        assert other.figures(fit, iterations=3)["inverted"] == 0.0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dimension", [2, 3])
def test_preparing_and_moving_a_mesh(dimension: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = some_mesh(dimension, nodes=100).to(device=device)
    model = DriftNetwork(fine=8, coarse=8, vectors=4).to(device)
    with nothing_implicit(monkeypatch, arrays=True):
        mesh = prepare_meshes([graph, graph], ["integral", "relative"])
        assert mesh.reference.device.type == device
        one = prepare_mesh(graph)
    with nothing_implicit(monkeypatch):
        result = drift(model, one, one.reference, bump_monitor, steps=2)
    assert result.energies[-1] < result.energies[0]


def test_a_mesh_is_moved_as_a_whole_and_what_it_shares_stays_shared() -> None:
    mesh = prepare_mesh(some_mesh(2, nodes=60))
    moved = mesh.to("meta")
    assert mesh.reference.device.type == "cpu" and moved.reference.device.type == "meta"
    assert moved.energy.topology is moved.topology is not mesh.topology
    found = set()

    def look(thing: object) -> None:
        if isinstance(thing, torch.Tensor):
            found.add(thing.device.type)
        elif isinstance(thing, list | tuple):
            for part in thing:
                look(part)
        elif type(thing).__module__.startswith("learned."):
            look(list(vars(thing).values()))

    look(moved)
    assert found == {"meta"}
    kept = np.ones(3)
    assert to_device({"one": [kept, "text", 1]}, "meta")["one"][0] is kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu", "--device: got 'gpu', expected cpu, cuda or cuda:N"),
        ("cpu:0", "--device: got 'cpu:0', expected cpu, cuda or cuda:N"),
        ("cuda:", "--device: got 'cuda:', expected cpu, cuda or cuda:N"),
        ("cuda:99", "--device: got 'cuda:99', expected one that is there, PyTorch finds "),
    ],
)
def test_a_device_that_is_not_there_is_refused(text: str, message: str) -> None:
    assert parse_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError) as caught:
        parse_device(text)
    assert str(caught.value).startswith(message)
