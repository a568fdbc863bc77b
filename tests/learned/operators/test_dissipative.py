"""Dissipative steps of linear systems: energy over ten thousand steps, and the step against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import Triangles, normal, triangles
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.linalg import expm

from learned.operators.structure import Dissipative

STEPS = 10_000
EPS = float(np.finfo(float).eps)


def matrices(mesh: Triangles, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return A and L, random, of the size at which M^-1 J M^-1 K moves waves about a radian in a time of 1."""
    return normal(mesh.nodes, mesh.nodes, seed=seed).numpy() / mesh.nodes, normal(mesh.nodes, 3, seed=seed + 1).numpy()


def dense_step(mesh: Triangles, interaction, dissipation, dt: float) -> np.ndarray:
    """Return the matrix of the midpoint rule."""
    mass, stiffness = mesh.mass().toarray(), (mesh.stiffness() + mesh.mass()).toarray()
    form = interaction - interaction.T - dissipation @ dissipation.T
    rate = np.linalg.solve(mass, form @ np.linalg.solve(mass, stiffness))
    unit = np.eye(mesh.nodes)
    return np.linalg.solve(unit - 0.5 * dt * rate, unit + 0.5 * dt * rate)


def step_of(mesh: Triangles, interaction, dissipation, dt: float) -> Dissipative:
    return Dissipative(mesh.mass(), mesh.stiffness() + mesh.mass(), interaction, dissipation, dt)


@pytest.mark.parametrize("seed", [0, 1])
def test_energy_does_not_grow_over_ten_thousand_steps(seed: int) -> None:
    mesh = triangles(nodes=8, moved=True, seed=seed)
    interaction, dissipation = matrices(mesh, seed)
    structure = step_of(mesh, interaction, 0.02 * dissipation, 0.05)
    states = structure.rollout(normal(mesh.nodes), STEPS)
    energies = structure.energy(states)
    # To the rounding of evaluating it, and to a small part of what it was.
    assert float(energies.diff().max()) <= 100 * EPS * float(energies[0])
    assert structure.residual(states) <= 100 * EPS
    assert float(energies[-1]) < 0.5 * float(energies[0])


@pytest.mark.parametrize("seed", [0, 1])
def test_energy_is_kept_over_ten_thousand_steps_without_dissipation(seed: int) -> None:
    mesh = triangles(nodes=8, moved=True, seed=seed)
    structure = step_of(mesh, matrices(mesh, seed)[0], None, 0.05)
    states = structure.rollout(normal(mesh.nodes), STEPS)
    # Some rounding in each step, which may all go one way.
    assert structure.residual(states) <= 10 * EPS * STEPS
    assert float((states[:, -1] - states[:, 0]).norm()) > 0.1 * float(states[:, 0].norm())


@given(seed=st.integers(0, 1000), dt=st.floats(1e-3, 1e3, allow_subnormal=False))
def test_energy_is_lost_by_what_the_dissipation_takes_in_steps_of_any_size(seed: int, dt: float) -> None:
    mesh = triangles("holes", nodes=30, moved=True)
    interaction, dissipation = matrices(mesh, seed)
    structure = step_of(mesh, interaction, dissipation, dt)
    raw = normal(mesh.nodes, seed=seed)
    u = structure(raw)
    before, after = (float(part) for part in structure.energy(torch.stack([raw, u], dim=1)))
    middle = (0.5 * (raw + u)).numpy()
    force = np.linalg.solve(mesh.mass().toarray(), (mesh.stiffness() + mesh.mass()) @ middle)
    taken = dt * float(np.square(dissipation.T @ force).sum())
    # The force is known to rounding times the condition of M and K, both of it at most 1e4 here.
    assert after - before == pytest.approx(-taken, rel=1e-8, abs=1e-10 * before)
    assert after <= before * (1.0 + 100 * EPS)


def test_the_step_is_that_of_dense_algebra_and_of_second_order() -> None:
    mesh = triangles("holes", nodes=30, moved=True)
    interaction, dissipation = matrices(mesh)
    raw = normal(mesh.nodes, 2)
    for dt in (0.01, 1.0):
        expected = dense_step(mesh, interaction, dissipation, dt) @ raw.numpy()
        np.testing.assert_allclose(step_of(mesh, interaction, dissipation, dt)(raw), expected, rtol=0, atol=1e-10)
    few, small = triangles(nodes=8), 1e-3
    interaction, dissipation = matrices(few)
    mass, stiffness = few.mass().toarray(), (few.stiffness() + few.mass()).toarray()
    form = small * (interaction - interaction.T - dissipation @ dissipation.T)
    exact = expm(np.linalg.solve(mass, form @ np.linalg.solve(mass, stiffness))) @ normal(few.nodes).numpy()
    errors = []
    for steps in (32, 64):
        structure = step_of(few, small * interaction, np.sqrt(small) * dissipation, 1.0 / steps)
        errors.append(np.linalg.norm(structure.rollout(normal(few.nodes), steps)[:, -1] - exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.1)


def test_matrices_may_be_sparse_or_dense_or_absent() -> None:
    mesh = triangles(nodes=20)
    pattern = sparse.coo_array(mesh.mass())
    places = torch.from_numpy(np.stack(pattern.coords).astype(np.int64))
    entries, raw = 0.1 * normal(pattern.nnz), normal(mesh.nodes)
    scipy_matrix = sparse.csr_array((entries.numpy(), pattern.coords), shape=pattern.shape)
    coo = torch.sparse_coo_tensor(places, entries, pattern.shape, check_invariants=False)
    expected = step_of(mesh, scipy_matrix.toarray(), scipy_matrix.toarray(), 0.1)(raw)
    for matrix in (scipy_matrix, coo, torch.from_numpy(scipy_matrix.toarray())):
        torch.testing.assert_close(step_of(mesh, matrix, matrix, 0.1)(raw), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(step_of(mesh, None, None, 0.1)(raw), raw, rtol=0, atol=1e-12)


def test_other_entries_at_the_same_places_make_another_step() -> None:
    mesh = triangles(nodes=12)
    interaction, dissipation = (torch.from_numpy(part) for part in matrices(mesh))
    raw = normal(mesh.nodes)
    structure = step_of(mesh, interaction, dissipation, 0.1)
    before = structure(raw)
    other = structure.with_entries(2.0 * interaction.reshape(-1), 3.0 * dissipation.reshape(-1))
    torch.testing.assert_close(other(raw), step_of(mesh, 2.0 * interaction, 3.0 * dissipation, 0.1)(raw))
    assert torch.equal(structure(raw), before)
    with pytest.raises(ValueError, match=r"dissipation: got shape \(4,\), expected"):
        structure.with_entries(dissipation=normal(4))


def test_gradients_reach_entries_through_several_steps_and_twice() -> None:
    mesh = triangles(nodes=6)
    raw, interaction, dissipation = normal(mesh.nodes), *(torch.from_numpy(part) for part in matrices(mesh))
    arguments = [part.requires_grad_() for part in (raw, interaction, 0.1 * dissipation)]

    def end(raw, interaction, dissipation):
        return step_of(mesh, interaction, dissipation, 0.1).rollout(raw, 3)[:, -1]

    assert torch.autograd.gradcheck(end, arguments)
    structure = step_of(mesh, interaction, None, 0.1)
    for _ in range(2):
        structure(raw).sum().backward()


def test_the_residual_is_growth_or_change() -> None:
    mesh = triangles(nodes=8)
    lossy, lossless = (step_of(mesh, None, part, 0.1) for part in (np.ones((mesh.nodes, 1)), None))
    states = torch.ones(mesh.nodes, 1).double() * torch.tensor([2.0, 1.0, 1.5]).double()
    # Energies in the proportion 4 to 1 to 2.25.
    assert lossy.residual(states) == pytest.approx(1.25 / 4.0)
    assert lossless.residual(states) == pytest.approx(3.0 / 4.0)
    assert lossy.residual(states[:, 0]) == 0.0


def test_other_matrices_are_refused() -> None:
    mesh = triangles(nodes=8)
    mass, count = mesh.mass(), mesh.nodes
    with pytest.raises(ValueError, match="stiffness: got a matrix that is not symmetric"):
        Dissipative(mass, sparse.triu(mass), None, None, 0.1)
    with pytest.raises(
        ValueError, match=rf"interaction: got shape \({count}, 2\), expected \({count}, {count}\); it is"
    ):
        Dissipative(mass, mass, normal(count, 2), None, 0.1)
    with pytest.raises(ValueError, match=rf"dissipation: got float64 of shape \(2, 2\) on cpu, .* \({count}, any\)"):
        Dissipative(mass, mass, None, normal(2, 2), 0.1)
