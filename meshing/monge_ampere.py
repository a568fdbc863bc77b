"""The Monge-Ampère mover: optimal transport of the computational mesh by the gradient of a potential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from firedrake import Function, FunctionSpace
from firedrake.exceptions import ConvergenceError

from meshing.boundary import boundary_of
from meshing.cell_maps import determinants_and_adjugates
from meshing.components import mesh_components
from meshing.computational import ComputationalMesh
from meshing.descent import descend
from meshing.mover import Displacement, Mover
from meshing.trial_mesh import TrialMesh
from meshing.vertex_system import VertexSystem

# Least eigenvalue of the symmetric part of F in the linearised equation, and weight of the stabilisation, for which
# the iteration contracts by a factor of 3/4 or better in all modes (measured: by 1/3 on the whole).
_CONVEXITY = 0.02
_STABILISATION = 0.25


class MongeAmpere(Mover):
    r"""Equidistribute the monitor function by a map that is the gradient of a potential.

    .. math:: m(x)\,\det\Big(\frac{\partial x}{\partial \xi}\Big) = \theta,\qquad x = \xi + G\phi

    xi are the vertices of the computational mesh (``meshing.computational``), G the gradient recovered in the
    vertices (mean over the cells around, weighted by angle), tangential on boundaries and zero in corners. The
    equation is tested with the P1 basis v_i on the moved cells themselves,

    .. math:: r_i = \sum_{K \ni i} \frac{1}{d+1}\Big(\frac{\bar m_K |K|}{\theta} - |K_c|\Big)
              - \gamma \sum_K |K_c| \nabla v_i \cdot C_K \big(\nabla\phi - \overline{G\phi}\big)_K = 0,\qquad
              \theta = \frac{\sum_K \bar m_K |K|}{\sum_K |K_c|}

    so that what is equidistributed is what quality measures: integrals of m over patches of physical cells. The second
    sum vanishes with the square of the cell size; it ties the modes that the wide stencil of G does not see (as
    Rhie and Chow do for the pressure), and without it the iteration would creep. A step solves the linearised
    equation with the compact stencil in place of G (hence quasi-Newton),

    .. math:: \sum_K |K_c| \nabla v_i \cdot C_K \nabla \delta\phi = r_i,\qquad
              C_K = \frac{\bar m_K}{\theta}\,\mathrm{cof}(\tilde F_K),\quad
              \tilde F = \tfrac12 (F + F^T) \text{ with eigenvalues of 0.02 or more}

    and is halved until the residual falls. Vertices of smooth maps are exact to second order. A mesh of several pieces
    has a theta for each. For optimal transport, the map nearest to the identity, the domain should be convex, and no
    vertex inside a straight side held, as a change of marker does; on others it is a heuristic that the limiter makes
    safe, and MMPDE is the better choice. So it is where m varies by more than about a hundred.

    Parameters
    ----------
    tolerance
        The mover has converged when the next step would move vertices by no more than this share of the size of the
        computational cells around, as root of the mean square.
    max_iterations
        Most steps.
    warm_start
        Begin with the last potential found for meshes of the same topology, if its residual is less than that of none.

    Notes
    -----
    Budd and Williams (2009), SIAM J. Sci. Comput. 31, 3438 (the equation as mesh generator); Weller, Browne, Budd and
    Cullen (2016), J. Comput. Phys. 308, 102 (geometric volumes in place of the Hessian's determinant); McRae, Cotter
    and Budd (2018), SIAM J. Sci. Comput. 40, A1121 (quasi-Newton on triangles); Rhie and Chow (1983), AIAA J. 21, 1525.
    """

    def __init__(self, *, tolerance: float = 1e-3, max_iterations: int = 50, warm_start: bool = True):
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.warm_start = warm_start
        self._potentials: WeakKeyDictionary = WeakKeyDictionary()

    def displacement(self, mesh, monitor: Callable[..., Function]) -> Displacement:
        """Return the displacement from the mesh to the equidistributed one; the iteration that was best if none is."""
        equation = _Equation(mesh, monitor)
        state = equation.state(np.zeros(len(equation.computational.points)))
        last = self._potentials.get(mesh.topology) if self.warm_start else None
        if last is not None:
            with suppress(ConvergenceError):
                state = min(equation.state(last), state, key=lambda start: start.size)
        with VertexSystem(mesh, equation.computational.patches, 1) as system:
            state, converged, iterations = descend(
                state,
                direction=lambda at: system.solve(*equation.linearised(at))[:, 0],
                moved=equation.cells_moved,
                step=lambda at, step: equation.state(at.potential + step),
                improves=lambda trial, at: trial.size < at.size,
                tolerance=self.tolerance,
                max_iterations=self.max_iterations,
            )
        if self.warm_start and converged:
            self._potentials[mesh.topology] = state.potential
        function = Function(mesh.coordinates.function_space(), name="displacement")
        function.dat.data_wo_with_halos[:] = state.points - equation.computational.patches.points
        return Displacement(function, converged, iterations)

    def memory(self, mesh) -> dict[str, Function]:
        """Return the last potential found, if there is one [m^2]."""
        last = self._potentials.get(mesh.topology)
        if last is None:
            return {}
        potential = Function(FunctionSpace(mesh, "CG", 1), name="potential")
        potential.dat.data_wo_with_halos[:] = last
        return {"potential": potential}

    def remember(self, mesh, memory: Mapping[str, Function]) -> None:
        """Begin the next move with a potential that was found before, if one is given."""
        if "potential" in memory:
            self._potentials[mesh.topology] = memory["potential"].dat.data_ro_with_halos.copy()


@dataclass(frozen=True)
class _State:
    """A potential phi (N,), the vertices x (N, d), |K_c| C (K, d, d), r (N,) and its size."""

    potential: np.ndarray
    points: np.ndarray
    coefficients: np.ndarray
    residual: np.ndarray
    size: float


class _Equation:
    """The discrete equation on one mesh."""

    def __init__(self, mesh, monitor: Callable[..., Function]):
        self.computational = ComputationalMesh(mesh)
        self._maps, self._cells = self.computational.maps, self.computational.patches.cells
        self._comm = mesh.comm
        self._boundary = boundary_of(mesh)
        self._tangents = self._boundary.tangents(self.computational.points)
        self._trial = TrialMesh(mesh, monitor, self.computational.patches)
        # The equation knows the potential but for a constant in each piece: it is zero in the first vertex there.
        self._pieces = mesh_components(mesh)
        self._pin = self._pieces.first.astype(float)[:, None, None]
        self._piece_volumes = self._piece_sums(self._maps.volumes)

    def state(self, potential: np.ndarray) -> _State:
        """Return vertices and residual of a potential."""
        mesh, maps = self.computational, self._maps
        in_cells, recovered = self._gradients(potential)
        points = self._boundary.project(mesh.points + recovered)
        jacobians = maps.jacobians(points)
        determinants, _ = determinants_and_adjugates(jacobians)
        monitor = self._trial.values(points)[self._cells].mean(axis=1)
        integrals = monitor * determinants * maps.volumes
        theta = (self._piece_sums(integrals) / self._piece_volumes)[self._pieces.of_cell]
        symmetric = 0.5 * (jacobians + np.swapaxes(jacobians, 1, 2))
        _, cofactors = determinants_and_adjugates(_eigenvalues_from(symmetric, _CONVEXITY))
        coefficients = cofactors * (monitor / theta * maps.volumes)[:, None, None]
        unseen = in_cells - recovered[self._cells].mean(axis=1)
        ties = np.einsum("kia,kab,kb->ki", maps.gradients, coefficients, unseen)
        residual = mesh.vertex_sums(integrals / theta - maps.volumes) - _STABILISATION * mesh.patches.sum(ties)
        # Patches may be right while cells in them are inverted: these count as well.
        inverted = np.minimum(integrals / theta, 0.0) ** 2 / maps.volumes
        size = np.sqrt(mesh.mean((residual / mesh.shares) ** 2) + mesh.sum(inverted) / mesh.volume)
        return _State(potential, points, coefficients, residual, size)

    def linearised(self, state: _State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return matrices of the cells, of the vertices, and the right-hand side of a quasi-Newton step."""
        gradients = self._maps.gradients
        cells = gradients @ state.coefficients @ np.swapaxes(gradients, 1, 2)
        return cells, self._pin, state.residual[:, None]

    def cells_moved(self, step: np.ndarray) -> float:
        """Return by how many cells a step of the potential moves the vertices, root of the mean square."""
        return self.computational.cells_moved(self._gradients(step)[1])

    def _piece_sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over the cells of each piece of the mesh, over all ranks."""
        return self._comm.allreduce(np.bincount(self._pieces.of_cell, values, minlength=self._pieces.count))

    def _gradients(self, potential: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient in the cells, shape (K, d), and in the vertices, tangential on the boundary, (N, d)."""
        in_cells = np.einsum("ki,kia->ka", potential[self._cells], self._maps.gradients)
        return in_cells, np.einsum("nab,nb->na", self._tangents, self.computational.vertex_means(in_cells))


def _eigenvalues_from(matrices: np.ndarray, least: float) -> np.ndarray:
    """Return symmetric matrices with their eigenvalues raised to the least one allowed, shape (K, d, d)."""
    # Sylvester's criterion tells which ones need it, which are few.
    shifted = matrices - least * np.eye(matrices.shape[1])
    determinants, _ = determinants_and_adjugates(shifted)
    minor = shifted[:, 0, 0] * shifted[:, 1, 1] - shifted[:, 0, 1] ** 2
    low = ~((shifted[:, 0, 0] > 0.0) & (minor > 0.0) & (determinants > 0.0))
    values, vectors = np.linalg.eigh(matrices[low])
    raised = matrices.copy()
    raised[low] = (vectors * np.maximum(values, least)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return raised
