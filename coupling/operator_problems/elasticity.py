"""Linear elasticity in plane stress: cantilever beams, tapered panels with Cook's among them, plates with a hole."""

from __future__ import annotations

import numpy as np
from firedrake import FunctionSpace, TestFunction, TrialFunction, VectorFunctionSpace, ds, dx, grad, inner, sym

from coupling.operator_matrices import csr
from coupling.operator_problems.geometry import (
    Outline,
    coarse_levels,
    drawn_cells,
    ellipse,
    hierarchy,
    moved_outline,
    polygon_outline,
)
from coupling.operator_problems.random_fields import random_field
from coupling.operator_problems.solve import solve_free
from coupling.operator_spaces import node_points
from fem.problems.elasticity import Material
from learned.operators.problem import OperatorProblem

KINDS = ("cantilever", "panel", "plate")
MATERIAL = Material(young=1.0, poisson=1.0 / 3.0, plane="stress")
# Corners of Cook's membrane, over its length of 48.
COOK = np.array([[0.0, 0.0], [48.0, 44.0], [48.0, 60.0], [0.0, 44.0]]) / 48.0
COOK_SHARE = 0.25

# Markers. Symmetric sides are held in the direction of their normal only: along x and along y.
_FREE, _LOADED, _CLAMPED, _HELD_X, _HELD_Y = 1, 2, 3, 4, 5
_HELD = {_CLAMPED: (True, True), _HELD_X: (True, False), _HELD_Y: (False, True)}


def make(rng: np.random.Generator, nodes: int, right_sides: int, moved: bool) -> OperatorProblem:
    r"""Draw a domain and loads.

    .. math:: -\nabla \cdot \sigma(u) = f,\qquad u = 0 \text{ on the clamped side},\qquad \sigma n = t
              \text{ on loaded ones},\ 0 \text{ elsewhere}

    with E = 1 and nu = 1/3. A beam of aspect 2 to 5, clamped on the left, has tractions on its other sides; a tapered
    panel (a quarter of them Cook's membrane) on its right; a plate with a hole, a quarter with symmetric sides or a
    whole one clamped on the left, on its right. t and f are random fields of correlation length 0.3 to 0.8 of the size
    of the domain, which is about 1, and a mean of the same size; f has a random share of up to 1. Each load is scaled
    so that the greatest displacement is between 1/2 and 1.

    Arguments are those of ``poisson.make``.

    Returns
    -------
    OperatorProblem
        Linear elements of two components, with two coarser levels; ``features`` say which nodes are on loaded sides.
    """
    kind = str(rng.choice(KINDS))
    loops, markers = _DRAW[kind](rng)
    outline = polygon_outline(loops, markers, nodes)
    if moved:
        outline = moved_outline(rng, outline)
    meshes = hierarchy(outline)
    scalars = [FunctionSpace(mesh, "CG", 1) for mesh in meshes]
    space = VectorFunctionSpace(meshes[-1], "CG", 1)
    (u, v), (p, q) = ((TrialFunction(of), TestFunction(of)) for of in (space, scalars[-1]))
    forms = inner(MATERIAL.stress(u), sym(grad(v))) * dx, p * q * dx, p * q * ds(_LOADED)
    stiffness, mass, side = (csr(form) for form in forms)
    points = node_points(space)
    fixed = _fixed(space, outline)
    loads = np.stack([_load(rng, points, mass, side) for _ in range(right_sides)], axis=1)
    values = np.zeros_like(loads)
    solutions = solve_free(stiffness, loads, values, fixed)
    scale = rng.uniform(0.5, 1.0, right_sides) / np.abs(solutions).max(axis=0)
    loaded = np.zeros(len(points), dtype=bool)
    loaded[space.boundary_nodes(_LOADED)] = True
    boundary = np.zeros(len(points), dtype=bool)
    boundary[space.boundary_nodes("on_boundary")] = True
    return OperatorProblem(
        points=points,
        stiffness=stiffness,
        mass=mass,
        fixed=fixed,
        boundary=boundary,
        features=loaded[:, None].astype(float),
        loads=loads * scale,
        values=values,
        solutions=solutions * scale,
        coarse=coarse_levels(scalars),
        kind=kind,
        cells=drawn_cells(space),
        loaded=loaded,
    )


def _cantilever(rng: np.random.Generator) -> tuple[list[np.ndarray], list[int]]:
    height = 1.0 / rng.uniform(2.0, 5.0)
    return [np.array([[0.0, 0.0], [1.0, 0.0], [1.0, height], [0.0, height]])], [_LOADED, _LOADED, _LOADED, _CLAMPED]


def _panel(rng: np.random.Generator) -> tuple[list[np.ndarray], list[int]]:
    loop = COOK
    if rng.random() >= COOK_SHARE:
        left, low, right = rng.uniform([0.5, 0.2, 0.2], [1.0, 1.0, 0.6])
        loop = np.array([[0.0, 0.0], [1.0, low], [1.0, low + right], [0.0, left]])
    return [loop], [_FREE, _LOADED, _FREE, _CLAMPED]


def _plate(rng: np.random.Generator) -> tuple[list[np.ndarray], list[int]]:
    if rng.random() < 0.5:
        square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        hole = ellipse(rng.uniform(0.4, 0.6, 2), rng.uniform(0.1, 0.3, 2), 12, rng.uniform(0.0, np.pi))
        return [square, hole], [_FREE, _LOADED, _FREE, _CLAMPED, *[_FREE] * len(hole)]
    arc = ellipse((0.0, 0.0), np.full(2, rng.uniform(0.15, 0.5)), 24)[6::-1]
    # Ends of the arc on the axes, bit for bit: the sides from there are held along their normals.
    arc[0, 0] = arc[-1, 1] = 0.0
    corners = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    return [np.concatenate([arc, corners])], [*[_FREE] * (len(arc) - 1), _HELD_Y, _LOADED, _FREE, _HELD_X]


_DRAW = {"cantilever": _cantilever, "panel": _panel, "plate": _plate}


def _fixed(space, outline: Outline) -> np.ndarray:
    fixed = np.zeros((space.node_count, 2), dtype=bool)
    for marker in np.intersect1d(outline.markers, list(_HELD)).tolist():
        fixed[space.boundary_nodes(marker)] |= _HELD[marker]
    return fixed


def _load(rng: np.random.Generator, points: np.ndarray, mass, side) -> np.ndarray:
    share = rng.random()
    return (side @ _vectors(rng, points) + share * (mass @ _vectors(rng, points))).ravel()


def _vectors(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Return a random mean and a random field around it, shape (n, 2)."""
    fields = [random_field(rng, rng.uniform(0.3, 0.8))(points) for _ in range(2)]
    return rng.normal(size=2) + np.stack(fields, axis=1)
