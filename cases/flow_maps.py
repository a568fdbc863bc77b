"""Maps of incompressible flow: speed for the figures; velocity, pressure and vorticity for ParaView."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from firedrake import Function, FunctionSpace, VectorFunctionSpace, split

from cases.maps import FieldMaps
from fem.scalar_law import PreparedInterpolation


class FlowMapWriter(FieldMaps):
    """Write a flow to ``fields.pvd`` and, gathered, to ``maps/NNNN.npz``: time [s], u (P,), the speed [m/s].

    In ``fields.pvd`` velocity [m/s], pressure over the density [m^2/s^2] and vorticity [1/s], linear in each cell.

    Parameters
    ----------
    out
        Run folder.
    state
        (u, p).
    after, moves
        See :class:`cases.maps.FieldMaps`.
    """

    def __init__(self, out: Path, state: Function, *, after: float | None, moves: bool):
        mesh = state.subfunctions[0].function_space().mesh()
        scalar = FunctionSpace(mesh, "DG", 1, variant="equispaced")
        vector = VectorFunctionSpace(mesh, "DG", 1, variant="equispaced")
        u, p = split(state)
        parts = {
            "velocity": (u, vector),
            "pressure": (p, scalar),
            "vorticity": (u[1].dx(0) - u[0].dx(1), scalar),
        }
        self._parts = {name: PreparedInterpolation(*part) for name, part in parts.items()}
        for name, part in self._parts.items():
            part.function.rename(name)
        super().__init__(out, self._parts["pressure"].function, after=after, moves=moves)
        self._write_mesh(label="speed [m/s]")

    def write(self, t: float) -> None:
        """Write the flow at time t [s]; collective."""
        for part in self._parts.values():
            part()
        self._vtk.write(*(part.function for part in self._parts.values()), time=t)
        velocity = self._parts["velocity"].function.dat.data_ro
        self._write_arrays(t, u=self._corner_values(np.linalg.norm(velocity, axis=1)))
