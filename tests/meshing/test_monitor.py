"""Every monitor function is positive with mean 1 on every mesh, and is the formula that it says it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from domains import MESHES
from firedrake import (
    CellVolume,
    Constant,
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    TestFunction,
    UnitCubeMesh,
    UnitDiskMesh,
    UnitSquareMesh,
    assemble,
    cosh,
    dot,
    dx,
    exp,
    grad,
    sqrt,
    tanh,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.field_monitors import ArcLengthMonitor, GradientMonitor, HessianMonitor
from meshing.mmpde import MMPDE
from meshing.monitor import MONITORS, ExpressionMonitor, FieldMonitor, Monitor, SumMonitor, make_monitor
from meshing.shaping import Shaping, helmholtz_filter, mean_of_vertices

RAW = Shaping(smoothing=0.0)


def p1(mesh, expression, name: str = "u") -> Function:
    return Function(FunctionSpace(mesh, "CG", 1), name=name).interpolate(expression)


def front(mesh) -> Function:
    x = SpatialCoordinate(mesh)
    return p1(mesh, tanh(15 * (x[0] + 0.3 * x[1] - 0.5)))


def ring(x):
    return 1 + 10 / cosh(50 * ((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2 - 0.09)) ** 2


def ring_at(points: np.ndarray) -> np.ndarray:
    return 1 + 10 / np.cosh(50 * (((points[:, :2] - 0.5) ** 2).sum(axis=1) - 0.09)) ** 2


def moved(mesh) -> Mesh:
    """Move the vertices of the interior, and of the boundary outwards by as much as a curve might."""
    coordinates = mesh.coordinates.copy(deepcopy=True)
    points = mesh.coordinates.dat.data_ro
    coordinates.dat.data_wo[:] = points + 0.02 * np.sin(5 * points[:, ::-1])
    return Mesh(coordinates)


def values(monitor: Monitor, mesh) -> np.ndarray:
    return monitor(mesh).dat.data_ro.copy()


KINDS: dict[str, Callable[[Function], Monitor]] = {
    name: (lambda field, name=name: make_monitor(name, field)) for name in MONITORS
} | {
    "expression": lambda field: ExpressionMonitor(ring),
    "expression, shaped": lambda field: ExpressionMonitor(ring, Shaping(smoothing=2.0, max_size_ratio=1.5)),
    "field": lambda field: FieldMonitor(p1(field.function_space().mesh(), exp(9 * field)), Shaping(max_size_ratio=3.0)),
    "sum": lambda field: SumMonitor([HessianMonitor(field), ExpressionMonitor(ring)], [1.0, 3.0]),
    "percentile": lambda field: GradientMonitor(field, scale=90, regularisation=1e-3),
    "far smoothed": lambda field: make_monitor("metric", field, Shaping(smoothing=30.0, max_size_ratio=2.0)),
}


@pytest.mark.parametrize("domain", MESHES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_contract(kind: str, domain: str) -> None:
    """P1 on the mesh, positive, finite, mean 1, a new function; on the mesh, on it moved, on it moved in place."""
    mesh = MESHES[domain]()
    monitor, other = KINDS[kind](front(mesh)), moved(mesh)
    first, second = monitor(mesh), monitor(other)
    kept = first.dat.data_ro.copy()
    mesh.coordinates.dat.data_wo[:] = other.coordinates.dat.data_ro
    third = monitor(mesh)
    np.testing.assert_array_equal(first.dat.data_ro, kept)
    # Begun in other cells, the search may end in other ones of those around a vertex.
    np.testing.assert_allclose(third.dat.data_ro, second.dat.data_ro, rtol=1e-9)
    for function, on in ((second, other), (third, mesh)):
        assert function.function_space() == FunctionSpace(on, "CG", 1)
        assert np.isfinite(function.dat.data_ro).all() and (function.dat.data_ro > 0).all()
        assert assemble(function * dx) / assemble(Constant(1.0) * dx(domain=on)) == pytest.approx(1.0, abs=1e-12)
        assert np.ptp(function.dat.data_ro) > 1e-3
    assert mean_of_vertices(moved(on := MESHES[domain]()), kept) != pytest.approx(1.0, abs=1e-9)
    assert mean_of_vertices(on, kept) == pytest.approx(1.0, abs=1e-12)


def test_an_expression_is_evaluated_where_the_vertices_are() -> None:
    """Wherever they have been moved, exactly; ``Constant`` and closure may change."""
    mesh = UnitSquareMesh(6, 5)
    amount, closure = Constant(0.0), {"factor": 0.0}
    monitor = ExpressionMonitor(lambda x: ring(x) + amount * x[0] + closure["factor"] * x[1])
    for step in range(3):
        mesh.coordinates.dat.data_wo[:] = mesh.coordinates.dat.data_ro ** (1.0 + 0.2 * step)
        amount.assign(3.0 * step)
        closure["factor"] = 5.0 * (step == 2)
        x = mesh.coordinates.dat.data_ro
        expected = ring_at(x) + 3.0 * step * x[:, 0] + closure["factor"] * x[:, 1]
        np.testing.assert_allclose(values(monitor, mesh), expected / mean_of_vertices(mesh, expected), rtol=1e-13)


@pytest.mark.parametrize("number", [3, 0.25])
def test_an_expression_may_be_a_number(number: float) -> None:
    assert values(ExpressionMonitor(lambda x: number), UnitSquareMesh(2, 2)) == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (lambda x: x, r"expression: got one of shape (2,), expected a scalar; take its norm"),
        (
            lambda x: x[0] - 0.5,
            "expression: got values from -0.5 to 0.5, expected positive values everywhere; add a positive constant or "
            "mend the field",
        ),
        (
            lambda x: 1 / x[0],
            "expression: got values that are not finite, expected positive values everywhere; add a positive constant "
            "or mend the field",
        ),
    ],
)
def test_bad_expressions_are_refused(expression, message: str) -> None:
    with pytest.raises(ValueError) as error:
        ExpressionMonitor(expression)(UnitSquareMesh(4, 4))
    assert str(error.value) == message


def test_a_given_field_is_taken_as_it_is() -> None:
    """Its mean apart, whatever its unit; linear in between."""
    mesh = UnitSquareMesh(5, 4)
    x = SpatialCoordinate(mesh)
    given = p1(mesh, 1e200 * (1 + x[0] + 2 * x[1]))
    monitor, other = FieldMonitor(given), UnitSquareMesh(7, 3)
    for on in (mesh, other):
        linear = 1 + on.coordinates.dat.data_ro @ [1.0, 2.0]
        np.testing.assert_allclose(values(monitor, on), linear / 2.5, rtol=1e-12)
    with pytest.raises(ValueError, match=r"^depth: got values from -1 to 1, expected positive values everywhere; add"):
        FieldMonitor(p1(mesh, 1 - 2 * x[0], "depth"))


def test_arc_length_of_a_parabola() -> None:
    """u = 3 x^2 + 7 has the slope 6 x, of mean 3; the recovery is exact for it."""
    mesh = UnitSquareMesh(8, 7)
    x, at = SpatialCoordinate(mesh), mesh.coordinates.dat.data_ro[:, 0]
    parabola = p1(mesh, 3 * x[0] ** 2 + 7)
    for monitor, raw in (
        (ArcLengthMonitor(parabola, shaping=RAW), np.sqrt(1 + (2 * at) ** 2)),
        (ArcLengthMonitor(parabola, shaping=RAW, regularisation=0.2), np.sqrt(1 + (10 * at) ** 2)),
        (ArcLengthMonitor(parabola, shaping=RAW, scale=100), np.sqrt(1 + at**2)),
        (GradientMonitor(parabola, shaping=RAW), 1 + 2 * at),
        (GradientMonitor(parabola, shaping=RAW, regularisation=0.2), 1 + 10 * at),
    ):
        np.testing.assert_allclose(values(monitor, mesh), raw / mean_of_vertices(mesh, raw), rtol=1e-10)


@pytest.mark.parametrize(
    ("mesh", "exponent"), [(UnitSquareMesh(9, 9), 2 / 3), (UnitCubeMesh(8, 8, 8), 6 / 7)], ids=["2D", "3D"]
)
def test_hessian_of_a_cubic(mesh, exponent: float) -> None:
    """u = x^3 has u_xx = 6 x, and second differences of it are exact in the interior, where it is at most 6 (1 - h)."""
    points = mesh.coordinates.dat.data_ro
    inside = ((points > 0) & (points < 1)).all(axis=1)
    largest = points[inside, 0].max()
    monitor = HessianMonitor(p1(mesh, SpatialCoordinate(mesh)[0] ** 3), shaping=RAW, scale=100)
    raw = (1 + points[inside, 0] / (0.3 * largest)) ** exponent
    ratios = values(monitor, mesh)[inside] / raw
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


def test_a_percentile_is_by_volume() -> None:
    """|grad x^2| = 2 x is below 1.6 on 80 % of the square, though not in 80 % of the vertices of this mesh."""
    mesh = UnitSquareMesh(60, 3)
    mesh.coordinates.dat.data_wo[:] = mesh.coordinates.dat.data_ro ** [3.0, 1.0]
    at = mesh.coordinates.dat.data_ro[:, 0]
    assert np.mean(at < 0.8) > 0.9
    monitor = GradientMonitor(p1(mesh, SpatialCoordinate(mesh)[0] ** 2), shaping=RAW, scale=80)
    shape = values(monitor, mesh)
    # m = k (1 + 2 x / s)
    scale = 2.0 / (shape[at == 1].mean() / shape[at == 0].mean() - 1.0)
    assert scale == pytest.approx(1.6, abs=0.06)


def test_where_the_percentile_is_zero_the_mean_counts() -> None:
    """Flat on two thirds: |grad u| has the median 0."""
    mesh = UnitSquareMesh(30, 3)
    x = SpatialCoordinate(mesh)
    bend = p1(mesh, 0.5 * abs(x[0] - 2 / 3) + 0.5 * (x[0] - 2 / 3))
    bend.dat.data_wo[bend.dat.data_ro < 1e-12] = 0.0
    median, mean = (values(GradientMonitor(bend, shaping=RAW, scale=scale), mesh) for scale in (50, "mean"))
    np.testing.assert_array_equal(median, mean)
    at = mesh.coordinates.dat.data_ro[:, 0]
    assert mean[at > 0.8].mean() / mean[at < 0.5].mean() == pytest.approx(1 + 1 / (1 / 3), rel=0.05)


@pytest.mark.parametrize("name", MONITORS)
@pytest.mark.parametrize("mesh", [UnitDiskMesh(2), UnitCubeMesh(3, 3, 3)], ids=["2D", "3D"])
def test_without_derivative_the_monitor_is_one(name: str, mesh) -> None:
    """Of a constant, and for second derivatives of what is linear but for rounding."""
    x = SpatialCoordinate(mesh)
    fields = [p1(mesh, Constant(0.0)), p1(mesh, Constant(1e5 / 3))]
    if name in ("hessian", "metric"):
        fields.append(p1(mesh, 1e5 + x[0] / 3 - 7 * x[1]))
    for field in fields:
        assert values(make_monitor(name, field), mesh) == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("name", MONITORS)
@pytest.mark.parametrize(("factor", "constant"), [(1e-120, 0.0), (-3e7, 0.0), (1.0, 50.0)])
def test_units_and_constants_do_not_matter(name: str, factor: float, constant: float) -> None:
    mesh = UnitSquareMesh(12, 12)
    field = front(mesh)
    expected = values(make_monitor(name, field), mesh)
    field.dat.data_wo[:] = factor * field.dat.data_ro + constant
    np.testing.assert_allclose(values(make_monitor(name, field), mesh), expected, rtol=1e-9)


def test_a_sum_has_the_shares_of_its_weights() -> None:
    mesh = UnitSquareMesh(9, 9)
    parts = [ExpressionMonitor(ring), HessianMonitor(front(mesh))]
    one, other = (values(part, mesh) for part in parts)
    np.testing.assert_allclose(values(SumMonitor(parts), mesh), 0.5 * one + 0.5 * other, rtol=1e-13)
    np.testing.assert_allclose(values(SumMonitor(parts, [6, 2]), mesh), 0.75 * one + 0.25 * other, rtol=1e-13)


@pytest.mark.parametrize(
    ("monitors", "weights", "message"),
    [
        ([], None, "monitors: got none, expected one or more"),
        (
            [ExpressionMonitor(ring)],
            [1.0, 2.0],
            "weights: got [1.0, 2.0], expected a positive number for each of 1 monitors; leave out those of no weight",
        ),
        (
            [ExpressionMonitor(ring)] * 2,
            [1.0, 0.0],
            "weights: got [1.0, 0.0], expected a positive number for each of 2 monitors; leave out those of no weight",
        ),
    ],
)
def test_bad_sums_are_refused(monitors, weights, message: str) -> None:
    with pytest.raises(ValueError) as error:
        SumMonitor(monitors, weights)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regularisation": 0.0}, "regularisation: got 0.0, expected a positive number, such as 0.3"),
        ({"regularisation": np.nan}, "regularisation: got nan, expected a positive number, such as 0.3"),
        ({"scale": 0}, "scale: got 0, expected 'mean' or a percentile, more than 0, at most 100, such as 90"),
        ({"scale": "max"}, "scale: got 'max', expected 'mean' or a percentile, more than 0, at most 100, such as 90"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        HessianMonitor(front(UnitSquareMesh(3, 3)), **options)
    assert str(error.value) == message


@pytest.mark.parametrize("domain", MESHES)
@pytest.mark.parametrize("length", [0.5, 3.0])
def test_the_filter_solves_its_equation(domain: str, length: float) -> None:
    """In its weak form, with the mass lumped, and with the edge of the regular simplex of the cell's volume as size."""
    mesh = MESHES[domain]()
    test = TestFunction(FunctionSpace(mesh, "CG", 1))
    raw, smooth = (Function(test.function_space()) for _ in range(2))
    raw.dat.data_wo[:] = np.random.default_rng(0).standard_normal(mesh.num_vertices())
    smooth.dat.data_wo[:] = helmholtz_filter(mesh, raw.dat.data_ro, length)
    size = {2: sqrt(4 * CellVolume(mesh) / sqrt(3)), 3: (6 * sqrt(2) * CellVolume(mesh)) ** (1 / 3)}
    spread = assemble(length**2 * size[mesh.geometric_dimension] ** 2 * dot(grad(smooth), grad(test)) * dx)
    lumped = assemble(test * dx).dat.data_ro
    residual = (smooth.dat.data_ro - raw.dat.data_ro) + spread.dat.data_ro / lumped
    np.testing.assert_allclose(residual, 0.0, rtol=0, atol=1e-7 * length**2)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    domain=st.sampled_from(list(MESHES)),
    length=st.floats(0.1, 20, allow_subnormal=False),
    decades=st.floats(0, 6, allow_subnormal=False),
)
def test_the_filter_keeps_integral_and_positivity(seed: int, domain: str, length: float, decades: float) -> None:
    mesh = MESHES[domain]()
    raw = 10.0 ** np.random.default_rng(seed).uniform(0, decades, mesh.num_vertices())
    smooth = helmholtz_filter(mesh, raw, length)
    assert mean_of_vertices(mesh, smooth) == pytest.approx(mean_of_vertices(mesh, raw), rel=1e-9)
    np.testing.assert_array_equal(helmholtz_filter(mesh, np.full_like(raw, 0.1), length), 0.1)
    shaped = Shaping(smoothing=length).monitor_function(mesh, raw).dat.data_ro
    assert shaped.max() / shaped.min() <= raw.max() / raw.min() * (1 + 1e-12)
    if decades > 0.1:
        assert np.std(smooth) < np.std(raw)


def test_on_obtuse_meshes_the_filter_is_put_back() -> None:
    """Where it alone would make values negative."""
    mesh = UnitSquareMesh(9, 9)
    mesh.coordinates.dat.data_wo[:] = mesh.coordinates.dat.data_ro @ [[1.0, 0.0], [3.0, 1.0]]
    raw = np.where(np.arange(mesh.num_vertices()) == 44, 1e6, 1.0)
    assert helmholtz_filter(mesh, raw, 2.0).min() < 0.0
    shaped = Shaping(smoothing=2.0).monitor_function(mesh, raw).dat.data_ro
    assert shaped.min() > 0.0 and shaped.max() / shaped.min() <= 1e6
    assert mean_of_vertices(mesh, shaped) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("mesh", [UnitSquareMesh(12, 12), UnitCubeMesh(5, 5, 5)], ids=["2D", "3D"])
@pytest.mark.parametrize("ratio", [1.0, 1.3, 100.0])
def test_sizes_are_in_the_ratio_allowed(mesh, ratio: float) -> None:
    """Sizes go like m^(-1/d); what is within the ratio is left as it is."""
    plain, capped = (values(ExpressionMonitor(ring, Shaping(max_size_ratio=r)), mesh) for r in (None, ratio))
    power = ratio**mesh.geometric_dimension
    expected = np.minimum(plain, power * plain.min())
    np.testing.assert_allclose(capped, expected / mean_of_vertices(mesh, expected), rtol=1e-13)
    assert capped.max() / capped.min() == pytest.approx(min(power, plain.max() / plain.min()), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": -1.0}, "smoothing: got -1.0, expected a length of 0 or more cells, such as 1"),
        ({"smoothing": np.nan}, "smoothing: got nan, expected a length of 0 or more cells, such as 1"),
        ({"max_size_ratio": 0.5}, "max_size_ratio: got 0.5, expected a ratio of 1 or more, such as 10"),
        ({"max_size_ratio": np.inf}, "max_size_ratio: got inf, expected a ratio of 1 or more, such as 10"),
    ],
)
def test_bad_shaping_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        Shaping(**options)
    assert str(error.value) == message


def test_the_registry() -> None:
    field = front(UnitSquareMesh(4, 4))
    for name, entry in MONITORS.items():
        assert entry.summary and "\n" not in entry.summary
        assert isinstance(make_monitor(name, field, Shaping(smoothing=0.0)), Monitor)
    with pytest.raises(ValueError) as error:
        make_monitor("curvature", field)
    assert str(error.value) == "monitor: got 'curvature', expected one of arc-length, gradient, hessian, metric"


@pytest.mark.parametrize("name", MONITORS)
def test_meshes_moved_by_it_interpolate_better(name: str) -> None:
    """A front of tanh, the monitor functions with their defaults."""
    mesh = UnitSquareMesh(20, 20)
    result = MMPDE().move(mesh, make_monitor(name, front(mesh)))
    errors = []
    for on in (mesh, Mesh(result.coordinates)):
        x = SpatialCoordinate(on)
        exact = tanh(15 * (x[0] + 0.3 * x[1] - 0.5))
        errors.append(sqrt(assemble((p1(on, exact) - exact) ** 2 * dx(degree=8))))
    print(f"\n{name}: error in L2 {errors[0]:.3g} -> {errors[1]:.3g}")
    assert errors[1] < 0.6 * errors[0]
