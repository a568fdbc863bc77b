"""Small boundary value problems on random meshes, assembled and solved here: no Firedrake, none of our operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from assembly import Triangles, triangles
from scipy import sparse
from scipy.sparse.linalg import spsolve
from torch import nn

from learned.operators.prepared import prepare_for
from learned.operators.problem import CoarseLevel, OperatorProblem
from learned.operators.spon import SPON, UnconstrainedSPON

# Lame's moduli over Young's modulus, plane strain with Poisson's ratio 0.3.
_LAMBDA, _MU = 0.3 / (1.3 * 0.4), 0.5 / 1.3
SMALL = {"landmarks": 8, "width": 12, "messages": 2}


def poisson(
    kind: str = "square", *, nodes: int = 60, seed: int = 0, moved: bool = True, levels: int = 0, features: int = 0
) -> OperatorProblem:
    """Return Poisson's equation; with one feature, the logarithm of its coefficient, and part of the boundary free."""
    meshes, ways = nested(triangles(kind, nodes=nodes, seed=seed, moved=moved), levels)
    return poisson_on(meshes, ways, seed=seed, features=features, kind=kind)


def poisson_on(
    meshes: list[Triangles], ways: list[sparse.csr_array], *, seed: int = 0, features: int = 0, kind: str = ""
) -> OperatorProblem:
    """Return Poisson's equation on the finest of some meshes, from coarse to fine."""
    mesh, rng = meshes[-1], np.random.default_rng(seed)
    away = np.linalg.norm(mesh.points - mesh.points.mean(axis=0), axis=1)
    logarithm = np.sin(3.0 * away / away.max())
    coefficient = np.exp(logarithm[mesh.cells].mean(axis=1)) if features else 1.0
    # Along the boundary half of it, so that nothing depends on the axes.
    held = mesh.fixed if not features else mesh.fixed[: len(mesh.fixed) // 2]
    return solved(
        points=mesh.points,
        stiffness=mesh.stiffness(coefficient),
        mass=mesh.mass(),
        fixed=np.isin(np.arange(mesh.nodes), held)[:, None],
        boundary=np.isin(np.arange(mesh.nodes), mesh.fixed),
        features=np.stack([logarithm] * features, axis=1) if features else np.zeros((mesh.nodes, 0)),
        loads=mesh.mass() @ rng.normal(size=(mesh.nodes, 3)),
        values=rng.normal(size=(mesh.nodes, 3)),
        coarse=levels_of(meshes, ways),
        kind=kind,
    )


def elasticity(
    kind: str = "square", *, nodes: int = 60, seed: int = 0, moved: bool = True, levels: int = 0, clamped: bool = False
) -> OperatorProblem:
    """Return plane strain, some of the boundary clamped and, unless all that is held is, some held in y alone."""
    meshes, ways = nested(triangles(kind, nodes=nodes, seed=seed, moved=moved), levels)
    return elasticity_on(meshes, ways, seed=seed, clamped=clamped, kind=kind)


def elasticity_on(
    meshes: list[Triangles], ways: list[sparse.csr_array], *, seed: int = 0, clamped: bool = False, kind: str = ""
) -> OperatorProblem:
    """Return plane strain on the finest of some meshes, from coarse to fine."""
    mesh, rng = meshes[-1], np.random.default_rng(seed)
    fixed = np.zeros((mesh.nodes, 2), dtype=bool)
    third = len(mesh.fixed) // 3
    fixed[mesh.fixed[:third]] = True
    fixed[mesh.fixed[third : 2 * third], 1] = not clamped
    return solved(
        points=mesh.points,
        stiffness=elastic_stiffness(mesh),
        mass=mesh.mass(),
        fixed=fixed,
        boundary=np.isin(np.arange(mesh.nodes), mesh.fixed),
        features=np.zeros((mesh.nodes, 0)),
        # The rest of what may be held carries loads.
        loaded=np.isin(np.arange(mesh.nodes), mesh.fixed[2 * third :]),
        loads=sparse.kron(mesh.mass(), np.eye(2)) @ rng.normal(size=(2 * mesh.nodes, 3)),
        values=rng.normal(size=(2 * mesh.nodes, 3)),
        coarse=levels_of(meshes, ways),
        kind=kind,
    )


def islands(*, nodes: int = 90, seed: int = 0, moved: bool = True, fourth: bool = False) -> OperatorProblem:
    """Return an equation of second or fourth order whose solutions are constants, not given, around holes."""
    mesh, rng = triangles("holes", nodes=nodes, seed=seed, moved=moved), np.random.default_rng(seed)
    outer, *inner = sorted(mesh.components(), key=lambda part: -np.ptp(mesh.points[part], axis=0).prod())
    fixed = np.isin(np.arange(mesh.nodes), outer)
    column = np.arange(mesh.nodes)
    for part in inner:
        column[part] = part[0]
    column = np.unique(column, return_inverse=True)[1]
    whole = sparse.csr_array((np.ones(mesh.nodes), (np.arange(mesh.nodes), column)))
    values = rng.normal(size=(mesh.nodes, 3))
    for part in inner:
        values[part] = values[part[0]]
    matrix = mesh.stiffness()
    if fourth:
        matrix = sparse.csr_array(matrix @ sparse.diags_array(1.0 / mesh.integrals()) @ matrix)
    return solved(
        points=mesh.points,
        stiffness=matrix,
        mass=mesh.mass(),
        fixed=fixed[:, None],
        boundary=np.isin(np.arange(mesh.nodes), mesh.fixed),
        features=np.zeros((mesh.nodes, 0)),
        loads=mesh.mass() @ rng.normal(size=(mesh.nodes, 3)),
        values=values,
        extras={"reduction": whole[:, np.setdiff1d(column, column[outer])]},
        kind="holes",
    )


def island_nodes(problem: OperatorProblem) -> list[np.ndarray]:
    columns = sparse.csc_array(problem.extras["reduction"])
    parts = np.split(columns.indices, columns.indptr[1:-1])
    return [part for part in parts if len(part) > 1]


PROBLEMS: dict[str, Callable[[], OperatorProblem]] = {
    "square": poisson,
    "holes": lambda: poisson("holes", nodes=120, features=1),
    "l-shape": lambda: poisson("l-shape", moved=False),
    "two levels": lambda: poisson(nodes=24, levels=2),
    "elasticity": elasticity,
    "elasticity with levels": lambda: elasticity("l-shape", nodes=20, levels=1),
    "islands": islands,
    "fourth order": lambda: islands(fourth=True, seed=1),
}


def solved(*, extras: dict | None = None, **parts) -> OperatorProblem:
    """Return the problem of some parts with its solutions, by a direct solve."""
    rest = np.zeros_like(parts["loads"])
    problem = OperatorProblem(**parts, extras=extras or {}, solutions=rest)
    return replace(problem, solutions=exact(problem, problem.loads, problem.values))


def with_data(problem: OperatorProblem, loads: np.ndarray, values: np.ndarray) -> OperatorProblem:
    """Return the problem with other data, and with their solutions."""
    return replace(problem, loads=loads, values=values, solutions=exact(problem, loads, values))


def unknowns(problem: OperatorProblem) -> sparse.csr_array:
    """Return what takes unknowns to degrees of freedom."""
    free = np.flatnonzero(~problem.fixed.ravel())
    return problem.extras.get("reduction", sparse.eye_array(problem.fixed.size, format="csr")[:, free])


def exact(problem: OperatorProblem, loads: np.ndarray, values: np.ndarray) -> np.ndarray:
    expand = unknowns(problem)
    matrix = sparse.csc_array(expand.T @ problem.stiffness @ expand)
    return values + expand @ spsolve(matrix, expand.T @ (loads - problem.stiffness @ values))


def network(problem: OperatorProblem, *, seed: int = 0, wild: float = 0.3, **options: int) -> SPON:
    """Return an untrained network for a problem, all its weights changed at random."""
    torch.manual_seed(seed)
    return perturbed(SPON(features=problem.features.shape[1], **(SMALL | options)), wild)


def twin(problem: OperatorProblem, *, seed: int = 0, wild: float = 0.3, **options: int) -> UnconstrainedSPON:
    """Return the same without structure."""
    torch.manual_seed(seed)
    options = SMALL | {"channels": 8, "layers": 2, "components": problem.components} | options
    return perturbed(UnconstrainedSPON(features=problem.features.shape[1], **options), wild)


def perturbed(made: nn.Module, wild: float) -> nn.Module:
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(wild * torch.randn_like(parameter))
    return made


def solution(net: nn.Module, problem: OperatorProblem) -> torch.Tensor:
    """Return what a network in double precision gives."""
    net = net.double()
    with torch.no_grad():
        return net(prepare_for(net, problem, dtype=torch.float64))


def nested(mesh: Triangles, levels: int) -> tuple[list[Triangles], list[sparse.csr_array]]:
    """Return a mesh and finer ones made of it, from coarse to fine, and the ways between them."""
    meshes, ways = [mesh], []
    for _ in range(levels):
        finer, way = refined(meshes[-1])
        meshes.append(finer)
        ways.append(way)
    return meshes, ways


def levels_of(meshes: list[Triangles], ways: list[sparse.csr_array]) -> tuple[CoarseLevel, ...]:
    """Return what problems hold of the meshes but the finest."""
    return tuple(CoarseLevel(mesh.points, way) for mesh, way in zip(meshes[-2::-1], ways[::-1], strict=True))


def placed(mesh: Triangles, matrix: np.ndarray, shift: tuple[float, float] = (0.0, 0.0)) -> Triangles:
    """Return the mesh turned, mirrored or enlarged, and moved."""
    cells, boundary = mesh.cells, mesh.boundary
    if np.linalg.det(matrix) < 0.0:
        cells, boundary = cells[:, ::-1], boundary[:, ::-1]
    return Triangles(mesh.points @ matrix.T + shift, cells, boundary)


def refined(mesh: Triangles) -> tuple[Triangles, sparse.csr_array]:
    """Return the mesh with each triangle cut into four, and the interpolation of its linear functions there."""
    edges = mesh.facets
    rows = np.concatenate([np.arange(mesh.nodes), np.repeat(mesh.nodes + np.arange(len(edges)), 2)])
    columns = np.concatenate([np.arange(mesh.nodes), edges.ravel()])
    entries = np.concatenate([np.ones(mesh.nodes), np.full(edges.size, 0.5)])
    way = sparse.csr_array((entries, (rows, columns)), shape=(mesh.nodes + len(edges), mesh.nodes))

    def middle(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        places = np.sort(np.stack([one, other], axis=1), axis=1) @ [mesh.nodes, 1]
        return mesh.nodes + np.searchsorted(edges @ [mesh.nodes, 1], places)

    a, b, c = mesh.cells.T
    ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
    corners = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    cells = np.concatenate([np.stack(part, axis=1) for part in corners])
    one, other = mesh.boundary.T
    between = middle(one, other)
    boundary = np.concatenate([np.stack([one, between], axis=1), np.stack([between, other], axis=1)])
    return Triangles(way @ mesh.points, cells, boundary), way


def elastic_stiffness(mesh: Triangles) -> sparse.csr_array:
    """Return the matrix of plane strain in linear elements, node after node."""
    g, areas = mesh.gradients, mesh.areas
    dots = np.einsum("kia,kja->kij", g, g)
    blocks = _LAMBDA * np.einsum("kia,kjb->kiajb", g, g) + _MU * np.einsum("kib,kja->kiajb", g, g)
    blocks = (blocks + _MU * np.einsum("kij,ab->kiajb", dots, np.eye(2))) * areas[:, None, None, None, None]
    numbers = (2 * mesh.cells[:, :, None] + np.arange(2)).reshape(-1, 6)
    rows, columns = np.repeat(numbers, 6, axis=1).ravel(), np.tile(numbers, 6).ravel()
    return sparse.csr_array((blocks.ravel(), (rows, columns)), shape=(2 * mesh.nodes,) * 2)


def renumbered(problem: OperatorProblem, order: np.ndarray) -> OperatorProblem:
    """Return the problem with node ``order[i]`` as its node i."""
    c = problem.components
    dofs = (order[:, None] * c + np.arange(c)).ravel()
    coarse = list(problem.coarse)
    if coarse:
        coarse[0] = replace(coarse[0], prolongation=coarse[0].prolongation[order])
    return replace(
        problem,
        points=problem.points[order],
        stiffness=problem.stiffness[dofs][:, dofs],
        mass=problem.mass[order][:, order],
        fixed=problem.fixed[order],
        boundary=problem.boundary[order],
        features=problem.features[order],
        loads=problem.loads[dofs],
        values=problem.values[dofs],
        solutions=problem.solutions[dofs],
        coarse=tuple(coarse),
        extras={name: matrix[dofs] for name, matrix in problem.extras.items()},
        loaded=None if problem.loaded is None else problem.loaded[order],
    )
