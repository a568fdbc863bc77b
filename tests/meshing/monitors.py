"""Evaluate monitor functions on the ranks there are; the first rank writes what came out: ``monitors.py FOLDER...``.

Every folder after the first gets a partition of its own, cells dealt out to the ranks at random.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from firedrake import (
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    UnitCubeMesh,
    UnitSquareMesh,
    cos,
    exp,
    tanh,
)
from moves import dealt_out

from meshing.field_monitors import ArcLengthMonitor, GradientMonitor, HessianMonitor
from meshing.metric import MetricMonitor
from meshing.monitor import ExpressionMonitor, FieldMonitor, SumMonitor
from meshing.recovery import recover_gradient, recover_hessian
from meshing.shaping import Shaping


def run(folder: Path, seed: int) -> None:
    """Write ``DIMENSION.npz``, values vertex by vertex."""
    square = dealt_out(2 * 12 * 9, seed) if seed else None
    cube = dealt_out(6 * 5 * 4 * 3, seed) if seed else None
    meshes = (
        (2, UnitSquareMesh(12, 9, distribution_parameters=square)),
        (3, UnitCubeMesh(5, 4, 3, distribution_parameters=cube)),
    )
    for dimension, mesh in meshes:
        x = SpatialCoordinate(mesh)
        field = Function(FunctionSpace(mesh, "CG", 1)).interpolate(tanh(8 * (x[0] + 0.3 * cos(3 * x[1]) - 0.5)))
        jumping = Function(FunctionSpace(mesh, "DG", 0)).interpolate(exp(3 * x[0] - x[1]))
        smoothed = Shaping(smoothing=3.0, max_size_ratio=1.5)
        metric = MetricMonitor(field, shaping=Shaping(smoothing=1.0, max_size_ratio=2.0), max_anisotropy=2.0)
        hessian = HessianMonitor(field, shaping=smoothed)
        monitors = {
            "arc length": ArcLengthMonitor(field),
            "gradient": GradientMonitor(field, scale=70),
            "hessian": hessian,
            "metric": metric,
            "field": FieldMonitor(jumping),
            "expression": ExpressionMonitor(lambda x: 1 + exp(-9 * x[0] ** 2), smoothed),
            "sum": SumMonitor([hessian, ExpressionMonitor(lambda x: 2 - x[0])], [2.0, 1.0]),
        }
        coordinates = mesh.coordinates.copy(deepcopy=True)
        points = mesh.coordinates.dat.data_ro
        coordinates.dat.data_wo[:] = points + 0.06 * np.sin(5 * points[:, ::-1])
        moved = Mesh(coordinates)
        fields = {"place": mesh.coordinates, "slope": recover_gradient(field), "curvature": recover_hessian(field)}
        for on, where in ((mesh, ""), (moved, ", moved")):
            fields |= {name + where: monitor(on) for name, monitor in monitors.items()}
            fields["tensor" + where] = metric.metric(on)
        # What a rank knows of the vertices of others is what those have.
        for values in fields.values():
            known = values.dat.data_ro_with_halos.copy()
            values.dat.global_to_local_begin(1)
            values.dat.global_to_local_end(1)
            np.testing.assert_array_equal(values.dat.data_ro_with_halos, known)
        whole = {name: mesh.comm.gather(values.dat.data_ro) for name, values in fields.items()}
        if mesh.comm.rank == 0:
            np.savez(folder / f"{dimension}.npz", **{name: np.concatenate(parts) for name, parts in whole.items()})


def refuse() -> None:
    """Give the last rank alone what no rank may take: all have to say so, or the others would wait for ever."""
    mesh = UnitSquareMesh(6, 6)
    last = mesh.comm.rank == mesh.comm.size - 1
    monitor = FieldMonitor(_spoilt(Function(FunctionSpace(mesh, "CG", 1)).assign(1.0), 2.0, last))
    negative, broken = (_spoilt(Function(FunctionSpace(mesh, "CG", 1)).assign(1.0), bad, last) for bad in (-1, np.nan))
    away = Mesh(_spoilt(mesh.coordinates.copy(deepcopy=True), np.nan, last))
    for call in (lambda: FieldMonitor(negative), lambda: HessianMonitor(broken), lambda: monitor(away)):
        try:
            call()
        except ValueError:
            continue
        raise AssertionError("got no error, expected one on every rank")


def _spoilt(function: Function, value: float, here: bool) -> Function:
    values = function.dat.data_wo
    if here:
        values[:1] = value
    return function


if __name__ == "__main__":
    for seed, folder in enumerate(sys.argv[1:]):
        run(Path(folder), seed)
    refuse()
