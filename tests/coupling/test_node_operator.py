"""Gradients for positions of nodes: second-order Taylor remainders in 2D and 3D, and refusal of what would be wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from firedrake import (
    CellVolume,
    Constant,
    DirichletBC,
    FacetNormal,
    Function,
    FunctionSpace,
    TestFunction,
    TrialFunction,
    UnitCubeMesh,
    UnitDiskMesh,
    UnitSquareMesh,
    as_vector,
    assemble,
    div,
    dS,
    ds,
    dx,
    exp,
    grad,
    inner,
    jump,
    sin,
    solve,
)
from firedrake import SpatialCoordinate as Place
from firedrake.adjoint import Control, ReducedFunctional, continue_annotation, pause_annotation, set_working_tape
from firedrake.ml.pytorch import fem_operator

from coupling.bridge import to_tensor
from coupling.graph import mesh_graph
from coupling.node_operator import NodeOperator
from coupling.solve_operator import SolveOperator

MESHES = {
    "square": lambda: UnitSquareMesh(5, 4),
    "disk": lambda: UnitDiskMesh(1),
    "cube": lambda: UnitCubeMesh(2, 2, 2),
}


def wave(place):
    return sin(3 * place[0]) * exp(place[1])


def linear(mesh) -> float:
    """Return the error of a Poisson problem with zero Dirichlet values."""
    space, x = FunctionSpace(mesh, "CG", 1), Place(mesh)
    u, trial, test = Function(space), TrialFunction(space), TestFunction(space)
    solve(
        inner(grad(trial), grad(test)) * dx == wave(x) * test * dx(degree=4),
        u,
        bcs=DirichletBC(space, 0, "on_boundary"),
    )
    return assemble((u - wave(x)) ** 2 * dx(degree=5))


def nonlinear(mesh) -> float:
    """Return the size and the outflow of the solution of a nonlinear problem with Robin conditions."""
    space, x = FunctionSpace(mesh, "CG", 1), Place(mesh)
    u, test = Function(space), TestFunction(space)
    inside = (1 + u**2) * inner(grad(u), grad(test)) * dx - 5 * wave(x) * test * dx(degree=4)
    solve(inside + 4 * (u - x[0]) * test * ds == 0, u)
    return assemble(u**2 * dx + inner(grad(u), FacetNormal(mesh)) * ds)


def boundary_values(mesh) -> float:
    """Return the energy of a harmonic function whose boundary values follow the nodes."""
    space = FunctionSpace(mesh, "CG", 1)
    u, values = Function(space), Function(space).interpolate(wave(mesh.coordinates))
    solve(inner(grad(u), grad(TestFunction(space))) * dx == 0, u, bcs=DirichletBC(space, values, "on_boundary"))
    return assemble(inner(grad(u), grad(u)) * dx)


def interpolation(mesh) -> float:
    """Return the error of interpolation, which itself moves with the nodes."""
    space, x = FunctionSpace(mesh, "CG", 1), Place(mesh)
    return assemble((Function(space).interpolate(wave(mesh.coordinates)) - wave(x)) ** 2 * dx(degree=6))


def projection(mesh) -> float:
    """Return the jumps of a discontinuous projection."""
    density = Function(FunctionSpace(mesh, "DG", 0)).project(wave(Place(mesh)))
    return assemble(jump(density) ** 2 * dS)


@pytest.mark.parametrize(
    ("evaluate", "mesh"),
    [
        *((linear, name) for name in MESHES),
        *((evaluate, name) for evaluate in (nonlinear, boundary_values, interpolation) for name in ("square", "cube")),
        (projection, "square"),
    ],
)
def test_remainders_are_of_second_order(evaluate: Callable, mesh: str) -> None:
    r""":math:`|J(x + h d) - J(x) - h \nabla J \cdot d| = O(h^2)` for a random direction d."""
    domain = MESHES[mesh]()
    random = np.random.default_rng(0)
    start = mesh_graph(domain).pos
    # Off the symmetric start, where a gradient may be zero by chance.
    start = (start + 0.02 * torch.from_numpy(random.normal(size=start.shape))).requires_grad_()
    direction = 0.02 * torch.from_numpy(random.normal(size=start.shape))
    operator = NodeOperator(domain, evaluate)
    value = operator(start)
    value.backward()
    slope = (start.grad * direction).sum()
    steps = 0.5 ** np.arange(5, 9)
    with torch.no_grad():
        changes = np.array([(operator(start + h * direction) - value).item() for h in steps])
    remainders = abs(changes - steps * slope.item())
    rates = np.log2(remainders[:-1] / remainders[1:])
    print(f"{evaluate.__name__} {mesh}: rates {rates.round(2)}")
    assert (rates > 1.9).all(), rates
    # Without the gradient only the first order is left: the slope is not zero.
    assert (np.log2(abs(changes[:-1] / changes[1:])) < 1.5).any()


def test_agrees_with_fem_operator() -> None:
    """Firedrake's own way: coordinates assigned to a mesh on the tape, one tape for all calls; here one call."""
    moved = UnitSquareMesh(4, 3)
    places = to_tensor(moved.coordinates) * torch.tensor([1.0, 1.3])
    continue_annotation()
    with set_working_tape():
        coordinates = moved.coordinates.copy(deepcopy=True)
        moved.coordinates.assign(coordinates)
        operator = fem_operator(ReducedFunctional(nonlinear(moved), Control(coordinates)))
    pause_annotation()
    theirs = places.reshape(1, -1).clone().requires_grad_()
    operator(theirs).backward()
    ours = places.clone().requires_grad_()
    NodeOperator(UnitSquareMesh(4, 3), nonlinear)(ours).backward()
    assert ours.grad.abs().max() > 1e-3
    torch.testing.assert_close(ours.grad.ravel(), theirs.grad[0], rtol=1e-8, atol=1e-12)


def test_gradient_for_every_node_against_finite_differences() -> None:
    mesh = UnitSquareMesh(2, 2)
    operator = NodeOperator(mesh, linear)
    assert torch.autograd.gradcheck(operator, (mesh_graph(mesh).pos.requires_grad_(),))


def test_fields_on_the_moved_mesh_are_results_too() -> None:
    mesh = UnitSquareMesh(2, 2)

    def evaluate(moved) -> Function:
        space = FunctionSpace(moved, "CG", 1)
        u, test = Function(space), TestFunction(space)
        solve((inner(grad(u), grad(test)) + u * test - wave(Place(moved)) * test) * dx(degree=4) == 0, u)
        return u

    operator = NodeOperator(mesh, evaluate)
    start = mesh_graph(mesh).pos.requires_grad_()
    assert operator(start).shape == (9,)
    assert torch.autograd.gradcheck(operator, (start,))


def test_two_positions_in_one_loss() -> None:
    mesh = UnitSquareMesh(4, 3)
    before = mesh.coordinates.dat.data_ro.copy()
    operator = NodeOperator(mesh, linear)
    starts = [scale * mesh_graph(mesh).pos for scale in (1.0, 1.7)]
    alone = [torch.autograd.grad(operator(start.requires_grad_()), start)[0] for start in starts]
    together = torch.autograd.grad(operator(starts[0]) + operator(starts[1]), starts)
    assert not torch.allclose(alone[0], alone[1], rtol=0.1)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-15)
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, before)


def test_area_of_a_mesh_has_the_gradient_of_the_polygon() -> None:
    """Known without differences: a vertex of a polygon moves its area by half the normal of its neighbours' chord."""
    mesh = UnitDiskMesh(1)
    graph = mesh_graph(mesh)
    positions = graph.pos.clone().requires_grad_()
    NodeOperator(mesh, lambda moved: assemble(Constant(1.0) * dx(domain=moved)))(positions).backward()
    expected = torch.zeros_like(graph.pos)
    for one, other in graph.facets.tolist():
        edge = graph.pos[other] - graph.pos[one]
        expected[[one, other]] += 0.5 * torch.stack([edge[1], -edge[0]])
    torch.testing.assert_close(positions.grad, expected, rtol=0, atol=1e-14)


def interpolated_coordinate(mesh) -> float:
    return assemble(Function(FunctionSpace(mesh, "CG", 1)).interpolate(wave(Place(mesh))) * dx)


def interpolated_derivative(mesh) -> float:
    u = Function(FunctionSpace(mesh, "CG", 1)).interpolate(wave(mesh.coordinates))
    return assemble(Function(FunctionSpace(mesh, "DG", 0)).interpolate(u.dx(0)) ** 2 * dx)


def interpolated_size(mesh) -> float:
    return assemble(Function(FunctionSpace(mesh, "DG", 0)).interpolate(CellVolume(mesh)) ** 2 * dx)


def mapped_interpolation(mesh) -> float:
    flux = Function(FunctionSpace(mesh, "RT", 1)).interpolate(as_vector([mesh.coordinates[1], mesh.coordinates[0]]))
    return assemble((div(flux) + inner(flux, flux)) * dx)


def boundary_expression(mesh) -> float:
    space = FunctionSpace(mesh, "CG", 1)
    u = Function(space)
    solve(inner(grad(u), grad(TestFunction(space))) * dx == 0, u, bcs=DirichletBC(space, wave(Place(mesh)), 1))
    return assemble(u * dx)


OTHER = UnitSquareMesh(2, 2)


def from_another_mesh(mesh) -> float:
    fixed = Function(FunctionSpace(OTHER, "CG", 1)).interpolate(wave(Place(OTHER)))
    return assemble(Function(FunctionSpace(mesh, "CG", 1)).interpolate(fixed) * dx)


def projected_from_another_mesh(mesh) -> float:
    fixed = Function(FunctionSpace(OTHER, "CG", 1)).interpolate(wave(Place(OTHER)))
    return assemble(Function(FunctionSpace(mesh, "CG", 1)).project(fixed) * dx)


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        (interpolated_coordinate, "interpolate: got .*; write mesh.coordinates in place of SpatialCoordinate"),
        (interpolated_derivative, "interpolate: got .*without derivatives"),
        (interpolated_size, "interpolate: got .* into "),
        (mapped_interpolation, "interpolate: got .* into <RT1 .*mapped elements"),
        (boundary_expression, "DirichletBC: got the expression .*; interpolate it with mesh.coordinates"),
        (from_another_mesh, "interpolate: got .* of the moved mesh"),
        (projected_from_another_mesh, "project: got a projection between meshes"),
    ],
)
def test_what_would_lose_its_gradient_is_refused(evaluate: Callable, message: str) -> None:
    mesh = UnitSquareMesh(3, 3)
    operator = NodeOperator(mesh, evaluate)
    positions = mesh_graph(mesh).pos
    assert torch.isfinite(operator(positions))
    with pytest.raises(ValueError, match=message):
        operator(positions.requires_grad_())


def test_functions_of_the_moved_mesh_may_be_interpolated() -> None:
    mesh = UnitSquareMesh(3, 3)

    def evaluate(moved) -> float:
        u = Function(FunctionSpace(moved, "CG", 2)).interpolate(wave(moved.coordinates))
        return assemble(Function(FunctionSpace(moved, "CG", 1)).interpolate(u**2 + Constant(1.0)) ** 2 * dx)

    assert torch.autograd.gradcheck(NodeOperator(mesh, evaluate), (mesh_graph(mesh).pos.requires_grad_(),))


def test_other_positions_are_refused() -> None:
    operator = NodeOperator(UnitSquareMesh(2, 2), linear)
    with pytest.raises(ValueError, match=r"positions: got float64 of shape \(9, 3\) .*of shape \(9, 2\)"):
        operator(torch.zeros(9, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="positions: got float32"):
        operator(torch.zeros(9, 2))


def test_positions_and_fields_in_one_loss() -> None:
    """Gradients for a field pass SolveOperator, those for nodes NodeOperator, in one graph."""
    mesh = UnitSquareMesh(2, 2)
    space = FunctionSpace(mesh, "CG", 1)
    weight = torch.linspace(1, 2, 9, dtype=torch.float64).requires_grad_()
    positions = mesh_graph(mesh).pos.requires_grad_()

    def loss(positions: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return NodeOperator(mesh, linear)(positions) * SolveOperator(lambda w: assemble(w**2 * dx), space)(weight)

    assert torch.autograd.gradcheck(loss, (positions, weight), fast_mode=True)
