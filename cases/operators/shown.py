"""The one solution of a run that is shown: drawn anew, and written for the figures and for ParaView."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cases.operators.operator_case import OperatorSetup
from cases.operators.records import GeometryRecord, errors_of

if TYPE_CHECKING:
    from torch import nn

    from learned.operators.problem import OperatorProblem

FILE = "shown.npz"
# Name of the finite-element solution in it, beside those of networks.
REFERENCE = "fem"


def write_shown(out: Path, setup: OperatorSetup, records: Sequence[GeometryRecord], seed: int) -> None:
    """Write the solutions of the right-hand side that is neither easy nor hard for the main network.

    Of all right-hand sides it is the one whose error is the median. ``out/shown.npz`` has ``points`` (n, 2) [m],
    ``cells`` (n_t, 3), ``geometry`` and ``right_side``, numbers from 0 on, and nodal values (n, c) of finite elements
    and of the networks that are compared; ``out/fields.pvd`` the same for ParaView.

    Parameters
    ----------
    out
        Run folder.
    setup
        What is solved.
    records
        Of the first geometries, not empty.
    seed
        Of the run.
    """
    from cases.operators.networks import MAIN, TWIN

    errors = errors_of(MAIN, records)
    geometry, side = divmod(int(np.argsort(errors)[(len(errors) - 1) // 2]), setup.options.right_sides)
    problem = setup.draw(geometry, seed)
    fields = {REFERENCE: nodal_values(problem, problem.solutions, side)}
    for name in (MAIN, TWIN):
        fields[name] = nodal_values(problem, solutions(problem, setup.networks[name].network), side)
    arrays: dict[str, Any] = {"points": problem.points, "cells": problem.cells, **fields}
    np.savez_compressed(out / FILE, geometry=geometry, right_side=side, **arrays)
    _write_fields(out, problem.points, problem.cells, fields)


def solutions(problem: OperatorProblem, network: nn.Module) -> np.ndarray:
    """Return what a network makes of all right-hand sides, in its own degrees of freedom, shape (N', m)."""
    import torch

    from learned.operators.prepared import prepare_for

    with torch.no_grad():
        return network(prepare_for(network, problem)).numpy()


def nodal_values(problem: OperatorProblem, u: np.ndarray, side: int) -> np.ndarray:
    """Return what is drawn of a solution: values in the nodes, velocities of stream functions.

    Parameters
    ----------
    problem
        The problem.
    u
        Degrees of freedom, of the problem's own space or of velocities in the nodes, shape (N', m).
    side
        Which right-hand side.

    Returns
    -------
    numpy.ndarray
        Shape (n, c).
    """
    values, velocity = u[:, side], problem.extras.get("nodal_velocity")
    if velocity is not None and len(values) == velocity.shape[1]:
        values = velocity @ values
    return values.reshape(len(problem.points), -1)


def _write_fields(out: Path, points: np.ndarray, cells: np.ndarray, fields: dict[str, np.ndarray]) -> None:
    """Write ``out/fields.pvd`` and the file in which it finds the fields; vectors have three components there."""
    import meshio

    def solid(values: np.ndarray) -> np.ndarray:
        return values[:, 0] if values.shape[1] == 1 else np.pad(values, ((0, 0), (0, 3 - values.shape[1])))

    file = out / "fields" / "fields_0.vtu"
    file.parent.mkdir(exist_ok=True)
    data = {name: solid(values) for name, values in fields.items()}
    meshio.Mesh(solid(points), {"triangle": cells}, point_data=data).write(file)
    (out / "fields.pvd").write_text(
        '<?xml version="1.0"?>\n<VTKFile type="Collection" version="0.1" byte_order="LittleEndian">\n<Collection>\n'
        f'<DataSet timestep="0.0" file="{file.parent.name}/{file.name}"/>\n</Collection>\n</VTKFile>\n'
    )
