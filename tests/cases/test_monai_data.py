"""The packaged Monai data are the published ones, and a broken file is refused in one line."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import xarray

from cases.monai_data import load_monai


def test_shapes_and_axes() -> None:
    data = load_monai()
    assert data.bathymetry.shape == (data.x.size, data.y.size) == (393, 244)
    assert data.wave_time.shape == data.wave_elevation.shape == (451,)
    assert data.laboratory_elevation.shape == (data.laboratory_time.size, 3) == (3992, 3)
    assert (data.x[0], data.x[-1], data.y[0], data.y[-1]) == (0.0, 5.488, 0.0, 3.402)
    np.testing.assert_allclose(np.diff(data.x), 0.014, atol=1e-12)
    np.testing.assert_allclose(np.diff(data.y), 0.014, atol=1e-12)
    assert data.wave_time[-1] == 22.5


def test_values_are_finite_and_indexed_x_then_y() -> None:
    data = load_monai()
    for values in (data.bathymetry, data.wave_elevation, data.laboratory_elevation, data.gauge_points):
        assert np.isfinite(values).all()
    # The tank is 13.535 cm deep where the wave enters, and its highest land is the 12.5 cm cliff.
    np.testing.assert_allclose(data.bathymetry[0], -0.13535, atol=1e-15)
    np.testing.assert_allclose(data.bathymetry.max(), 0.125, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "point", "peak", "time"),
    [
        ("ch5", (4.521, 1.196), 0.03694, 18.35),
        ("ch7", (4.521, 1.696), 0.03895, 17.00),
        ("ch9", (4.521, 2.196), 0.04535, 16.85),
    ],
)
def test_laboratory_peaks(name: str, point: tuple[float, float], peak: float, time: float) -> None:
    data = load_monai()
    gauge = data.gauge_names.index(name)
    series = data.laboratory_elevation[:, gauge]
    assert tuple(data.gauge_points[gauge]) == point
    assert series.max() == pytest.approx(peak, abs=1e-12)
    assert data.laboratory_time[series.argmax()] == pytest.approx(time, abs=1e-9)


def test_incident_wave_draws_down_before_its_crest() -> None:
    data = load_monai()
    peak = data.wave_elevation.argmax()
    assert data.wave_elevation[peak] == 0.0161886
    assert data.wave_time[peak] == 12.25
    assert data.wave_elevation[:peak].min() == -0.0029417


def test_absent_file(tmp_path: Path) -> None:
    _assert_refused(tmp_path / "none.nc", "got no file .*none.nc; expected .*; restore .*make_monai.py")


def test_damaged_file(tmp_path: Path) -> None:
    file = tmp_path / "damaged.nc"
    file.write_bytes(b"not a NetCDF file")
    _assert_refused(file, "got .*damaged.nc, which cannot be read .*; expected .*; restore ")


def test_absent_variable(tmp_path: Path) -> None:
    file = tmp_path / "partial.nc"
    _packaged().drop_vars("incident_wave").to_netcdf(file, engine="h5netcdf")
    _assert_refused(file, "got .*partial.nc, which cannot be read .*incident_wave.*; expected .*; restore ")


def test_transposed_variable(tmp_path: Path) -> None:
    file = tmp_path / "transposed.nc"
    _packaged().transpose("x", "y", ...).to_netcdf(file, engine="h5netcdf")
    _assert_refused(file, r"got bathymetry\('x', 'y'\) .*; expected dimensions \('y', 'x'\); restore ")


def test_value_that_is_not_finite(tmp_path: Path) -> None:
    file = tmp_path / "nan.nc"
    dataset = _packaged()
    dataset["gauge_elevation"][7, 1] = np.nan
    dataset.drop_encoding().to_netcdf(file, engine="h5netcdf")
    _assert_refused(file, "got 1 values of gauge_elevation in .*nan.nc .*; expected none; restore ")


def _packaged() -> xarray.Dataset:
    with resources.as_file(resources.files("cases").joinpath("data", "monai.nc")) as file:
        return xarray.load_dataset(file, engine="h5netcdf", decode_times=False)


def _assert_refused(file: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        load_monai(file)
    assert "\n" not in str(refusal.value)
