"""Is this installation whole?"""

from __future__ import annotations

import time
from collections.abc import Callable

from cases.run_folder import versions


def report(echo: Callable[[str], None]) -> bool:
    """Print versions, MPI, HDF5, PETSc packages and the time of a small solve; return whether all is well."""
    for name, number in versions().items():
        echo(f"{name:16} {number}")
    import h5py
    from firedrake import COMM_WORLD, PETSc
    from mpi4py import MPI

    echo(f"{'MPI':16} {MPI.Get_library_version().splitlines()[0].split(',')[0]}, {COMM_WORLD.size} rank(s)")
    checks = {"HDF5 with MPI": bool(h5py.get_config().mpi)}
    packages = ("hdf5", "metis", "mumps", "ptscotch", "scalapack", "suitesparse", "superlu_dist")
    found = [name for name in packages if PETSc.Sys.hasExternalPackage(name)]
    echo(f"{'PETSc packages':16} {', '.join(found)}")
    for name in ("mumps", "ptscotch", "hdf5"):
        checks[f"PETSc with {name}"] = name in found
    error, seconds = _small_solve()
    echo(f"{'Poisson, P2':16} error {error:.1e} in {seconds:.1f} s, compilation included")
    checks["a small solve"] = error < 1e-4
    for what, good in checks.items():
        if not good:
            echo(f"missing: {what}; run `make env` again, its logs lie in the environment's .driftmesh folder")
    echo("all is well" if all(checks.values()) else "something is missing")
    return all(checks.values())


def _small_solve() -> tuple[float, float]:
    """Solve a Poisson problem with a known solution; return the L2 error and the time [s]."""
    from firedrake import (
        DirichletBC,
        Function,
        FunctionSpace,
        SpatialCoordinate,
        TestFunction,
        UnitSquareMesh,
        div,
        dx,
        errornorm,
        grad,
        inner,
        pi,
        sin,
        solve,
    )

    began = time.perf_counter()
    mesh = UnitSquareMesh(16, 16)
    space = FunctionSpace(mesh, "CG", 2)
    x, y = SpatialCoordinate(mesh)
    exact = sin(pi * x) * sin(pi * y)
    u, v = Function(space), TestFunction(space)
    form = (inner(grad(u), grad(v)) + inner(div(grad(exact)), v)) * dx
    solve(
        form == 0,
        u,
        bcs=DirichletBC(space, 0, "on_boundary"),
        solver_parameters={"pc_factor_mat_solver_type": "mumps"},
    )
    return errornorm(exact, u), time.perf_counter() - began
