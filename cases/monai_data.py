"""The Monai Valley benchmark's data: bathymetry, incident wave and laboratory gauges."""

from contextlib import nullcontext
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import xarray
from numpy.typing import NDArray

REMEDY = "restore cases/data/monai.nc from the repository or rebuild it with cases/data/make_monai.py"
VARIABLES = {
    "bathymetry": ("y", "x"),
    "incident_wave": ("wave_time",),
    "gauge_elevation": ("time", "gauge"),
    "gauge_x": ("gauge",),
    "gauge_y": ("gauge",),
    "x": ("x",),
    "y": ("y",),
    "wave_time": ("wave_time",),
    "time": ("time",),
}


@dataclass(frozen=True)
class MonaiData:
    """Hold the data of the Monai Valley benchmark, float64, still water at elevation 0.

    Attributes
    ----------
    x, y : ndarray, shapes (nx,) and (ny,), m
        Axes of the bathymetry, increasing; x = 0 is the boundary where the wave enters.
    bathymetry : ndarray, shape (nx, ny), m
        Bed elevation, positive up, indexed ``[x, y]``.
    wave_time, wave_elevation : ndarray, shape (nw,), s and m
        Surface elevation of the incident wave at x = 0.
    gauge_names : tuple of str, length 3
        Names of the gauges: ch5, ch7, ch9.
    gauge_points : ndarray, shape (3, 2), m
        Positions of the gauges.
    laboratory_time : ndarray, shape (nt,), s
        Times of the laboratory record.
    laboratory_elevation : ndarray, shape (nt, 3), m
        Surface elevation measured at the gauges, as recorded (no offset removed).
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    bathymetry: NDArray[np.float64]
    wave_time: NDArray[np.float64]
    wave_elevation: NDArray[np.float64]
    gauge_names: tuple[str, ...]
    gauge_points: NDArray[np.float64]
    laboratory_time: NDArray[np.float64]
    laboratory_elevation: NDArray[np.float64]


def load_monai(path: Path | None = None) -> MonaiData:
    """Load the Monai Valley benchmark.

    Parameters
    ----------
    path : Path, optional
        NetCDF-4 file as ``cases/data/make_monai.py`` writes it; the packaged one when None.

    Returns
    -------
    MonaiData
        Finite everywhere.

    Raises
    ------
    ValueError
        If the file is absent, is no such NetCDF-4 file, or holds a value that is not finite.

    Notes
    -----
    Third International Workshop on Long-Wave Runup Models (Catalina Island, 2004), benchmark problem 2.
    """
    packaged = resources.as_file(resources.files("cases").joinpath("data", "monai.nc"))
    with packaged if path is None else nullcontext(path) as file:
        values, names = _read(file)
    return MonaiData(
        x=values["x"],
        y=values["y"],
        bathymetry=np.ascontiguousarray(values["bathymetry"].T),
        wave_time=values["wave_time"],
        wave_elevation=values["incident_wave"],
        gauge_names=names,
        gauge_points=np.column_stack([values["gauge_x"], values["gauge_y"]]),
        laboratory_time=values["time"],
        laboratory_elevation=values["gauge_elevation"],
    )


def _read(file: Path) -> tuple[dict[str, NDArray[np.float64]], tuple[str, ...]]:
    """Read the variables by name, in the file's own index order, and the gauges' names."""
    if not file.is_file():
        raise ValueError(f"got no file {file}; expected the Monai data as NetCDF-4; {REMEDY}")
    try:
        with xarray.open_dataset(file, engine="h5netcdf", decode_times=False) as dataset:
            arrays = {name: dataset[name].load() for name in VARIABLES}
            names = tuple(str(name) for name in dataset["gauge"].values)
    except (OSError, KeyError, ValueError) as error:
        # h5py reports a damaged file as OSError, xarray an absent variable as KeyError; one line of either.
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"got {file}, which cannot be read ({reason}); expected the Monai data as NetCDF-4; {REMEDY}"
        ) from error
    for name, dimensions in VARIABLES.items():
        array = arrays[name]
        if array.dims != dimensions:
            raise ValueError(f"got {name}{array.dims} in {file}; expected dimensions {dimensions}; {REMEDY}")
        unusable = int(np.count_nonzero(~np.isfinite(array.values)))
        if unusable:
            raise ValueError(f"got {unusable} values of {name} in {file} that are not finite; expected none; {REMEDY}")
    return {name: array.values.astype(np.float64) for name, array in arrays.items()}, names
