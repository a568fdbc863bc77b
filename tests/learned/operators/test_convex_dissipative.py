"""Discrete gradient: energy over many steps, and the midpoint rule where the energy is quadratic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import normal, triangles
from scipy import sparse

from learned.operators.structure import ConvexDissipative, Dissipative

EPS = float(np.finfo(float).eps)
# A well-conditioned system of three degrees of freedom, as matrices of a small mesh are.
MASS = sparse.csr_array(np.array([[2.0, 0.5, 0.0], [0.5, 2.0, 0.5], [0.0, 0.5, 2.0]]))


def energy(u: torch.Tensor) -> torch.Tensor:
    """Convex, and steep far out."""
    return (0.5 * u**2 + 0.25 * u**4).sum(0) + torch.cosh(u[0] - u[1])


def slope(u: torch.Tensor) -> torch.Tensor:
    turn = torch.sinh(u[0] - u[1])
    return u + u**3 + torch.stack([turn, -turn, torch.zeros_like(turn)])


@pytest.mark.parametrize("gradient", [None, slope])
def test_energy_does_not_grow(gradient) -> None:
    step = ConvexDissipative(MASS, energy, normal(3, 3), 0.3 * normal(3, 1, seed=1), 0.1, gradient=gradient)
    with torch.no_grad():
        states = step.rollout(normal(3, seed=2), 400)
    energies = energy(states)
    assert float(energies.diff().max()) <= 10 * EPS * float(energies[0])
    assert step.residual(states) <= 10 * EPS
    # The energy of the state at rest is 1.
    assert 0.0 <= float(energies[-1]) - 1.0 < 0.5 * (float(energies[0]) - 1.0)


def test_energy_is_kept_without_dissipation_where_the_midpoint_rule_does_not() -> None:
    interaction, start, count = normal(3, 3), normal(3, seed=2), 800
    step = ConvexDissipative(MASS, energy, interaction, None, 0.1, gradient=slope)
    with torch.no_grad():
        states = step.rollout(start, count)
        assert step.residual(states) <= 10 * EPS * count
        assert float((states[:, -1] - states[:, 0]).norm()) > 0.1
    # One step of the midpoint rule by fixed-point iteration.
    flow = np.linalg.inv(MASS.toarray()) @ (interaction - interaction.T).numpy() @ np.linalg.inv(MASS.toarray())
    end = start.clone()
    for _ in range(200):
        middle = 0.5 * (start + end)[:, None]
        end = start + 0.1 * (torch.from_numpy(flow) @ slope(middle))[:, 0]
    assert abs(float(energy(end[:, None]) - energy(start[:, None]))) > 1e-9


@pytest.mark.parametrize("seed", [0, 1])
def test_energy_is_lost_by_what_the_dissipation_takes(seed: int) -> None:
    interaction, dissipation, start = normal(3, 3, seed=seed), normal(3, 2, seed=seed + 1), normal(3, 4, seed=seed + 2)
    u = ConvexDissipative(MASS, energy, interaction, dissipation, 0.2)(start)
    mass, step = torch.from_numpy(MASS.toarray()), u - start
    g = slope(0.5 * (start + u))
    change = energy(u) - energy(start)
    g = g + (change - (g * step).sum(0)) / (step * (mass @ step)).sum(0) * (mass @ step)
    w = torch.linalg.solve(mass, g)
    # The equation of the step, and what follows from it.
    right = 0.2 * ((interaction - interaction.T) @ w - dissipation @ (dissipation.T @ w))
    torch.testing.assert_close(mass @ step, right, rtol=0, atol=1e-11)
    torch.testing.assert_close(change, -0.2 * (dissipation.T @ w).square().sum(0), rtol=0, atol=1e-11)


def test_quadratic_energies_give_the_midpoint_rule() -> None:
    mesh = triangles(nodes=8, moved=True)
    stiffness = mesh.stiffness() + mesh.mass()
    matrix = torch.from_numpy(stiffness.toarray())
    interaction, dissipation = normal(mesh.nodes, mesh.nodes) / mesh.nodes, 0.1 * normal(mesh.nodes, 2)
    convex = ConvexDissipative(mesh.mass(), lambda u: 0.5 * (u * (matrix @ u)).sum(0), interaction, dissipation, 0.05)
    linear = Dissipative(mesh.mass(), stiffness, interaction, dissipation, 0.05)
    raw = normal(mesh.nodes, 2)
    torch.testing.assert_close(convex(raw), linear(raw), rtol=0, atol=1e-11)


def test_states_at_rest_stay_and_those_near_it_come_to_it() -> None:
    step = ConvexDissipative(MASS, energy, None, torch.eye(3).double(), 0.5, gradient=slope)
    assert torch.equal(step(torch.zeros(3)), torch.zeros(3, dtype=torch.float64))
    with torch.no_grad():
        states = step.rollout(1e-6 * normal(3), 100)
    assert step.residual(states) <= 4 * EPS
    assert float(states[:, -1].norm()) < 1e-2 * float(states[:, 0].norm())


def test_steps_are_solved_however_near_the_state_of_rest() -> None:
    # There the second term of the gradient is a quotient of rounding, and steps of Newton's method end at its size.
    step = ConvexDissipative(MASS, energy, normal(3, 3), 0.3 * normal(3, 1, seed=1), 0.1, gradient=slope)
    for power in range(9):
        start = 10.0**-power * normal(3, 50, seed=power)
        with torch.no_grad():
            growth = energy(step(start)) - energy(start)
        assert bool((growth <= 10 * EPS * energy(start)).all())


def test_gradients_reach_matrices_and_what_the_energy_is_made_of() -> None:
    arguments = [normal(3, 2), normal(3, 3, seed=1), 0.5 * normal(3, 1, seed=2), torch.tensor([0.7]).double()]

    def end(raw, interaction, dissipation, weight):
        def learned(u):
            return (0.5 * u**2 + 0.25 * weight.square() * u**4).sum(0)

        return ConvexDissipative(MASS, learned, interaction, dissipation, 0.1)(raw)

    assert torch.autograd.gradcheck(end, [part.requires_grad_() for part in arguments])
    step = ConvexDissipative(MASS, energy, arguments[1], None, 0.1)
    for _ in range(2):
        step(arguments[0]).sum().backward()


def test_steps_that_cannot_be_solved_and_other_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dt: got 1e\+06, with which Newton's method did not converge \(last step"):
        ConvexDissipative(MASS, energy, 1e3 * normal(3, 3), None, 1e6)(10.0 * normal(3))
    with pytest.raises(ValueError, match=r"interaction: got shape \(3, 2\), expected \(3, 3\)"):
        ConvexDissipative(MASS, energy, normal(3, 2), None, 0.1)
    with pytest.raises(ValueError, match="mass: got a matrix that is not symmetric"):
        ConvexDissipative(sparse.triu(MASS), energy, None, None, 0.1)
