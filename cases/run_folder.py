"""The folder a run writes into: made and checked on rank 0, known on all."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w

LIBRARIES = (
    "driftmesh",
    "firedrake",
    "petsc",
    "numpy",
    "scipy",
    "h5py",
    "mpi4py",
    "torch",
    "torch-geometric",
    "gmsh",
)


def default_folder(case: str) -> Path:
    """Return ``results/<case>/<local time>``."""
    return Path("results") / case / datetime.now().strftime("%Y-%m-%dT%H-%M-%S")


def check_folder(out: Path) -> None:
    """Check that the folder can be made and written, as far as this shows without making it.

    Raises
    ------
    ValueError
        If it, or the first folder above it that exists, is a file or cannot be written.
    """
    try:
        nearest = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{nearest} is a file")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"no permission to write {nearest}")
    except OSError as error:
        raise _refusal(out, error) from None


def prepare_folder(out: Path) -> None:
    """Create the folder and check that it can be written.

    Raises
    ------
    ValueError
        If it cannot be created or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".driftmesh-write-test"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise _refusal(out, error) from None


def _refusal(out: Path, error: OSError) -> ValueError:
    return ValueError(
        f"output folder: got {out}, expected a folder that can be written; {error.strerror}; use --out DIR"
    )


def write_config(
    out: Path, case: str, mover: str, seed: int, options: dict[str, Any], *, case_file: Path | None = None
) -> None:
    """Write ``config.toml``, complete: ``driftmesh run config.toml`` reruns the run."""
    source = {} if case_file is None else {"case_file": str(case_file)}
    content = {"case": case, **source, "mover": mover, "seed": seed, "options": options}
    write_atomically(out / "config.toml", tomli_w.dumps(content))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with a trailing newline; NaN and infinity, which JSON has not, become null."""
    write_atomically(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_atomically(path: Path, text: str) -> None:
    """Write a text so that a reader, or a crash, never sees half of it."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on."""
    found = {"python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the commit of the source tree, with ``+`` when it has changes; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str | None:
        try:
            result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return result.stdout.strip()

    revision = git("rev-parse", "--short=12", "HEAD")
    return revision and revision + ("+" if git("status", "--porcelain") else "")
