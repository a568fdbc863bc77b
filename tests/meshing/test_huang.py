"""Huang's functional: its least value, its derivatives, its barrier."""

from __future__ import annotations

import numpy as np
import pytest

from meshing.huang import HuangFunctional

FUNCTIONALS = [HuangFunctional(), HuangFunctional(theta=1 / 3), HuangFunctional(theta=0.5, power=2.0)]


def cells(dimension: int, count: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return random jacobians with positive determinant, gradients, densities and volumes."""
    rng = np.random.default_rng(dimension)
    jacobians = np.eye(dimension) + 0.3 * rng.standard_normal((count, dimension, dimension))
    jacobians[np.linalg.det(jacobians) < 0.1] = np.eye(dimension)
    inner = rng.standard_normal((count, dimension, dimension))
    gradients = np.concatenate([-inner.sum(axis=1, keepdims=True), inner], axis=1)
    return jacobians, gradients, rng.uniform(0.5, 2.0, count), rng.uniform(0.5, 2.0, count)


@pytest.mark.parametrize("functional", FUNCTIONALS)
@pytest.mark.parametrize("dimension", [2, 3])
def test_is_the_volume_of_the_computational_cell_where_ideal_and_more_elsewhere(functional, dimension: int) -> None:
    jacobians, _, density, _ = cells(dimension)
    rotations, _ = np.linalg.qr(jacobians)
    rotations[np.linalg.det(rotations) < 0, 0] *= -1.0
    # Where J' is a rotation the computational cell has volume |K_c| = det J |K| = rho |K|.
    volumes = 1.0 / density
    np.testing.assert_allclose(functional.energies(rotations, density, volumes), 1.0, rtol=1e-13)
    stretch = np.exp(np.random.default_rng(0).standard_normal((len(density), dimension)))
    stretch /= stretch.prod(axis=1, keepdims=True) ** (1 / dimension)
    assert (functional.energies(rotations * stretch[:, None, :], density, volumes) > 1.0).all()
    # Equidistribution: of two cells that fill the volume of two ideal ones, one grown by what the other has shrunk.
    grown, shrunk = 1.3 ** (1 / dimension), 0.7 ** (1 / dimension)
    pair = functional.energies(rotations / grown, density, 1.3 * volumes)
    pair += functional.energies(rotations / shrunk, density, 0.7 * volumes)
    assert (pair > 2.0).all()


@pytest.mark.parametrize("functional", FUNCTIONALS)
@pytest.mark.parametrize("dimension", [2, 3])
def test_first_derivative_is_that_of_finite_differences(functional, dimension: int) -> None:
    jacobians, gradients, density, volumes = cells(dimension)
    first, _ = functional.derivatives(jacobians, gradients, density, volumes)
    step = 1e-6
    for corner in range(dimension + 1):
        for component in range(dimension):
            change = np.zeros_like(jacobians)
            change[:, component] = step * gradients[:, corner]
            ahead, behind = (functional.energies(jacobians + s * change, density, volumes) for s in (1.0, -1.0))
            np.testing.assert_allclose(first[:, corner, component], (ahead - behind) / (2 * step), rtol=2e-7, atol=1e-7)


@pytest.mark.parametrize("functional", FUNCTIONALS)
@pytest.mark.parametrize("dimension", [2, 3])
def test_second_derivative_lacks_the_determinants_alone(functional, dimension: int) -> None:
    jacobians, gradients, density, volumes = cells(dimension)
    _, second = functional.derivatives(jacobians, gradients, density, volumes)
    scale = np.abs(second).max(axis=(1, 2))
    assert (np.linalg.eigvalsh(second)[:, 0] > -1e-12 * scale).all()
    np.testing.assert_allclose(second, np.swapaxes(second, 1, 2), atol=1e-12 * scale.max())
    # Along a direction of rank one the determinant is linear: there nothing is missing.
    rng = np.random.default_rng(1)
    values, direction = rng.standard_normal(dimension + 1), rng.standard_normal(dimension)
    corners = (values[:, None] * direction).ravel()
    change = direction[:, None] * np.einsum("i,kia->ka", values, gradients)[:, None, :]
    step = 1e-4
    ahead, here, behind = (functional.energies(jacobians + s * step * change, density, volumes) for s in (1, 0, -1))
    expected = (ahead - 2 * here + behind) / step**2
    np.testing.assert_allclose(np.einsum("i,kij,j->k", corners, second, corners), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dimension", [2, 3])
def test_grows_without_bound_towards_a_degenerate_cell_and_is_infinite_beyond(dimension: int) -> None:
    functional = HuangFunctional()
    energies = []
    for width in (1e-1, 1e-2, 1e-3):
        squeezed = np.diag([1.0] * (dimension - 1) + [1.0 / width])[None]
        energies.append(functional.energies(squeezed, np.ones(1), np.array([width]))[0])
    assert energies[0] > 2.0 and energies[1] > 2.0 * energies[0] and energies[2] > 2.0 * energies[1]
    mirrored = np.eye(dimension)[None].copy()
    mirrored[0, 0, 0] = -1.0
    assert functional.energies(mirrored, np.ones(1), np.ones(1)) == np.inf


@pytest.mark.parametrize(("theta", "power"), [(0.0, 1.5), (0.6, 1.5), (0.1, 1.0), (float("nan"), 1.5)])
def test_weights_out_of_their_bounds_are_refused(theta: float, power: float) -> None:
    with pytest.raises(ValueError, match=r"(theta|power): got .*, expected more than"):
        HuangFunctional(theta, power)
