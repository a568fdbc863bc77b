"""How far a run is from a reference run of the same case, from the files that both have left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from numpy.typing import NDArray

from cases.animation import load_maps
from cases.raster import rasterise

Array = NDArray[np.float64]

# Pixels across the longer side of the domain, on which fields of different meshes are compared.
PIXELS = 700
# Maps belong together if their times differ by less than this share of the time between maps.
_SAME_TIME = 0.01


@dataclass(frozen=True)
class Reference:
    """A finished run.

    Attributes
    ----------
    folder
        Where it is.
    times, elevations
        Record of its gauges: (n,) [s] and (n, gauges) [m].
    maps
        Its maps, see :func:`cases.animation.load_maps`.
    """

    folder: Path
    times: Array
    elevations: Array
    maps: list[dict[str, Any]]


def read_reference(folder: Path, case: str) -> Reference:
    """Read a finished run.

    Raises
    ------
    ValueError
        If there is none, it is of another case, has not come to its end, or cannot be read.
    """
    remedy = "give the folder of a finished run, --out of `driftmesh run`"
    try:
        run = json.loads((folder / "run.json").read_text())
        found = run["case"], run["status"]
        times, elevations = _gauges(folder)
        maps = load_maps(folder) if (folder / "maps" / "mesh.npz").is_file() else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"--reference: got {folder}, expected a finished run; {reason}; {remedy}") from None
    if found != (case, "done"):
        raise ValueError(
            f"--reference: got a run of {found[0]!r}, {found[1]}, in {folder}, expected {case!r}, done; {remedy}"
        )
    return Reference(folder, times, elevations, maps)


def reference_errors(out: Path, reference: Reference) -> dict[str, float | None]:
    """Return the distance of a run from a reference.

    Parameters
    ----------
    out
        Folder of the run.
    reference
        What to measure it against.

    Returns
    -------
    dict
        ``gauge_error`` [m], mean over the gauges of the root mean square difference of their elevations, and
        ``elevation_error`` [m], root mean square over domain and the times of maps that both have of the difference of
        the depth less that of still water: where there is water at rest the difference of elevations, on land that of
        depths. None without such maps. Fields are interpolated at the centres of the same squares.
    """
    times, elevations = _gauges(out)
    span = (times >= reference.times[0]) & (times <= reference.times[-1])
    columns = range(elevations.shape[1])
    records = [np.interp(times[span], reference.times, reference.elevations[:, g]) for g in columns]
    gauges = [np.sqrt(np.mean((elevations[span, g] - records[g]) ** 2)) for g in columns]
    squares = []
    maps = load_maps(out)
    near = _SAME_TIME * min(np.diff([float(shot["time"]) for shot in maps]), default=0.0)
    for shot in maps:
        partners = [other for other in reference.maps if abs(float(other["time"]) - float(shot["time"])) <= near]
        # At the beginning all is still water.
        if partners and float(shot["time"]) > 0.0:
            difference = _disturbance(shot) - _disturbance(partners[0])
            squares.append(np.nanmean(difference**2))
    return {
        "gauge_error": float(np.mean(gauges)) if gauges else None,
        "elevation_error": float(np.sqrt(np.mean(squares))) if squares else None,
        "elevation_error_maps": len(squares),
    }


def _disturbance(shot: dict[str, Any]) -> Array:
    """Return the depth less that of still water at pixels, shape (rows, columns) [m]."""
    still = np.maximum(0.0, float(shot.get("still_level", 0.0)) - (shot["elevation"] - shot["depth"]))
    return rasterise(shot["points"], shot["cells"], pixels=PIXELS).sample(shot["depth"] - still)


def _gauges(folder: Path) -> tuple[Array, Array]:
    record = xarray.load_dataset(folder / "gauges.nc", engine="h5netcdf", decode_times=False)
    return record["time"].values, record["elevation"].transpose("time", "gauge").values
