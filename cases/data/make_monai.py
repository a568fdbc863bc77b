"""Pack the published Monai Valley tables into one NetCDF-4 file: ``make_monai.py SOURCE_FOLDER monai.nc``.

The file is committed beside this script, so a run never needs it; it records where the numbers come from.
"""

import argparse
from pathlib import Path

import numpy as np
import xarray

GAUGES = ["ch5", "ch7", "ch9"]
GAUGE_X = [4.521, 4.521, 4.521]  # m
GAUGE_Y = [1.196, 1.696, 2.196]  # m
# Decimals that the source prints, in metres: bathymetry 1e-7 m, laboratory 1e-3 cm.
BATHYMETRY_DECIMALS = 7
LABORATORY_DECIMALS = 5

ATTRIBUTION = {
    "Conventions": "CF-1.11",
    "title": "Monai Valley laboratory benchmark, 1:400 scale model of the Okushiri tsunami of 1993",
    "institution": "Central Research Institute of Electric Power Industry (CRIEPI), Abiko, Japan",
    "source": "wave tank measurements; tables from the sdist of the package anuga 4.1.0 on PyPI",
    "references": (
        "Third International Workshop on Long-Wave Runup Models, Catalina Island, 2004, benchmark problem 2"
    ),
    "license": "marked publishable by its owner",
    "history": "packed by cases/data/make_monai.py",
}


def main() -> None:
    """Read the two paths from the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="folder of bathymetry.xya and the two time series")
    parser.add_argument("output", type=Path, help="NetCDF-4 file to write")
    arguments = parser.parse_args()
    dataset = read_source(arguments.source)
    # Neither the attributes nor h5netcdf record a date: the same source and versions give the same bytes.
    dataset.to_netcdf(arguments.output, engine="h5netcdf", encoding=encoding(dataset))
    verify(dataset, arguments.output)


def read_source(source: Path) -> xarray.Dataset:
    """Read the three tables of the benchmark.

    Parameters
    ----------
    source : Path
        Folder of ``bathymetry.xya``, ``incident_wave.txt`` and ``gauges_ch5_ch7_ch9.txt``.

    Returns
    -------
    xarray.Dataset
        ``bathymetry(y, x)``, ``incident_wave(wave_time)`` and ``gauge_elevation(time, gauge)``, float64, in m
        and s, with CF attributes.
    """
    points = np.loadtxt(source / "bathymetry.xya", delimiter=",", skiprows=1)
    wave = np.loadtxt(source / "incident_wave.txt", skiprows=1)
    gauges = np.loadtxt(source / "gauges_ch5_ch7_ch9.txt", skiprows=1)
    x, y = np.unique(points[:, 0]), np.unique(points[:, 1])
    # The table runs through y first; the comparison below holds it to that.
    grid = points.reshape(x.size, y.size, 3)
    if not (np.array_equal(grid[:, 0, 0], x) and np.array_equal(grid[0, :, 1], y)):
        raise ValueError("got a bathymetry that is not x-major; expected y to vary first; sort its rows by x, y")
    # From cm to m; the rounding removes the last-digit noise of the division, not data.
    laboratory = np.round(gauges[:, 1:] / 100, LABORATORY_DECIMALS)
    return xarray.Dataset(
        data_vars={
            "bathymetry": (
                ("y", "x"),
                grid[:, :, 2].T,
                {
                    "units": "m",
                    "long_name": "bed elevation above the still water level",
                    "positive": "up",
                },
            ),
            "incident_wave": (
                "wave_time",
                wave[:, 1],
                {"units": "m", "long_name": "surface elevation of the incident wave at x = 0"},
            ),
            "gauge_elevation": (
                ("time", "gauge"),
                laboratory,
                {
                    "units": "m",
                    "long_name": "surface elevation measured in the laboratory",
                    "positive": "up",
                },
            ),
        },
        coords={
            "x": (
                "x",
                x,
                {
                    "units": "m",
                    "standard_name": "projection_x_coordinate",
                    "long_name": "distance from the wave maker's boundary",
                    "axis": "X",
                },
            ),
            "y": (
                "y",
                y,
                {
                    "units": "m",
                    "standard_name": "projection_y_coordinate",
                    "long_name": "distance across the tank",
                    "axis": "Y",
                },
            ),
            # "seconds" of an experiment: no calendar date, so no "since" and no decoding.
            "wave_time": (
                "wave_time",
                wave[:, 0],
                {"units": "s", "long_name": "time of the incident wave", "axis": "T"},
            ),
            "time": (
                "time",
                gauges[:, 0],
                {"units": "s", "long_name": "time of the laboratory record", "axis": "T"},
            ),
            "gauge": ("gauge", GAUGES, {"long_name": "gauge name", "cf_role": "timeseries_id"}),
            "gauge_x": ("gauge", GAUGE_X, {"units": "m", "long_name": "x of the gauge"}),
            "gauge_y": ("gauge", GAUGE_Y, {"units": "m", "long_name": "y of the gauge"}),
        },
        attrs=ATTRIBUTION,
    )


def encoding(dataset: xarray.Dataset) -> dict[str, dict[str, object]]:
    """Return the encoding: scaled integers of the decimals that the source prints, then shuffle and zlib."""
    packed: dict[str, dict[str, object]] = {
        str(name): {"dtype": "float64", "_FillValue": None}
        for name, variable in dataset.variables.items()
        if variable.dtype.kind == "f"
    }
    for name, integer, decimals in (
        ("bathymetry", np.int32, BATHYMETRY_DECIMALS),
        ("gauge_elevation", np.int16, LABORATORY_DECIMALS),
    ):
        packed[name] = {
            "dtype": np.dtype(integer).name,
            "scale_factor": 10.0**-decimals,
            "_FillValue": np.iinfo(integer).min,
            "zlib": True,
            "complevel": 9,
            "shuffle": True,
        }
    return packed


def verify(dataset: xarray.Dataset, output: Path) -> None:
    """Assert that the file gives back every number of the source, bit for bit, at its printed decimals."""
    decimals = {"bathymetry": BATHYMETRY_DECIMALS, "gauge_elevation": LABORATORY_DECIMALS}
    with xarray.open_dataset(output, engine="h5netcdf", decode_times=False) as written:
        for name, variable in dataset.variables.items():
            values = written[name].values
            if name in decimals:
                values = np.round(values, decimals[str(name)])
            assert np.array_equal(values, variable.values), f"{name} is not stored losslessly"


if __name__ == "__main__":
    main()
