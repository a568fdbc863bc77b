"""Darcy's flow: orders, superconvergence, conservation cell by cell, layers of rock."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    FacetNormal,
    SpatialCoordinate,
    UnitSquareMesh,
    as_vector,
    assemble,
    conditional,
    div,
    dot,
    ds,
    exp,
    grad,
    lt,
    sin,
)

from cases.validation.experiments import distorted_square, fitted_rate
from fem.problems.darcy import flux_error, head_errors, imbalance, solve_darcy

SIDES = (1, 2, 3, 4)


def smooth(mesh):
    """Return conductivity, head, flux and source of a flow that is known."""
    x, y = SpatialCoordinate(mesh)
    conductivity, head = 1.0 + x * y, sin(2 * x) * exp(y)
    flux = -conductivity * grad(head)
    return conductivity, head, flux, div(flux)


def test_orders_and_conservation():
    sizes, errors = (8, 16, 32), []
    for cells in sizes:
        mesh = distorted_square(cells)
        conductivity, head, flux, source = smooth(mesh)
        flow = solve_darcy(mesh, conductivity, source, head=dict.fromkeys((1, 2, 3), head), flux={4: flux})
        errors.append((flux_error(flow, flux), *head_errors(flow, head)))
        lost = np.abs(imbalance(flow, source).dat.data_ro).max()
        assert lost < 1e-13
    rates = [-fitted_rate(sizes, norms) for norms in zip(*errors, strict=True)]
    print(f"rates {rates[0]:.2f} of the flux, {rates[1]:.2f} of the head, {rates[2]:.2f} of its means; lost {lost:.1e}")
    assert rates[0] > 0.9 and rates[1] > 0.9 and rates[2] > 1.9


def test_imbalance_is_what_is_missing():
    mesh = UnitSquareMesh(4, 4)
    flow = solve_darcy(mesh, 1.0, 0.0, head={1: 1.0, 2: 0.0})
    missing = imbalance(flow, 3.0).dat.data_ro
    # Each cell has the area 1 / 32.
    np.testing.assert_allclose(missing, -3.0 / 32.0, rtol=1e-12)


def test_layers_of_rock_in_a_row():
    """The flux is the fall over the sum of the resistances, the head linear in each layer: both are in the spaces."""
    mesh = UnitSquareMesh(8, 8)
    x, y = SpatialCoordinate(mesh)
    conductivity = conditional(lt(x, 0.25), 1e-6, 2.0)
    rate = 5.0 / (0.25 / 1e-6 + 0.75 / 2.0)
    none = as_vector([0.0, 0.0])
    flow = solve_darcy(mesh, conductivity, 0.0, head={1: 5.0, 2: 0.0}, flux={3: none, 4: none})
    assert flux_error(flow, as_vector([rate, 0.0 * y])) < 1e-11 * rate
    head = conditional(lt(x, 0.25), 5.0 - rate * x / 1e-6, rate * (1.0 - x) / 2.0)
    assert head_errors(flow, head)[1] < 1e-11


def test_what_springs_inside_flows_out_through_the_sides():
    mesh = distorted_square(6)
    conductivity, head, _, source = smooth(mesh)
    flow = solve_darcy(mesh, conductivity, source, head=dict.fromkeys(SIDES, head))
    out = assemble(dot(flow.flux, FacetNormal(mesh)) * ds)
    inside = imbalance(flow, 0.0).dat.data_ro.sum()
    assert abs(out) > 0.1
    assert out == pytest.approx(inside, rel=1e-12)


def test_a_head_is_needed():
    with pytest.raises(ValueError) as caught:
        solve_darcy(UnitSquareMesh(1, 1), 1.0, 0.0, head={})
    assert str(caught.value) == (
        "head: got none, expected it on one side or more; it is determined up to a constant otherwise"
    )
