"""Option models of cases: read from TOML files and ``key=value`` pairs, checked before anything is computed."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fem.timestep import TABLEAUX

TRANSFERS = ("remap", "ale")
# What a configuration file may say besides.
RUN_KEYS = frozenset({"case", "case_file", "mover", "seed", "options"})


# What every option ``mesh`` says of itself.
MESH = (
    "mesh file to take instead, .msh or any other format of meshio, with the markers of the case; relative to the file "
    "that names it; empty for the mesh of the case"
)


@dataclass(frozen=True)
class FilePath:
    """Annotation of a text field: the path of a file; empty for none.

    One in a TOML file is relative to the folder of that file, on the command line to the one the command is in.
    """


class CaseOptions(BaseModel):
    """Base of every case's options: frozen, no unknown key, no NaN or infinity, no truth value as number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class MovingOptions(CaseOptions):
    """Options of every case whose mesh can move; without effect on a run with the mover ``none``."""

    move_every: int = Field(20, ge=1, le=1_000_000, description="time steps between two looks at the mesh")
    move_threshold: float = Field(
        0.0,
        ge=0,
        le=100,
        description="move if std/mean of the cells' integrals of the monitor function exceeds this; 0 for always",
    )
    monitor_smoothing: float = Field(1.0, ge=0, le=50, description="length of the monitor function's filter [cells]")
    max_size_ratio: float = Field(
        5.0, ge=1, le=1000, description="greatest ratio of cell sizes that the monitor function asks for"
    )
    transfer: Literal[TRANSFERS] = Field(  # type: ignore[valid-type]
        "remap",
        description="how fields come to the moved mesh: remap at once, or ale, taken along by the flow's next steps",
    )

    @model_validator(mode="after")
    def _check_scheme(self) -> MovingOptions:
        scheme = TABLEAUX.get(getattr(self, "scheme", ""))
        if self.transfer == "ale" and scheme is not None and scheme.order < 2:
            raise ValueError(
                f"transfer: got 'ale' with a scheme of order {scheme.order}, expected order 2 or more, as cell volumes "
                "are quadratic in time; take the scheme ssp-rk2-3"
            )
        return self


def option_names(model: type[CaseOptions]) -> list[str]:
    """Return the names of the options of a model: its own first, then those of every case whose mesh can move."""
    # What is inherited stands first in the model.
    return sorted(model.model_fields, key=lambda name: name in MovingOptions.model_fields)


Options = TypeVar("Options", bound=CaseOptions)


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split ``key=value``; the value is read as TOML where it is TOML, and as a text otherwise.

    Raises
    ------
    ValueError
        If there is no ``=`` or no key.
    """
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ValueError(f"--set: got {text!r}, expected key=value; for example --set friction=0.01")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    # A line break could begin a second key.
    return key.strip(), parsed["value"] if parsed.keys() == {"value"} else value.strip()


def read_config(path: Path) -> dict[str, Any]:
    """Read a configuration file written by hand or by an earlier run.

    Raises
    ------
    ValueError
        If the file is missing, unreadable, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"config: got {path}, expected a readable TOML file; {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"config: got {path}, expected TOML; {error}") from error


def read_run_config(path: Path) -> dict[str, Any]:
    """Read a configuration file and check that what it holds is of a run: case, mover, seed and options.

    Raises
    ------
    ValueError
        As :func:`read_config`, for another key, and for options that are no table.
    """
    config = read_config(path)
    unknown = sorted(set(config) - RUN_KEYS)
    if unknown:
        raise ValueError(
            f"config: got unknown key {unknown[0]!r} in {path}, expected case, mover, seed or [options]; "
            "options of the case go under [options]"
        )
    if not isinstance(config.get("options", {}), dict):
        raise ValueError(
            f"config: got options = {config['options']!r} in {path}, expected a table; "
            "write [options] and a line key = value for each"
        )
    return config


def options_from(model: type[CaseOptions], layer: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return options that come from a folder, with the paths of files among them absolute."""
    fields = model.model_fields
    paths = {name for name in fields if any(isinstance(one, FilePath) for one in fields[name].metadata)}
    return {
        key: str((folder / Path(value).expanduser()).resolve())
        if key in paths and isinstance(value, str) and value
        else value
        for key, value in layer.items()
    }


def build_options(model: type[Options], *layers: Mapping[str, Any]) -> Options:
    """Validate the merged layers (later ones win) against an option model.

    Raises
    ------
    ValueError
        One line for the first key that is unknown or the first value that is out of its bounds.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    try:
        return model(**merged)
    except ValidationError as error:
        raise ValueError(_one_line(model, error)) from None


def _one_line(model: type[CaseOptions], error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    known = option_names(model)
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "see the list"
        return f"option: got unknown key {key!r}, expected one of {', '.join(known)}; {hint}"
    message = first["msg"].removeprefix("Value error, ")
    description = model.model_fields[key].description if key in model.model_fields else None
    message = message.replace("Input should be", f"got {first['input']!r}, expected")
    return f"option {key}: {message}" + (f"; {description}" if description else "")
