"""The matrices of the tests, by what they integrate."""

from __future__ import annotations

import numpy as np
import pytest
from assembly import triangles


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("kind", ["lattice", "holes"])
def test_matrices_integrate_linear_functions_exactly(kind: str, moved: bool) -> None:
    mesh = triangles(kind, moved=moved)
    area = mesh.areas.sum()
    x, y = mesh.points.T
    assert mesh.mass().sum() == pytest.approx(area)
    assert mesh.integrals() == pytest.approx(mesh.mass().sum(axis=1))
    linear = 2.0 * x - 3.0 * y
    assert linear @ mesh.stiffness() @ linear == pytest.approx(13.0 * area)
    # The flux of (x, y) through each facet by the midpoint rule, exact; its divergence is 2.
    a, b = mesh.points[mesh.facets].transpose(1, 0, 2)
    along, middle = b - a, 0.5 * (a + b)
    fluxes = middle[:, 0] * along[:, 1] - middle[:, 1] * along[:, 0]
    assert mesh.divergence() @ fluxes == pytest.approx(2.0 * mesh.areas)
    # rot (2x - 3y) = (-3, -2)
    assert mesh.rotation() @ linear == pytest.approx(-3.0 * along[:, 1] + 2.0 * along[:, 0])
    assert np.abs(mesh.divergence() @ mesh.rotation()).max() == 0.0


def test_components_of_the_boundary_are_found() -> None:
    assert [len(triangles(kind).components()) for kind in ("square", "ring")] == [1, 2]
    mesh = triangles("ring")
    assert np.bincount(mesh.outer_facets()).max() == 1
    assert abs(mesh.divergence().sum(axis=0)).nonzero()[0].tolist() == sorted(mesh.outer_facets())
