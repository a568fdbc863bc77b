"""Weights of networks as safetensors with a model card in JSON beside them; never pickles."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from learned.networks.dmm import DMMNetwork
from learned.networks.drift import DriftNetwork
from learned.networks.um2n import UM2NNetwork
from learned.operators.baselines import DofMLP, GridFNO, MeshGraphNet
from learned.operators.rollout import RolloutNetwork
from learned.operators.spon import SPON, UnconstrainedSPON

# Networks by the name that cards call them.
NETWORKS: dict[str, type[nn.Module]] = {
    "drift": DriftNetwork,
    "um2n": UM2NNetwork,
    "dmm": DMMNetwork,
    "spon": SPON,
    "spon-twin": UnconstrainedSPON,
    "message-passing": MeshGraphNet,
    "fno": GridFNO,
    "mlp": DofMLP,
    "rollout": RolloutNetwork,
}
# Weights that come with the package, NAME.safetensors and NAME.json.
PRETRAINED = Path(__file__).parent / "pretrained"
_CARD_KEYS = ("network", "options", "sha256", "parameters")


@dataclass
class ModelCard:
    """What a file of weights is.

    Attributes
    ----------
    network
        Name in ``NETWORKS``.
    options
        What it is made with.
    parameters
        Number of weights.
    sha256
        Checksum of the file.
    data, seed, licence
        What it was trained on.
    commit
        Of the source when training began, with ``+`` if there were changes that are in no commit; empty where there is
        no checkout.
    epochs, samples, seconds
        Updates of the weights, the samples they were made of, and the time they took [s].
    metrics
        Figures on samples held out.
    """

    network: str
    options: dict[str, int]
    parameters: int = 0
    sha256: str = ""
    data: str = ""
    seed: int = 0
    commit: str = ""
    epochs: int = 0
    samples: int = 0
    seconds: float = 0.0
    licence: str = "MIT"
    metrics: dict[str, float] = field(default_factory=dict)


def save_weights(path: Path, model: nn.Module, card: ModelCard) -> ModelCard:
    """Write the weights of a model and its card.

    Parameters
    ----------
    path
        Ends in ``.safetensors``; the card goes beside it, ending in ``.json``.
    model
        Of the network that the card names.
    card
        What is known of it; checksum and number of parameters are filled in.

    Returns
    -------
    ModelCard
        The card as written.

    Raises
    ------
    ValueError
        For another suffix or an unknown network.
    """
    _check_suffix(path)
    _network(card.network)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, path)
    # The library writes for the owner only; weights are there to be shared.
    path.chmod(0o644)
    card.parameters = sum(parameter.numel() for parameter in model.parameters())
    card.sha256 = _checksum(path)
    path.with_suffix(".json").write_text(json.dumps(asdict(card), indent=2) + "\n")
    return card


def load_weights(path: Path, *, device: torch.device | str = "cpu") -> tuple[nn.Module, ModelCard]:
    """Return a model with its weights, in evaluation mode, and its card.

    Parameters
    ----------
    path
        Ends in ``.safetensors``, with the card beside it.
    device
        Where to put the weights.

    Returns
    -------
    tuple
        Model and card.

    Raises
    ------
    ValueError
        In one line, for pickles, missing or damaged files, a checksum that differs, and weights of other shapes.
    """
    _check_suffix(path)
    card = load_card(path.with_suffix(".json"))
    if not path.exists():
        raise ValueError(f"weights: got no file {path}, expected the one its card describes; fetch or train it")
    checksum = _checksum(path)
    if checksum != card.sha256:
        raise ValueError(
            f"weights: got {path.name} with checksum {checksum[:12]}, expected {card.sha256[:12]} of its card; "
            "fetch both again"
        )
    try:
        tensors = load_file(path, device=str(device))
    except SafetensorError as error:
        raise ValueError(f"weights: got {path.name} that is no safetensors file ({error}); fetch it again") from None
    try:
        model = _network(card.network)(**card.options)
    except TypeError as error:
        raise ValueError(f"card: got options that {card.network} does not have ({error}); mend the card") from None
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    got = {name: tuple(value.shape) for name, value in tensors.items()}
    wrong = sorted(name for name in expected | got if expected.get(name) != got.get(name))
    if wrong:
        raise ValueError(
            f"weights: got {wrong[0]} of shape {got.get(wrong[0])}, expected {expected.get(wrong[0])} "
            f"({len(wrong)} differ); take the weights that belong to the card's options"
        )
    model.load_state_dict(tensors)
    return model.to(device).eval(), card


def load_card(path: Path) -> ModelCard:
    """Return a model card.

    Raises
    ------
    ValueError
        In one line, if there is none or it is damaged.
    """
    if not path.exists():
        raise ValueError(f"card: got no file {path}, expected the weights' model card there; fetch or train it")
    try:
        said = json.loads(path.read_text())
        missing = [key for key in _CARD_KEYS if key not in said]
        if missing:
            raise ValueError(
                f"card: got {path.name} without {', '.join(missing)}, expected a model card; fetch it again"
            )
        return ModelCard(**said)
    except (json.JSONDecodeError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"card: got {path.name} that is no model card ({error}); fetch it again") from None


def source_commit() -> str:
    """Return the commit of the source with ``+`` if it has changes, nothing where that is not known."""

    def git(*arguments: str) -> str:
        root = Path(__file__).parent.parent
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _network(name: str) -> type[nn.Module]:
    if name not in NETWORKS:
        raise ValueError(f"network: got {name!r}, expected one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _check_suffix(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise ValueError(
            f"weights: got {path.name}, expected a .safetensors file; pickled weights can run code and are not read"
        )


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
