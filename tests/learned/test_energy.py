"""The energy: its parts against ``meshing`` and by hand, its gradient against automatic differentiation."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from learned_meshes import bump, bump_slopes, shaken, some_mesh

from learned.energy import MeshEnergy
from learned.geometry import volumes, widths
from learned.topology import Topology


def energy_of(dimension: int, *, relative: bool = True, **options):
    graph = some_mesh(dimension, nodes=80)
    topology = Topology(graph.cells, len(graph.pos), dtype=torch.float64)
    reference = graph.pos.T.contiguous()
    weights = volumes(topology.corners(reference)) if relative else torch.ones(topology.count, dtype=torch.float64)
    moved = shaken(reference, float(widths(topology.corners(reference)).min()))
    return MeshEnergy(topology, reference, weights, **options), reference, moved


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("dimension", [2, 3])
def test_gradient_is_that_of_automatic_differentiation(dimension: int, relative: bool) -> None:
    energy, _, moved = energy_of(dimension, relative=relative, theta=0.3, huang=1.0)
    moved.requires_grad_()
    state = energy(moved, bump(moved))
    (expected,) = torch.autograd.grad(state.value, moved)
    found, diagonal = energy.derivatives(state, bump_slopes(moved.detach()))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert (diagonal > 0).all()


@pytest.mark.parametrize("dimension", [2, 3])
def test_huangs_functional_is_that_of_meshing(dimension: int) -> None:
    huang = pytest.importorskip("meshing.huang")
    maps = pytest.importorskip("meshing.cell_maps")
    energy, reference, moved = energy_of(dimension)
    state = energy(moved, bump(moved))
    cells = energy.topology.cells.numpy()
    computational = maps.CellMaps(reference.T.numpy(), cells)
    physical = volumes(energy.topology.corners(moved)).numpy()
    density = bump(moved).numpy()[cells].mean(axis=1)
    # Scaled so that its integral is the computational volume: then the ideal mesh has the value 1.
    density = density * computational.volumes.sum() / (density * physical).sum()
    jacobians = np.linalg.inv(computational.jacobians(moved.T.numpy())) * density[:, None, None] ** (-1.0 / dimension)
    energies = huang.HuangFunctional(theta=energy.theta).energies(jacobians, density, physical)
    expected = energies.sum() / computational.volumes.sum()
    assert float(state.huang) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_ideal_mesh_has_no_energy_and_any_other_has_some(dimension: int) -> None:
    energy, reference, moved = energy_of(dimension)
    constant = torch.full_like(reference[0], 7.0)
    state = energy(3.0 * reference + 1.0, constant)
    assert float(state.value) == pytest.approx(0.0, abs=1e-12)
    gradient, _ = energy.derivatives(state, torch.zeros_like(reference))
    assert float(gradient.abs().max()) < 1e-10
    worse = energy(moved, constant)
    assert float(worse.value) > 1e-4
    assert float(worse.huang) > 1.0
    assert float(worse.shapes.min()) >= 1.0 - 1e-12


def test_by_hand_two_triangles_in_the_ratio_three_to_one() -> None:
    # A triangle of area 3/2 beside one of 1/2; both asked to hold the same: z = 3/2 and 1/2.
    cells = torch.tensor([[0, 1, 2], [1, 0, 3]])
    points = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 3.0, -1.0]], dtype=torch.float64)
    energy = MeshEnergy(Topology(cells, 4, dtype=torch.float64), points, torch.ones(2, dtype=torch.float64), huang=0.0)
    state = energy(points, torch.ones(4, dtype=torch.float64))
    assert state.ratios.tolist() == pytest.approx([1.5, 0.5])
    assert float(state.value) == pytest.approx(0.25 * (log(1.5) - log(0.5)))
    assert state.shapes.tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("dimension", [2, 3])
def test_an_inverted_cell_has_infinite_energy_in_its_own_mesh_only(dimension: int) -> None:
    graph = some_mesh(dimension, nodes=60)
    n = len(graph.pos)
    cells = torch.cat([graph.cells, graph.cells + n])
    topology = Topology(cells, 2 * n, dtype=torch.float64, sizes=torch.tensor([n, n]))
    reference = graph.pos.T.repeat(1, 2).contiguous()
    energy = MeshEnergy(topology, reference, torch.ones(len(cells), dtype=torch.float64))
    moved = reference.clone()
    moved[:, n + int(torch.nonzero(~graph.on_boundary)[0])] += 10.0
    values = energy(moved, torch.ones(2 * n, dtype=torch.float64)).value
    assert torch.isfinite(values).tolist() == [True, False]
