"""Vertices on their straight way to a target while a state is advanced: shares of the way, and volumes on it."""

from __future__ import annotations

import numpy as np
from firedrake import Function, VectorFunctionSpace
from pyop2 import op2

from fem.ale_kernels import kernel
from fem.prepared_loop import argument, prepare_loop
from fem.timestep import Tableau
from meshing.patches import MeshPatches
from meshing.simplex import path_volume_ratios

# Of what the Courant number allows, at most so much goes to the motion of the mesh, by the cells at the start of the
# step and by those at its end; the rest is left to the waves.
_SHARE_OF_BOUND, _SHARE_AT_END = 0.5, 0.75
# A step that fails though it takes less than this share of the bound does not fail because of the motion: were its way
# halved all the same, the mesh might never arrive.
_SHORT = 0.125
# A way that takes a whole number of steps, but for rounding, takes no more.
_ROUND_OFF = 1e-9


class StraightMotion:
    r"""The motion of a mesh along straight lines, step by step: arbitrary Lagrangian-Eulerian, discretely conservative.

    .. math:: x_i = a_i x_0 + (1 - a_i)(x_{i-1} + \beta_i \Delta t\, w), \qquad
              V_i = a_i V_0 + (1 - a_i)\Big(V_{i-1} + \beta_i \Delta t \oint_{\partial K(x_{i-1})} w\cdot n\Big)

    Vertices and volumes of the cells are advanced by the Runge-Kutta scheme of the state. A volume is a polynomial of
    degree d, the dimension, in time, which a scheme of order d gets right: at the end of the step it is that of the
    cell to rounding. With these volumes in the mass matrix a constant stays constant: the discrete geometric
    conservation law.

    Parameters
    ----------
    mesh
        Mesh of triangles or tetrahedra with straight edges; its coordinates are written in place.
    scheme
        Scheme of the state.
    reach
        How a cell's motion counts, see :func:`fem.ale_kernels.kernel`.

    Raises
    ------
    ValueError
        For a scheme whose order is below the dimension: its volumes would not be those of the cells.

    Attributes
    ----------
    is_moving
        The mesh is on its way.
    share
        Share of what is left of the way that the present step takes; 1 arrives.
    velocity
        w of the present step [m/s].
    volumes
        Of each cell V_0, V_{i-1}, V_i [m^d], and the growth of V_{i-1} in unit time [m^d/s].
    reach
        Of each cell how far its facets have to move to the target, as it is at the start and at the end of the step.
    way
        What is left of the way at the start of the step [m].

    References
    ----------
    C. Farhat, P. Geuzaine, C. Grandmont (2001), J. Comput. Phys. 174, 669, for volumes and the order of schemes.
    """

    def __init__(self, mesh, scheme: Tableau, *, reach: str):
        self._patches = MeshPatches(mesh)
        dimension = mesh.geometric_dimension
        if scheme.order < dimension:
            name = "ssp-rk2-3" if dimension == 2 else "ssp-rk3"
            raise ValueError(
                f"scheme: got order {scheme.order}, expected {dimension} or more for a moving mesh in {dimension}D, as "
                f"volumes are polynomials of that degree in time; take {name}"
            )
        self._mesh, self.is_moving, self.share, self._greatest = mesh, False, 1.0, 0.0
        self.velocity, self.way = (Function(mesh.coordinates.function_space()) for _ in range(2))
        self.volumes = Function(VectorFunctionSpace(mesh, "DG", 0, dim=4))
        self.reach = Function(VectorFunctionSpace(mesh, "DG", 0, dim=2))
        self._target, self._start, self._end = (mesh.coordinates.dat.data_ro_with_halos.copy() for _ in range(3))
        self._numbers = op2.Global(3, np.zeros(3), dtype=float, comm=mesh.comm)
        self._where = op2.Global(2, np.zeros(2), dtype=float, comm=mesh.comm)
        self._most = op2.Global(1, np.zeros(1), dtype=float, comm=mesh.comm)
        places, cells = argument(mesh.coordinates, op2.READ), mesh.cell_set
        self._measure = prepare_loop(
            kernel("reach", vertices=dimension + 1, reach=reach),
            cells,
            (
                places,
                argument(self.way, op2.READ),
                self._where(op2.READ),
                argument(self.reach, op2.RW),
                self._most(op2.MAX),
            ),
        )
        self._grow = prepare_loop(
            kernel("grow", vertices=dimension + 1),
            cells,
            (argument(self.volumes, op2.RW), places, argument(self.velocity, op2.READ), self._numbers(op2.READ)),
        )

    def begin(self, target: Function) -> None:
        """Set out from where the vertices are, or turn, if they are on their way; collective.

        Parameters
        ----------
        target
            Where the vertices go, in the space of the coordinates [m].

        Raises
        ------
        ValueError
            For a target in another space, or to which the straight way is not free.
        """
        coordinates = self._mesh.coordinates
        space, here = target.function_space(), coordinates.function_space()
        if space != here:
            raise ValueError(
                f"target: got {space.ufl_element()} on {space.mesh().name}, expected {here.ufl_element()} on "
                f"{self._mesh.name}; make it in mesh.coordinates.function_space()"
            )
        points, end = coordinates.dat.data_ro_with_halos, target.dat.data_ro_with_halos
        least = self._patches.smallest(path_volume_ratios(points, end - points, self._patches.cells))
        if not least > 0.0:
            raise ValueError(
                f"target: got a cell with {least:.2g} of its volume on the straight way there, expected more than 0 in "
                "all cells; limit the displacement (meshing.limiter)"
            )
        self._target[...] = end
        self.is_moving = True

    # -- one step -----------------------------------------------------------------------------------------------

    def plan(self, bound: float) -> None:
        """Choose the share of the way for the next step, from where the vertices are; collective.

        Parameters
        ----------
        bound
            What reach and waves of an Euler step may amount to together, over the largest one of a step.
        """
        np.copyto(self._start, self._mesh.coordinates.dat.data_ro_with_halos)
        np.subtract(self._target, self._start, out=self.way.dat.data_wo_with_halos)
        self._greatest = self._measure_reach(0.0, 0) / bound
        share = 1.0 / max(1.0, float(np.ceil(self._greatest / _SHARE_OF_BOUND - _ROUND_OFF)))
        while share * self._measure_reach(share, 1) > _SHARE_AT_END * bound:
            share *= 0.5
        self._aim(share)

    def _measure_reach(self, share: float, end: int) -> float:
        """Measure :attr:`reach` on the cells after a share of the way, and return the greatest; collective."""
        self._where._data[:] = share, end
        self._most._data[0] = 0.0
        self._measure()
        return float(self._most._data[0])

    def halve(self) -> None:
        """Put the vertices back to the start of the step, and aim at half of its way, unless that is short."""
        self.place(0.0)
        if self.share * self._greatest > _SHORT:
            self._aim(0.5 * self.share)

    def set_out(self, dt: float) -> None:
        """Put the vertices at the start of a step of dt [s]."""
        velocity = self.velocity.dat.data_wo_with_halos
        np.subtract(self._end, self._start, out=velocity)
        np.divide(velocity, dt, out=velocity)
        self.place(0.0)

    def place(self, fraction: float) -> None:
        """Put the vertices where they are after a fraction of the step; 0 and 1 bit for bit."""
        places = self._mesh.coordinates.dat.data_wo_with_halos
        if fraction == 1.0:
            places[...] = self._end
        else:
            np.subtract(self._end, self._start, out=places)
            np.multiply(places, fraction, out=places)
            np.add(places, self._start, out=places)

    def grow(self, keep: float, length: float, *, first: bool) -> None:
        """Advance the volumes by a stage with a_i and beta_i dt, from the cells as they are."""
        self._numbers._data[:] = keep, length, first
        self._grow()

    def end_step(self) -> None:
        """Note that the vertices are at the end of the step."""
        self.is_moving = self.share < 1.0

    def _aim(self, share: float) -> None:
        """Set where the step ends; the target bit for bit where it takes all of the way."""
        self.share = share
        if share == 1.0:
            np.copyto(self._end, self._target)
        else:
            np.subtract(self._target, self._start, out=self._end)
            np.multiply(self._end, share, out=self._end)
            np.add(self._end, self._start, out=self._end)
