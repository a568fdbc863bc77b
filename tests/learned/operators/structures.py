"""One structure of each kind on a mesh, with data of m right-hand sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from assembly import Triangles, normal
from scipy import sparse

from learned.operators.structure import (
    AffineConstraints,
    BoundedMass,
    Bounds,
    CellMeans,
    CoarseSpace,
    ConvexDissipative,
    Dirichlet,
    Dissipative,
    DivergenceFree,
    GalerkinCorrection,
    LocalConservation,
    Mass,
    SelfAdjoint,
    Structure,
)


def affine(mesh: Triangles) -> Structure:
    moments = np.stack([mesh.mass() @ mesh.points[:, 0], mesh.mass() @ mesh.points[:, 1]])
    rows = np.concatenate([mesh.integrals()[None], moments])
    return AffineConstraints(mesh.mass(), rows, [1.0, -0.3, 0.2], mesh.fixed, np.sin(mesh.points[mesh.fixed, 0]))


def bounded_mass(mesh: Triangles) -> Structure:
    return BoundedMass(mesh.integrals(), 0.3 * mesh.areas.sum(), 0.0, 1.0)


def cell_means(mesh: Triangles) -> Structure:
    means = np.random.default_rng(1).uniform(0.0, 1.0, len(mesh.cells))
    return CellMeans(np.arange(mesh.cells.size).reshape(-1, 3), means, 0.0, 1.0)


def convex(mesh: Triangles) -> Structure:
    # Of the mesh a corner only, as matrices are dense.
    few = np.unique(mesh.cells[:3])
    energy = quartic(mesh.stiffness()[few][:, few], 1.0 / len(few))
    interaction, dissipation = 0.02 * normal(len(few), len(few), seed=3), 0.02 * normal(len(few), 2, seed=4)
    return ConvexDissipative(mesh.mass()[few][:, few], energy, interaction, dissipation, 0.01)


def quartic(stiffness: sparse.csr_array, weight: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the energy of u^T K u / 2 + weight * sum of u^4 / 4."""
    matrix = torch.from_numpy(stiffness.toarray())
    return lambda u: 0.5 * (u * (matrix @ u)).sum(0) + 0.25 * weight * (u**4).sum(0)


def dissipative(mesh: Triangles) -> Structure:
    scale = 1.0 / mesh.nodes
    interaction, dissipation = (scale * normal(mesh.nodes, count, seed=count) for count in (mesh.nodes, 5))
    return Dissipative(mesh.mass(), mesh.stiffness() + mesh.mass(), interaction, dissipation, 0.1)


def divergence_free(mesh: Triangles) -> Structure:
    pointwise = sparse.diags_array(1.0 / mesh.areas) @ mesh.divergence()
    return DivergenceFree(mesh.rotation(), pointwise, mesh.components())


def galerkin(mesh: Triangles) -> Structure:
    return GalerkinCorrection(CoarseSpace(mesh.stiffness(), mesh.coarse(), mesh.fixed), mesh.integrals())


def galerkin_learned(mesh: Triangles) -> Structure:
    return GalerkinCorrection(
        CoarseSpace(mesh.stiffness(), normal(mesh.nodes, 4, seed=5), mesh.fixed), mesh.integrals()
    )


def local_conservation(mesh: Triangles) -> Structure:
    return LocalConservation(mesh.divergence(), mesh.areas, 0.1, mesh.outer_facets())


def self_adjoint(mesh: Triangles) -> Structure:
    return SelfAdjoint(normal(mesh.nodes, mesh.nodes), normal(mesh.nodes, seed=1), fixed=mesh.fixed)


def self_adjoint_coarse(mesh: Triangles) -> Structure:
    return SelfAdjoint(CoarseSpace(mesh.stiffness(), mesh.coarse(), mesh.fixed), 0.1, fixed=mesh.fixed)


# The greatest residual that the notes' table allows.
MAKERS: dict[str, tuple[Callable[[Triangles], Structure], float]] = {
    "affine": (affine, 1e-13),
    "bounded mass": (bounded_mass, 1e-13),
    "bounds": (lambda _: Bounds(-0.5, 0.5), 0.0),
    "cell means": (cell_means, 1e-13),
    "convex": (convex, 1e-13),
    "dirichlet": (lambda mesh: Dirichlet(mesh.fixed, mesh.points[mesh.fixed, 1], size=mesh.nodes), 0.0),
    "dissipative": (dissipative, 1e-13),
    "divergence-free": (divergence_free, 1e-12),
    "galerkin": (galerkin, 1e-12),
    "galerkin learned": (galerkin_learned, 1e-12),
    "local conservation": (local_conservation, 1e-13),
    "lower bound": (lambda _: Bounds(0.0, None), 0.0),
    "mass": (lambda mesh: Mass(mesh.mass(), 0.7), 1e-13),
    "mass of components": (lambda mesh: Mass(mesh.mass(), [0.7, -0.1], components=2), 1e-13),
    "self-adjoint": (self_adjoint, 1e-12),
    "self-adjoint coarse": (self_adjoint_coarse, 1e-12),
    "upper bound": (lambda _: Bounds(None, 0.0), 0.0),
    "zero mean": (lambda mesh: Mass(mesh.mass()), 1e-13),
}
