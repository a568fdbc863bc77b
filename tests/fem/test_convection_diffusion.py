"""Convection and diffusion: orders at a Peclet number of 1e4, layers, the stabilisation, moved meshes."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Constant,
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    UnitSquareMesh,
    assemble,
    cos,
    dx,
    exp,
    grad,
    inner,
    min_value,
    pi,
    sin,
)

from cases.validation.experiments import distorted_square, fitted_rate
from fem.analytic.layers import anisotropic_layer, outflow_layers
from fem.error_estimate import recovery_estimate, wanted_density
from fem.problems.convection_diffusion import ConvectionDiffusion
from meshing.mmpde import MMPDE
from meshing.monitor import FieldMonitor
from meshing.shaping import Shaping

VELOCITY = (2.0, 1.0)
SPEED = float(np.hypot(*VELOCITY))
DIFFUSIVITY = SPEED / 1e4
TILTED = np.array([[1.0, 0.4], [0.4, 0.2]])


def smooth(x):
    return sin(pi * x[0]) * cos(2 * x[1])


@pytest.mark.parametrize("degree", [1, 2])
def test_orders_at_peclet_1e4(degree):
    sizes, errors = (8, 16, 32), []
    for cells in sizes:
        problem = ConvectionDiffusion(exact=smooth, diffusivity=DIFFUSIVITY, velocity=VELOCITY, degree=degree)
        errors.append(problem.errors(problem.solve(distorted_square(cells))))
    rates = [-fitted_rate(sizes, norms) for norms in zip(*errors, strict=True)]
    print(f"P{degree}, Peclet 1e4: rates {rates[0]:.2f} in L2, {rates[1]:.2f} in energy")
    assert rates[0] > degree + 0.5 - 0.1 and rates[1] > degree - 0.1


@pytest.mark.parametrize("velocity", [(0.0, 0.0), VELOCITY])
@pytest.mark.parametrize("degree", [1, 2])
def test_what_the_space_has_comes_out(degree, velocity):
    """The stabilisation is consistent, with diffusion too."""

    def exact(x):
        return 1.0 + x[0] - 2 * x[1] + (x[0] * x[1] - x[0] ** 2 if degree == 2 else 0.0)

    problem = ConvectionDiffusion(exact=exact, diffusivity=TILTED, velocity=velocity, degree=degree)
    errors = problem.errors(problem.solve(distorted_square(5)))
    assert errors.l2 < 1e-12 and errors.h1 < 1e-11


def test_layers_satisfy_their_equations():
    """On a mesh fine enough that rounding is all that is left between the source and its closed form."""
    mesh = UnitSquareMesh(7, 7)
    x, (along, across) = SpatialCoordinate(mesh), VELOCITY
    problem = ConvectionDiffusion(exact=outflow_layers(0.1, VELOCITY), diffusivity=0.1, velocity=VELOCITY)

    def profile(s, peclet):
        return s - (exp(peclet * (s - 1)) - exp(-peclet)) / (1 - exp(-peclet))

    expected = along * profile(x[1], across / 0.1) + across * profile(x[0], along / 0.1)
    assert assemble(abs(problem.strong(problem.exact(x)) - expected) * dx(degree=8)) < 1e-12
    nodes = Function(FunctionSpace(mesh, "CG", 1)).interpolate(problem.exact(x)).dat.data_ro
    edge = (np.abs(mesh.coordinates.dat.data_ro - 0.5).max(axis=1)) == 0.5
    assert np.abs(nodes[edge]).max() < 1e-15 < nodes[~edge].min()
    problem = ConvectionDiffusion(exact=anisotropic_layer(0.04), diffusivity=np.diag([1.0, 0.04]))
    assert assemble(abs(problem.strong(problem.exact(x))) * dx(degree=8)) < 1e-12


def test_errors_of_zero_are_the_norms_of_the_solution():
    ratio = 0.04
    problem = ConvectionDiffusion(
        exact=anisotropic_layer(ratio), diffusivity=np.diag([1.0, ratio]), quadrature_degree=12
    )
    errors = problem.errors(Function(FunctionSpace(UnitSquareMesh(8, 8), "CG", 1)))
    # Of sin and exp squared over the square; both terms of the energy are alike but for sin or cos.
    square = 0.5 * np.sqrt(ratio) / (2 * np.pi) * (1.0 - np.exp(-2 * np.pi / np.sqrt(ratio)))
    assert errors == pytest.approx((np.sqrt(square), np.pi * np.sqrt(2 * square)), rel=1e-8)


def test_anisotropic_orders():
    sizes, errors = (16, 32, 64), []
    for cells in sizes:
        problem = ConvectionDiffusion(exact=anisotropic_layer(0.1), diffusivity=np.diag([1.0, 0.1]))
        errors.append(problem.errors(problem.solve(distorted_square(cells))))
    rates = [-fitted_rate(sizes, norms) for norms in zip(*errors, strict=True)]
    print(f"anisotropic, P1: rates {rates[0]:.2f} in L2, {rates[1]:.2f} in energy")
    assert rates[0] > 1.9 and rates[1] > 0.9


def shishkin(cells):
    """Return a mesh with half of its cells in each layer: Shishkin (1990); Roos, Stynes and Tobiska, section I.2.4."""
    mesh, even = UnitSquareMesh(cells, cells), np.linspace(0.0, 1.0, cells + 1)
    for axis, speed in enumerate(VELOCITY):
        width = min(0.5, 2.5 * DIFFUSIVITY / speed * np.log(cells))
        graded = np.interp(even, [0.0, 0.5, 1.0], [0.0, 1.0 - width, 1.0])
        mesh.coordinates.dat.data[:, axis] = np.interp(mesh.coordinates.dat.data_ro[:, axis], even, graded)
    return mesh


def test_layers_resolved_at_peclet_1e4():
    """On Shishkin meshes the energy norm is of order N^-1 ln N, whatever the Peclet number is."""
    problem = ConvectionDiffusion(
        exact=outflow_layers(DIFFUSIVITY, VELOCITY), diffusivity=DIFFUSIVITY, velocity=VELOCITY, quadrature_degree=12
    )
    sizes = np.array([16, 32, 64])
    errors = [problem.errors(problem.solve(shishkin(cells))).h1 for cells in sizes]
    rate = fitted_rate(np.log(sizes) / sizes, errors)
    print(f"Shishkin, Peclet 1e4: energy {', '.join(f'{error:.4f}' for error in errors)}; rate {rate:.2f} in ln N / N")
    assert rate > 0.9


def test_the_stabilisation_keeps_layers_where_they_are(monkeypatch):
    problem = ConvectionDiffusion(
        exact=outflow_layers(DIFFUSIVITY, VELOCITY), diffusivity=DIFFUSIVITY, velocity=VELOCITY
    )

    def inside(x):
        return min_value(0.75 - x[0], 0.75 - x[1])

    mesh = UnitSquareMesh(32, 32)
    stabilised = problem.errors(problem.solve(mesh), outside=inside).l2
    monkeypatch.setattr(ConvectionDiffusion, "_time", lambda *_: Constant(0.0))
    galerkin = problem.errors(problem.solve(mesh), outside=inside).l2
    print(f"L2 error away from layers far thinner than cells: {stabilised:.1e}, without stabilisation {galerkin:.1e}")
    assert stabilised < 1e-3 < 1e-2 < galerkin


def test_stabilisation_on_cells_of_known_length():
    """Cells of height 1/2, 1/10 long along the velocity: only the length counts."""
    mesh = UnitSquareMesh(10, 2)
    for diffusivity, expected in ((1e-9, 0.1 / (2 * 3.0)), (10.0, 0.1**2 / (12 * 10.0))):
        problem = ConvectionDiffusion(exact=smooth, diffusivity=diffusivity, velocity=(3.0, 0.0))
        times = Function(FunctionSpace(mesh, "DG", 0)).interpolate(problem._time(mesh)).dat.data_ro
        np.testing.assert_allclose(times, expected, rtol=1e-12)
    # Diffusion across the velocity does not count.
    problem = ConvectionDiffusion(exact=smooth, diffusivity=np.diag([1e-9, 10.0]), velocity=(3.0, 0.0))
    times = Function(FunctionSpace(mesh, "DG", 0)).interpolate(problem._time(mesh)).dat.data_ro
    np.testing.assert_allclose(times, 0.1 / 6.0, rtol=1e-12)


def test_moved_mesh_finds_the_layer():
    ratio = 1e-3
    problem = ConvectionDiffusion(
        exact=anisotropic_layer(ratio), diffusivity=np.diag([1.0, ratio]), quadrature_degree=12
    )
    mesh, errors = UnitSquareMesh(24, 24), []
    for turn in range(3):
        u = problem.solve(mesh)
        errors.append(problem.errors(u).h1)
        if turn < 2:
            tensor = Constant(problem.tensor)
            estimate = recovery_estimate(mesh, grad(u), 1, energy=lambda e, a=tensor: inner(a * e, e))
            monitor = FieldMonitor(wanted_density(estimate, 1), Shaping(smoothing=0.5))
            mesh = Mesh(MMPDE().move(mesh, monitor).coordinates)
    print("anisotropic layer, energy error, moved once and twice:", *(f"{error:.4f}" for error in errors))
    assert errors[2] < errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"diffusivity": -1.0},
            "diffusivity: got -1.0, expected a positive number or a symmetric positive definite tensor of shape (2, 2)",
        ),
        (
            {"diffusivity": [[1.0, 0.5], [0.4, 1.0]]},
            "diffusivity: got [[1.0, 0.5], [0.4, 1.0]], expected a positive number or a symmetric positive definite "
            "tensor of shape (2, 2)",
        ),
        ({"diffusivity": 1.0, "degree": 3}, "degree: got 3, expected 1 or 2"),
    ],
)
def test_messages(options, message):
    with pytest.raises(ValueError) as caught:
        ConvectionDiffusion(exact=smooth, **options)
    assert str(caught.value) == message
