"""Local conservation: budgets cell by cell, from the geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from assembly import Triangles, normal, triangles
from hypothesis import given
from hypothesis import strategies as st

from learned.operators.structure import CellMeans, LocalConservation


def outflows(mesh: Triangles, fluxes: np.ndarray) -> list[list[float]]:
    """Return the fluxes out of each cell, told by which side of each facet its centre is on."""
    ends, result = mesh.points[mesh.facets], []
    number = {tuple(facet): k for k, facet in enumerate(mesh.facets.tolist())}
    for cell in mesh.cells.tolist():
        terms, centre = [], mesh.points[cell].mean(axis=0)
        for i, j in ((0, 1), (1, 2), (0, 2)):
            k = number[min(cell[i], cell[j]), max(cell[i], cell[j])]
            along, inward = ends[k, 1] - ends[k, 0], centre - ends[k, 0]
            # Fluxes go to the right of a facet's direction: outward if the centre is on the left.
            terms.append(math.copysign(fluxes[k], fluxes[k] * (along[0] * inward[1] - along[1] * inward[0])))
        result.append(terms)
    return result


@pytest.mark.parametrize(("kind", "moved"), [("square", False), ("holes", True)])
def test_each_cell_loses_what_crosses_its_facets(kind: str, moved: bool) -> None:
    mesh = triangles(kind, moved=moved)
    before, dt = np.random.default_rng(2).uniform(0.0, 2.0, len(mesh.cells)) * mesh.areas, 0.03
    structure = LocalConservation(mesh.divergence(), before, dt)
    after, fluxes = (part.numpy() for part in structure.split(structure(normal(len(mesh.facets)))))
    np.testing.assert_array_equal(fluxes, normal(len(mesh.facets)))
    for old, new, terms in zip(before, after, outflows(mesh, fluxes), strict=True):
        budget = math.fsum([new, -old, *(dt * term for term in terms)])
        assert abs(budget) <= 1e-13 * (abs(old) + abs(new) + dt * sum(map(abs, terms)))


@given(seed=st.integers(0, 1000), scale=st.floats(-6, 6, allow_subnormal=False))
def test_the_total_changes_by_the_flux_through_the_boundary_only(seed: int, scale: float) -> None:
    mesh = triangles("holes", moved=True)
    raw, dt = 10.0**scale * normal(len(mesh.facets), seed=seed), 0.1
    # Terms of the total that rounding is relative to.
    size = mesh.areas.sum() + 2.0 * dt * float(raw.abs().sum())
    free = LocalConservation(mesh.divergence(), mesh.areas, dt)
    after = free.split(free(raw))[0].numpy()
    outward = (mesh.divergence()[:, mesh.outer_facets()]).sum(axis=0) * raw.numpy()[mesh.outer_facets()]
    assert abs(math.fsum([*after, *-mesh.areas, *dt * outward])) <= 1e-14 * size
    closed = LocalConservation(mesh.divergence(), mesh.areas, dt, mesh.outer_facets())
    after, fluxes = closed.split(closed(raw))
    assert abs(math.fsum([*after.numpy(), *-mesh.areas])) <= 1e-14 * size
    assert not fluxes[mesh.outer_facets()].any()


def test_given_fluxes_are_exact_and_contents_of_mixed_fields_are_not_used() -> None:
    mesh = triangles()
    outer = mesh.outer_facets()
    inflow = normal(len(outer), seed=1)
    structure = LocalConservation(mesh.divergence(), mesh.areas, 0.1, outer, inflow)
    raw, contents = normal(len(mesh.facets)), normal(len(mesh.cells), seed=2)
    u = structure(raw)
    assert torch.equal(structure.split(u)[1][outer], inflow)
    assert torch.equal(structure(torch.cat([contents, raw])), u)
    wrong = u.clone()
    wrong[len(mesh.cells) + outer[0]] += 1.0
    assert structure.residual(wrong) > 1e-3


def test_a_single_wrong_cell_is_seen() -> None:
    mesh = triangles()
    structure = LocalConservation(mesh.divergence(), mesh.areas, 0.1)
    u = structure(1e-3 * normal(len(mesh.facets)))
    u[5] *= 1.0 + 1e-6
    assert structure.residual(u) == pytest.approx(0.5e-6, rel=1e-2)


def test_fields_are_conservative_and_bounded_at_once_with_cell_means() -> None:
    mesh = triangles("holes", moved=True)
    means = torch.from_numpy(np.random.default_rng(3).uniform(0.2, 0.8, len(mesh.cells)))
    areas = torch.from_numpy(mesh.areas)
    fluxes = (1e-3 * normal(len(mesh.facets))).requires_grad_()
    step = LocalConservation(mesh.divergence(), means * areas, 0.05, mesh.outer_facets())
    after = step.split(step(fluxes))[0]
    cells = np.arange(mesh.cells.size).reshape(-1, 3)
    field = CellMeans(cells, after / areas, 0.0, 1.0)(normal(mesh.cells.size, seed=5))
    total = float((field.detach().reshape(-1, 3).mean(1) * areas).sum())
    assert total == pytest.approx(float((means * areas).sum()), rel=1e-13)
    assert bool(((field >= 0.0) & (field <= 1.0)).all())
    # Gradients go through both.
    assert torch.autograd.grad(field.square().sum(), fluxes)[0].abs().max() > 0


def test_gradients_reach_contents_and_fluxes() -> None:
    mesh = triangles(nodes=12)
    outer = mesh.outer_facets()
    raw, before, given_fluxes = normal(len(mesh.facets), 2), normal(len(mesh.cells), 2), normal(len(outer), 2)

    def step(raw, before, fluxes):
        return LocalConservation(mesh.divergence(), before, 0.1, outer, fluxes)(raw)

    assert torch.autograd.gradcheck(step, [part.requires_grad_() for part in (raw, before, given_fluxes)])


def test_other_fields_are_refused() -> None:
    mesh = triangles(nodes=12)
    structure = LocalConservation(mesh.divergence(), mesh.areas, 0.1)
    cells, facets = len(mesh.cells), len(mesh.facets)
    with pytest.raises(ValueError, match=f"got {facets + 1} .* expected {facets} fluxes, or {cells} contents before"):
        structure(normal(facets + 1))
    with pytest.raises(ValueError, match=r"content: got float64 of shape \(3,\)"):
        LocalConservation(mesh.divergence(), np.ones(3), 0.1)
    with pytest.raises(ValueError, match=f"fixed: got numbers from {facets} to {facets}, expected 0 to {facets - 1}"):
        LocalConservation(mesh.divergence(), mesh.areas, 0.1, np.array([facets]))
