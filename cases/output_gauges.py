"""Gauge records as a CF-conforming data set."""

from __future__ import annotations

import numpy as np
import xarray

from cases.case import Case, Gauges


def gauge_dataset(gauges: Gauges, times: np.ndarray, values: np.ndarray, case: Case) -> xarray.Dataset:
    """Return elevation and discharge at the gauges, and the measured record where there is one.

    Parameters
    ----------
    gauges
        Names, positions and measurements.
    times
        Sample times [s], shape (n,).
    values
        Elevation, hu, hv, shape (n, gauges, 3) [m, m^2/s].
    case
        Case the record belongs to.
    """
    elevation = {"standard_name": "sea_surface_height_above_geopotential_datum", "units": "m"}
    dataset = xarray.Dataset(
        {
            "elevation": (
                ("time", "gauge"),
                values[:, :, 0],
                {**elevation, "long_name": "surface elevation"},
            ),
            "discharge_x": (("time", "gauge"), values[:, :, 1], {"long_name": "hu", "units": "m2 s-1"}),
            "discharge_y": (("time", "gauge"), values[:, :, 2], {"long_name": "hv", "units": "m2 s-1"}),
        },
        coords={
            "time": ("time", times, {"long_name": "time since start", "units": "s", "axis": "T"}),
            "gauge": ("gauge", list(gauges.names), {"cf_role": "timeseries_id", "long_name": "gauge"}),
            "gauge_x": ("gauge", gauges.points[:, 0], {"units": "m", "axis": "X"}),
            "gauge_y": ("gauge", gauges.points[:, 1], {"units": "m", "axis": "Y"}),
        },
        attrs={
            "Conventions": "CF-1.11",
            "featureType": "timeSeries",
            "title": case.title,
            "source": "driftmesh",
        },
    )
    if gauges.reference_time is not None:
        dataset = dataset.assign_coords(
            reference_time=(
                "reference_time",
                gauges.reference_time,
                {"units": "s", "long_name": "time of measurement"},
            )
        )
        dataset["reference_elevation"] = (
            ("reference_time", "gauge"),
            gauges.reference_elevation,
            {**elevation, "long_name": "measured surface elevation"},
        )
    return dataset
