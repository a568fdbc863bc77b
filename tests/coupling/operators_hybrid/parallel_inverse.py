"""Ask for a network's problem on the ranks there are; each writes what it was refused with: ``FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from firedrake import FunctionSpace, TestFunction, TrialFunction, UnitSquareMesh, dx, grad, inner

from coupling.operator_inverse import operator_problem


def run(folder: Path) -> None:
    mesh = UnitSquareMesh(3, 3)
    space = FunctionSpace(mesh, "CG", 1)
    refusal = "none"
    try:
        operator_problem(inner(grad(TrialFunction(space)), grad(TestFunction(space))) * dx)
    except ValueError as refused:
        refusal = str(refused)
    (folder / f"{mesh.comm.rank}.txt").write_text(refusal)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
