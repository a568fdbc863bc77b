"""What a user's case raises, before and during a run: one line with its file, and the run can go on."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from mpi4py import MPI
from run_files import run_json
from user_cases import CASE, user_folder

from cases.checkpoint import load_checkpoint
from cases.run import RunRequest, execute

ROOT = Path(__file__).parents[2]


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of a user, with a case and a module that it imports; the working folder is another one."""
    return user_folder(tmp_path, monkeypatch)


def line_of(text: str, content: str = CASE) -> int:
    """Return the number of the line of a file that has a text."""
    return next(number for number, line in enumerate(content.splitlines(), 1) if text in line)


# -- before anything is written ---------------------------------------------------------------------------------

# What is wrong in the file, and what the line has to say of it; lines are counted in the file.
LINE = line_of("def mesh(self, options):")
WRONG = {
    "syntax": (
        ("def mesh(self, options):", "def mesh(self, options:"),
        rf"slope.py:{LINE}: SyntaxError: .*; correct the file",
    ),
    "name": (("class Slope(SteadyCase)", "class Slope(SteadyCaes)"), r"slope.py:8: NameError: .*SteadyCaes.*"),
    "import": (("import SLOPE", "import SLOPES"), r"slope.py:6: ImportError: .*SLOPES.*"),
    "exit": (('"""A case of a user."""', "raise SystemExit(3)"), r"slope.py:2: SystemExit: 3; correct the file"),
    "no case": (("(SteadyCase)", ""), r"got 0 cases \(none\) in .*slope.py, expected one subclass of Case .*"),
    "abstract": (("def solve", "def solves"), r"got 0 cases \(none\) in .*slope.py, expected one subclass of Case .*"),
    "no title": (("title:", "titel:"), r"got Slope in .*slope.py without title, expected texts name, summary, .*"),
    "a bad name": (('"slope"', '"a/b"'), r"got name 'a/b' of Slope in .*slope.py, expected letters, .*"),
    "no options": (("Options: ClassVar[type] = SteadyOptions", ""), r"got Slope in .* without Options .*"),
    "mesh": (
        ("UnitSquareMesh(4, 4)", "UnitSquareMesh(4)"),
        rf"slope.py:{LINE + 1}, in Slope.mesh: TypeError: .*; correct the file",
    ),
    # As such errors of the package, it says itself what to do.
    "value": (
        ("return UnitSquareMesh(4, 4)", 'raise ValueError("got 3 sides,\\n expected 4; add one")'),
        rf"slope.py:{LINE + 1}, in Slope.mesh: ValueError: got 3 sides, expected 4; add one",
    ),
    "empty": (
        ("return UnitSquareMesh(4, 4)", "assert 1 > 2"),
        rf"slope.py:{LINE + 1}, in .*: AssertionError; correct .*",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_one_line_for_a_wrong_file(wrong: str, user: Path, driftmesh, tmp_path: Path) -> None:
    (before, after), said = WRONG[wrong]
    assert before in CASE
    (user / "slope.py").write_text(CASE.replace(before, after))
    outcome = driftmesh("run", "user/slope.py", "--out", "run")
    assert outcome.code == 2 and not (tmp_path / "run").exists()
    assert re.fullmatch(rf"driftmesh: case file: .*{said}", outcome.error_line)


def test_no_mesh(user: Path, driftmesh, tmp_path: Path) -> None:
    (user / "slope.py").write_text(CASE.replace("return UnitSquareMesh(4, 4)", "UnitSquareMesh(4, 4)"))
    outcome = driftmesh("run", "user/slope.py", "--out", "run")
    assert outcome.code == 2 and not (tmp_path / "run").exists()
    assert outcome.error_line == (
        "driftmesh: case slope: got a NoneType from mesh, expected a mesh of Firedrake; return it"
    )


# -- while it runs ----------------------------------------------------------------------------------------------

SOLVE = line_of("u = Function(")
RAISES = {
    "in solve": (
        "        mean = Quantity(",
        "        mean = Quantify(",
        SOLVE + 1,
        "Slope.solve: NameError: .*Quantify.*",
    ),
    "below solve": ("SLOPE * Spatial", "None * Spatial", SOLVE, "Slope.solve: TypeError: .*"),
    "in a lambda": ("1 + x[0])", "1 + x[7])", SOLVE + 2, "Slope.solve.<lambda>: (IndexError|ValueError): .*"),
    "exit": ("        mean =", "        raise SystemExit; mean =", SOLVE + 1, "Slope.solve: SystemExit"),
    "to be done": (
        "        mean =",
        "        raise NotImplementedError('later'); mean =",
        SOLVE + 1,
        "Slope.solve: NotImplementedError: later",
    ),
}


@pytest.mark.parametrize("where", RAISES)
def test_one_line_while_it_runs(where: str, user: Path, driftmesh, tmp_path: Path) -> None:
    before, after, line, said = RAISES[where]
    assert before in CASE
    (user / "slope.py").write_text(CASE.replace(before, after))
    outcome = driftmesh("run", "user/slope.py", "--mover", "mmpde", "--out", "run")
    assert outcome.code == 2
    place = rf"driftmesh: case file: {user}/slope.py:{line}, in {said}"
    assert re.fullmatch(rf"{place}; traceback: run/traceback.txt; .*correct the file .*", outcome.error_line)
    text = (tmp_path / "run" / "traceback.txt").read_text().splitlines()
    assert text[0].startswith("Traceback") and text[1].startswith(f'  File "{user}/slope.py", line ')
    assert CASE.replace(before, after).splitlines()[line - 1].strip() in [one.strip() for one in text]


def test_the_last_checkpoint_is_kept_and_the_command_named_goes_on(user: Path, driftmesh, tmp_path: Path) -> None:
    wrong = CASE.replace(
        "        mean =", "        start is None or start.dat.data[len(start.dat.data)]\n        mean ="
    )
    (user / "slope.py").write_text(wrong)
    outcome = driftmesh("run", "user/slope.py", "--mover", "mmpde", "--set", "rounds=2", "--out", "my run")
    assert outcome.code == 2 and "IndexError" in outcome.error_line
    found = re.search(r"; last good checkpoint: ([^;]+); correct the file and go on with: driftmesh (.*)", outcome.err)
    assert found is not None and found[1] == "my run/checkpoint.h5"
    assert load_checkpoint(tmp_path / "my run", MPI.COMM_WORLD).scalars["best_round"] == 0.0
    (user / "slope.py").write_text(CASE)
    assert driftmesh(*shlex.split(found[2])).code == 0
    assert run_json(tmp_path / "my run")["metrics"]["quantities"]["mean"]["value"] == pytest.approx(1.5, rel=1e-12)
    assert not (tmp_path / "my run" / "traceback.txt").exists()


def test_no_checkpoint_of_another_run_is_named(user: Path, driftmesh, tmp_path: Path) -> None:
    assert driftmesh("run", "user/slope.py", "--out", "run").code == 0
    (user / "slope.py").write_text(CASE.replace("Quantity(assemble", "Quantify(assemble"))
    outcome = driftmesh("run", "user/slope.py", "--out", "run")
    assert outcome.code == 2 and outcome.error_line.endswith("; correct the file and run it again")


IN_TIME = """
from dataclasses import replace
from cases.transport.rotation import RotationCase

class Mine(RotationCase):
    name = "mine"

    def build(self, options, mesh):
        setup, looks = super().build(options, mesh), []

        def monitor():
            looks.append(1)
            if len(looks) > 12:
                raise KeyError("density")
            return setup.movement.monitor()

        return replace(setup, movement=replace(setup.movement, monitor=monitor))
"""


def test_a_run_in_time_goes_on_from_before_the_error(user: Path, driftmesh, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cases.scalar_figures.write_scalar_figures", lambda *_, **__: [])
    (user / "mine.py").write_text(IN_TIME)
    options = ("resolution=6", "t_end=0.1", "move_every=2", "checkpoint_interval=0.01")
    given = [word for option in options for word in ("--set", option)]
    outcome = driftmesh("run", "user/mine.py", "--mover", "mmpde", *given, "--out", "run")
    line = line_of("raise KeyError", IN_TIME)
    assert outcome.code == 2
    assert f"{user}/mine.py:{line}, in Mine.build.monitor: KeyError: 'density'; traceback: " in outcome.error_line
    checkpoint = load_checkpoint(tmp_path / "run", MPI.COMM_WORLD)
    assert 0.0 < checkpoint.scalars["t"] < 0.1 and checkpoint.scalars["moves"] > 0
    (user / "mine.py").write_text(IN_TIME.replace("> 12", "> 1000"))
    outcome = driftmesh(*outcome.error_line.split("go on with: driftmesh ")[1].split())
    assert (outcome.code, outcome.err) == (0, "") and run_json(tmp_path / "run")["metrics"]["t_end"] == 0.1


def test_a_solver_that_fails_is_no_error_of_the_file(user: Path, driftmesh) -> None:
    """But where it was called is said."""
    failing = '        from firedrake import ConvergenceError; raise ConvergenceError("no\\n way")\n        mean ='
    (user / "slope.py").write_text(CASE.replace("        mean =", failing))
    outcome = driftmesh("run", "user/slope.py", "--out", "run")
    assert (outcome.code, outcome.err) == (3, "")
    assert f"failed: {user}/slope.py:{SOLVE + 1}, in Slope.solve: ConvergenceError: no way\n" in outcome.out


def test_no_solution(user: Path, driftmesh) -> None:
    (user / "slope.py").write_text(CASE.replace("return SteadySolution", "SteadySolution"))
    outcome = driftmesh("run", "user/slope.py", "--out", "run")
    said = "driftmesh: case slope: got a NoneType from solve, expected a SteadySolution; return it"
    assert (outcome.code, outcome.error_line) == (2, said)


# -- what is not the user's -------------------------------------------------------------------------------------


def test_errors_of_the_package_keep_their_traceback(user: Path, monkeypatch, tmp_path: Path) -> None:
    def breaks(*_) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("cases.steady_simulation.ScalarMapWriter.write", breaks)
    with pytest.raises(KeyError, match="ours"):
        execute(RunRequest(str(user / "slope.py"), out=tmp_path / "run"), quiet=True)
    assert not (tmp_path / "run" / "traceback.txt").exists()


def test_so_does_what_the_package_has_to_hold_where_the_case_calls_it(user: Path, monkeypatch, tmp_path: Path) -> None:
    """An assertion in a file of ours, in place of a class that the case uses."""
    ours: dict = {}
    exec(compile("def broken(*_, **__):\n    assert not _, 'ours'", str(ROOT / "fem" / "steady.py"), "exec"), ours)
    monkeypatch.setattr("fem.steady.Quantity", ours["broken"])
    with pytest.raises(AssertionError, match="ours"):
        execute(RunRequest(str(user / "slope.py"), out=tmp_path / "run"), quiet=True)


# -- in parallel ------------------------------------------------------------------------------------------------


@pytest.mark.parallel
def test_two_ranks_say_one_line_while_they_run(user: Path, mpiexec, tmp_path: Path) -> None:
    (user / "slope.py").write_text(CASE.replace("        mean =", "        start is None or 1 + None\n        mean ="))
    run = ["driftmesh", "run", user / "slope.py", "--mover", "mmpde", "--out", tmp_path / "run"]
    outcome = mpiexec(2, run)
    said = rf"^driftmesh: case file: \S+slope.py:{SOLVE + 1}, in Slope.solve: TypeError: .* --resume --out \S+$"
    assert outcome.code == 2 and len(re.findall("driftmesh: ", outcome.err)) == 1
    assert re.search(said, outcome.err, re.M)
    assert "MPI_ABORT" not in outcome.err
    assert (tmp_path / "run" / "traceback.txt").is_file() and (tmp_path / "run" / "checkpoint.h5").is_file()


@pytest.mark.parallel
def test_ranks_that_wait_for_one_with_an_error_end_with_it(mpiexec) -> None:
    outcome = mpiexec(3, [sys.executable, Path(__file__).with_name("rank_errors.py")], seconds=60)
    assert outcome.code == 2
    assert re.findall("driftmesh: .*", outcome.err) == ["driftmesh: of rank 1"]
    assert outcome.out == "recorded by 1\n"
