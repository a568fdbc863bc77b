"""Structures of states of water: energy that does not grow, budgets of cells, single components."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import normal, triangles
from trajectories import energy, water

from learned.operators.draining import Draining, FluxDecoder, facets_of
from learned.operators.rollout_data import prepare_rollout
from learned.operators.rollout_structures import ByComponent, FallingEnergy
from learned.operators.structure import Bounds, Dirichlet, Mass


def states_of_water(seed: int, m: int = 3) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """Return areas, states before, and raw states of the same volume: shapes (n,), (n 3, m), (n 3, m)."""
    rng = np.random.default_rng(seed)
    areas = rng.uniform(0.5, 1.5, 20)
    depths = rng.uniform(0.1, 1.0, (2, 20, m))
    depths *= 8.0 / np.einsum("n,knm->km", areas, depths)[:, None]
    moving = rng.normal(size=(2, 20, 2, m)) * np.array([0.02, 0.3])[:, None, None, None]
    both = np.concatenate([depths[:, :, None], moving], axis=2).reshape(2, 60, m)
    return areas, torch.from_numpy(both[0]), torch.from_numpy(both[1])


def test_states_with_too_much_energy_get_the_largest_shares_that_they_may_have() -> None:
    seen = set()
    for seed in range(12):
        areas, before, raw = states_of_water(seed, m=1)
        # Depths before that are more and more even, so that the way to the raw ones leads up.
        first, last = (part.reshape(20, 3).numpy().copy() for part in (before, raw))
        first[:, 0] += (seed / 12.0) * (8.0 / areas.sum() - first[:, 0])
        u = FallingEnergy(areas, first.reshape(60, 1))(raw).reshape(20, 3).numpy()
        share = (u[:, 0] - first[:, 0]) / (last[:, 0] - first[:, 0])
        scale = u[:, 1:] / last[:, 1:]
        assert np.ptp(share) <= 1e-9 and np.ptp(scale) <= 1e-9
        theta, s, most = share.mean(), scale.mean(), energy(areas, first)
        assert 0.0 <= theta <= 1.0 + 1e-12 and 0.0 <= s <= 1.0 + 1e-12
        assert energy(areas, last) > most >= energy(areas, u)
        potentials = [energy(areas, mixed(first, last, part, 0.0)) for part in (0.0, theta, theta + 1e-6, 1.0)]
        allowed = max(potentials[0], most * potentials[3] / energy(areas, last))
        assert potentials[1] <= allowed * (1.0 + 1e-13)
        # A little more of either would be too much.
        if theta < 1.0 - 1e-9:
            assert potentials[2] > allowed
            seen.add("depths")
        assert energy(areas, mixed(first, last, theta, s + 1e-6)) > most
        seen.add("discharges" if s < 1.0 - 1e-9 else "none")
    assert seen == {"depths", "discharges"}


def mixed(first: np.ndarray, last: np.ndarray, theta: float, s: float) -> np.ndarray:
    return np.column_stack([first[:, 0] + theta * (last[:, 0] - first[:, 0]), s * last[:, 1:]])


def test_states_with_less_energy_stay_as_they_are() -> None:
    areas, before, raw = states_of_water(0)
    assert torch.equal(FallingEnergy(areas, raw)(before), before)
    structure = FallingEnergy(areas, before)
    assert structure.residual(before) == 0.0 and structure.residual(raw) > 1e-3
    assert structure.residual(structure(raw)) <= 1e-13
    assert float(structure.energy(raw)[0]) == pytest.approx(energy(areas, raw[:, 0].numpy()), rel=1e-13)


def test_energy_does_not_grow_and_volume_stays_over_many_steps() -> None:
    areas, state, _ = states_of_water(0, m=1)
    first, weights = energy(areas, state.reshape(20, 3).numpy()), torch.from_numpy(areas)
    rng = np.random.default_rng(0)
    for step in range(2000):
        depths = rng.uniform(0.0, 1.0, 20)
        depths *= 8.0 / (areas @ depths)
        raw = torch.from_numpy(np.column_stack([depths, rng.normal(size=(20, 2))]).reshape(60, 1))
        state = FallingEnergy(weights, state)(raw)
        if step % 100 == 99:
            last = energy(areas, state.reshape(20, 3).numpy())
            assert 0.0 < last <= first
            first = last
    # Each step may round it.
    assert abs(areas @ state[::3, 0].numpy() - 8.0) <= 2000 * 2.3e-16 * 8.0
    assert float(state[::3].min()) >= 0.0


def test_nearly_dry_columns_do_not_move() -> None:
    areas, before, raw = states_of_water(1, m=1)
    depths = raw.reshape(20, 3)
    depths[0, 0], depths[1, 0] = 0.0, 1e-6
    u = FallingEnergy(areas, before)(depths.reshape(60, 1)).reshape(20, 3)
    assert u.isfinite().all() and (u[:, 0] >= 0.0).all() and float(u[2:, 1:].abs().min()) > 0.0
    # Unless the depth before counts too, the columns are as shallow as the raw ones.
    shallow = u[:, 0] <= 1e-3 * float(torch.from_numpy(areas) @ u[:, 0]) / areas.sum()
    assert torch.equal(u[shallow, 1:], torch.zeros_like(u[shallow, 1:]))


@pytest.mark.parametrize("seed", range(3))
def test_gradients_of_falling_energy_are_those_of_finite_differences(seed: int) -> None:
    areas, before, raw = states_of_water(seed, m=1)
    few = slice(0, 15)
    structure = FallingEnergy(areas[:5], before[few])
    assert structure.residual(raw[few]) > 1e-3
    assert torch.autograd.gradcheck(structure, raw[few].clone().requires_grad_(), atol=1e-6)


def test_a_cell_gives_no_more_than_it_has_and_its_budget_is_kept() -> None:
    mesh = triangles("holes", nodes=60, moved=True)
    b, content = mesh.divergence(), np.random.default_rng(0).uniform(0.0, 1.0, (len(mesh.cells), 2))
    content[:3] = 0.0
    for size in (0.01, 0.3, 1e6):
        structure, raw = Draining(b, content), size * normal(len(mesh.facets), 2)
        u = structure(raw)
        after, amounts = (part.numpy() for part in structure.split(u))
        assert after.min() >= 0.0 and structure.residual(u) <= 1e-13
        scale = content + after + abs(b) @ abs(amounts)
        assert (abs(after - content + b @ amounts) <= 1e-13 * scale).all()
        # Of the same sign and no larger; as they were wherever they come from a cell that has enough.
        share = amounts / raw.numpy()
        assert share.min() >= 0.0 and share.max() <= 1.0
        dense = b.toarray()[:, :, None]
        enough = np.maximum(dense * raw.numpy(), 0.0).sum(axis=1) < content
        from_poor = ((dense * raw.numpy() > 0.0) & ~enough[:, None]).any(axis=0)
        assert (share[~from_poor] == 1.0).all()
        # A cell that has too little gives all of it, but for what it gets.
        leaving = np.maximum(dense * amounts, 0.0).sum(axis=1)
        np.testing.assert_allclose(leaving[~enough], content[~enough], rtol=1e-11)
    assert from_poor.any() and structure.residual(u - 2.0) > 1e-3
    other = structure.after(torch.ones_like(u[: len(content)]))
    assert torch.equal(other(0.0 * raw)[: len(content)], torch.ones(len(content), 2, dtype=torch.float64))


def test_gradients_of_draining_are_those_of_finite_differences() -> None:
    mesh = triangles(nodes=12)
    content = np.random.default_rng(0).uniform(0.2, 1.0, len(mesh.cells))
    structure, raw = Draining(mesh.divergence(), content), 0.4 * normal(len(mesh.facets))
    assert not torch.equal(structure(raw)[len(content) :], raw)
    assert torch.autograd.gradcheck(structure, raw.requires_grad_(), atol=1e-6)


def test_facets_are_the_pairs_of_neighbours_each_once_and_fluxes_belong_to_both_sides() -> None:
    t = water()
    rollout = prepare_rollout(t, dtype=torch.float64)
    graph, n = rollout.graph, len(t.points)
    pairs, b = facets_of(graph)
    low, high = graph.source[pairs[0]], graph.target[pairs[0]]
    assert torch.equal(graph.source[pairs[1]], high) and torch.equal(graph.target[pairs[1]], low)
    assert {*zip(low.tolist(), high.tolist(), strict=True)} == {(i, j) for i, j in t.edges.T.tolist() if i < j}
    columns = np.arange(pairs.shape[1])
    expected = np.zeros((n, len(columns)))
    expected[low, columns], expected[high, columns] = 1.0, -1.0
    assert np.array_equal(b.toarray(), expected)
    torch.manual_seed(0)
    decoder = FluxDecoder(4, width=8, directions=2).double()
    z = normal(n, 3, 4)
    with torch.no_grad():
        amounts = decoder(graph, pairs, z)
        assert amounts.shape == (len(columns), 3)
        # Seen from the other side it is the same amount with the other sign.
        assert torch.equal(decoder(graph, pairs.flip(0), z), -amounts)


def test_components_have_their_own_structures() -> None:
    mesh = triangles(nodes=20)
    size = mesh.nodes
    parts = {0: Mass(mesh.mass(), 0.7), 2: Bounds(0.0, 1.0, size=size)}
    structure, raw = ByComponent(parts, 3), 5.0 * normal(3 * size, 2)
    u = structure(raw)
    assert structure.residual(u) <= 1e-13 < 1e-3 < structure.residual(raw)
    torch.testing.assert_close(torch.from_numpy(mesh.integrals()) @ u[::3], torch.full((2,), 0.7).double())
    assert torch.equal(u[1::3], raw[1::3]) and 0.0 <= float(u[2::3].min()) < float(u[2::3].max()) <= 1.0
    with pytest.raises(ValueError, match=r"^structures: got components \[3\] of 3 with sizes "):
        ByComponent({3: Bounds(0.0, 1.0, size=size)}, 3)
    with pytest.raises(ValueError, match=r"^structures: got components \[0, 1\] of 3 with sizes "):
        ByComponent({0: Dirichlet(np.array([0]), 0.0, size=4), 1: Dirichlet(np.array([0]), 0.0, size=5)}, 3)


def test_falling_energy_refuses_what_does_not_fit() -> None:
    with pytest.raises(
        ValueError, match=r"^weights: got shape \(2,\) for 5 degrees of freedom, expected positive ones"
    ):
        FallingEnergy(np.ones(2), np.ones(5))
    with pytest.raises(ValueError, match=r"^before: got a depth of -1, expected none below 0; check the state"):
        FallingEnergy(np.ones(2), np.array([-1.0, 0.0, 0.0, 1.0, 0.0, 0.0]))
