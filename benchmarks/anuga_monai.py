"""Run the Monai Valley benchmark with ANUGA, the comparison code: gauges, wall time, memory.

Standalone: runs in an environment of its own (``pip install anuga==4.1``) and imports only anuga, numpy and
the standard library.  One thread is asked for before anuga is imported, unless ``OMP_NUM_THREADS`` is set.

    python benchmarks/anuga_monai.py --nx 55 --ny 34 --data monai.npz --out 55_34.npz

``monai.npz`` is written by ``benchmarks/monai.py`` from the data that driftmesh ships: ``x, y, bathymetry``
(elevation [m] on a regular grid, indexed [x, y]), ``wave_time, wave_elevation`` (surface at x = 0 [s, m]),
``gauge_points`` [m], ``laboratory_time, laboratory_elevation`` [s, m].

The wall seconds cover the evolve loop alone, with the location of the gauges and the recording there (every
0.05 s) and no output file; the set-up seconds cover mesh, bathymetry and boundary conditions, no imports.

Set-up as in ANUGA's own validation of this case: friction 0.0025, stage 0, wave boundary of prescribed stage
and transmitted normal momentum, reflective walls; but on a uniform cross mesh of 4 nx ny triangles, with flow
algorithm DE1 and the bathymetry interpolated bilinearly at the vertices.

Source: Third International Workshop on Long-Wave Runup Models (2004), benchmark problem 2.
"""

import argparse
import contextlib
import json
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import anuga  # after the line above: the thread count is read on import
import numpy as np

LENGTH, WIDTH = 5.488, 3.402  # m
RECORD_INTERVAL = 0.05  # s


def interpolate_bathymetry(data, x, y):
    """Return the elevation at points, bilinearly from the regular grid.

    Parameters
    ----------
    data : Mapping
        Holds ``x`` (nx,), ``y`` (ny,) and ``bathymetry`` (nx, ny) [m].
    x, y : ndarray, shape (n,), float
        Points [m]; outside the grid the nearest edge cell's value at the edge is taken.

    Returns
    -------
    ndarray, shape (n,), float
        Elevation [m], negative under still water.
    """
    grid_x, grid_y, values = data["x"], data["y"], data["bathymetry"]
    i = np.clip(np.searchsorted(grid_x, x, side="right") - 1, 0, grid_x.size - 2)
    j = np.clip(np.searchsorted(grid_y, y, side="right") - 1, 0, grid_y.size - 2)
    s = np.clip((x - grid_x[i]) / (grid_x[i + 1] - grid_x[i]), 0.0, 1.0)
    r = np.clip((y - grid_y[j]) / (grid_y[j + 1] - grid_y[j]), 0.0, 1.0)
    return (
        (1 - s) * (1 - r) * values[i, j]
        + s * (1 - r) * values[i + 1, j]
        + (1 - s) * r * values[i, j + 1]
        + s * r * values[i + 1, j + 1]
    )


def locate(domain, points):
    """Find the triangle of each point and its barycentric weights.

    Parameters
    ----------
    domain : anuga.Domain
    points : ndarray, shape (n, 2), float
        Points inside the domain [m].

    Returns
    -------
    cells : ndarray, shape (n,), int
    weights : ndarray, shape (n, 3), float
        Non-negative to rounding, each row sums to 1.
    """
    corners = domain.get_vertex_coordinates().reshape(-1, 3, 2)
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    cells, weights = [], []
    for point in points:
        local = np.linalg.solve(edges, (point - corners[:, 0])[..., None])[..., 0]
        barycentric = np.column_stack([1.0 - local.sum(axis=1), local])
        cell = int(np.argmax(barycentric.min(axis=1)))
        assert barycentric[cell].min() > -1e-9, f"point {point} lies in no triangle"
        cells.append(cell)
        weights.append(barycentric[cell])
    return np.array(cells), np.array(weights)


def build(nx, ny, data, friction, compute_mode):
    """Build the ANUGA domain: mesh, bathymetry, friction, boundary conditions; no file output.

    Parameters
    ----------
    nx, ny : int
        Rectangles along x and y; each is cut into four triangles.
    data : Mapping
        The benchmark's arrays.
    friction : float
        Manning coefficient [s m^(-1/3)].
    compute_mode : {'legacy', 'unified'}
        ANUGA's kernels: its default, or those shared with its accelerator path, here on the CPU.

    Returns
    -------
    anuga.Domain
    """
    domain = anuga.rectangular_cross_domain(nx, ny, len1=LENGTH, len2=WIDTH)
    domain.set_flow_algorithm("DE1")
    domain.set_store(False)
    x, y = domain.get_nodes().T
    domain.set_quantity("elevation", interpolate_bathymetry(data, x, y), location="unique vertices")
    domain.set_quantity("friction", friction)
    domain.set_quantity("stage", 0.0)
    wave_time, wave_stage = data["wave_time"], data["wave_elevation"]
    wave = anuga.Transmissive_n_momentum_zero_t_momentum_set_stage_boundary(
        domain, lambda t: float(np.interp(t, wave_time, wave_stage))
    )
    wall = anuga.Reflective_boundary(domain)
    domain.set_boundary({"left": wave, "right": wall, "top": wall, "bottom": wall})
    domain.set_compute_mode(compute_mode, strict=True)
    return domain


def evolve(domain, gauges, final_time):
    """Advance to the final time [s] and record the stage at the gauges, points of shape (3, 2) [m].

    Returns
    -------
    times : ndarray, shape (nt,), float
        Every 0.05 s from 0 [s].
    elevation : ndarray, shape (nt, 3), float
        Stage [m] at the gauges, linear in the triangle (what ANUGA's ``get_values`` at points gives).
    elevation_centroid : ndarray, shape (nt, 3), float
        Stage [m], the mean of the triangle that holds the gauge.
    steps : int
        Time steps taken (two Runge-Kutta stages each).
    """
    cells, weights = locate(domain, gauges)
    stage = domain.quantities["stage"]
    times, elevation, centroid, steps = [], [], [], 0
    for t in domain.evolve(yieldstep=RECORD_INTERVAL, finaltime=final_time):
        steps += domain.number_of_steps  # ANUGA sets it back to zero after each record
        times.append(t)
        elevation.append((stage.vertex_values[cells] * weights).sum(axis=1))
        centroid.append(stage.centroid_values[cells])
    return np.array(times), np.array(elevation), np.array(centroid), steps


def main():
    """Parse the arguments, run, write the npz file and print a one-line JSON summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nx", type=int, default=55, help="rectangles along x (four triangles each)")
    parser.add_argument("--ny", type=int, default=34, help="rectangles along y")
    parser.add_argument("--data", type=Path, required=True, help="npz of the benchmark's arrays")
    parser.add_argument("--out", type=Path, required=True, help="npz file to write")
    parser.add_argument("--final-time", type=float, default=22.5, help="s")
    parser.add_argument("--friction", type=float, default=0.0025, help="Manning coefficient, s m^(-1/3)")
    parser.add_argument("--compute-mode", choices=["legacy", "unified"], default="legacy", help="ANUGA's kernels")
    arguments = parser.parse_args()

    with Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink):  # anuga's banners
        start = time.perf_counter()
        with np.load(arguments.data) as stored:
            data = dict(stored)
        domain = build(arguments.nx, arguments.ny, data, arguments.friction, arguments.compute_mode)
        setup_seconds = time.perf_counter() - start
        start, cpu_start = time.perf_counter(), time.process_time()
        times, elevation, centroid, steps = evolve(domain, data["gauge_points"], arguments.final_time)
        wall_seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start

    measured = np.column_stack(
        [np.interp(times, data["laboratory_time"], channel) for channel in data["laboratory_elevation"].T]
    )
    summary = {
        "nx": arguments.nx,
        "ny": arguments.ny,
        "triangles": len(domain),
        "steps": steps,
        "wall_seconds": wall_seconds,
        "cpu_seconds": cpu_seconds,
        "setup_seconds": setup_seconds,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
        "rms_cm": np.sqrt(np.mean((100.0 * (elevation - measured)) ** 2, axis=0)).tolist(),
        "rms_centroid_cm": np.sqrt(np.mean((100.0 * (centroid - measured)) ** 2, axis=0)).tolist(),
        "peak_cm": (100.0 * elevation.max(axis=0)).tolist(),
        "peak_time": times[elevation.argmax(axis=0)].tolist(),
        "compute_mode": domain.get_compute_mode(),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "anuga": anuga.__version__,
        "friction": arguments.friction,
        "final_time": arguments.final_time,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        arguments.out,
        time=times,
        elevation=elevation,
        elevation_centroid=centroid,
        gauges=data["gauge_points"],
        **summary,
    )
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
