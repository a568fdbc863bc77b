"""What all structures have in common: tolerance for untrained networks, gradients, refusals, composition."""

from __future__ import annotations

import pytest
import torch
from assembly import normal, triangles
from structures import MAKERS

from learned.operators.structure import Bounds, Composed, Dirichlet, Mass, SelfAdjoint, Unconstrained
from learned.operators.structure.dissipation import Dissipation

MESHES = [("square", False), ("square", True), ("holes", False), ("holes", True), ("l-shape", True)]


def made(name: str, kind: str = "square", *, moved: bool = False, nodes: int = 60, seed: int = 0):
    mesh = triangles(kind, nodes=nodes, moved=moved, seed=seed)
    return MAKERS[name][0](mesh), mesh.nodes


def imposed(structure, raw: torch.Tensor) -> torch.Tensor:
    """Return what ``residual`` takes: of self-adjoint operators the answers to loads, of time steps two states."""
    if isinstance(structure, SelfAdjoint):
        return structure(structure.loads)
    if isinstance(structure, Dissipation):
        return torch.stack([raw[:, 0], structure(raw[:, 0])], dim=1)
    return structure(raw)


@pytest.mark.parametrize(("kind", "moved"), MESHES)
@pytest.mark.parametrize("name", MAKERS)
def test_untrained_values_have_the_structure_and_their_twin_has_not(name: str, kind: str, moved: bool) -> None:
    structure, nodes = made(name, kind, moved=moved)
    tolerance = MAKERS[name][1]
    for seed in range(3):
        raw = normal(structure.raw_size or (structure.size or nodes), 4, seed=seed)
        assert structure.residual(imposed(structure, raw)) <= tolerance
        twin = Unconstrained(structure)
        # Of time steps more states than would lose energy by chance.
        columns = 12 if isinstance(structure, Dissipation) else 4
        assert twin.residual(twin(normal(structure.size or nodes, columns, seed=seed))) > 1e-3


@pytest.mark.parametrize("name", MAKERS)
def test_right_hand_sides_are_independent_and_any_floating_type_is_taken(name: str) -> None:
    structure, nodes = made(name)
    raw = normal(structure.raw_size or (structure.size or nodes), 3).float()
    together = structure(raw)
    assert together.dtype == torch.float64
    assert together.shape == (structure.size or nodes, 3)
    for column, single in zip(raw.T, together.T, strict=True):
        alone = structure(column)
        assert alone.shape == single.shape
        torch.testing.assert_close(alone, single, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_gradients_by_raw_values_are_those_of_finite_differences(name: str) -> None:
    structure, nodes = made(name, nodes=30)
    raw = normal(structure.raw_size or (structure.size or nodes), 2, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(structure, (raw,), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_other_raw_values_are_refused(name: str) -> None:
    structure, nodes = made(name, nodes=30)
    size = structure.raw_size or (structure.size or nodes)
    with pytest.raises(ValueError, match=r"raw: got int64 of shape \(.*\) on cpu, expected floating point of shape"):
        structure(torch.zeros(size, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"raw: got float64 of shape .*, m\) on cpu; flatten the components"):
        structure(normal(size, 1, 1))
    with pytest.raises(ValueError, match="on meta, expected floating point"):
        structure(torch.zeros(size, device="meta"))
    if structure.raw_size is not None:
        with pytest.raises(ValueError, match=rf"raw: got float64 of shape \({size + 1},\).*\({size},\)"):
            structure(normal(size + 1))
    if structure.size is not None:
        with pytest.raises(ValueError, match=rf"u: got .*, expected floating point of shape \({structure.size},\)"):
            structure.residual(normal(structure.size + 1))


def test_nan_is_not_taken_for_structure() -> None:
    for name in set(MAKERS) - {"convex", "dissipative"}:
        structure, nodes = made(name, nodes=30)
        u = torch.full((structure.size or nodes, 4), torch.nan, dtype=torch.float64)
        assert not structure.residual(u) <= 1.0


def test_composed_structures_hold_together_where_they_know_of_each_other() -> None:
    mesh = triangles("holes", moved=True)
    values = Dirichlet(mesh.fixed, 0.25, size=mesh.nodes)
    both = Composed([values, Mass(mesh.mass(), 0.1, mesh.fixed)])
    assert both.name == "dirichlet + mass"
    u = both(normal(mesh.nodes, 3))
    assert both.residuals(u) == {"dirichlet": 0.0, "mass": pytest.approx(0.0, abs=1e-13)}
    assert both.residual(u) <= 1e-13
    # One that does not know of the boundary values undoes them, and this is seen.
    undone = Composed([values, Mass(mesh.mass(), 0.1)])
    assert undone.residual(undone(normal(mesh.nodes, 3))) > 1e-3


def test_composition_is_associative_and_twins_are_measured_alike() -> None:
    mesh = triangles()
    parts = [Bounds(-1.0, 1.0), Dirichlet(mesh.fixed, 0.5), Mass(mesh.mass(), 0.1, mesh.fixed)]
    raw = normal(mesh.nodes, 2)
    flat, nested = Composed(parts), Composed([Composed(parts[:2]), parts[2]])
    assert torch.equal(flat(raw), nested(raw))
    assert torch.equal(flat(raw), parts[2](parts[1](parts[0](raw))))
    twin = Unconstrained(flat)
    assert twin.name == "bounds + dirichlet + mass: unconstrained"
    assert torch.equal(twin(raw.float()), raw.float().double())
    assert twin.residual(raw) == flat.residual(raw) == max(flat.residuals(raw).values())


def test_structures_that_do_not_fit_together_are_refused() -> None:
    mesh, other = triangles(), triangles(nodes=30)
    with pytest.raises(ValueError, match="structures: got none, expected one at least"):
        Composed([])
    with pytest.raises(ValueError, match=f"got mass of {other.nodes} degrees of freedom behind mass of {mesh.nodes},"):
        Composed([Mass(mesh.mass()), Mass(other.mass())])
    with pytest.raises(ValueError, match="got divergence-free behind dirichlet, expected it first"):
        Composed([Dirichlet(mesh.fixed, size=mesh.nodes), MAKERS["divergence-free"][0](mesh)])


def test_data_for_other_numbers_of_right_hand_sides_are_refused() -> None:
    mesh = triangles()
    structure = Mass(mesh.mass(), normal(1, 3))
    with pytest.raises(ValueError, match="raw: got 2 columns, expected 3: the data of mass have as many"):
        structure(normal(mesh.nodes, 2))
    with pytest.raises(ValueError, match="data: got 2 and 3 columns, expected one number of right-hand sides"):
        Mass(mesh.mass(), normal(1, 3), mesh.fixed, normal(len(mesh.fixed), 2))
