"""The conservative remap: a field stays where it is while the mesh moves under it, in pseudo-time."""

from __future__ import annotations

from itertools import product
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from firedrake import Function, VectorFunctionSpace
from pyop2 import op2

from fem.prepared_loop import argument, prepare_loop
from fem.remap_kernels import NO_BOUND, kernel
from fem.timestep import TABLEAUX, Tableau, ssp_second_order
from fem.transfer import Transfer

# By dimension. The volume of a cell is a polynomial of this degree in pseudo-time, which a scheme of this order gets
# right. In the plane s stages take s - 1 Euler steps: of more, fewer are lost, but the error in pseudo-time grows.
_MOST_STAGES = 6
# Steps that keep the means in bounds, over those for which P1 is stable: 3/2 on a line (1/2 and 1/3 of a cell), and on
# triangles (measured: from 1.5 on downwards errors grow); more for safety.
_STABLE = {0: 1.0, 1: 1.8}
_IN_SPACE = TABLEAUX["ssp-rk3"]
# By how much a cell mean may leave the bounds, relative to their size: more is no rounding, and the steps are halved.
_BEYOND = 1e-12
_MOST_HALVINGS = 6
# The longest vector that compilers know.
_MOST_PARTS = 16
_MOST_EULER_STEPS = 1e5


class RemapTransfer(Transfer):
    r"""Advance a discontinuous field through the motion of the mesh, conservatively and within bounds.

    .. math:: \frac{d}{d\tau} \int_K U v = \int_{\partial K} (w \cdot n)\,\hat U v - \int_K U\, w \cdot \nabla v,\qquad
              w = x' - x,\ 0 \le \tau \le 1

    with the value from outside where a facet moves outward (upwind), by a strong-stability-preserving Runge-Kutta
    scheme of order d, the dimension. The volumes of the cells are advanced by the same scheme, whose result for a
    volume, a polynomial of degree d in pseudo-time, is exact: the discrete geometric conservation law, by which a
    constant stays constant to round-off. After each stage nodal values are drawn towards the cell's mean until they are
    within the values that the cells around its vertices had before (Zhang and Shu 2010): linear fields and smooth
    extrema pass, and order two is kept. Steps are as long as cell means surely stay within those bounds.

    For P0 and P1, scalars, and vectors or tensors of up to 16 components. On straight boundaries nothing flows through;
    where vertices slide along a curve the chords sweep what is outside, which is given the values inside.

    Raises
    ------
    ValueError
        For a field that is not discontinuous P0 or P1 with nodes at the vertices, or has more components.
    """

    conservative: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def __init__(self):
        self._moves: WeakKeyDictionary = WeakKeyDictionary()

    def __call__(self, source: Function, moved_mesh) -> Function:
        """See :class:`Transfer`.

        Raises
        ------
        RuntimeError
            If no step however small keeps the bounds, which means that the mesh is tangled.
        """
        space = source.function_space()
        kept = self._moves.setdefault(space.mesh().topology, {})
        key = space.ufl_element()
        if key not in kept:
            kept[key] = _Motion(source)
        motion = kept[key]
        result = Function(motion.space_on(moved_mesh), name=source.name())
        start = space.mesh().coordinates.dat.data_ro_with_halos
        end = moved_mesh.coordinates.dat.data_ro_with_halos
        result.dat.data_wo_with_halos[:] = motion.run(source.dat.data_ro_with_halos, start, end)
        return result


class _Motion:
    """The prepared loops of one element on the meshes of one topology.

    A stage goes from one of three sets of values to another; the third is the start of the step, or not read.
    """

    def __init__(self, source: Function):
        space = source.function_space()
        element = space.ufl_element()
        family, degree = element.family(), element.degree()
        if family not in ("Discontinuous Lagrange", "DQ") or degree not in (0, 1):
            raise ValueError(f"source: got {family} {degree}, expected discontinuous P0 or P1; interpolate it first")
        parts = space.value_size
        if parts > _MOST_PARTS:
            raise ValueError(f"source: got {parts} components, expected up to {_MOST_PARTS}; carry them one by one")
        mesh = space.mesh()
        self._space, self._target = space, space
        self._dimension, self._stable = mesh.geometric_dimension, _STABLE[degree]
        places = mesh.coordinates.function_space()
        self._points, self._velocity = Function(places), Function(places)
        self._volumes = Function(VectorFunctionSpace(mesh, "DG", 0, dim=2))
        self._numbers = op2.Global(4, np.zeros(4), dtype=float, comm=mesh.comm)
        self._beyond, self._most = (op2.Global(1, np.zeros(1), dtype=float, comm=mesh.comm) for _ in range(2))
        self._states = [Function(space) for _ in range(3)]
        # Of each part the least value around a vertex, and the greatest, with the sign turned.
        bounds = VectorFunctionSpace(mesh, "CG", 1, dim=2 * parts)
        self._bounds = [Function(bounds) for _ in range(3)]
        corners = mesh.topological_dimension + 1
        sizes = {"nodes": 1 if degree == 0 else corners, "parts": parts, "vertices": corners}

        def over_cells(name, *arguments):
            return prepare_loop(kernel(name, **sizes), mesh.cell_set, arguments)

        motion = (argument(self._points, op2.READ), argument(self._velocity, op2.READ))
        self._reach = over_cells("reach", *motion, self._most(op2.MAX))
        self._spread = over_cells("spread", argument(self._states[0], op2.READ), argument(self._bounds[0], op2.MIN))
        around = _around(space, mesh)
        self._stages = {}
        for now, after, is_last in product(range(3), range(3), (False, True)):
            if now == after:
                continue
            arguments = [
                argument(self._states[after], op2.WRITE),
                argument(self._volumes, op2.RW),
                argument(self._bounds[after], op2.MIN),
                self._beyond(op2.MAX),
                self._states[now].dat(op2.READ, around),
                *motion,
                argument(self._bounds[now], op2.READ),
                self._numbers(op2.READ),
            ]
            if is_last:
                start = 3 - now - after
                arguments += [argument(values[start], op2.READ) for values in (self._states, self._bounds)]
            self._stages[now, after, is_last] = over_cells("last" if is_last else "stage", *arguments)

    def space_on(self, moved_mesh):
        """Return the space on a moved mesh, which is often the one of the last time."""
        if self._target.mesh() is not moved_mesh:
            self._target = self._space.reconstruct(mesh=moved_mesh)
        return self._target

    def run(self, values: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the values on the mesh that ends where given; all of this rank's, halo included."""
        self._velocity.dat.data_wo_with_halos[:] = end - start
        needed = max(self._steps_needed(points) for points in (end, start))
        if needed == 0.0:
            return values
        if not needed < _MOST_EULER_STEPS:
            raise RuntimeError(f"remap: got a motion that takes {needed:.2g} steps; a cell has hardly any volume")
        for _ in range(_MOST_HALVINGS):
            steps, scheme = _plan(needed, self._dimension)
            result = self._follow(values, steps, scheme)
            if result is not None:
                return result
            needed *= 2.0
        raise RuntimeError(f"remap: no number of steps up to {steps} keeps the bounds; the mesh must be tangled")

    def _steps_needed(self, points: np.ndarray) -> float:
        """Return how many Euler steps the motion takes, with cells as they are there; 0 without motion."""
        self._points.dat.data_wo_with_halos[:] = points
        self._most._data[0] = 0.0
        self._reach()
        return self._stable * float(self._most._data[0])

    def _follow(self, values: np.ndarray, steps: int, scheme: Tableau) -> np.ndarray | None:
        """Return the values after so many steps from the present points; None if a mean has left its bounds."""
        start, length = 0, 1.0 / steps
        self._states[0].dat.data_wo_with_halos[:] = values
        self._bounds[0].dat.data_wo[...] = NO_BOUND
        self._spread()
        self._beyond._data[0] = 0.0
        for step in range(steps):
            now = start
            stages = zip(scheme.keep, scheme.scale, scheme.abscissae, strict=True)
            for stage, (keep, scale, abscissa) in enumerate(stages):
                after = 3 - start - now if now != start else (start + 1) % 3
                self._numbers._data[:] = keep, scale * length, stage == 0, (step + abscissa) * length
                self._bounds[after].dat.data_wo[...] = NO_BOUND
                # Loops begin with cells that have no node of another rank, while these come; but here they are behind.
                self._states[now].dat.data_ro_with_halos  # noqa: B018
                self._stages[now, after, keep > 0.0]()
                if not self._beyond._data[0] <= _BEYOND:
                    return None
                now = after
            start = now
        return self._states[start].dat.data_ro_with_halos


def _around(space, mesh) -> op2.Map:
    """Return of each cell its nodes, then those on each facet in the cell behind, on the boundary its own.

    Facets in the order of the vertices opposite to them, their nodes in that of their vertices, which is the same in
    both cells.
    """
    facets = mesh.interior_facets
    own = space.cell_node_map().values_with_halo
    corners = mesh.topological_dimension + 1
    on_facet = np.zeros((corners, 1), dtype=int)
    if own.shape[1] > 1:
        on_facet = np.array([np.delete(np.arange(corners), corner) for corner in range(corners)])
    behind = own[:, on_facet]
    cells = facets.facet_cell_map.values_with_halo
    opposite = facets.local_facet_dat.data_ro_with_halos.reshape(-1, 2).astype(int)
    # At the edge of the halo, where no cell is this rank's, one of the two may not be known.
    known = ((cells >= 0) & (opposite < corners)).all(axis=1)
    cells, opposite = cells[known], opposite[known]
    for here, there in ((0, 1), (1, 0)):
        behind[cells[:, here], opposite[:, here]] = own[cells[:, [there]], on_facet[opposite[:, there]]]
    # In the order of C, in which loops take it.
    values = np.ascontiguousarray(np.concatenate([own, behind.reshape(len(own), -1)], axis=1))
    return op2.Map(mesh.cell_set, space.node_set, values.shape[1], values)


def _plan(needed: float, dimension: int) -> tuple[int, Tableau]:
    """Return how many steps of which scheme take so many Euler steps one after the other."""
    if dimension == 3:
        return max(1, int(np.ceil(needed * _IN_SPACE.largest_euler_step))), _IN_SPACE
    euler_steps = max(1, int(np.ceil(needed)))
    steps = -(-euler_steps // (_MOST_STAGES - 1))
    return steps, ssp_second_order(-(-euler_steps // steps) + 1)
