"""The record of forces as a CF-conforming data set."""

from __future__ import annotations

import numpy as np
import xarray

from cases.case import Case

_VARIABLES = (
    ("drag", "drag coefficient", "1"),
    ("lift", "lift coefficient", "1"),
    ("pressure_difference", "pressure over density, in front less behind", "m2 s-2"),
)


def force_dataset(times: np.ndarray, values: np.ndarray, case: Case) -> xarray.Dataset:
    """Return coefficients of drag and lift and the pressure difference over time.

    Parameters
    ----------
    times
        In the middle of the time steps [s], shape (n,).
    values
        Means over the steps of drag coefficient, lift coefficient and pressure difference, shape (n, 3).
    case
        Case the record belongs to.
    """
    return xarray.Dataset(
        {
            name: ("time", values[:, k], {"long_name": label, "units": unit, "cell_methods": "time: mean"})
            for k, (name, label, unit) in enumerate(_VARIABLES)
        },
        coords={"time": ("time", times, {"long_name": "time since start", "units": "s", "axis": "T"})},
        attrs={"Conventions": "CF-1.11", "title": case.title, "source": "driftmesh"},
    )
