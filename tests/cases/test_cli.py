"""The command line: bad input is one line and exit code 2 before anything is written; help helps."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import xarray

from cases.monai_data import load_monai
from cases.registry import CASES

BROKEN_FILES = {
    "broken.toml": b"[options\nresolution = 0.1\n",
    "binary.toml": b"\xff\xfe\x00",
    "unknown-key.toml": b"resolution = 0.1\n",
    "unknown-option.toml": b"[options]\nresolutoin = 0.1\n",
    "no-table.toml": b"options = 5\n",
    "other-case.toml": b'case = "thacker"\n',
    "mover.toml": b'mover = "m2n"\n',
    "seed.toml": b'seed = "five"\n',
}
# Arguments after `run`, then what the line has to say.
BAD_INPUT = {
    "unknown case": ("monay", rf"case: got 'monay', expected one of {', '.join(CASES)}; did you mean 'monai'\?"),
    "far case": ("zzz", f"case: got 'zzz', expected one of {', '.join(CASES)}; `driftmesh cases` lists them"),
    "unknown key": (
        "monai --set resolutoin=0.1",
        r"option: got unknown key 'resolutoin', expected one of .*; did you mean 'resolution'\?",
    ),
    "wrong unit": (
        "monai --set resolution=5_s",
        r"option resolution: got '5 s', expected a number in m; .*\[m\]",
    ),
    "wrong sign": (
        "monai --set resolution=-0.1",
        "option resolution: got -0.1, expected greater than 0.005; .*",
    ),
    "no number": ("monai --set resolution=fine", "option resolution: got 'fine', expected a number in m; .*"),
    "not finite": ("monai --set t_end=nan", "option t_end: got nan, expected a finite number; .*"),
    "no assignment": (
        "monai --set resolution",
        "--set: got 'resolution', expected key=value; for example --set .*",
    ),
    "second of two": ("monai --set friction=0 --set order=7", "option order: got 7, expected 0 or 1; .*"),
    "unknown mover": ("monai --mover m2n", "mover: got 'm2n', expected one of none, monge-ampere, mmpde, .*; .*"),
    "missing file": (
        "monai --config absent.toml",
        "config: got absent.toml, expected a readable TOML file; No such file or directory",
    ),
    "folder for a file": (
        "monai --config .",
        r"config: got \., expected a readable TOML file; Is a directory",
    ),
    "broken TOML": ("monai --config broken.toml", "config: got broken.toml, expected TOML; .*line 1.*"),
    "binary file": ("monai --config binary.toml", "config: got binary.toml, expected TOML; .*0xff.*"),
    "unknown key in file": (
        "monai --config unknown-key.toml",
        r"config: got unknown key 'resolution' in unknown-key.toml, expected case, mover, seed or \[options\]; .*",
    ),
    "unknown option in file": (
        "monai --config unknown-option.toml",
        r"option: got unknown key 'resolutoin', expected one of .*; did you mean 'resolution'\?",
    ),
    "no table in file": (
        "monai --config no-table.toml",
        r"config: got options = 5 in no-table.toml, expected a table; write \[options\] .*",
    ),
    "other case in file": (
        "monai --config other-case.toml",
        "config: got case 'thacker' in other-case.toml, expected 'monai'",
    ),
    "mover in file": (
        "monai --config mover.toml",
        "mover: got 'm2n', expected one of none, monge-ampere, mmpde, .*; .*",
    ),
    "seed in file": ("monai --config seed.toml", "seed: got 'five', expected an integer from 0 on; .*"),
    "file for a folder": (
        "monai --out broken.toml/below",
        "output folder: got broken.toml/below, expected a folder that can be written; .* is a file; use --out DIR",
    ),
    "file as a folder": (
        "monai --out broken.toml",
        "output folder: got broken.toml, expected a folder that can be written; .* is a file; use --out DIR",
    ),
    "resume without out": (
        "monai --resume",
        "--resume: got no --out, expected the folder of the run .*; add --out DIR",
    ),
    "resume nothing": (
        "monai --resume --out absent",
        "--resume: got no absent/config.toml, expected one written by an earlier run; leave out --resume .*",
    ),
}


@pytest.fixture
def broken_files(tmp_path: Path) -> None:
    for name, content in BROKEN_FILES.items():
        (tmp_path / name).write_bytes(content)


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_line(name: str, driftmesh, files, broken_files, tmp_path: Path) -> None:
    arguments, message = BAD_INPUT[name]
    before = files(tmp_path)
    outcome = driftmesh("run", *(argument.replace("_s", " s") for argument in arguments.split()))
    assert outcome.code == 2
    assert re.fullmatch(f"driftmesh: {message}", outcome.error_line), outcome.error_line
    assert outcome.out == ""
    assert files(tmp_path) == before and not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["wrong unit"])
def test_bad_input_of_the_installed_command(name: str, driftmesh_process, files, broken_files, tmp_path: Path) -> None:
    arguments, message = BAD_INPUT[name]
    before = files(tmp_path)
    outcome = driftmesh_process("run", *(argument.replace("_s", " s") for argument in arguments.split()))
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(f"driftmesh: {message}", outcome.error_line), outcome.error_line
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("bogus", "No such command 'bogus'; see `driftmesh --help`"),
        ("run", "Missing argument 'case'; see `driftmesh run --help`"),
        ("run monai --resolution 5", "No such option: --resolution.*; see `driftmesh run --help`"),
        ("run monai more", "Got unexpected extra argument.*more.*; see `driftmesh run --help`"),
        ("run monai --seed five", "Invalid value for '--seed': .* integer.*; see `driftmesh run --help`"),
        ("run monai --seed -1", "Invalid value for '--seed': .* 0; see `driftmesh run --help`"),
        ("options monay", r"case: got 'monay', expected one of .*; did you mean 'monai'\?"),
    ],
    ids=lambda value: value if len(value) < 30 else "",
)
def test_usage_error(arguments: str, message: str, driftmesh, files, tmp_path: Path) -> None:
    outcome = driftmesh(*arguments.split())
    assert outcome.code == 2
    assert re.fullmatch(f"driftmesh: {message}", outcome.error_line), outcome.error_line
    assert outcome.out == "" and files(tmp_path) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(driftmesh, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    outcome = driftmesh("run", "monai", "--out", "locked/below")
    assert outcome.code == 2
    assert "got locked/below, expected a folder that can be written; no permission" in outcome.error_line


# -- the case's data ------------------------------------------------------------------------------------------


def _monai_data_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cases.monai.load_monai", lambda: load_monai(file))


def _absent(file: Path) -> None:
    pass


def _broken(file: Path) -> None:
    file.write_bytes(b"not a NetCDF file")


def _with_nan(file: Path) -> None:
    from importlib import resources

    with resources.as_file(resources.files("cases").joinpath("data", "monai.nc")) as packaged:
        dataset = xarray.load_dataset(packaged, engine="h5netcdf", decode_times=False)
    dataset["bathymetry"][3, 5] = np.nan
    dataset.drop_encoding().to_netcdf(file, engine="h5netcdf")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_absent, "got no file .*monai.nc; expected the Monai data as NetCDF-4; restore .*"),
        (_broken, "got .*monai.nc, which cannot be read .*; expected the Monai data as NetCDF-4; restore .*"),
        (
            _with_nan,
            "got 1 values of bathymetry in .*monai.nc that are not finite; expected none; restore .*",
        ),
    ],
    ids=["absent", "broken", "nan"],
)
def test_data_that_cannot_be_used(spoil, message: str, driftmesh, files, monkeypatch, tmp_path: Path) -> None:
    file = tmp_path / "monai.nc"
    spoil(file)
    _monai_data_from(file, monkeypatch)
    before = files(tmp_path)
    outcome = driftmesh("run", "monai", "--set", "resolution=0.5", "--out", "new")
    assert outcome.code == 2
    assert re.fullmatch(f"driftmesh: {message}", outcome.error_line), outcome.error_line
    assert outcome.out == "" and files(tmp_path) == before and not (tmp_path / "new").exists()


# -- help -----------------------------------------------------------------------------------------------------


def _readable(text: str) -> str:
    assert "\x1b" not in text and "Traceback" not in text
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_says_where_to_start(arguments: tuple[str, ...], driftmesh_process) -> None:
    outcome = driftmesh_process(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    text = _readable(outcome.out)
    for words in ("Moving-mesh finite elements", "Start with `driftmesh cases`, then `driftmesh run monai`"):
        assert words in text
    for command in ("cases", "options", "doctor", "run", "validate"):
        assert re.search(rf"^  {command}  +[A-Z].+", outcome.out, re.MULTILINE), f"no line about {command}"


def test_help_of_run(driftmesh_process) -> None:
    outcome = driftmesh_process("run", "--help")
    assert (outcome.code, outcome.err) == (0, "")
    text = _readable(outcome.out)
    for words in (
        "driftmesh run", "`driftmesh cases`", "mpiexec -n P driftmesh run", "--set KEY=VALUE", "resolution='5 cm'",
        "--config", "config.toml", "--out", "results/CASE/TIME", "--resume", "checkpoint", "--mover", "--seed",
    ):  # fmt: skip
        assert words in text, f"no word about {words}"


def test_cases(driftmesh) -> None:
    outcome = driftmesh("cases")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(r"^monai +Monai Valley tsunami", outcome.out, re.MULTILINE)


def test_options(driftmesh) -> None:
    outcome = driftmesh("options", "monai")
    assert (outcome.code, outcome.err) == (0, "")
    lines = {line.split()[0]: line for line in outcome.out.splitlines()}
    assert {"resolution", "order", "friction", "t_end", "scheme", "courant", "dry_depth"} <= lines.keys()
    assert re.fullmatch(r"resolution += 0\.\d+ +.*\[m\]", lines["resolution"])
    for name in ("resolution", "friction", "t_end", "gauge_interval", "dry_depth"):
        assert lines[name].endswith("]"), f"no unit: {lines[name]}"


def test_doctor(driftmesh) -> None:
    outcome = driftmesh("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    for words in ("firedrake", "petsc", "MPI", "mumps", "ptscotch", "Poisson", "all is well"):
        assert words in outcome.out


def test_doctor_says_what_is_missing(driftmesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cases.doctor._small_solve", lambda: (1.0, 0.0))
    outcome = driftmesh("doctor")
    assert outcome.code == 1
    assert "missing: a small solve; run `make env` again" in outcome.out
    assert "all is well" not in outcome.out
