"""One place for the pins, a set-up that resumes, and no path of one machine in the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PINS = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "pins.txt").read_text(), re.MULTILINE))
CONDA_FILE = ROOT / "environment.yml"
INSTALL = (ROOT / "install.sh").read_text()


def _conda() -> tuple[dict[str, str], dict[str, str]]:
    """Return conda's and pip's exact versions by package, as environment.yml has them."""
    dependencies = yaml.safe_load(CONDA_FILE.read_text())["dependencies"]
    conda = [re.fullmatch(r"(\S+) ==([^=\s]+)(=\S+)?", entry) for entry in dependencies if isinstance(entry, str)]
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    return {m[1]: m[2] for m in conda if m}, dict(entry.split("==") for entry in pip)


def test_pins_are_exact_and_not_repeated() -> None:
    lines = [line for line in (ROOT / "pins.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) == len(PINS) > 30, "a line of pins.txt is no name==version, or stands there twice"


def test_conda_has_the_same_versions() -> None:
    conda, pip = _conda()
    assert {"petsc", "petsc4py", "mpi4py", "h5py", "numpy"} <= conda.keys()
    assert {"torch", "gmsh", "pydantic"} <= pip.keys()
    assert conda.keys().isdisjoint(pip)
    assert conda | pip == {name: PINS.get(name) for name in conda | pip}


def test_conda_leaves_no_pin_out() -> None:
    conda, pip = _conda()
    comments = "".join(line for line in CONDA_FILE.read_text().splitlines() if line.startswith("#"))
    by_hand = dict(re.findall(r"([\w-]+)==([\w.]*\w)", comments))
    assert by_hand.keys() == {"libsupermesh", "firedrake-rtree", "firedrake"}
    assert conda | pip | by_hand == PINS


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert {"learned", "test", "docs", "lint"} == extras.keys()
    named = {name for group in (project["dependencies"], *extras.values()) for name in group}
    assert all(re.fullmatch(r"[\w-]+", name) for name in named), "versions stand in pins.txt only"
    assert named <= PINS.keys()


def test_every_pin_belongs_to_a_step() -> None:
    steps = re.findall(r'^step \w+ +"[^"]*" "[^"]*"(.*)$', INSTALL, re.MULTILINE)
    assert len(steps) == 10
    used = [name for step in steps for name in step.split()]
    assert sorted(used) == sorted(PINS)


def test_python_versions_agree() -> None:
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (low, high) = re.search(r"\((\d, \d+)\) <= sys.version_info\[:2\] < \((\d, \d+)\)", INSTALL).groups()  # type: ignore[union-attr]
    low, high = low.replace(", ", "."), high.replace(", ", ".")
    assert lowest == f">={low}"
    assert f"python >={low},<{high}" in yaml.safe_load(CONDA_FILE.read_text())["dependencies"]


def test_no_path_of_one_machine() -> None:
    git = shutil.which("git")
    if not git or not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    assert "install.sh" in names
    machine = re.compile(rb"(?<![\w.-])/(?:root|home|work|Users)/[\w.]")
    found = [name for name in names if machine.search((ROOT / name).read_bytes())]
    assert found == [], "write paths relative to the repository"
    assert machine.search(b"see /" + b"home/me/driftmesh")  # that the search finds one


def test_make_lists_its_targets() -> None:
    done = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, timeout=30, check=True)
    assert {"env", "run", "test", "lint"} <= set(re.findall(r"make ([a-z]+)  ", done.stdout))
    assert subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout == done.stdout


def test_the_recipe_is_valid_shell() -> None:
    subprocess.run(["bash", "-n", ROOT / "install.sh"], timeout=30, check=True)


class Recipe:
    """install.sh's machinery with two small steps in place of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "pins.txt").write_text("one==1\ntwo==1\n")
        self.machinery, found, _ = INSTALL.partition("\nstep ")
        assert found

    def run(self, two: str = "true") -> subprocess.CompletedProcess[str]:
        """Run it; each step notes that it ran, and `two` decides how the second ends."""
        steps = f'do_one() {{ echo one >> ran; }}\ndo_two() {{ echo two >> ran; echo "cause of it"; {two}; }}\n'
        steps += 'step one "first" "1 s" one\nstep two "second" "1 s" two\n'
        (self.folder / "install.sh").write_text(self.machinery + "\n" + steps)
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "VENV": "environment"}
        return subprocess.run(
            ["bash", "install.sh"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def ran(self) -> list[str]:
        """Return the steps that ran since the last call."""
        file = self.folder / "ran"
        names = file.read_text().split() if file.exists() else []
        file.write_text("")
        return names


def test_a_step_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path)
    assert (recipe.run().returncode, recipe.ran()) == (0, ["one", "two"])
    again = recipe.run()
    assert (again.returncode, again.stdout, recipe.ran()) == (0, "", [])
    assert (recipe.run(two="true; true").returncode, recipe.ran()) == (0, ["two"])
    (tmp_path / "pins.txt").write_text("one==2\ntwo==1\n")
    assert (recipe.run(two="true; true").returncode, recipe.ran()) == (0, ["one", "two"])


def test_a_step_that_failed_is_done_again_even_by_its_old_recipe(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path)
    assert recipe.run().returncode == 0
    assert recipe.run(two="false").returncode == 1  # may have left half of it
    recipe.ran()
    assert (recipe.run().returncode, recipe.ran()) == (0, ["two"])


def test_a_failed_step_says_why_and_the_next_run_resumes_there(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path)
    failed = recipe.run(two="test -e remedy")
    assert (failed.returncode, recipe.ran()) == (1, ["one", "two"])
    assert "[two] FAILED" in failed.stdout and "cause of it" in failed.stdout
    assert "step 'two' failed; whole log: " in failed.stderr and "resumes here" in failed.stderr
    (tmp_path / "remedy").touch()
    assert (recipe.run(two="test -e remedy").returncode, recipe.ran()) == (0, ["two"])
