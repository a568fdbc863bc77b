"""A linear boundary value problem on a finite-element space, as operator networks are given it: plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from learned.csr import csr_arrays, csr_of

# What files of problems are called, see ``learned.dataset``.
# 2: with where loads are concentrated.
SCHEMA = "driftmesh-operators-2"


@dataclass(frozen=True)
class CoarseLevel:
    """The nodes of a coarser space and how its functions are written on the next finer one.

    Attributes
    ----------
    points
        Places of the nodes, shape (n_c, d) [m].
    prolongation
        From its nodes to those of the next finer level, shape (n, n_c).
    """

    points: np.ndarray
    prolongation: sparse.csr_array


@dataclass(frozen=True)
class OperatorProblem:
    r"""One geometry with its matrices, and m right-hand sides on it.

    .. math:: A u = b \text{ at free degrees of freedom},\qquad u = g \text{ at fixed ones}

    A space has n nodes with c components each; a vector of degrees of freedom has length N = n c, node after node, as
    Firedrake stores a ``Function``. Everything is float64.

    Attributes
    ----------
    points
        Places of the nodes, shape (n, d) [m].
    stiffness
        A without boundary conditions, symmetric, shape (N, N).
    mass
        Mass matrix of the scalar space, shape (n, n); positive definite.
    fixed
        Which degrees of freedom are given, shape (n, c), bool.
    boundary
        Which nodes lie on the boundary, fixed or not, shape (n,), bool.
    features
        What else the network sees in the nodes, such as the logarithm of a coefficient, shape (n, k).
    loads
        b, shape (N, m).
    values
        A lifting of g, shape (N, m): g at fixed degrees of freedom, something smooth elsewhere. With 0 there, ``SPON``
        has to make up for a layer of one cell, and its error grows as the mesh is refined.
    solutions
        u, shape (N, m).
    coarse
        Coarser levels, from fine to coarse; none for networks of one level.
    extras
        Further matrices by name: ``rotation`` to the velocity, its ``divergence``, its ``velocity_mass``.
    kind
        Name of the geometry's family.
    cells
        Triangles between nodes, which cover the domain, shape (n_t, 3), int64: for pictures only. None in files from
        before they were kept.
    loaded
        Nodes where right-hand sides are concentrated, as tractions on a side are, shape (n,), bool; None for nowhere.
    """

    points: np.ndarray
    stiffness: sparse.csr_array
    mass: sparse.csr_array
    fixed: np.ndarray
    boundary: np.ndarray
    features: np.ndarray
    loads: np.ndarray
    values: np.ndarray
    solutions: np.ndarray
    coarse: tuple[CoarseLevel, ...] = ()
    extras: Mapping[str, sparse.csr_array] = field(default_factory=dict)
    kind: str = ""
    cells: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    loaded: np.ndarray | None = None

    def __post_init__(self) -> None:
        n, c = self.fixed.shape
        expected = {
            "points": (n, self.points.shape[-1]),
            "stiffness": (n * c, n * c),
            "mass": (n, n),
            "boundary": (n,),
            "features": (n, self.features.shape[-1]),
            "loads": (n * c, self.loads.shape[-1]),
            "values": (n * c, self.loads.shape[-1]),
            "solutions": (n * c, self.loads.shape[-1]),
            "cells": (len(self.cells), 3),
        } | ({} if self.loaded is None else {"loaded": (n,)})
        if self.loaded is not None and self.loaded.dtype != bool:
            raise ValueError(f"loaded: got type {self.loaded.dtype}, expected bool; give a mask of the nodes")
        for name, shape in expected.items():
            got = getattr(self, name).shape
            if got != shape:
                raise ValueError(
                    f"{name}: got shape {got}, expected {shape} for {n} nodes of {c} components; order degrees of "
                    "freedom node after node"
                )
        finer = n
        for level in self.coarse:
            if level.prolongation.shape != (finer, len(level.points)):
                raise ValueError(
                    f"prolongation: got shape {level.prolongation.shape}, expected {(finer, len(level.points))}; order "
                    "levels from fine to coarse"
                )
            finer = len(level.points)

    @property
    def components(self) -> int:
        """Number of components of each node."""
        return int(self.fixed.shape[1])

    @property
    def free(self) -> np.ndarray:
        """Numbers of the degrees of freedom that are to be found, ascending."""
        return np.flatnonzero(~self.fixed.ravel())

    def prolongation(self, level: int) -> sparse.csr_array:
        """Return the way from coarse level ``level`` (1 is the first) to the nodes, shape (n, n_c)."""
        result = self.coarse[0].prolongation
        for coarser in self.coarse[1:level]:
            result = result @ coarser.prolongation
        return sparse.csr_array(result)


def problem_arrays(problem: OperatorProblem) -> dict[str, np.ndarray]:
    """Return what a file holds of a problem."""
    arrays = {
        name: np.asarray(getattr(problem, name))
        for name in ("points", "fixed", "boundary", "features", "loads", "values", "solutions", "cells")
    }
    if problem.loaded is not None:
        arrays["loaded"] = problem.loaded
    arrays["kind"] = np.frombuffer(problem.kind.encode(), dtype=np.uint8)
    matrices = {"stiffness": problem.stiffness, "mass": problem.mass}
    matrices |= {f"extras.{name}": matrix for name, matrix in problem.extras.items()}
    for name, matrix in matrices.items():
        arrays |= csr_arrays(name, matrix)
    return arrays | level_arrays(problem.coarse)


def problem_of(arrays: Mapping[str, np.ndarray]) -> OperatorProblem:
    """Return the problem of arrays as ``problem_arrays`` gives them."""
    extras = sorted({name.split(".")[1] for name in arrays if name.startswith("extras.")})
    return OperatorProblem(
        **{name: arrays[name] for name in ("points", "features", "loads", "values", "solutions")},
        fixed=arrays["fixed"].astype(bool),
        boundary=arrays["boundary"].astype(bool),
        stiffness=csr_of(arrays, "stiffness"),
        mass=csr_of(arrays, "mass"),
        coarse=levels_of(arrays),
        extras={name: csr_of(arrays, f"extras.{name}") for name in extras},
        kind=bytes(arrays["kind"]).decode(),
        # Files from before pictures were made have none.
        **({"cells": arrays["cells"]} if "cells" in arrays else {}),
        loaded=arrays["loaded"].astype(bool) if "loaded" in arrays else None,
    )


def level_arrays(levels: Sequence[CoarseLevel]) -> dict[str, np.ndarray]:
    """Return what a file holds of coarser levels."""
    arrays = {}
    for number, level in enumerate(levels):
        arrays[f"coarse.{number}.points"] = level.points
        arrays |= csr_arrays(f"coarse.{number}.prolongation", level.prolongation)
    return arrays


def levels_of(arrays: Mapping[str, np.ndarray]) -> tuple[CoarseLevel, ...]:
    """Return the levels of arrays as ``level_arrays`` gives them, among others."""
    count = sum(name.startswith("coarse.") and name.endswith(".points") for name in arrays)
    return tuple(
        CoarseLevel(arrays[f"coarse.{number}.points"], csr_of(arrays, f"coarse.{number}.prolongation"))
        for number in range(count)
    )
