"""The entities of a CAD file that a mesh's boundary lies on are found by marker."""

from __future__ import annotations

from pathlib import Path

import gmsh
import numpy as np
import pytest
from firedrake import UnitBallMesh, UnitDiskMesh, UnitSquareMesh

from meshing.cad_boundary import attach_cad
from meshing.patches import MeshPatches


def write_cad(path: Path, build) -> Path:
    """Write what a function builds with gmsh's OpenCASCADE kernel."""
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        build(gmsh.model.occ)
        gmsh.model.occ.synchronize()
        gmsh.write(str(path))
    finally:
        gmsh.finalize()
    return path


def _off(points: np.ndarray) -> float:
    return float(np.abs(np.linalg.norm(points, axis=1) - 1.0).max())


@pytest.mark.parametrize(
    ("make", "build"),
    [
        (lambda: UnitDiskMesh(refinement_level=3), lambda occ: occ.addDisk(0, 0, 0, 1, 1)),
        (lambda: UnitBallMesh(refinement_level=2), lambda occ: occ.addSphere(0, 0, 0, 1)),
    ],
    ids=["disc", "ball"],
)
def test_round_boundaries_are_known(make, build, tmp_path: Path) -> None:
    """Vertices moved along the chord come back to radius 1, which no polygon through the vertices would give."""
    mesh = make()
    boundary = attach_cad(mesh, write_cad(tmp_path / "round.brep", build))
    patches = MeshPatches(mesh)
    sliding = boundary.sliding
    np.testing.assert_array_equal(sliding | boundary.fixed, patches.boundary())
    assert sliding.sum() > 0.9 * patches.boundary().sum()
    rng = np.random.default_rng(0)
    away = patches.points + 0.05 * boundary.tangential(patches.points, rng.standard_normal(patches.points.shape))
    assert _off(away[sliding]) > 1e-4
    assert _off(boundary.project(away)[sliding]) < 1e-9


def test_entities_are_told_apart(tmp_path: Path) -> None:
    """A square whose four sides are curves among others: its corners stay, its sides slide."""

    def build(occ) -> None:
        occ.addRectangle(0, 0, 0, 1, 1)
        occ.addDisk(5, 5, 0, 1, 1)

    mesh = UnitSquareMesh(4, 4)
    boundary = attach_cad(mesh, write_cad(tmp_path / "square.brep", build))
    points = mesh.coordinates.dat.data_ro
    corner = ((points == 0) | (points == 1)).all(axis=1)
    np.testing.assert_array_equal(boundary.fixed, corner)
    back = boundary.project(points + np.array([0.0, 0.05]))
    np.testing.assert_allclose(back[points[:, 1] == 1, 1], 1.0, atol=1e-12)


def test_other_geometries_are_refused(tmp_path: Path) -> None:
    disc = write_cad(tmp_path / "disc.brep", lambda occ: occ.addDisk(0, 0, 0, 1, 1))
    with pytest.raises(ValueError, match=r"CAD: got .*disc.brep, on nothing of which a marked facet .*unit of length"):
        attach_cad(UnitSquareMesh(4, 4), disc)
    with pytest.raises(ValueError, match=r"CAD: got no file .*absent.brep"):
        attach_cad(UnitSquareMesh(4, 4), tmp_path / "absent.brep")
    # The left half of the square: of the marker of its lower side, only one half is there.
    part = write_cad(tmp_path / "part.brep", lambda occ: occ.addRectangle(0, 0, 0, 0.5, 1))
    with pytest.raises(ValueError, match=r"geometries: got CADCurve for marker .* at a distance of"):
        attach_cad(UnitSquareMesh(4, 4), part)
