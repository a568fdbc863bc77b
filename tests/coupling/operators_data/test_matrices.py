"""Matrices between spaces against Firedrake's own assembly, and the discrete sequence CG - BDM, RT - DG."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Function,
    FunctionSpace,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    VectorFunctionSpace,
    action,
    as_vector,
    assemble,
    div,
    dx,
    grad,
    inner,
    norm,
)
from moved_meshes import moved, random

from coupling.bridge import to_tensor
from coupling.operator_matrices import csr, divergence, rotation


@pytest.mark.parametrize("name", ["scalar", "vector", "mixed"])
def test_matrices_act_as_forms_do(name: str) -> None:
    mesh = moved(UnitSquareMesh(3, 4))
    scalar, vector = FunctionSpace(mesh, "CG", 2), VectorFunctionSpace(mesh, "CG", 1)
    space = {"scalar": scalar, "vector": vector, "mixed": vector * scalar}[name]
    u, v = TrialFunction(space), TestFunction(space)
    form = inner(grad(u), grad(v)) * dx + inner(u, v) * dx
    field = random(space)
    expected = to_tensor(assemble(action(form, field))).numpy().ravel()
    found = csr(form)
    scale = abs(found) @ np.abs(to_tensor(field).numpy().ravel())
    assert np.abs(found @ to_tensor(field).numpy().ravel() - expected).max() < 1e-14 * scale.max()
    again = csr(assemble(form, mat_type="aij"))
    assert np.array_equal(found.toarray(), again.toarray()) and found.has_sorted_indices


def test_a_matrix_between_two_spaces_may_be_rectangular() -> None:
    mesh = UnitSquareMesh(2, 2)
    mixed = csr(TrialFunction(FunctionSpace(mesh, "DG", 0)) * TestFunction(FunctionSpace(mesh, "CG", 1)) * dx)
    assert mixed.shape == (9, 8)
    assert mixed.sum() == pytest.approx(1.0, abs=1e-15)


SEQUENCES = [(1, ("RT", 1), 0), (2, ("BDM", 1), 0), (2, ("RT", 2), 1), (3, ("BDM", 2), 1), (3, ("RT", 3), 2)]


@pytest.mark.parametrize(("degree", "element", "content"), SEQUENCES)
def test_rotations_are_exact_and_without_divergence(degree: int, element: tuple[str, int], content: int) -> None:
    mesh = moved(UnitSquareMesh(4, 4))
    stream, velocity = FunctionSpace(mesh, "CG", degree), FunctionSpace(mesh, *element)
    matrix, div_matrix = rotation(stream, velocity), divergence(velocity, FunctionSpace(mesh, "DG", content))
    psi = random(stream)
    exact = as_vector([psi.dx(1), -psi.dx(0)])
    u = Function(velocity)
    u.dat.data_wo[:] = matrix @ psi.dat.data_ro
    assert norm(u - exact) < 1e-14 * norm(exact)
    # Relative to the terms that cancel.
    scale = abs(div_matrix) @ (abs(matrix) @ np.abs(psi.dat.data_ro))
    assert np.abs(div_matrix @ (matrix @ psi.dat.data_ro)).max() < 1e-14 * scale.max()


def test_the_divergence_is_that_of_firedrake() -> None:
    mesh = moved(UnitSquareMesh(4, 4))
    velocity, space = FunctionSpace(mesh, "RT", 2), FunctionSpace(mesh, "DG", 1)
    u = random(velocity)
    found = Function(space)
    found.dat.data_wo[:] = divergence(velocity, space) @ u.dat.data_ro
    assert norm(found - div(u)) < 1e-14 * norm(div(u))


def test_spaces_that_cannot_hold_rotations_are_refused() -> None:
    mesh = UnitSquareMesh(1, 1)
    with pytest.raises(ValueError, match=r"velocity: got .*, expected BDM_1 or RT_2 for CG_2"):
        rotation(FunctionSpace(mesh, "CG", 2), FunctionSpace(mesh, "RT", 1))
