"""Elasticity: Kirsch's plate, Cook's membrane, orders, locking, estimated errors, messages; on two ranks as on one.

As a script, ``test_elasticity.py FILE``, it solves on the ranks there are and writes what it found.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    TestFunction,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    assemble,
    cos,
    div,
    dot,
    dx,
    inner,
    sin,
    sqrt,
)

import fem.problems.elasticity
from cases.validation.experiments import distorted_square, fitted_rate
from fem.analytic.kirsch import KirschPlate
from fem.error_estimate import Estimate, recovery_estimate, wanted_density
from fem.problems.cook_membrane import PUBLISHED, cook_mesh, deflection, solve_cook
from fem.problems.elasticity import Material, solve_elasticity, stress_estimate, value_at
from fem.problems.hyperelasticity import solve_hyperelastic
from fem.problems.plate_with_hole import PlateWithHole
from meshing.mmpde import MMPDE
from meshing.monitor import FieldMonitor
from meshing.mover import MoveStatus
from meshing.shaping import Shaping

STEEL = Material(young=2.0, poisson=0.3)
SHEET = Material(young=2.0, poisson=0.3, plane="stress")
ALL = (1, 2, 3, 4)


def energy_error(u, exact, material):
    stress = material.stress(u - exact)
    return float(sqrt(assemble(inner(stress, material.strain(stress)) * dx(degree=8))))


# -- the law and the analytic solution --------------------------------------------------------------------------------


def test_hooke_against_its_three_dimensional_form():
    """Plane stress and plane strain follow from sigma = lambda tr e I + 2 mu e in space."""
    young, nu, e = 2.0, 0.3, np.array([[0.2, 0.05], [0.05, -0.1]])
    lame, shear = young * nu / ((1 + nu) * (1 - 2 * nu)), young / (2 * (1 + nu))
    mesh = UnitSquareMesh(1, 1)
    u = dot(Constant(e), SpatialCoordinate(mesh))
    # Across the sheet the strain is such that there is no stress.
    across = {"strain": 0.0, "stress": -lame * np.trace(e) / (lame + 2 * shear)}
    for plane, strain in across.items():
        material = Material(young=young, poisson=nu, plane=plane)
        expected = lame * (np.trace(e) + strain) * np.eye(2) + 2 * shear * e
        found = [[float(assemble(material.stress(u)[i, j] * dx)) for j in (0, 1)] for i in (0, 1)]
        np.testing.assert_allclose(found, expected, rtol=1e-13)
        back = material.strain(material.stress(u))
        assert assemble(back[0, 0] * dx) == pytest.approx(0.2, rel=1e-13)
        assert assemble(back[1, 0] * dx) == pytest.approx(0.05, rel=1e-13)


@pytest.mark.parametrize("material", [STEEL, SHEET])
def test_kirsch_is_in_equilibrium_and_its_stress_is_that_of_its_displacement(material):
    plate = KirschPlate(tension=1.7, radius=0.8, shear=material.shear, kolosov=material.kolosov)
    rng, step = np.random.default_rng(1), 1e-30j
    angle, radius = rng.uniform(0, 2 * np.pi, 50), rng.uniform(0.8, 5.0, 50)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    # Derivatives by complex steps, exact to rounding.
    by_x, by_y = ([part.imag / 1e-30 for part in plate.displacement(*at)] for at in ((x + step, y), (x, y + step)))
    trace, shear = by_x[0] + by_y[1], material.shear
    stress = plate.stress(x, y)
    expected = (
        2 * shear * by_x[0] + material.lame * trace,
        2 * shear * by_y[1] + material.lame * trace,
        shear * (by_x[1] + by_y[0]),
    )
    np.testing.assert_allclose(stress, expected, atol=1e-12)
    by_x, by_y = ([part.imag / 1e-30 for part in plate.stress(*at)] for at in ((x + step, y), (x, y + step)))
    np.testing.assert_allclose([by_x[0] + by_y[2], by_x[2] + by_y[1]], 0.0, atol=1e-12)


def test_kirsch_at_the_hole_and_far_away():
    plate = KirschPlate(tension=2.0, radius=0.5, shear=1.0, kolosov=2.0)
    assert plate.stress(0.0, 0.5) == pytest.approx((6.0, 0.0, 0.0), abs=1e-14)
    assert plate.stress(0.5, 0.0) == pytest.approx((0.0, -2.0, 0.0), abs=1e-14)
    assert plate.stress(3e5, 4e5) == pytest.approx((2.0, 0.0, 0.0), abs=1e-10)
    angle = np.linspace(0, 2 * np.pi, 17)
    xx, yy, xy = plate.stress(0.5 * np.cos(angle), 0.5 * np.sin(angle))
    np.testing.assert_allclose(
        [xx * np.cos(angle) + xy * np.sin(angle), xy * np.cos(angle) + yy * np.sin(angle)], 0.0, atol=1e-14
    )


# -- the method -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("material", [STEEL, SHEET])
def test_patch_test(material, degree):
    """What the space has comes out exactly, from displacements on three sides and the traction on the fourth."""
    mesh = distorted_square(4)
    x, y = SpatialCoordinate(mesh)
    exact = as_vector([0.1 * x + 0.3 * y, 0.2 * x - 0.4 * y])
    if degree == 2:
        exact += as_vector([x * y - y * y, 0.5 * x * x + x * y])
    stress = material.stress(exact)
    u = solve_elasticity(
        mesh,
        material,
        degree=degree,
        fixed=dict.fromkeys((1, 3, 4), (exact[0], exact[1])),
        tractions={2: stress[:, 0]},
        body_force=-div(stress),
    )
    assert energy_error(u, exact, material) < 1e-12


def smooth(x):
    """A displacement without divergence."""
    return as_vector([sin(2 * x[0]) * cos(3 * x[1]) * 3, -cos(2 * x[0]) * sin(3 * x[1]) * 2])


def manufactured(cells, degree, material):
    mesh = distorted_square(cells)
    exact = smooth(SpatialCoordinate(mesh))
    u = solve_elasticity(
        mesh,
        material,
        degree=degree,
        fixed=dict.fromkeys(ALL, (exact[0], exact[1])),
        body_force=-div(material.stress(exact)),
    )
    return u, exact


@pytest.mark.parametrize("degree", [1, 2])
def test_orders(degree):
    sizes, errors = (8, 16, 32), []
    for cells in sizes:
        u, exact = manufactured(cells, degree, STEEL)
        errors.append((float(sqrt(assemble((u - exact) ** 2 * dx(degree=8)))), energy_error(u, exact, STEEL)))
    rates = [-fitted_rate(sizes, norms) for norms in zip(*errors, strict=True)]
    print(f"P{degree}: rates {rates[0]:.2f} in L2, {rates[1]:.2f} in energy")
    assert rates[0] > degree + 1 - 0.1 and rates[1] > degree - 0.1


def test_p2_does_not_lock_and_p1_would(monkeypatch):
    rubber, errors = Material(young=2.0, poisson=0.49999), {}
    for material in (STEEL, rubber):
        u, exact = manufactured(16, 2, material)
        errors[material] = float(sqrt(assemble((u - exact) ** 2 * dx(degree=8))))
    print(f"L2 error of P2 with nu = 0.49999 over that with 0.3: {errors[rubber] / errors[STEEL]:.2f}")
    assert errors[rubber] < 3.0 * errors[STEEL]
    mesh = cook_mesh(size=4.0)
    with pytest.raises(ValueError) as caught:
        solve_cook(mesh, degree=1, material=rubber)
    assert str(caught.value) == (
        "degree: got 1 with poisson 0.49999 in plane strain, expected 2 above 0.45; P1 locks there"
    )
    monkeypatch.setattr(fem.problems.elasticity, "LOCKING", 0.5)
    shares = {}
    for material in (STEEL, rubber):
        stiff, free = (deflection(solve_cook(mesh, degree=degree, material=material)) for degree in (1, 2))
        shares[material] = stiff / free
    print(f"Cook's membrane, P1 over P2: {shares[STEEL]:.3f}, with nu = 0.49999 {shares[rubber]:.3f}")
    assert shares[STEEL] > 0.95 and shares[rubber] < 0.7


# -- published values -------------------------------------------------------------------------------------------------


def test_plate_with_hole():
    plate, sizes = PlateWithHole(), (0.4, 0.2, 0.1)
    # P2 sees that the hole is a polygon: h^(3/2).
    for degree, expected in ((1, 1.0), (2, 1.5)):
        found, peaks = [], []
        for size in sizes:
            u = plate.solve(plate.mesh(size=size), degree)
            found.append(plate.errors(u)[1])
            peaks.append(plate.stress_concentration(u))
        rate = fitted_rate(sizes, found)
        print(f"plate, P{degree}: rate {rate:.2f} in energy; K_t {', '.join(f'{peak:.3f}' for peak in peaks)}")
        assert rate > expected - 0.1
        assert (np.diff(np.abs(np.array(peaks) - 3.0)) < 0.0).all()
    assert peaks[-1] == pytest.approx(3.0, rel=0.01)


def test_moved_plate():
    plate = PlateWithHole()
    mesh = plate.mesh(size=0.2)
    u = plate.solve(mesh)
    before = plate.errors(u)[1]
    monitor = FieldMonitor(wanted_density(stress_estimate(u, plate.material), 1), Shaping(smoothing=0.5))
    result = MMPDE().move(mesh, monitor)
    moved = Mesh(result.coordinates)
    after = plate.errors(plate.solve(moved))[1]
    print(f"plate, P1, {u.function_space().dim()} unknowns: energy error {before:.4f}, moved {after:.4f}")
    assert result.status in (MoveStatus.DONE, MoveStatus.NOT_CONVERGED)
    assert after < 0.8 * before
    hole = DirichletBC(VectorFunctionSpace(mesh, "CG", 1), 0.0, 5).nodes
    places, old = moved.coordinates.dat.data_ro[hole], mesh.coordinates.dat.data_ro[hole]
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1.0, rtol=1e-12)
    # They slide.
    assert np.abs(places - old).max() > 0.02


def test_cook_membrane():
    coarse, fine = (deflection(solve_cook(cook_mesh(size=size), degree=2)) for size in (4.0, 1.5))
    print(f"Cook's membrane, P2: {coarse:.3f}, {fine:.3f}; published {PUBLISHED}")
    assert fine == pytest.approx(PUBLISHED, rel=5e-4)
    # Displacement elements are too stiff.
    assert deflection(solve_cook(cook_mesh(size=4.0), degree=1)) < coarse < fine


# -- estimated errors -------------------------------------------------------------------------------------------------


def test_estimate_goes_to_the_error():
    indices = []
    for cells in (8, 16, 32):
        u, exact = manufactured(cells, 1, STEEL)
        estimate = stress_estimate(u, STEEL)
        indices.append(estimate.total / energy_error(u, exact, STEEL))
        assert estimate.total == pytest.approx(np.linalg.norm(estimate.cells.dat.data_ro), rel=1e-12)
    print("estimate over error:", *(f"{index:.3f}" for index in indices))
    assert abs(indices[-1] - 1.0) < 0.1 and abs(indices[-1] - 1.0) < abs(indices[0] - 1.0)


def test_estimate_sees_no_error_in_what_is_exact_and_a_jump_where_it_is():
    mesh = UnitSquareMesh(8, 8)
    x, y = SpatialCoordinate(mesh)
    assert recovery_estimate(mesh, as_vector([x + y, 2 * x]), 1).total < 1e-11
    jump = Function(VectorFunctionSpace(mesh, "DG", 0)).interpolate(as_vector([abs(x - 0.5) / (x - 0.5), 0.0 * y]))
    estimate = recovery_estimate(mesh, jump, 1)
    middle = Function(estimate.cells.function_space()).interpolate(abs(x - 0.5)).dat.data_ro
    values = estimate.cells.dat.data_ro
    assert values[middle < 0.125].min() > 10 * values[middle > 0.375].max() > 0.0


@pytest.mark.parametrize(("degree", "power"), [(1, 1.0), (2, 2.0 / 3.0)])
def test_density_does_not_depend_on_the_cells_it_was_estimated_with(degree, power):
    """It is the power 2d / (2p + d) of c, where the error is c h^p |K|^(1/2), whatever |K| is."""
    mesh = distorted_square(6)
    mesh.coordinates.dat.data[:] **= 1.5
    space = FunctionSpace(mesh, "DG", 0)
    volumes = assemble(TestFunction(space) * dx).dat.data_ro
    assert volumes.max() > 5.0 * volumes.min()
    rise, eta = np.random.default_rng(3).uniform(1.0, 50.0, len(volumes)), Function(space)
    eta.dat.data_wo[:] = rise * np.sqrt(volumes) ** degree * np.sqrt(volumes)
    found = wanted_density(Estimate(eta, 1.0, eta), degree, floor=0.0)
    ratio = found.dat.data_ro / rise**power
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    assert assemble(found * dx) == pytest.approx(1.0, rel=1e-12)
    lifted = wanted_density(Estimate(eta, 1.0, eta), degree, floor=0.5)
    np.testing.assert_allclose(1.5 * lifted.dat.data_ro, found.dat.data_ro + 0.5, rtol=1e-12)
    assert (wanted_density(Estimate(eta.assign(0.0), 0.0, eta), degree).dat.data_ro == 1.0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Material(young=0.0, poisson=0.3), "young: got 0.0, expected more than 0 Pa"),
        (
            lambda: Material(young=1.0, poisson=0.5),
            "poisson: got 0.5, expected more than -1 and less than 0.5; take 0.499 and degree 2 for what is nearly "
            "incompressible",
        ),
        (
            lambda: Material(young=1.0, poisson=0.3, plane="shell"),
            "plane: got 'shell', expected 'strain' or 'stress'",
        ),
        (
            lambda: solve_elasticity(UnitSquareMesh(1, 1), STEEL, degree=3, fixed={}),
            "degree: got 3, expected 1 or 2",
        ),
        (
            lambda: solve_hyperelastic(UnitSquareMesh(1, 1), SHEET, degree=1, fixed={}),
            "plane: got 'stress', expected 'strain'; the law is that of plane strain",
        ),
        (
            lambda: solve_hyperelastic(UnitSquareMesh(1, 1), STEEL, degree=1, fixed={}, steps=0),
            "steps: got 0, expected 1 or more",
        ),
        (
            lambda: PlateWithHole(width=1.0, radius=1.0),
            "radius: got 1.0, expected less than the width 1.0 m",
        ),
        (
            lambda: PlateWithHole().mesh(size=0.0),
            "PlateWithHole: got size 0.0, expected a positive length in m",
        ),
        (lambda: wanted_density(None, 1, floor=-1.0), "floor: got -1.0, expected 0 or more, such as 0.1"),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parallel
def test_two_ranks_find_what_one_finds(mpiexec, tmp_path):
    found = []
    for ranks in (1, 2):
        outcome = mpiexec(ranks, [sys.executable, Path(__file__), tmp_path / f"{ranks}.npy"])
        assert (outcome.code, outcome.err) == (0, "")
        found.append(np.load(tmp_path / f"{ranks}.npy"))
    assert (found[0][0, 0], found[1][0, 0]) == (1, 2)
    # Each rank has the same numbers.
    np.testing.assert_array_equal(found[1][0], found[1][1])
    np.testing.assert_allclose(found[1][0, 1:], found[0][0, 1:], rtol=1e-7)


def main(out: Path) -> None:
    """Write the number of ranks, errors, estimate, density and points' values, a row for each rank."""
    plate = PlateWithHole()
    mesh = plate.mesh(size=0.4)
    u = plate.solve(mesh)
    estimate = stress_estimate(u, plate.material)
    density = wanted_density(estimate, 1)
    beam = solve_hyperelastic(
        UnitSquareMesh(4, 4), STEEL, degree=2, fixed={1: (0.0, 0.0)}, tractions={2: as_vector([0.0, Constant(0.1)])}
    )
    row = [mesh.comm.size, *plate.errors(u), plate.stress_concentration(u), estimate.total]
    row += [assemble(density**2 * dx), deflection(solve_cook(cook_mesh(size=8.0))), *value_at(beam, (1.0, 1.0))]
    rows = mesh.comm.gather(row)
    if mesh.comm.rank == 0:
        np.save(out, np.array(rows, dtype=float))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
