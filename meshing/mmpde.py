"""The MMPDE mover: preconditioned gradient flow of Huang's functional."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from firedrake import Function
from firedrake.exceptions import ConvergenceError

from meshing.boundary import boundary_of
from meshing.cell_maps import determinants_and_adjugates
from meshing.computational import ComputationalMesh
from meshing.descent import descend
from meshing.huang import HuangFunctional
from meshing.limiter import clip_differences, largest_differences
from meshing.mover import Displacement, Mover
from meshing.trial_mesh import TrialMesh
from meshing.vertex_system import VertexSystem

# By how much the energy, which is 1 for the ideal mesh, may rise above the least one so far: it differs from the
# functional that the step descends by quadrature errors of about this size, on which the iteration would stick.
_RISE = 1e-4
# Limits of a step, see meshing.limiter.
_FRACTION = 0.45
_SWEEPS = 10


class MMPDE(Mover):
    r"""Move along the gradient flow of Huang's functional, preconditioned, to its minimum.

    .. math:: \frac{\partial \xi}{\partial t} = -H^{-1} \frac{\partial I}{\partial \xi},\qquad
              \frac{\partial x}{\partial t} = -\frac{\partial x}{\partial \xi} \frac{\partial \xi}{\partial t}

    for the functional I of ``meshing.huang``, the gradient taken with the physical mesh and the metric tensor
    held fixed (so that no derivative of the monitor function is needed) and H the positive definite part of its
    second derivative. With H the flow has one time scale, and steps of dt = 1, limited cell by cell so that none is
    inverted and halved until the energy does not rise, reach the minimum in about ten where m varies by a factor of
    ten, in some dozens where it varies by a hundred. For non-convex domains, and curved boundaries, along
    which vertices slide. With a monitor function that has a ``metric`` cells align with the metric tensor; a scalar one
    asks for cells of the computational cells' shapes.

    Parameters
    ----------
    theta
        Weight of alignment against equidistribution, more than 0, at most 1/2.
    power
        Power p of the functional, more than 1.
    tolerance
        The mover has converged when a step would move vertices by no more than this share of the size of the
        computational cells around, as root of the mean square.
    max_iterations
        Most steps.
    warm_start
        Begin with the mesh as it is, if its energy is less than that of the computational mesh; else the result does
        not depend on where the mesh is. On a domain that nothing holds, such as a disc without corners, a mesh that
        begins as it is turns slowly behind a circling monitor function.

    Notes
    -----
    Huang, Ren and Russell (1994), SIAM J. Numer. Anal. 31, 709 (moving mesh PDEs); Huang (2001), J. Comput. Phys. 174,
    903 (the functional); Huang and Kamenski (2018), Math. Comp. 87, 1887 (cells stay bounded away from degenerate).
    """

    def __init__(
        self,
        *,
        theta: float = 0.1,
        power: float = 1.5,
        tolerance: float = 0.01,
        max_iterations: int = 50,
        warm_start: bool = True,
    ):
        self.functional = HuangFunctional(theta, power)
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.warm_start = warm_start

    def displacement(self, mesh, monitor: Callable[..., Function]) -> Displacement:
        """Return the displacement to the mesh of least energy, or to the last one reached; none is tangled."""
        flow = _Flow(mesh, monitor, self.functional)
        # Of the two meshes to begin with, the one of less energy: where the monitor function has jumped, the mesh that
        # follows it from where it was may get stuck.
        state = flow.state(flow.boundary.project(flow.computational.points))
        if self.warm_start:
            with suppress(ConvergenceError):
                present = flow.state(flow.computational.patches.points)
                state = min(present, state, key=lambda start: start.energy)
        with VertexSystem(mesh, flow.computational.patches, mesh.geometric_dimension) as system:
            state, converged, iterations = descend(
                state,
                direction=lambda at: flow.physical(at, system.solve(*flow.linearised(at))),
                moved=flow.computational.cells_moved,
                step=flow.after,
                improves=lambda trial, at: trial.energy <= at.ceiling,
                tolerance=self.tolerance,
                max_iterations=self.max_iterations,
            )
        function = Function(mesh.coordinates.function_space(), name="displacement")
        function.dat.data_wo_with_halos[:] = state.points - flow.computational.patches.points
        return Displacement(function, converged, iterations)


@dataclass(frozen=True)
class _State:
    """Vertices (N, d), their energy, the most it may rise to, and of the cells F, J', M^{-1/2}, density and volume."""

    points: np.ndarray
    energy: float
    ceiling: float
    forward: np.ndarray
    backward: np.ndarray
    root: np.ndarray
    density: np.ndarray
    volumes: np.ndarray


class _Flow:
    """The gradient flow on one mesh."""

    def __init__(self, mesh, monitor: Callable[..., Function], functional: HuangFunctional):
        self.computational = ComputationalMesh(mesh)
        self.boundary = boundary_of(mesh)
        self._maps, self._patches = self.computational.maps, self.computational.patches
        self._cells = self._patches.cells
        self._functional = functional
        self._trial = TrialMesh(mesh, monitor, self._patches)
        self._dimension = mesh.geometric_dimension
        self._tangents = self.boundary.tangents(self.computational.points)
        self._bound = (self._tangents != np.eye(self._dimension)).any(axis=(1, 2))
        self._bound_cells = np.flatnonzero(self._bound[self._cells].any(axis=1))
        self._bound_vertices = np.flatnonzero(self._bound)

    def state(self, points: np.ndarray, ceiling: float = np.inf) -> _State:
        """Return the energy at the vertices and what its derivatives need; the ceiling is that of the state before."""
        forward = self._maps.jacobians(points)
        determinants, adjugates = determinants_and_adjugates(forward)
        if not self._patches.smallest(determinants) > 0.0:
            return _State(points, np.inf, ceiling, *[forward] * 3, *[determinants] * 2)
        volumes = determinants * self._maps.volumes
        root, density = self._inverse_root(points)
        # The metric is scaled so that the ideal mesh, of which every cell has volume |K_c| / rho, fills the domain.
        scale = self.computational.sum(density * volumes) / self.computational.volume
        root, density = root * scale ** (1 / self._dimension), density / scale
        backward = adjugates / determinants[:, None, None] @ root
        energies = self._functional.energies(backward, density, volumes)
        energy = self.computational.sum(energies) / self.computational.volume
        return _State(points, energy, min(ceiling, energy + _RISE), forward, backward, root, density, volumes)

    def linearised(self, state: _State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return matrices of the cells, of the vertices, and the right-hand side of a step in xi."""
        # grad_x lambda = F^{-T} grad_xi lambda, and J' = F^{-1} M^{-1/2}.
        gradients = self._maps.gradients @ state.backward
        first, second = self._functional.derivatives(state.backward, gradients, state.density, state.volumes)
        right = np.stack([self._patches.sum(component) for component in np.moveaxis(first, 2, 0)], axis=1)
        right = -np.einsum("nab,nb->na", self._tangents, right)
        diagonal = np.einsum("kii->ki", second).reshape(*self._cells.shape, -1).mean(axis=2)
        # Boundary vertices slide: the system is restricted to tangents, and leaves their complement unchanged.
        cells = self._bound_cells
        tangents = self._tangents[self._cells[cells]]
        block = second[cells].reshape(len(cells), *[self._dimension + 1, self._dimension] * 2)
        block = np.einsum("kiab,kibjc,kjcd->kiajd", tangents, block, tangents, optimize=True)
        second[cells] = block.reshape(len(cells), *second.shape[1:])
        vertices = np.zeros_like(self._tangents)
        complement = np.eye(self._dimension) - self._tangents[self._bound_vertices]
        size = self._patches.sum(diagonal)[self._bound_vertices]
        vertices[self._bound_vertices] = size[:, None, None] * complement
        return second, vertices, right

    def physical(self, state: _State, step: np.ndarray) -> np.ndarray:
        """Return the step of the vertices x, shape (N, d), that a step of xi means."""
        forward = self.computational.vertex_means(state.forward)
        return self.boundary.tangential(state.points, -np.einsum("nab,nb->na", forward, step))

    def after(self, state: _State, step: np.ndarray) -> _State:
        """Return the state after a step, limited cell by cell so that one bad cell does not stop all the others."""
        room = largest_differences(state.points, self._cells, _FRACTION)
        limited = clip_differences(self._patches, step, room, sweeps=_SWEEPS, held=self._bound)
        return self.state(self.boundary.project(state.points + limited), state.ceiling)

    def _inverse_root(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return M^{-1/2}, shape (K, d, d), and the density sqrt(det M), shape (K,), of the cells."""
        metric = self._trial.metric(points)
        if metric is None:
            density = self._trial.values(points)[self._cells].mean(axis=1)
            return density[:, None, None] ** (-1 / self._dimension) * np.eye(self._dimension), density
        values, vectors = metric
        root = (vectors / np.sqrt(values)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
        return root, np.sqrt(values.prod(axis=1))
