"""PETSc options of linear solvers, by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

# Exact up to rounding; on any number of ranks.
LU = {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"}

# For symmetric positive definite systems, at a cost in proportion to the unknowns.
CG_GAMG = {"ksp_type": "cg", "ksp_rtol": 1e-10, "ksp_max_it": 500, "pc_type": "gamg"}

# For mass matrices: as many iterations on fine meshes as on coarse ones, and on graded ones hardly more.
MASS = {"ksp_type": "cg", "ksp_rtol": 1e-12, "ksp_max_it": 500, "pc_type": "jacobi"}

# For saddle points: pivots by numbers, which fill more than MUMPS expects of the pattern [%].
SADDLE_LU = LU | {"mat_type": "aij", "mat_mumps_icntl_14": 200}

# Besides, where something is free by a constant, such as a pressure: MUMPS finds out pivots that are 0.
NULL_PIVOTS = {"mat_mumps_icntl_24": 1}

# For nonlinear problems small enough for a factorisation: Newton's method in full steps, to rounding.
NEWTON_LU = SADDLE_LU | {
    "snes_type": "newtonls",
    "snes_linesearch_type": "basic",
    "snes_rtol": 1e-9,
    "snes_atol": 1e-11,
    # Of slender bodies rounding keeps the residual above that: a step of next to nothing is the end, too.
    "snes_stol": 1e-10,
    # Nor is it the end that the first step into bending stretches them.
    "snes_divergence_tolerance": 1e10,
    "snes_max_it": 25,
}

SOLVER_PARAMETERS: MappingProxyType[str, dict[str, Any]] = MappingProxyType({"lu": LU, "cg-gamg": CG_GAMG})


def solver_parameters(name: str) -> dict[str, Any]:
    """Return the options of a name, to be changed at will.

    Raises
    ------
    ValueError
        If there are none of that name.
    """
    if name not in SOLVER_PARAMETERS:
        raise ValueError(f"solver: got {name!r}, expected one of {', '.join(SOLVER_PARAMETERS)}")
    return dict(SOLVER_PARAMETERS[name])


# Of flows: Newton's method, each step solved exactly. The pressure may be free by a constant, which MUMPS finds out.
FLOW_LU = {
    "snes_type": "newtonls",
    "snes_rtol": 1e-10,
    "snes_atol": 1e-12,
    "snes_stol": 0.0,
    "snes_divergence_tolerance": 1e12,
    "snes_max_it": 25,
    "mat_type": "aij",
    "mat_mumps_icntl_14": 200,
    "mat_mumps_icntl_24": 1,
    **LU,
}

# The same with a factorisation kept from step to step, which goes on as preconditioner: for time steps, between which
# the matrix changes little, and few of which then take longer than what they assemble.
FLOW_LU_KEPT = {
    **FLOW_LU,
    "snes_lag_preconditioner": 20,
    "snes_lag_preconditioner_persists": True,
    "ksp_type": "gmres",
    "ksp_rtol": 1e-5,
    "ksp_max_it": 60,
}

# The velocities by multigrid, the pressure's Schur complement by convection and diffusion of pressures: at a cost in
# proportion to the unknowns. Given velocities are met to the tolerance of the linear solver only, below which Newton's
# method does not come.
FLOW_SCHUR = {
    "snes_type": "newtonls",
    "snes_rtol": 1e-8,
    "snes_atol": 1e-12,
    "snes_stol": 0.0,
    "snes_divergence_tolerance": 1e12,
    "snes_max_it": 25,
    "mat_type": "matfree",
    "ksp_type": "fgmres",
    "ksp_rtol": 1e-8,
    "ksp_max_it": 300,
    "ksp_gmres_restart": 100,
    "pc_type": "fieldsplit",
    "pc_fieldsplit_type": "schur",
    "pc_fieldsplit_schur_fact_type": "lower",
    "fieldsplit_0": {
        "ksp_type": "fgmres",
        "ksp_rtol": 1e-2,
        "ksp_max_it": 10,
        "pc_type": "python",
        "pc_python_type": "firedrake.AssembledPC",
        "assembled_pc_type": "gamg",
        "assembled_mat_type": "aij",
        # Of steady flow the matrix is far from symmetric: neither Chebyshev's method nor Jacobi's smooths.
        "assembled_mg_levels": {"ksp_type": "gmres", "ksp_max_it": 3, "pc_type": "bjacobi", "sub_pc_type": "ilu"},
    },
    "fieldsplit_1": {
        "ksp_type": "preonly",
        "pc_type": "python",
        "pc_python_type": "fem.navier_stokes_preconditioner.PressureConvectionDiffusion",
        "convection_diffusion_mass": {"ksp_type": "cg", "ksp_rtol": 1e-3, "ksp_max_it": 20, "pc_type": "jacobi"},
        "convection_diffusion_laplacian": {"ksp_type": "cg", "ksp_rtol": 1e-2, "ksp_max_it": 20, "pc_type": "gamg"},
    },
}

FLOW_SOLVERS: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {"lu": FLOW_LU, "lu-kept": FLOW_LU_KEPT, "schur-gamg": FLOW_SCHUR}
)


def flow_solver_parameters(name: str, pair: str) -> dict[str, Any]:
    """Return the options of a name for flows, to be changed at will.

    Raises
    ------
    ValueError
        If there are none of that name, or not for the pair of elements: ``schur-gamg`` needs continuous pressures.
    """
    if name not in FLOW_SOLVERS:
        raise ValueError(f"solver: got {name!r}, expected one of {', '.join(FLOW_SOLVERS)}")
    if name == "schur-gamg" and pair != "taylor-hood":
        raise ValueError(f"solver: got {name!r} for {pair}, expected lu or lu-kept; its pressures are discontinuous")
    return dict(FLOW_SOLVERS[name])
