"""Cases by users: files of Python and TOML anywhere on disk, meshes by path, and what is said when they are wrong."""

from __future__ import annotations

import re
import shutil
import textwrap
import tomllib
from pathlib import Path

import gmsh
import numpy as np
import pytest
from run_files import run_json
from user_cases import CASE, user_folder

from cases.case_file import find_case
from cases.errors import InputError
from cases.run import RunRequest, execute, plan

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TUTORIAL = EXAMPLES.parent / "tutorial.md"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of a user, with a case and a module that it imports; the working folder is another one."""
    return user_folder(tmp_path, monkeypatch)


def _mean(out: Path) -> float:
    return run_json(out)["metrics"]["quantities"]["mean"]["value"]


@pytest.fixture(scope="module")
def bracket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the TOML of the examples and its mesh, made of the .geo there."""
    folder = tmp_path_factory.mktemp("bracket")
    for name in ("bracket.geo", "bracket.toml"):
        shutil.copy(EXAMPLES / name, folder)
    _mesh(folder / "bracket.geo")
    return folder


def _mesh(geometry: Path) -> None:
    started = not gmsh.isInitialized()
    if started:
        gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.open(str(geometry))
    gmsh.model.mesh.generate(2)
    gmsh.write(str(geometry.with_suffix(".msh")))
    gmsh.model.remove()
    if started:
        gmsh.finalize()


# -- Python files -----------------------------------------------------------------------------------------------


def test_a_python_file_is_a_case(user: Path, tmp_path: Path) -> None:
    assert execute(RunRequest("../user/slope.py", out=tmp_path / "run"), quiet=True) == "done"
    run = run_json(tmp_path / "run")
    assert (run["case"], run["case_file"]) == ("slope", str(user / "slope.py"))
    assert _mean(tmp_path / "run") == pytest.approx(1.5, rel=1e-14)


def test_the_folder_reruns_itself(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own config.toml, and by the command that the report names, wherever one is."""
    request = RunRequest("../user/slope.py", mover="mmpde", assignments=("rounds=1",), seed=3, out=tmp_path / "run")
    assert execute(request, quiet=True) == "done"
    monkeypatch.chdir(tmp_path / "run")
    first = plan(RunRequest("../user/slope.py", mover="mmpde", assignments=("rounds=1",), seed=3, out=tmp_path / "run"))
    for again in (RunRequest("config.toml"), RunRequest(str(user / "slope.py"), config=Path("config.toml"))):
        found = plan(again)
        assert (found.case.name, found.options, found.mover, found.seed) == ("slope", first.options, "mmpde", 3)
    command = f"driftmesh run {user / 'slope.py'} --config config.toml"
    assert command in (tmp_path / "run" / "report.html").read_text()


def test_a_run_of_a_file_goes_on(user: Path, driftmesh, tmp_path: Path) -> None:
    """``driftmesh`` has its working folder in ``tmp_path``."""
    arguments = ("run", "user/slope.py", "--mover", "mmpde", "--set", "rounds=1", "--out", "run")
    assert driftmesh(*arguments).code == 0
    outcome = driftmesh("run", "user/slope.py", "--resume", "--out", "run")
    assert (outcome.code, outcome.err) == (0, "")
    assert _mean(tmp_path / "run") == pytest.approx(1.5, rel=1e-12)
    other = driftmesh("run", "swirl", "--resume", "--out", "run")
    assert other.code == 2 and "got case 'swirl', expected 'slope'" in other.error_line


def test_a_file_that_has_changed_is_read_again(user: Path) -> None:
    assert find_case(str(user / "slope.py")).case.title == "A line"
    (user / "slope.py").write_text(CASE.replace('"A line"', '"Another line"'))
    assert find_case(str(user / "slope.py")).case.title == "Another line"


def test_which_of_two_cases_is_said(user: Path) -> None:
    two = CASE + '\nclass Steep(Slope):\n    """Another."""\n    name: ClassVar[str] = "steep"\n'
    (user / "slope.py").write_text(two)
    with pytest.raises(InputError, match=r"got 2 cases \(Slope, Steep\) in .*slope.py, expected one .*CASE = "):
        find_case(str(user / "slope.py"))
    (user / "slope.py").write_text(two + "\nCASE = Steep\n")
    assert find_case(str(user / "slope.py")).case.name == "steep"


def test_options_of_a_file(user: Path, driftmesh) -> None:
    outcome = driftmesh("options", "user/slope.py")
    assert outcome.code == 0 and re.search(r"^rounds +\| |^rounds +", outcome.out, re.M)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("absent.py", r"case: got no file absent.py, expected a case file .py or .toml; check the path"),
        ("user/slope", r"case: got no file user/slope, expected .*"),
        ("user", r"case: got 'user', expected one of monai, .*"),
    ],
)
def test_one_line_for_a_wrong_path(reference: str, said: str, user: Path, driftmesh) -> None:
    for command in ("run", "compare", "options"):
        outcome = driftmesh(command, reference)
        assert outcome.code == 2 and re.fullmatch(f"driftmesh: {said}", outcome.error_line)


# -- TOML -------------------------------------------------------------------------------------------------------


def test_a_toml_names_case_mover_seed_and_options(user: Path, tmp_path: Path) -> None:
    text = 'case = "swirl"\nmover = "mmpde"\nseed = 4\n[options]\nresolution = 10\nt_end = 0.5\n'
    (user / "ring.toml").write_text(text)
    found = plan(RunRequest("../user/ring.toml", assignments=("t_end=0.25",), out=tmp_path / "run"))
    assert (found.case.name, found.mover, found.seed) == ("swirl", "mmpde", 4)
    assert (found.options.resolution, found.options.t_end) == (10, 0.25)
    assert plan(RunRequest("../user/ring.toml", mover="none", seed=1, out=tmp_path / "run")).seed == 1


def test_a_toml_of_a_python_file_beside_it(user: Path, tmp_path: Path) -> None:
    (user / "slope.toml").write_text('case = "slope.py"\nmover = "mmpde"\n[options]\nrounds = 0\n')
    assert execute(RunRequest("../user/slope.toml", out=tmp_path / "run"), quiet=True) == "done"
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert (config["case"], config["case_file"]) == ("slope", str(user / "slope.py"))
    assert (config["mover"], config["options"]["rounds"]) == ("mmpde", 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mover = 'none'\n", r"case file: got no case in .*, expected a line such as case = \"swirl\"; .*"),
        ("case = 'swril'\n", r"case: got 'swril', expected one of .*; did you mean 'swirl'\?"),
        ("case = 'other.toml'\n", r"case file: got case = 'other.toml' in .*, expected a name or a Python file; .*"),
        ("case = 'swirl'\nresolution = 3\n", r"config: got unknown key 'resolution' in .*; .* under \[options\]"),
        ("case = 'swirl'\n[options]\nresolution = 0\n", r"option resolution: got 0, expected greater than .*"),
        ("case = 'swirl'\n[options\n", r"config: got .*case.toml, expected TOML; .*"),
    ],
)
def test_one_line_for_a_wrong_toml(text: str, said: str, driftmesh, tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text(text)
    outcome = driftmesh("run", "case.toml", "--out", "run")
    assert outcome.code == 2 and not (tmp_path / "run").exists()
    assert re.fullmatch(f"driftmesh: {said}", outcome.error_line)


# -- meshes by path ---------------------------------------------------------------------------------------------


def test_the_example_runs_on_its_mesh(bracket: Path, user: Path, tmp_path: Path) -> None:
    """An exact solution on another domain than the case's own, as any domain will do for it."""
    errors = {}
    for mover in ("none", "mmpde"):
        request = RunRequest(str(bracket / "bracket.toml"), mover=mover, out=tmp_path / mover)
        assert execute(request, quiet=True) == "done"
        errors[mover] = run_json(tmp_path / mover)["metrics"]["error"]
    config = tomllib.loads((tmp_path / "mmpde" / "config.toml").read_text())
    assert config["options"]["mesh"] == str(bracket / "bracket.msh")
    # The singularity of the corner is that of the L: where the mesh goes there, a fifth of the error goes at least.
    assert errors["mmpde"] < 0.8 * errors["none"]


def test_paths_are_relative_to_who_names_them(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user / "named.toml").write_text('case = "l-shape"\n[options]\nmesh = "parts/a.msh"\n')
    (user / "options.toml").write_text('[options]\nmesh = "b.msh"\n')
    monkeypatch.chdir(tmp_path)

    def mesh(case: str, **others) -> str:
        return plan(RunRequest(case, out=tmp_path / "run", **others)).options.mesh

    assert mesh("user/named.toml") == str(user / "parts" / "a.msh")
    assert mesh("user/named.toml", config=user / "options.toml") == str(user / "b.msh")
    assert mesh("l-shape", assignments=("mesh=c.msh",)) == str(tmp_path / "c.msh")
    assert mesh("l-shape") == ""


def test_one_line_for_a_wrong_mesh(bracket: Path, user: Path, driftmesh, tmp_path: Path) -> None:
    for case, mesh, said in (
        ("l-shape", "absent.msh", r".*absent.msh: got no such file, expected a mesh file; check the path"),
        (
            user / "slope.py",
            bracket / "bracket.msh",
            r"option mesh: got boundary markers 1, 2 in .*bracket.msh, expected also 4 \(top\); .*physical groups",
        ),
        (
            "swirl",
            bracket / "bracket.msh",
            r"option mesh: got coordinates from 0 to 1 and area 0\.70\d*, expected a mesh of the unit square, .*",
        ),
    ):  # 3/4 less the circle of radius 0.12 is 0.705, and a little more for its polygon
        outcome = driftmesh("run", case, "--set", f"mesh={mesh}", "--out", "run")
        assert outcome.code == 2 and not (tmp_path / "run").exists()
        assert re.fullmatch(f"driftmesh: {said}", outcome.error_line)


# -- the tutorial -----------------------------------------------------------------------------------------------


def test_the_tutorial_shows_the_very_file() -> None:
    """Every block of Python in it is a part of the file, in order, and together they are all of it; it is short."""
    text = (EXAMPLES / "heat_sink.py").read_text()
    assert len(text.splitlines()) < 80
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.S)
    assert "".join(blocks).split() == text.split()


def test_the_heat_sink(user: Path, tmp_path: Path) -> None:
    """What comes in goes out, to rounding; the flux bends most at the feet of the fins, where cells get small."""
    out = {mover: tmp_path / mover for mover in ("none", "mmpde")}
    for mover in out:
        options = ("resolution=2 mm", "rounds=2")
        request = RunRequest(str(EXAMPLES / "heat_sink.py"), mover=mover, assignments=options, out=out[mover])
        assert execute(request, quiet=True) == "done"
        metrics = run_json(out[mover])["metrics"]
        assert metrics["quantities"]["heat out over heat in"]["value"] == pytest.approx(1.0, abs=1e-9)
    assert run_json(out["mmpde"])["metrics"]["estimate"] < 0.95 * run_json(out["none"])["metrics"]["estimate"]


def test_newton_s_law_alone_is_a_constant_balance(user: Path) -> None:
    """A plate without fins and radiation would be hotter by power / film; fins and radiation make it cooler."""
    found = find_case(str(EXAMPLES / "heat_sink.py"))
    options = found.case.Options(resolution=0.004)
    solution = found.case.solve(options, found.case.mesh(options), None)
    hottest = solution.quantities["hottest, above the air"].value
    assert 0.0 < hottest < options.power / 25.0
    assert np.isfinite(solution.estimate)


# -- in parallel ------------------------------------------------------------------------------------------------


@pytest.mark.parallel
def test_two_ranks(user: Path, mpiexec, tmp_path: Path) -> None:
    good, bad = user / "slope.py", user / "bad.py"
    bad.write_text(textwrap.dedent("x = 1\ny = x / 0\n"))
    outcome = mpiexec(2, ["driftmesh", "run", good, "--mover", "mmpde", "--set", "rounds=1", "--out", tmp_path / "two"])
    assert (outcome.code, outcome.err) == (0, "")
    assert run_json(tmp_path / "two")["ranks"] == 2
    assert _mean(tmp_path / "two") == pytest.approx(1.5, rel=1e-12)
    outcome = mpiexec(2, ["driftmesh", "run", bad, "--out", tmp_path / "bad"])
    assert outcome.code == 2 and "bad.py:2: ZeroDivisionError: division by zero" in outcome.err
    assert not (tmp_path / "bad").exists()
