"""Exact fields with sharp features: their derivatives, their norms in closed form, and what the random ones are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fem.analytic.features import Front, Gaussian, Ring, Sum, random_field

TURN = np.array([[0.8, 0.6], [-0.6, 0.8]])
PARTS = {
    "gaussian": Gaussian(amplitude=-0.7, centre=np.array([0.1, -0.2]), frame=TURN / np.array([[0.1], [0.25]])),
    "gaussian in space": Gaussian(amplitude=1.3, centre=np.zeros(3), frame=np.diag([3.0, 5.0, 2.0])),
    "ring": Ring(amplitude=0.6, centre=np.array([0.2, 0.1]), radius=0.4, width=0.07),
    "sphere": Ring(amplitude=0.6, centre=np.array([0.2, 0.1, 0.0]), radius=0.4, width=0.1),
    "front": Front(amplitude=0.9, centre=np.array([0.0, 0.3]), frame=TURN, width=0.08),
    "wave": Front(amplitude=-0.5, centre=np.array([0.0, 0.3]), frame=TURN, width=0.08, wave=0.06, wave_number=9.0),
}


def differences(field, points, step):
    """Return gradient and Laplacian by central differences of fourth order."""
    gradient, laplacian = np.zeros_like(points), np.zeros(len(points))
    for axis, unit in enumerate(np.eye(points.shape[1])):
        far, near, here, ahead, further = (field(points + k * step * unit).value for k in (-2, -1, 0, 1, 2))
        gradient[:, axis] = (8.0 * (ahead - near) - (further - far)) / (12.0 * step)
        laplacian += (16.0 * (ahead + near) - (further + far) - 30.0 * here) / (12.0 * step**2)
    return gradient, laplacian


def check_derivatives(field, points, width):
    found = field(points)
    gradient, laplacian = differences(field, points, 0.005 * width)
    np.testing.assert_allclose(found.gradient, gradient, rtol=0, atol=1e-6 / width)
    np.testing.assert_allclose(found.laplacian, laplacian, rtol=0, atol=1e-5 / width**2)
    return np.abs(found.gradient).max() * width, np.abs(found.laplacian).max() * width**2


@pytest.mark.parametrize("name", PARTS)
def test_derivatives_are_those_of_the_value(name):
    field = PARTS[name]
    centre = field.centre
    points = np.random.default_rng(1).uniform(-0.6, 0.6, (2000, len(centre))) + centre
    slope, curvature = check_derivatives(field, points, 0.07)
    assert slope > 0.1 and curvature > 0.05  # there was something to differentiate


def test_a_sum_adds_all_derivatives():
    parts = [PARTS["gaussian"], PARTS["wave"]]
    points = np.random.default_rng(2).uniform(-1.0, 1.0, (50, 2))
    for total, one, other in zip(Sum(parts)(points), parts[0](points), parts[1](points), strict=True):
        np.testing.assert_array_equal(total, one + other)


def test_a_gaussian_has_the_integrals_of_one():
    """Those of u, |u|^2 and |grad u|^2 over the plane: 2 pi a s t, pi a^2 s t, pi a^2 (s / t + t / s) / 2."""
    field, s, t = PARTS["gaussian"], 0.1, 0.25
    line = np.linspace(-3.0, 3.0, 601)
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    found, cell = field(points), (line[1] - line[0]) ** 2
    assert found.value.sum() * cell == pytest.approx(-0.7 * 2.0 * np.pi * s * t, rel=1e-9)
    assert (found.value**2).sum() * cell == pytest.approx(0.49 * np.pi * s * t, rel=1e-9)
    assert (found.gradient**2).sum() * cell == pytest.approx(0.49 * np.pi * (s / t + t / s) / 2.0, rel=1e-9)
    assert found.laplacian.sum() * cell == pytest.approx(0.0, abs=1e-9)


def test_a_ring_is_zero_on_its_circle_and_as_steep_as_it_says():
    ring = PARTS["ring"]
    angle = np.linspace(0.0, 6.0, 7)
    found = ring(ring.centre + 0.4 * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    np.testing.assert_allclose(found.value, 0.0, atol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(found.gradient, axis=1), 0.6 / 0.07, rtol=1e-12)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**31), spacing=st.floats(0.005, 0.05))
def test_random_fields_are_as_they_are_said_to_be(seed, spacing):
    places = np.random.default_rng(3).uniform(0.0, 1.0, (40, 2))
    field = random_field(np.random.default_rng(seed), places, size=1.2, spacing=spacing)
    assert 1 <= len(field.parts) <= 3
    for part in field.parts:
        assert 0.5 <= abs(part.amplitude) <= 1.0
        assert (part.centre == places).all(axis=1).any()
        widths = 1.0 / np.linalg.norm(part.frame, axis=1) if isinstance(part, Gaussian) else np.array([part.width])
        assert spacing * (1 - 1e-12) <= widths.min() <= 0.12 * (1 + 1e-12)
        if isinstance(part, Ring):
            assert part.radius >= 3.0 * part.width
    points = np.random.default_rng(seed + 1).uniform(0.0, 1.0, (60, 2))
    check_derivatives(field, points, min(spacing, 0.02))
    again = random_field(np.random.default_rng(seed), places, size=1.2, spacing=spacing)
    np.testing.assert_array_equal(again(points).laplacian, field(points).laplacian)


def test_random_fields_are_of_all_kinds():
    rng, places = np.random.default_rng(4), np.random.default_rng(3).uniform(0.0, 1.0, (40, 2))
    parts = [part for _ in range(300) for part in random_field(rng, places, size=1.0, spacing=0.02).parts]
    shares = {kind: np.mean([isinstance(part, kind) for part in parts]) for kind in (Gaussian, Ring, Front)}
    # Five standard deviations of so many draws.
    for kind, share in ((Gaussian, 0.4), (Ring, 0.4), (Front, 0.2)):
        assert shares[kind] == pytest.approx(share, abs=5.0 * np.sqrt(share * (1 - share) / len(parts)))
    waves = [part.wave > 0 for part in parts if isinstance(part, Front)]
    assert 0.25 < np.mean(waves) < 0.75
