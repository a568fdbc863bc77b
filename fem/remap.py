"""The conservative remap: a field stays where it is while the mesh moves under it, in pseudo-time."""

from __future__ import annotations

from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from firedrake import (
    FacetNormal,
    Function,
    FunctionSpace,
    Mesh,
    TensorFunctionSpace,
    TestFunction,
    VectorFunctionSpace,
    dot,
    ds,
    inner,
)
from pyop2 import op2

from fem.prepared_loop import PreparedAssembler, argument, prepare_loop
from fem.remap_kernels import NO_BOUND, kernel
from fem.timestep import TABLEAUX, Tableau, ssp_second_order
from fem.transfer import Transfer, same_space
from meshing.patches import MeshPatches

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

    For P0 and P1, scalars and vectors. On straight boundaries nothing flows through; where vertices slide along a curve
    the chords sweep what is outside, which is given the values inside.

    Raises
    ------
    ValueError
        For a field that is not discontinuous P0 or P1 with nodes at the vertices.
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
        result = Function(same_space(source, moved_mesh), name=source.name())
        start = space.mesh().coordinates.dat.data_ro_with_halos
        end = moved_mesh.coordinates.dat.data_ro_with_halos
        result.dat.data_wo_with_halos[:] = motion.run(source.dat.data_ro_with_halos, start, end)
        return result


class _Motion:
    """The prepared loops of one element on the meshes of one topology."""

    def __init__(self, source: Function):
        space = source.function_space()
        element = space.ufl_element()
        family, degree = element.family(), element.degree()
        if family not in ("Discontinuous Lagrange", "DQ") or degree not in (0, 1):
            raise ValueError(f"source: got {family} {degree}, expected discontinuous P0 or P1; interpolate it first")
        self._mesh = Mesh(space.mesh().coordinates.copy(deepcopy=True))
        mesh = self._mesh
        target, self._stable = same_space(source, mesh), _STABLE[degree]
        self.state, self._start = Function(target), Function(target)
        self._velocity = Function(mesh.coordinates.function_space())
        self._volumes = Function(VectorFunctionSpace(mesh, "DG", 0, dim=2))
        # Through the boundary comes what is inside, where curved ones move; through facets inside, see the kernel.
        outward = dot(self._velocity, FacetNormal(mesh))
        form = outward * inner(self.state, TestFunction(target)) * ds(domain=mesh, degree=3 if degree > 0 else 1)
        self._residual = PreparedAssembler(form)
        self._numbers = op2.Global(3, np.zeros(3), dtype=float, comm=mesh.comm)
        self._beyond, self._most = (op2.Global(1, np.zeros(1), dtype=float, comm=mesh.comm) for _ in range(2))
        shape = target.value_shape
        if not shape:
            vertices = FunctionSpace(mesh, "CG", 1)
        elif len(shape) == 1:
            vertices = VectorFunctionSpace(mesh, "CG", 1, dim=shape[0])
        else:
            vertices = TensorFunctionSpace(mesh, "CG", 1, shape=shape)
        self._lower, self._upper = Function(vertices), Function(vertices)
        corners = MeshPatches(mesh).cells.shape[1]
        sizes = {"nodes": 1 if degree == 0 else corners, "parts": int(np.prod(shape, dtype=int)), "vertices": corners}

        def over_cells(name, *arguments):
            return prepare_loop(kernel(name, **sizes), mesh.cell_set, arguments)

        state, bounds = self.state, (self._lower, self._upper)
        self._reach = over_cells(
            "reach", argument(mesh.coordinates, op2.READ), argument(self._velocity, op2.READ), self._most(op2.MAX)
        )
        nodes, points, ends = _facet_maps(target, mesh)
        self._flux = prepare_loop(
            kernel("flux", **sizes),
            mesh.interior_facets.set,
            (
                state.dat(op2.READ, nodes),
                mesh.coordinates.dat(op2.READ, points),
                self._velocity.dat(op2.READ, ends),
                self._residual.result.dat(op2.INC, nodes),
            ),
        )
        self._stage = over_cells(
            "stage",
            argument(state, op2.RW),
            argument(self._start, op2.READ),
            argument(self._residual.result, op2.READ),
            argument(self._volumes, op2.RW),
            argument(mesh.coordinates, op2.READ),
            argument(self._velocity, op2.READ),
            self._numbers(op2.READ),
        )
        # A stage is a mean of a step from the present values and of those at the start: both make the bounds.
        self._spread, self._spread_start = (
            over_cells("spread", argument(values, op2.READ), argument(bounds[0], op2.MIN), argument(bounds[1], op2.MAX))
            for values in (state, self._start)
        )
        self._bound = over_cells(
            "bound",
            argument(state, op2.RW),
            argument(bounds[0], op2.READ),
            argument(bounds[1], op2.READ),
            self._beyond(op2.MAX),
        )

    def run(self, values: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the values on the mesh that ends where given; all of this rank's, halo included."""
        displacement = end - start
        self._velocity.dat.data_wo_with_halos[:] = displacement
        needed = max(self._steps_needed(points) for points in (start, end))
        if not needed < _MOST_EULER_STEPS:
            raise RuntimeError(f"remap: got a motion that takes {needed:.2g} steps; a cell has hardly any volume")
        for _ in range(_MOST_HALVINGS):
            self.state.dat.data_wo_with_halos[:] = values
            steps, scheme = _plan(needed, self._mesh.geometric_dimension)
            if needed == 0.0 or all(self._step(scheme, k / steps, 1.0 / steps, start) for k in range(steps)):
                return self.state.dat.data_ro_with_halos
            needed *= 2.0
        raise RuntimeError(f"remap: no number of steps up to {steps} keeps the bounds; the mesh must be tangled")

    def _steps_needed(self, points: np.ndarray) -> float:
        """Return how many Euler steps the motion takes, with cells as they are there; 0 without motion."""
        self._mesh.coordinates.dat.data_wo_with_halos[:] = points
        self._most._data[0] = 0.0
        self._reach()
        return self._stable * float(self._most._data[0])

    def _step(self, scheme: Tableau, tau: float, length: float, start: np.ndarray) -> bool:
        """Take a step in pseudo-time; return False if a mean has left its bounds."""
        self._start.dat.data_wo_with_halos[:] = self.state.dat.data_ro_with_halos
        displacement, points = self._velocity.dat.data_ro_with_halos, self._mesh.coordinates.dat
        lower, upper = self._lower.dat, self._upper.dat
        stages = zip(scheme.keep, scheme.scale, scheme.abscissae, strict=True)
        for stage, (keep, scale, abscissa) in enumerate(stages):
            points.data_wo_with_halos[:] = start + (tau + abscissa * length) * displacement
            self._residual()
            self._flux()
            self._numbers._data[:] = keep, scale * length, stage == 0
            lower.data_wo[...], upper.data_wo[...] = NO_BOUND, -NO_BOUND
            self._spread()
            if keep > 0.0:
                self._spread_start()
            self._stage()
            self._beyond._data[0] = 0.0
            self._bound()
            if not self._beyond._data[0] <= _BEYOND:
                return False
        return True


def _facet_maps(space, mesh) -> tuple[op2.Map, op2.Map, op2.Map]:
    """Return of each interior facet the nodes of both cells, the vertices with the opposite one, and the vertices."""
    facets, vertices = mesh.interior_facets, mesh.coordinates.function_space()
    opposite = facets.local_facet_dat.data_ro_with_halos.reshape(-1, 2).astype(int)
    of_cells = vertices.interior_facet_node_map().values_with_halo
    corners = of_cells.shape[1] // 2
    row = np.arange(len(opposite))[:, None]
    # Of the vertices of a facet both cells have the same order.
    first, second = (np.argsort(np.arange(corners) == opposite[:, [side]], axis=1, kind="stable") for side in (0, 1))
    nodes = space.interior_facet_node_map().values_with_halo
    if nodes.shape[1] > 2:
        nodes = np.concatenate([nodes[row, first[:, :-1]], nodes[row, corners + second[:, :-1]]], axis=1)
    points = of_cells[row, first]

    def over_facets(to: op2.Set, values: np.ndarray) -> op2.Map:
        # Loops tell maps apart by their memory, which views would share.
        return op2.Map(facets.set, to, values.shape[1], np.array(values, order="C"))

    return (
        over_facets(space.node_set, nodes),
        over_facets(vertices.node_set, points),
        over_facets(vertices.node_set, points[:, :-1]),
    )


def _plan(needed: float, dimension: int) -> tuple[int, Tableau]:
    """Return how many steps of which scheme take so many Euler steps one after the other."""
    if dimension == 3:
        return max(1, int(np.ceil(needed * _IN_SPACE.largest_euler_step))), _IN_SPACE
    euler_steps = max(1, int(np.ceil(needed)))
    steps = -(-euler_steps // (_MOST_STAGES - 1))
    return steps, ssp_second_order(-(-euler_steps // steps) + 1)
