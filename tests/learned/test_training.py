"""The loop: it lowers the loss, goes on from a checkpoint as if never stopped, keeps the best weights, stops early."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from learned.dataset import sample_of
from learned.movers.drift_pool import GroupSettings, make_group, streamed_groups
from learned.movers.drift_task import DriftTask, rollout
from learned.networks.drift import DriftNetwork
from learned.training import Progress, TrainingSettings, train


class Line:
    """Fit y = 3 x - 1 from noisy samples."""

    def __init__(self, broken: int = -1):
        self.calls, self.broken = 0, broken

    def loss(self, model: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        self.calls += 1
        x = torch.from_numpy(rng.normal(size=(16, 1))).float()
        loss = (model(x) - 3 * x + 1 + 0.01 * torch.from_numpy(rng.normal(size=(16, 1))).float()).square().mean()
        return loss * torch.nan if self.calls == self.broken else loss

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return {"score": float(abs(model.weight - 3) + abs(model.bias + 1))}


def line_model() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(1, 1)


def quiet(line: str) -> None:
    pass


def test_it_learns_a_line_in_spite_of_a_sample_that_is_not_finite(tmp_path: Path) -> None:
    model = line_model()
    settings = TrainingSettings(iterations=400, every=50, learning_rate=0.05, decay=0.0, batch=2)
    progress = train(model, Line(broken=37), settings, tmp_path, report=quiet)
    assert progress.skipped == 1
    assert float(model.weight) == pytest.approx(3.0, abs=0.02)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(50, 401, 50))
    assert min(line["score"] for line in lines) == progress.best


def test_a_resumed_training_is_the_one_that_was_never_stopped(tmp_path: Path) -> None:
    whole, first, second = line_model(), line_model(), line_model()
    settings = TrainingSettings(minutes=1e9, iterations=120, every=30, patience=0)
    train(whole, Line(), settings, tmp_path / "whole", report=quiet)

    class Stop(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("iteration 90"):
            raise Stop

    # Stopped before the checkpoint of iteration 90 is written: it goes on from 60.
    with pytest.raises(Stop):
        train(first, Line(), settings, tmp_path / "parts", report=stop)
    train(second, Line(), settings, tmp_path / "parts", resume=True, report=quiet)
    torch.testing.assert_close(second.weight, whole.weight, rtol=0, atol=0)
    torch.testing.assert_close(second.bias, whole.bias, rtol=0, atol=0)


def test_it_stops_early_and_returns_the_best_weights(tmp_path: Path) -> None:
    class Worsening(Line):
        def evaluate(self, model: nn.Module) -> dict[str, float]:
            self.looks = getattr(self, "looks", 0) + 1
            self.best = getattr(self, "best", {k: v.clone() for k, v in model.state_dict().items()})
            return {"score": float(self.looks)}

    model, task = line_model(), Worsening()
    progress = train(model, task, TrainingSettings(iterations=1000, every=10, patience=3), tmp_path, report=quiet)
    assert progress.iteration == 40
    assert torch.equal(model.weight, task.best["weight"])


def test_smoke_drift_learns_to_lower_the_energy(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DriftNetwork(fine=16, coarse=16, vectors=4)
    task = DriftTask(seed=0, groups=2, together=2, nodes=(150, 160), large=170, steps=2, solids=0.0)
    task.held_out = task.held_out[:3]

    def falls() -> float:
        with torch.no_grad():
            parts = [rollout(model, group.mesh, group.mesh.reference, group.monitor, 2)[0] for group in task.held_out]
        return float(np.mean([float(torch.log(part[-1] / part[0])) for part in parts]))

    before = falls()
    settings = TrainingSettings(iterations=50, every=25, learning_rate=3e-3, warm_up=5)
    progress = train(model, task, settings, tmp_path, report=quiet)
    print(f"mean log of the energy's fall in two steps: {before:.3f} -> {falls():.3f}")
    # Before there is no displacement at all.
    assert before == pytest.approx(0.0, abs=1e-6)
    assert falls() < -0.1
    assert progress.skipped == 0


SMALL = {"groups": 3, "together": 2, "nodes": (60, 90), "large": 100, "steps": 2, "warm": 0.5, "onward": 0.3}
STREAM = GroupSettings(seed=4, together=2, nodes=(60, 90), large=100)


@pytest.mark.parametrize("kind", ["drawn", "mapped", "streamed"])
def test_a_resumed_training_of_drift_is_bitwise_the_one_that_was_never_stopped(kind: str, tmp_path: Path) -> None:
    def fresh() -> tuple[DriftNetwork, DriftTask]:
        torch.manual_seed(0)
        source = streamed_groups(STREAM, processes=0) if kind == "streamed" else None
        task = DriftTask(seed=0, maps=0.5 if kind == "mapped" else 0.0, source=source, **SMALL)
        task.held_out = task.held_out[:1]
        return DriftNetwork(fine=8, coarse=8, vectors=4, messages=1), task

    settings = TrainingSettings(minutes=1e9, iterations=10, every=5, learning_rate=1e-2, warm_up=1)
    whole, task = fresh()
    train(whole, task, settings, tmp_path / "whole", report=quiet)

    class Stop(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.iteration == 7:
            raise Stop

    part, other = fresh()
    with pytest.raises(Stop):
        train(part, other, settings, tmp_path / "parts", report=quiet, watch=stop)
    # Vertices and monitor functions are part of what training depends on: they have moved since it began.
    assert any(not torch.equal(group.points, group.mesh.reference) for group in other.pool)
    again, resumed = fresh()
    progress = train(again, resumed, settings, tmp_path / "parts", resume=True, report=quiet)
    assert progress.iteration == progress.samples == 10
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    for one, two in zip(task.pool, resumed.pool, strict=True):
        assert torch.equal(one.points, two.points)
        assert torch.equal(one.monitor(one.points), two.monitor(two.points))


def test_the_state_of_other_meshes_is_refused() -> None:
    task = DriftTask(seed=0, **SMALL)
    with pytest.raises(
        ValueError, match=r"^checkpoint: got other meshes than those of group 0, expected the same; res"
    ):
        DriftTask(seed=1, **SMALL).load_state(task.state())


def test_a_source_renews_the_pool_and_gives_computational_meshes_their_own_monitor_functions() -> None:
    task = DriftTask(seed=0, source=streamed_groups(STREAM, processes=0), **(SMALL | {"warm": 0.0, "onward": 0.0}))
    model, rng, first = DriftNetwork(fine=8, coarse=8, vectors=4, messages=1), np.random.default_rng(0), []
    for _ in range(5):
        task.loss(model, rng)
        first.append(task.pool[0])
    # Three groups; the fourth takes the place of the first.
    assert len(task.pool) == 3 and first[0] is first[2] and first[3] is not first[2] and first[4] is first[3]
    for number, group in enumerate(task.pool, 3):
        arrays = make_group(STREAM, number if number < 5 else 2)
        assert group.sizes == [len(sample["points"]) for sample in arrays]
        assert group.monitors == group.own
        # The function in units of the domain is the one in the mesh's own coordinates.
        for sample, mesh, monitor in zip(map(sample_of, arrays), group.graphs, group.own, strict=True):
            torch.testing.assert_close(monitor(mesh.pos.T), sample.monitor(sample.graph.pos.T), rtol=1e-9, atol=0)
