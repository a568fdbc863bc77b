"""What a training is asked for, by ``driftmesh train`` and by ``python -m learned.train_MODEL``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

MOVERS = ("drift", "um2n", "dmm")
# Of operators, with what they are; each is trained for one of the problems.
OPERATORS = {
    "spon": "structure-preserving operator network",
    "spon-mg": "its multigrid form",
    "spon-twin": "the same without structure",
    "message-passing": "a graph network in the manner of MeshGraphNets",
    "fno": "a Fourier neural operator",
    "mlp": "a network of all degrees of freedom at once",
    "rollout": "a network that advances states, with the structure that they have",
    "rollout-twin": "the same without structure",
}
MODELS = (*MOVERS, *OPERATORS)
PROBLEMS = ("poisson", "poisson-grid", "darcy", "stokes", "elasticity")
# Those that advance states, and what they are trained for.
ROLLOUTS, TRAJECTORIES = ("rollout", "rollout-twin"), ("hyperelastic", "cylinder", "dam-break")
# Those that know one mesh only, and the problem that is always on one.
_ONE_MESH, GRID = ("fno", "mlp"), "poisson-grid"
# Norms in which errors of operators are made small.
NORMS = ("l2", "energy")
# Options that only some models have, with what others have instead.
_ONLY = {
    "data": (("drift", "um2n", *OPERATORS), "its meshes are drawn when it begins"),
    "stream": (
        ("drift", "um2n", *(name for name in OPERATORS if name not in ROLLOUTS)),
        "its samples are made before it begins",
    ),
    "problem": (tuple(OPERATORS), "it moves meshes"),
    "maps": (("drift",), "its samples are those of a square, which other coordinates do not keep"),
    "transformer": (("um2n",), "it has none"),
    "norm": (("spon", "spon-mg"), "only operators with boundary values and symmetry have an energy"),
}


@dataclass(frozen=True)
class TrainRequest:
    """A training.

    Attributes
    ----------
    model
        Name in ``MODELS``.
    out
        Folder for weights, checkpoints and log; ``results/train/NAME`` if None.
    minutes, updates
        When to end at the latest [min]; the model's own time if both are None, no matter what time if only the updates
        are given. The learning rate falls to its least over the one that is nearer.
    rate
        Largest learning rate; the model's own if None.
    patience
        Evaluations without a better score after which it stops, 0 for never.
    seed
        Of weights and samples.
    smoke
        Few small samples, a small network, under a minute: to see that it works.
    resume
        Go on from the checkpoint in the folder.
    device
        Where to train: ``cpu``, ``cuda`` or ``cuda:N``.
    problem
        What an operator is trained for, one of ``PROBLEMS``; of those that advance states, of ``TRAJECTORIES``.
    data
        HDF5 file of samples, with labels for UM2N.
    stream
        Make samples in other processes while training goes on.
    processes
        How many of these, or of those that make labels before training; 0 for none but this one.
    maps
        Share of drift's samples that are seen in random coordinates, see ``learned.augment``.
    init
        Weights to begin with, a ``.safetensors`` file.
    transformer
        Whether UM2N has its transformer; without, it is the ablation in the manner of M2N.
    norm
        Of an operator's errors, one of ``NORMS``: ``energy`` for warm starts of conjugate gradients.

    Raises
    ------
    ValueError
        For options that do not go together, or that a model does not have.
    """

    model: str
    out: Path | None = None
    minutes: float | None = None
    updates: int | None = None
    rate: float | None = None
    patience: int = 0
    seed: int = 0
    smoke: bool = False
    resume: bool = False
    device: str = "cpu"
    problem: str | None = None
    data: Path | None = None
    stream: bool = False
    processes: int = 1
    maps: float = 0.0
    init: Path | None = None
    transformer: bool = True
    norm: str = "l2"

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(
                f"model: got {self.model!r}, expected one of {', '.join(MODELS)}; `driftmesh models` lists what is "
                "trained already"
            )
        known = problems_of(self.model)
        if known and self.problem not in known:
            raise ValueError(f"--problem: got {self.problem!r}, expected one of {', '.join(known)} for {self.model}")
        if self.model in _ONE_MESH and self.problem != GRID:
            raise ValueError(f"--problem: got {self.problem} for {self.model}, expected {GRID}; it knows one mesh only")
        if self.norm not in NORMS:
            raise ValueError(f"--norm: got {self.norm!r}, expected one of {', '.join(NORMS)}")
        for name, (models, instead) in _ONLY.items():
            given = getattr(self, name) != getattr(TrainRequest, name)
            if given and self.model not in models:
                flag = "--no-transformer" if name == "transformer" else f"--{name}"
                raise ValueError(f"{flag}: got it for {self.model}, expected {' or '.join(models)}; {instead}")
        if self.smoke and self.minutes is not None:
            raise ValueError("--minutes: got --smoke too, which takes a minute, expected one of them; leave out one")
        if self.stream and self.data is not None:
            raise ValueError("--stream: got --data too, expected one of them; leave out one")
        if not 0.0 <= self.maps <= 1.0:
            raise ValueError(f"--maps: got {self.maps:g}, expected a share between 0 and 1")

    @property
    def name(self) -> str:
        """What the files of the weights are called."""
        return self.model if self.problem is None else f"{self.model}-{self.problem}"

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.out or Path("results") / "train" / self.name


def problems_of(model: str) -> tuple[str, ...]:
    """Return what a model can be trained for; nothing for movers."""
    if model in ROLLOUTS:
        return TRAJECTORIES
    return PROBLEMS if model in OPERATORS else ()


def parse_request(model: str, arguments: list[str] | None = None) -> TrainRequest:
    """Return what the command line of ``python -m learned.train_MODEL`` asks for; that of the process if None."""
    parser = argparse.ArgumentParser(prog=f"python -m learned.train_{model}", description=f"Train {model}.")
    parser.add_argument("--out", type=Path, help=f"folder to write into; results/train/{model} if not given")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--updates", type=int)
    parser.add_argument("--rate", type=float, help="largest learning rate")
    parser.add_argument("--patience", type=int, default=0, help="evaluations without a better score; 0: never stops")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="under a minute: few samples, a small network")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--init", type=Path, help="weights to begin with, a .safetensors file")
    if model in _ONLY["data"][0]:
        parser.add_argument("--data", type=Path, help="HDF5 file of samples")
    if model in _ONLY["stream"][0]:
        parser.add_argument("--stream", action="store_true", help="make samples while training goes on")
        parser.add_argument("--processes", type=int, default=1, help="how many processes make them")
    if model in _ONLY["problem"][0]:
        parser.add_argument("--problem", choices=problems_of(model), required=True)
    if model in _ONLY["maps"][0]:
        parser.add_argument("--maps", type=float, default=0.0, help="share of samples in random coordinates")
    if model in _ONLY["transformer"][0]:
        parser.add_argument("--no-transformer", dest="transformer", action="store_false", help="as M2N, an ablation")
    if model in _ONLY["norm"][0]:
        parser.add_argument("--norm", choices=NORMS, default="l2", help="of errors; energy for warm starts")
    return TrainRequest(model=model, **vars(parser.parse_args(arguments)))
