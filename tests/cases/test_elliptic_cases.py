"""Elliptic cases against theory: orders on even meshes, what moving gains, conservation cell by cell, layers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from firedrake import assemble, dx, inner

from cases.options import build_options
from cases.registry import get_case
from cases.validation.experiments import fitted_rate
from coupling.registry import get_mover
from coupling.steady import SteadyAdaptation
from fem.analytic.layers import outflow_peak
from fem.steady import SteadySolution
from meshing.generation import l_shape, rectangle

CASES = ("poisson", "helmholtz", "l-shape", "darcy", "anisotropic-diffusion", "convection-diffusion")
L2 = "error in L2"


def solved(name: str, mover: str = "none", **options) -> list[SteadySolution]:
    """Return the solutions of all rounds of a case, that of the best mesh last."""
    case = get_case(name)
    chosen = build_options(case.Options, options)
    mesh = case.mesh_of(chosen)
    setup = case.build(chosen, mesh)
    method = None if mover == "none" else get_mover(mover)
    return list(SteadyAdaptation(mesh, setup.solve, method, rounds=setup.rounds).run())


def rates(name: str, quantities=(), *, sizes, **options) -> list[float]:
    """Return the fitted rates of the error and of quantities, over the cells' length on even meshes."""
    found = [solved(name, resolution=size, **options)[-1] for size in sizes]
    lengths = [size if size < 1 else 1.0 / size for size in sizes]
    table = [[one.error, *(one.quantities[quantity].value for quantity in quantities)] for one in found]
    fitted = [fitted_rate(lengths, column) for column in zip(*table, strict=True)]
    words = zip(("error", *quantities), fitted, strict=True)
    print(f"{name}, {options}: rates", ", ".join(f"{rate:.2f} of the {what}" for what, rate in words))
    return fitted


# -- even meshes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("feature", "degree"), [("ring", 1), ("ring", 2), ("bump", 1), ("wave", 1)])
def test_orders_of_poisson(feature, degree):
    """Theory: p in H1, p + 1 in L2, once cells are thinner than the feature."""
    of_h1, of_l2 = rates("poisson", [L2], sizes=(24, 48), feature=feature, width=0.15, degree=degree)
    assert of_h1 > degree - 0.1 and of_l2 > degree + 1 - 0.1


def test_orders_of_helmholtz():
    of_h1, of_l2 = rates("helmholtz", [L2], sizes=(48, 96), reaction=10.0)
    assert of_h1 > 0.9 and of_l2 > 1.9


def test_orders_of_darcy():
    """Raviart and Thomas: 1 for the flux and the head, 2 for the means of the head over cells."""
    quantities = ["error of the head in L2", "error of its means over cells"]
    of_flux, of_head, of_means = rates("darcy", quantities, sizes=(12, 24), steepness=5.0)
    assert of_flux > 0.9 and of_head > 0.9 and of_means > 1.9


def test_orders_of_anisotropic_diffusion():
    of_energy, of_l2 = rates("anisotropic-diffusion", [L2], sizes=(24, 48), ratio=0.1)
    assert of_energy > 0.9 and of_l2 > 1.9


@pytest.mark.parametrize(("peclet", "order"), [(1e4, 0.5), (5.0, 2.0)])
def test_orders_of_convection(peclet, order):
    """Of layers far thinner than cells the error is that of a row of cells: h^(1/2). Of resolved ones: 2."""
    (of_l2,) = rates("convection-diffusion", sizes=(16, 32), peclet=peclet)
    assert of_l2 > order - 0.1


def test_order_at_a_corner():
    """2 / 3, however smooth the rest is."""
    (of_h1,) = rates("l-shape", sizes=(1 / 12, 1 / 24, 1 / 48))
    assert 2 / 3 - 0.1 < of_h1 < 2 / 3 + 0.1


# -- moved meshes -----------------------------------------------------------------------------------------------------


@cache
def moved(name: str) -> list[SteadySolution]:
    """Return the solutions of a case on its smallest mesh, moved twice by MMPDE."""
    return solved(name, "mmpde", **{**get_case(name).smallest, "rounds": 2})


@pytest.mark.parametrize("name", CASES)
def test_moving_gains(name):
    """The mesh kept is better than the even one, at its smallest already."""
    first, last = moved(name)[0], moved(name)[-1]
    print(f"{name}: error {first.error:.4g} on the even mesh, {last.error:.4g} on the one moved")
    assert last.error < first.error


@pytest.mark.parametrize("name", ["poisson", "helmholtz", "l-shape", "anisotropic-diffusion"])
def test_the_error_estimated_is_the_error_on_the_mesh_kept(name):
    """Effectivity near 1: that the loop may go by the estimate."""
    last = moved(name)[-1]
    print(f"{name}: estimate over error {last.estimate / last.error:.3f}")
    assert last.estimate == pytest.approx(last.error, rel=0.3)


def test_no_water_is_lost_in_any_cell_of_a_moved_mesh():
    first, last = moved("darcy")[0], moved("darcy")[-1]
    lost = [one.quantities["most water lost in a cell"].value for one in (first, last)]
    print(f"lost in a cell: {lost[0]:.1e} on the even mesh, {lost[1]:.1e} on the one moved")
    assert max(lost) < 1e-13
    # Of some 10 m^2/s that spring and flow off.
    flux = last.fields[0]
    assert assemble(inner(flux, flux) * dx) > 1.0


def test_layers_thinner_than_cells_have_no_estimate():
    """Then all rounds are done; of layers that cells can see, the estimate is taken."""
    assert all(np.isnan(one.estimate) for one in moved("convection-diffusion"))
    assert len(moved("convection-diffusion")) == 3
    assert solved("convection-diffusion", resolution=12, peclet=10.0)[-1].estimate > 0.0


@pytest.mark.parametrize("diffusivity", [1e-4, 0.02, 0.5, 20.0])
def test_the_peak_of_outflow_layers(diffusivity):
    s = 1.0 - np.concatenate([np.geomspace(1e-7, 1.0, 200_001)])
    peak = 1.0
    for speed in (2.0, 1.0):
        number = speed / diffusivity
        peak *= (s - (np.exp(number * (s - 1)) - np.exp(-number)) / (1 - np.exp(-number))).max()
    assert outflow_peak(diffusivity, (2.0, 1.0)) == pytest.approx(peak, rel=1e-7)


# -- meshes from files, and what is refused ---------------------------------------------------------------------------


def test_a_mesh_from_a_file(tmp_path: Path):
    """Other markers, another shape; the solution is known there as well."""
    cells = l_shape(size=0.1, save=tmp_path / "l.msh").num_cells()
    for name in ("poisson", "darcy", "l-shape"):
        (found,) = solved(name, mesh=str(tmp_path / "l.msh"))
        assert found.drawn.function_space().mesh().num_cells() == cells
        # As the source is that of the equation there, too: with the mesh's own boundary, no error of order 1 in L2.
        assert found.quantities[L2 if name != "darcy" else "error of its means over cells"].value < 0.15


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        (
            "poisson",
            lambda path: rectangle(width=2.0, size=0.5, save=path),
            "option mesh: got a mesh of triangle cells, coordinates from 0 to 2, expected triangles in the unit "
            "square, where the solution of poisson is known; scale or move it",
        ),
        (
            "l-shape",
            lambda path: rectangle(size=0.5, save=path),
            "option mesh: got a vertex with x and y from 1 on, expected none where both are more than 0.5, which is "
            "cut out of the L",
        ),
    ],
)
def test_meshes_where_the_solution_is_not_known(name, make, message, tmp_path: Path):
    make(tmp_path / "mesh.msh")
    with pytest.raises(ValueError) as caught:
        solved(name, mesh=str(tmp_path / "mesh.msh"))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("poisson", {"feature": "cube"}, "option feature: got 'cube', expected 'ring', 'bump' or 'wave'; the solution"),
        ("poisson", {"degree": 3}, "option degree: got 3, expected 1 or 2; degree of the elements"),
        ("darcy", {"degree": 1}, "option: got unknown key 'degree', expected one of "),
        ("convection-diffusion", {"peclet": 0.5}, "option peclet: got 0.5, expected greater than or equal to 1; "),
    ],
)
def test_messages(name, options, message):
    with pytest.raises(ValueError) as caught:
        build_options(get_case(name).Options, options)
    assert str(caught.value).startswith(message)
