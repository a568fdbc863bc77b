"""Velocities in nodes: exact where velocities are continuous; divergence and load vectors against Firedrake's own."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Function,
    FunctionSpace,
    SpatialCoordinate,
    TestFunction,
    VectorFunctionSpace,
    as_vector,
    assemble,
    dx,
    inner,
)

from coupling.operator_data import FAMILIES
from coupling.operator_problems.geometry import hierarchy, moved_outline, random_outline
from coupling.operator_problems.nodal_velocity import nodal_divergence, nodal_forces, nodal_velocity
from coupling.operator_spaces import node_points
from learned.operators.nodal_problem import nodal_problem


@pytest.fixture(scope="module")
def mesh():
    rng = np.random.default_rng(4)
    return hierarchy(moved_outline(rng, random_outline(rng, "holes", 200)), levels=1)[-1]


def test_continuous_velocities_are_kept_and_their_divergence_is_exact(mesh) -> None:
    stream, velocity = FunctionSpace(mesh, "CG", 2), FunctionSpace(mesh, "BDM", 1)
    x, y = SpatialCoordinate(mesh)
    u = Function(velocity).project(
        as_vector([1.0 + 2.0 * x - y, 0.5 * x + 3.0 * y]), solver_parameters={"ksp_rtol": 1e-14}
    )
    found = nodal_velocity(stream, velocity) @ u.dat.data_ro
    px, py = node_points(stream).T
    np.testing.assert_allclose(
        found.reshape(-1, 2), np.stack([1.0 + 2.0 * px - py, 0.5 * px + 3.0 * py], 1), atol=1e-11
    )
    # Of derivatives: rounding over the size of a cell.
    np.testing.assert_allclose(nodal_divergence(stream) @ found, 5.0, atol=1e-9)


def test_jumps_are_averaged_over_the_cells_around_a_node(mesh) -> None:
    stream, velocity = FunctionSpace(mesh, "CG", 1), FunctionSpace(mesh, "RT", 1)
    # Normal components do not jump, tangential ones do.
    u = Function(velocity, val=np.random.default_rng(0).normal(size=velocity.node_count))
    found = (nodal_velocity(stream, velocity) @ u.dat.data_ro).reshape(-1, 2)
    cells, sums, counts = stream.cell_node_map().values, np.zeros((stream.node_count, 2)), np.zeros(stream.node_count)
    corners = Function(VectorFunctionSpace(mesh, "DG", 1, variant="equispaced")).interpolate(u)
    local = corners.function_space().cell_node_map().values
    places = Function(corners.function_space()).interpolate(SpatialCoordinate(mesh)).dat.data_ro
    points = node_points(stream)
    for cell, own in zip(cells, local, strict=True):
        for node in cell:
            nearest = own[np.linalg.norm(places[own] - points[node], axis=1).argmin()]
            sums[node] += corners.dat.data_ro[nearest]
            counts[node] += 1.0
    np.testing.assert_allclose(found, sums / counts[:, None], atol=1e-11)


def test_load_vectors_are_those_of_firedrake(mesh) -> None:
    stream, forces = FunctionSpace(mesh, "CG", 2), VectorFunctionSpace(mesh, "CG", 1)
    force = Function(forces, val=np.random.default_rng(1).normal(size=(forces.node_count, 2)))
    found = nodal_forces(stream, forces) @ force.dat.data_ro.ravel()
    expected = assemble(inner(force, TestFunction(VectorFunctionSpace(mesh, "CG", 2))) * dx).dat.data_ro
    np.testing.assert_allclose(found, expected.ravel(), atol=1e-14)


def test_a_problem_of_velocities_has_the_same_flows() -> None:
    problem = FAMILIES["stokes"](np.random.default_rng(3), 300, 2, True)
    nodal = nodal_problem(problem)
    assert nodal.components == 2
    np.testing.assert_array_equal(nodal.solutions, problem.extras["nodal_velocity"] @ problem.solutions)
    # At rest on walls and obstacles, and as the lifting says at the inlet.
    inlet = problem.features[:, 1] > 0.0
    values = nodal.values.reshape(*nodal.fixed.shape, 2)
    assert nodal.fixed[inlet].all() and np.abs(values[inlet]).max() > 0.1
    obstacles = problem.features[:, 0] > 0.0
    assert nodal.fixed[obstacles].all()
