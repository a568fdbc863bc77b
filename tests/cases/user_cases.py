"""A case of a user in a folder of its own, for the tests of case files."""

from __future__ import annotations

from pathlib import Path

import pytest

# A file that is right, and where tests put what is wrong.
CASE = '''
"""A case of a user."""
from typing import ClassVar
from firedrake import UnitSquareMesh
from cases.steady_case import SteadyCase, SteadyOptions
from slope_parts import SLOPE

class Slope(SteadyCase):
    """The area below a line."""
    name: ClassVar[str] = "slope"
    summary: ClassVar[str] = "a line"
    title: ClassVar[str] = "A line"
    description: ClassVar[str] = "Its mean."
    Options: ClassVar[type] = SteadyOptions
    markers: ClassVar[dict] = {1: "left", 4: "top"}

    def mesh(self, options):
        return UnitSquareMesh(4, 4)

    def solve(self, options, mesh, start):
        from firedrake import Function, FunctionSpace, SpatialCoordinate, assemble, dx
        from fem.steady import Quantity, SteadySolution
        from meshing.monitor import ExpressionMonitor
        u = Function(FunctionSpace(mesh, "CG", 1), name="u").interpolate(SLOPE * SpatialCoordinate(mesh)[0])
        mean = Quantity(assemble(u * dx), published=0.5 * SLOPE)
        return SteadySolution(u, u, ExpressionMonitor(lambda x: 1 + x[0]), 1.0, quantities={"mean": mean})
'''


def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of a user, with a case and a module that it imports; the working folder is another one."""
    folder, here = tmp_path / "user", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    (folder / "slope.py").write_text(CASE)
    (folder / "slope_parts.py").write_text("SLOPE = 3.0\n")
    monkeypatch.chdir(here)
    monkeypatch.setattr("cases.steady_figures.write_steady_figures", lambda *_, **__: [])
    return folder
