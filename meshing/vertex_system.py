"""Symmetric positive definite linear systems with a few unknowns a vertex, assembled from cells over all ranks."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from firedrake import Function, FunctionSpace, VectorFunctionSpace
from firedrake.exceptions import ConvergenceError
from firedrake.petsc import PETSc
from petsctools import OptionsManager

from meshing.collective import on_first_rank
from meshing.patches import MeshPatches

# Exact, and at a low cost in the plane up to 1e5 vertices and more (measured: 0.25 s at 1e5). The order of elimination
# is that of least fill (AMF), which MUMPS takes by itself up to 1e4 unknowns. Beyond, it would ask Scotch: its threads
# and random numbers give another order, and so other rounding, every time.
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


class VertexSystem:
    """Assemble and solve linear systems whose pattern stays and whose numbers change.

    To be used in a ``with`` statement, which frees what PETSc holds on all ranks together, or kept with the topology.
    By default, in the plane, the same system in the same partition has the same solution to the last bit, however busy
    the machine: on several ranks MUMPS would add up what other ranks send in the order in which it arrives, so the
    first rank factorises for all.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.
    patches
        Its patches.
    components
        Unknowns c a vertex.
    parameters
        PETSc options; by default a direct solver in 2D, multigrid in 3D.
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
        self._comm, comm = mesh.comm, mesh.comm
        size, pattern = self._owned * components, np.stack([np.concatenate(rows), np.concatenate(columns)])
        self._gathered = parameters is None and mesh.geometric_dimension == 2 and comm.size > 1
        if self._gathered:
            # The other ranks have a matrix without rows, which is never solved with.
            comm, size, pattern = PETSc.COMM_SELF, self._comm.reduce(size) or 0, self._on_first(pattern)
        self._matrix = PETSc.Mat().create(comm=comm)
        self._matrix.setSizes(((size, None), (size, None)), bsize=components)
        self._matrix.setType("aij")
        self._matrix.setPreallocationCOO(*pattern)
        self._matrix.setOption(PETSc.Mat.Option.SPD, True)
        if parameters is None:
            parameters = DIRECT if mesh.geometric_dimension == 2 else MULTIGRID
        self._options = OptionsManager(parameters, None)
        self._ksp = PETSc.KSP().create(comm=comm)
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
        if self._gathered:
            self._solve_on_first(values, right)
        else:
            self._right.dat.data_wo_with_halos[:] = right.reshape(self._right.dat.data_ro_with_halos.shape)
            with self._right.dat.vec_ro as right_vector, self._solution.dat.vec_wo as solution_vector:
                _check(self._solve(values, right_vector, solution_vector))
        # A direct solver reports nothing. The check is taken together with all ranks.
        solution = self._solution.dat.data_ro_with_halos.reshape(-1, self._components).copy()
        if self._patches.smallest(np.isfinite(solution).astype(float)) < 1.0:
            raise ConvergenceError("linear solver: the solution is not finite")
        return solution

    def _solve(self, values: np.ndarray, right: PETSc.Vec, solution: PETSc.Vec) -> int:
        """Solve with the matrix of the values on its ranks, and return PETSc's reason to stop."""
        self._matrix.setValuesCOO(values)
        self._ksp.setOperators(self._matrix)
        with self._options.inserted_options():
            self._ksp.solve(right, solution)
        return self._ksp.getConvergedReason()

    def _solve_on_first(self, values: np.ndarray, right: np.ndarray) -> None:
        """Put the solution into the vertices each rank owns, as the first rank finds it; collective."""
        values, loads = self._on_first(values), self._on_first(right[: self._owned].ravel())
        unknowns = np.zeros(len(loads))

        def solve() -> int:
            vectors = [PETSc.Vec().createWithArray(array, comm=PETSc.COMM_SELF) for array in (loads, unknowns)]
            reason = self._solve(values, *vectors)
            for vector in vectors:
                vector.destroy()
            return reason

        _check(self._comm.bcast(on_first_rank(self._comm, solve)))
        ends = np.cumsum(self._comm.allgather(self._owned * self._components))
        own = self._comm.scatter(np.split(unknowns, ends[:-1]) if self._comm.rank == 0 else None)
        self._solution.dat.data_wo[:] = own.reshape(self._solution.dat.data_ro.shape)

    def _on_first(self, values: np.ndarray) -> np.ndarray:
        """Return the values of all ranks, one after the other along the last axis, on the first; none on the others."""
        parts = self._comm.gather(values)
        return values[..., :0] if parts is None else np.concatenate(parts, axis=-1)


def _check(reason: int) -> None:
    if reason <= 0:
        raise ConvergenceError(f"linear solver: reason {reason}")
