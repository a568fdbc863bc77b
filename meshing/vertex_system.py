"""Symmetric positive definite linear systems with a few unknowns a vertex, assembled from cells over all ranks."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
from firedrake import Function, FunctionSpace, VectorFunctionSpace
from firedrake.exceptions import ConvergenceError
from firedrake.petsc import PETSc
from petsctools import OptionsManager

from meshing.patches import MeshPatches

# Exact, and fastest in the plane up to 1e5 vertices and more (measured: 0.25 s at 1e5). The unknowns are ordered by
# least fill (AMF), as MUMPS does by itself up to 1e4: beyond, it would ask Scotch, whose threads and random numbers give
# another order every time.
DIRECT = {
    "ksp_type": "preonly",
    "pc_type": "cholesky",
    "pc_factor_mat_solver_type": "mumps",
    "mat_mumps_icntl_7": 2,
}
# In space the fill of a factorisation grows like N^(4/3). The tolerance keeps what the partition changes below 1e-8.
MULTIGRID = {
    "ksp_type": "cg",
    "ksp_rtol": 1e-11,
    "ksp_max_it": 500,
    "pc_type": "gamg",
    "mg_levels_ksp_type": "chebyshev",
    "mg_levels_pc_type": "jacobi",
}


def direct_parameters(ranks: int) -> dict[str, Any]:
    """Return options of the direct solver that give the same bits whenever the same system is solved.

    On several ranks MUMPS adds up what comes from other ranks in the order in which it comes, which depends on how busy
    the machine is. So the first rank solves for all, which is also no slower at these sizes where ranks share a machine.
    """
    if ranks == 1:
        return DIRECT
    gathered = {"ksp_type": "preonly", "pc_type": "telescope", "pc_telescope_reduction_factor": ranks}
    return gathered | {f"telescope_{name}": value for name, value in DIRECT.items()}


class VertexSystem:
    """Assemble and solve linear systems whose pattern stays and whose numbers change.

    To be used in a ``with`` statement, which frees what PETSc holds on all ranks together, or kept with the topology.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.
    patches
        Its patches.
    components
        Unknowns c a vertex.
    parameters
        PETSc options; by default a direct solver in 2D, which gives the same bits for the same system and partition,
        and multigrid in 3D.
    """

    def __init__(self, mesh, patches: MeshPatches, components: int, parameters: dict | None = None):
        space = FunctionSpace(mesh, "CG", 1) if components == 1 else VectorFunctionSpace(mesh, "CG", 1, components)
        self._solution, self._right = Function(space), Function(space)
        self._components, self._patches = components, patches
        self._owned = space.dof_dset.size
        numbers = FunctionSpace(mesh, "CG", 1).dof_dset.lgmap.indices
        unknowns = numbers[:, None] * components + np.arange(components, dtype=numbers.dtype)
        cells = unknowns[patches.cells].reshape(len(patches.cells), -1)
        rows = [np.repeat(cells, cells.shape[1], axis=1).ravel()]
        columns = [np.tile(cells, (1, cells.shape[1])).ravel()]
        own = unknowns[: self._owned]
        rows.append(np.repeat(own, components, axis=1).ravel())
        columns.append(np.tile(own, (1, components)).ravel())
        size = self._owned * components
        self._matrix = PETSc.Mat().create(comm=mesh.comm)
        self._matrix.setSizes(((size, None), (size, None)), bsize=components)
        self._matrix.setType("aij")
        self._matrix.setPreallocationCOO(np.concatenate(rows), np.concatenate(columns))
        self._matrix.setOption(PETSc.Mat.Option.SPD, True)
        if parameters is None:
            parameters = direct_parameters(mesh.comm.size) if mesh.geometric_dimension == 2 else MULTIGRID
        self._options = OptionsManager(parameters, None)
        self._ksp = PETSc.KSP().create(comm=mesh.comm)
        self._ksp.setOperators(self._matrix)
        self._options.set_from_options(self._ksp)

    def __enter__(self) -> VertexSystem:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ksp.destroy()
        self._matrix.destroy()

    def solve(self, cells: np.ndarray, vertices: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Assemble the matrix and solve.

        Parameters
        ----------
        cells
            Symmetric matrix of each cell this rank owns, shape (K, (d + 1) c, (d + 1) c), unknowns vertex by vertex.
        vertices
            Symmetric matrix to add for each vertex, shape (N, c, c); those of vertices owned elsewhere do not count.
        right
            Right-hand side, complete (summed over the ranks), shape (N, c).

        Returns
        -------
        numpy.ndarray
            Solution in all vertices this rank knows, shape (N, c).

        Raises
        ------
        firedrake.exceptions.ConvergenceError
            On all ranks, if the solver fails.
        """
        values = np.concatenate([cells.ravel(), vertices[: self._owned].ravel()])
        self._matrix.setValuesCOO(values)
        self._right.dat.data_wo_with_halos[:] = right.reshape(self._right.dat.data_ro_with_halos.shape)
        self._ksp.setOperators(self._matrix)
        with (
            self._options.inserted_options(),
            self._right.dat.vec_ro as right_vector,
            self._solution.dat.vec_wo as solution_vector,
        ):
            self._ksp.solve(right_vector, solution_vector)
        if self._ksp.getConvergedReason() <= 0:
            raise ConvergenceError(f"linear solver: reason {self._ksp.getConvergedReason()}")
        # A direct solver reports nothing. The check is taken together with all ranks.
        solution = self._solution.dat.data_ro_with_halos.reshape(-1, self._components).copy()
        if self._patches.smallest(np.isfinite(solution).astype(float)) < 1.0:
            raise ConvergenceError("linear solver: the solution is not finite")
        return solution
