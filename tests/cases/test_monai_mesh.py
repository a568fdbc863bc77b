"""Monai on a mesh from a file: the same numbers on the same mesh, any mesh of the basin, and what is said of others."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import gmsh
import meshio
import numpy as np
import pytest
from firedrake import RectangleMesh
from run_files import maps, run_json

from cases.monai import LENGTH_X, LENGTH_Y
from cases.run import RunRequest, execute

OFFSHORE, WALLS = 1, 7


def basin(size: float = 0.4, x0: float = 0.0, x1: float = LENGTH_X) -> meshio.Mesh:
    """Return squares of a size cut into four triangles, as the case has them, with marked sides."""
    nx, ny = round((x1 - x0) / size), round(LENGTH_Y / size)
    mesh = RectangleMesh(nx, ny, x1 - x0, LENGTH_Y, diagonal="crossed")
    points, cells = mesh.coordinates.dat.data_ro.copy(), mesh.coordinates.cell_node_map().values
    points[:, 0] += x0
    edges = Counter(tuple(sorted(edge)) for cell in cells.tolist() for edge in zip(cell, np.roll(cell, 1), strict=True))
    sides = np.array([edge for edge, count in edges.items() if count == 1])
    offshore = (points[sides, 0] == x0).all(axis=1)
    return with_markers(points, cells, sides, np.where(offshore, OFFSHORE, WALLS))


def with_markers(points, cells, sides, markers) -> meshio.Mesh:
    return meshio.Mesh(
        np.column_stack([points[:, :2], 0 * points[:, 0]]),
        [("triangle", cells), ("line", sides)],
        cell_data={"gmsh:physical": [np.full(len(cells), 9), markers]},
    )


def _by_place(shot: dict[str, np.ndarray]) -> np.ndarray:
    """Return x, y, depth and elevation at the corners of all cells, sorted by place and cell."""
    centre = shot["points"].reshape(-1, 3, 2).mean(axis=1).repeat(3, axis=0)
    order = np.lexsort(np.hstack([centre, shot["points"]]).round(7).T)
    return np.column_stack([shot["points"], shot["depth"], shot["elevation"]])[order]


def test_the_mesh_of_the_case_from_a_file_gives_the_numbers_of_the_case(
    small_run: Path, no_figures, same_gauges, tmp_path: Path
) -> None:
    """Cells come in another order, and sums with them: rounding, while nothing runs dry."""
    basin().write(tmp_path / "basin.vtu")
    options = (f"mesh={tmp_path / 'basin.vtu'}", "t_end=4", "output_interval=1")
    assert execute(RunRequest("monai", assignments=options, out=tmp_path / "run"), quiet=True) == "done"
    own, given = run_json(small_run), run_json(tmp_path / "run")
    assert (given["cells"], given["steps"]) == (own["cells"], own["steps"])
    same_gauges(small_run, tmp_path / "run", 1e-14)
    for one, other in zip(maps(small_run), maps(tmp_path / "run"), strict=True):
        np.testing.assert_allclose(_by_place(other), _by_place(one), rtol=0, atol=1e-14)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a mesh by gmsh: fine at the shore, a pillar in the water, an oblique corner; relative to its TOML."""
    folder = tmp_path_factory.mktemp("plan")
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        corners = [(0, 0), (LENGTH_X, 0), (LENGTH_X, LENGTH_Y), (0.5, LENGTH_Y), (0, 3.0)]
        points = [gmsh.model.occ.addPoint(x, y, 0) for x, y in corners]
        around = [gmsh.model.occ.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
        pillar = gmsh.model.occ.addCircle(2.0, 1.0, 0, 0.3)
        loops = [gmsh.model.occ.addCurveLoop(lines) for lines in (around, [pillar])]
        gmsh.model.occ.addPlaneSurface(loops)
        gmsh.model.occ.synchronize()
        gmsh.model.addPhysicalGroup(1, around[-1:], OFFSHORE)
        gmsh.model.addPhysicalGroup(1, around[:-1], WALLS)
        gmsh.model.addPhysicalGroup(1, [pillar], 8)
        gmsh.model.addPhysicalGroup(2, [1], 9)
        gmsh.model.mesh.setSize(gmsh.model.getEntities(0), 0.35)
        gmsh.model.mesh.generate(2)
        gmsh.write(str(folder / "plan.msh"))
    finally:
        gmsh.finalize()
    (folder / "plan.toml").write_text(
        'case = "monai"\nmover = "mmpde"\n[options]\nmesh = "plan.msh"\nmove_every = 10\nt_end = 1\n'
    )
    return folder / "plan.toml"


def test_another_mesh_of_the_basin_moves_and_keeps_its_water(plan: Path, no_figures, tmp_path: Path) -> None:
    assert execute(RunRequest(str(plan), out=tmp_path / "run"), quiet=True) == "done"
    run = run_json(tmp_path / "run")
    assert run["cells"] == len(meshio.read(plan.with_name("plan.msh")).cells_dict["triangle"])
    assert run["moves"] > 0 and run["metrics"]["mass_drift_rel"] <= 1e-12
    # Walls do not push water that is at rest: the wave has gone a metre, and the scheme spreads little of it ahead.
    last = maps(tmp_path / "run")[-1]
    far = last["points"][:, 0] > 4.0
    still = np.maximum(0.0, -(last["elevation"] - last["depth"]))
    np.testing.assert_allclose(last["depth"][far], still[far], rtol=0, atol=1e-12)


def _scaled(mesh: meshio.Mesh) -> meshio.Mesh:
    mesh.points *= 1000.0
    return mesh


def _marked(mesh: meshio.Mesh, change) -> meshio.Mesh:
    sides = mesh.cells_dict["line"]
    markers = change(mesh.points[sides].mean(axis=1), mesh.cell_data["gmsh:physical"][1])
    return with_markers(mesh.points, mesh.cells_dict["triangle"], sides[markers > 0], markers[markers > 0])


def _in_space() -> meshio.Mesh:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    sides = np.array([[0, 2, 3], [0, 1, 2], [0, 1, 3], [1, 2, 3]])
    data = {"gmsh:physical": [np.array([9]), np.array([OFFSHORE, WALLS, WALLS, WALLS])]}
    return meshio.Mesh(corners, [("tetra", np.array([[0, 1, 2, 3]])), ("triangle", sides)], cell_data=data)


WRONG = {
    "in millimetres": (
        lambda: _scaled(basin()),
        r"option mesh: got coordinates from \(0, 0\) to \(5488, 3402\), expected all from \(0, 0\) to "
        r"\(5\.488, 3\.402\) m, where the bed is surveyed; scale the mesh to metres, or cut it",
    ),
    "no markers": (
        lambda: meshio.Mesh(basin().points, {"triangle": basin().cells_dict["triangle"]}),
        r"option mesh: got marker 1 as far as x = 5\.488 m, expected it on x = 0 only, where the wave enters; give .*",
    ),
    "no wave": (
        lambda: _marked(basin(), lambda x, marker: np.full(len(marker), WALLS)),
        r"option mesh: got boundary markers 7 in .*mesh.vtu, expected also 1 \(offshore\); .*",
    ),
    "walls without markers": (
        lambda: _marked(basin(), lambda x, marker: np.where(marker == OFFSHORE, marker, 0)),
        # Two long sides of 14 edges and a short one of 9.
        r"option mesh: got 37 edges of the boundary without a marker, expected one on each, other than 1 on walls; .*",
    ),
    "the wave in the middle": (
        lambda: basin(x0=1.0),
        r"option mesh: got marker 1 as far as x = 1 m, expected it on x = 0 only, .*",
    ),
    "no gauges": (
        lambda: basin(x1=4.5),
        r"gauges: got \[\[4\.521, .*\]\], expected points inside the mesh; check coordinates and unit",
    ),
    "in space": (
        _in_space,
        "option mesh: got a mesh in 3D, expected triangles in the plane; mesh the plan",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_one_line_for_a_mesh_that_will_not_do(wrong: str, driftmesh, tmp_path: Path) -> None:
    make, said = WRONG[wrong]
    make().write(tmp_path / "mesh.vtu")
    outcome = driftmesh("run", "monai", "--set", "mesh=mesh.vtu", "--out", "run")
    assert outcome.code == 2 and not (tmp_path / "run").exists()
    assert re.fullmatch(f"driftmesh: {said}", outcome.error_line), outcome.error_line


@pytest.mark.parallel
def test_two_ranks(plan: Path, mpiexec, tmp_path: Path) -> None:
    outcome = mpiexec(2, ["driftmesh", "run", plan, "--set", "t_end=0.2", "--out", tmp_path / "two"])
    assert (outcome.code, outcome.err) == (0, "")
    assert run_json(tmp_path / "two")["metrics"]["mass_drift_rel"] <= 1e-12
