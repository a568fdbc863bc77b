"""Weights come back bit for bit, and anything else than weights with their card is refused in one line."""

from __future__ import annotations

import json
import pickle
import subprocess
from pathlib import Path

import pytest
import torch

from learned.networks.drift import DriftNetwork
from learned.weights import ModelCard, load_weights, save_weights, source_commit

OPTIONS = {"fine": 8, "coarse": 12, "vectors": 2}


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, DriftNetwork]:
    torch.manual_seed(0)
    model = DriftNetwork(**OPTIONS)
    save_weights(tmp_path / "drift.safetensors", model, ModelCard("drift", dict(OPTIONS), metrics={"score": -3.5}))
    return tmp_path / "drift.safetensors", model


def edit(path: Path, **changes) -> None:
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))


def test_they_come_back_bit_for_bit_with_their_card(saved) -> None:
    path, model = saved
    loaded, card = load_weights(path)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert card.metrics == {"score": -3.5}
    assert card.parameters == sum(value.numel() for value in model.parameters())
    assert not loaded.training


def refused(path: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        load_weights(path)
    assert "\n" not in str(error.value)


def test_pickles_are_refused(tmp_path: Path, saved) -> None:
    pickled = tmp_path / "drift.pt"
    pickled.write_bytes(pickle.dumps({}))
    refused(pickled, "weights: got drift.pt, expected a .safetensors file; pickled weights can run code")
    # Under a false name, with a card whose checksum fits.
    path, _ = saved
    path.write_bytes(pickle.dumps({"a": 1}))
    import hashlib

    edit(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    refused(path, "weights: got drift.safetensors that is no safetensors file .*; fetch it again")


def test_a_changed_byte_is_refused(saved) -> None:
    path, _ = saved
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    refused(
        path, "weights: got drift.safetensors with checksum [0-9a-f]{12}, expected [0-9a-f]{12} of its card; fetch both"
    )


def test_weights_of_other_shapes_are_refused(saved) -> None:
    path, _ = saved
    edit(path, options=OPTIONS | {"fine": 10})
    refused(path, r"weights: got \S+ of shape .*, expected .* \(\d+ differ\); take the weights that belong")


def test_missing_and_damaged_cards_are_refused(saved) -> None:
    path, _ = saved
    edit(path, network="um3n")
    refused(path, "network: got 'um3n', expected one of drift")
    edit(path, network="drift", options={"colour": 1})
    refused(path, "card: got options that drift does not have")
    path.with_suffix(".json").write_text("{}")
    refused(path, "card: got drift.json without network, options, sha256, parameters, expected a model card; fetch it")
    path.with_suffix(".json").write_text("{")
    refused(path, "card: got drift.json that is no model card")
    path.with_suffix(".json").unlink()
    refused(path, "card: got no file .*drift.json, expected the weights' model card there")


def test_the_commit_says_whether_there_are_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        named = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(
            ["git", "-C", tmp_path, *named, *arguments], check=True, capture_output=True, text=True
        ).stdout

    (tmp_path / "learned").mkdir()
    monkeypatch.setattr("learned.weights.__file__", str(tmp_path / "learned" / "weights.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert source_commit() == ""
    git("init")
    (tmp_path / "source.py").touch()
    git("add", ".")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD").strip()
    assert source_commit() == commit
    (tmp_path / "source.py").write_text("changed")
    assert source_commit() == commit + "+"
