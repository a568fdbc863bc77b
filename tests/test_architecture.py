"""The house: torch stays out of the left column, Firedrake out of `learned`, and the import contract holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in {packages}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
        print("imported", module.name)
print("found", *[name for name in {unwanted} if name in sys.modules])
"""


def _imports(packages: tuple[str, ...], unwanted: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Import all modules of the packages in a new process; return them, and the unwanted ones that came along."""
    code = IMPORT_ALL.format(packages=packages, unwanted=unwanted)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *modules, found = (line.split()[1:] for line in done.stdout.splitlines())
    return [name for line in modules for name in line], found


def test_meshing_and_fem_leave_torch_out() -> None:
    modules, found = _imports(("meshing", "fem"), ("torch", "torch_geometric"))
    assert "fem.problems.shallow_water" in modules
    assert found == []


def test_learned_leaves_firedrake_out() -> None:
    _, found = _imports(
        ("learned",), ("firedrake", "pyop2", "petsc4py", "mpi4py", "meshing", "fem", "coupling", "cases")
    )
    assert found == []


def test_help_does_not_wait_for_the_libraries() -> None:
    code = "import cases.cli, sys; print(*[n for n in ('firedrake', 'torch', 'xarray', 'pint') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


def test_the_check_sees_what_is_imported() -> None:
    """The tests above would pass in vain if this one did not."""
    _, found = _imports(("fem",), ("firedrake", "torch"))
    assert found == ["firedrake"]


@pytest.mark.parametrize("program", ["lint-imports"])
def test_import_contract(program: str) -> None:
    linter = Path(sys.executable).with_name(program)
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout
