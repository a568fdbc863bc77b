"""Stokes flow in a channel with obstacles, for stream functions: velocities are without divergence."""

from __future__ import annotations

import numpy as np
from firedrake import FunctionSpace
from numpy.polynomial import Polynomial
from scipy import sparse

from coupling.operator_problems.geometry import (
    coarse_levels,
    drawn_cells,
    ellipse,
    hierarchy,
    moved_outline,
    polygon_outline,
)
from coupling.operator_problems.nodal_velocity import nodal_divergence, nodal_forces, nodal_velocity
from coupling.operator_problems.random_fields import random_field, shepard_lifting
from coupling.operator_problems.solve import solve_reduced
from coupling.operator_problems.stream_function import INLET, OBSTACLE, OUTLET, WALLS, StreamFunctionSystem
from coupling.operator_spaces import node_points
from learned.operators.problem import OperatorProblem

# Of the channel [m]; its length is drawn.
HEIGHT = 0.5
# Largest standard deviation of the body force: what moves the fluid about as much as the inflow does.
FORCE = 400.0


def make(rng: np.random.Generator, nodes: int, right_sides: int, moved: bool) -> OperatorProblem:
    r"""Draw a channel with one to three obstacles, inflows and body forces.

    .. math:: -\Delta u + \nabla p = f,\quad \operatorname{div} u = 0,\quad u = \operatorname{rot} \psi

    u is given at the inlet on the left, zero at the walls and obstacles; the outlet on the right is free,
    :math:`\partial_n u = p n`. The channel is 0.5 high and 0.9 to 1.3 long, obstacles are ellipses of 8 corners.
    The inflow is a parabola times a random polynomial, of mean at most 1; f is a random field, zero for a quarter of
    the right-hand sides.

    Arguments are those of ``poisson.make``; nodes are those of the quadratic stream function.

    Returns
    -------
    OperatorProblem
        The degrees of freedom are those of psi in CG2. Fixed are walls and inlet; on each obstacle psi is constant,
        also in ``values``, but not given: solutions are ``values`` plus combinations of the columns of
        ``extras["reduction"]`` (N, N'). ``extras["rotation"]`` leads to velocities in BDM1, ``"divergence"`` from these
        to DG0, ``"velocity_mass"`` is their mass matrix; ``"nodal_velocity"`` leads from psi to velocities in the
        nodes, ``"nodal_divergence"`` from these to their divergence in DG1, and ``"nodal_loads"`` (2 n, m) are the load
        vectors of the forces for these. The coarser levels are linear: on the same mesh and on the one from which it is
        refined. ``features`` say which nodes are on obstacles, on the inlet and on the outlet.
    """
    loops, markers = _channel(rng)
    # Of four nodes three are in the middle of edges; one refinement, as the first coarse level is on the same mesh.
    outline = polygon_outline(loops, markers, nodes // 4, levels=1)
    if moved:
        outline = moved_outline(rng, outline)
    meshes = hierarchy(outline, levels=1)
    system = StreamFunctionSystem(meshes[-1], obstacles=len(loops) - 1)
    points = node_points(system.stream)
    values = _liftings(rng, system, points, right_sides)
    forces = [_force(rng, system) for _ in range(right_sides)]
    loads = np.stack([system.rotation.T @ (system.force @ force) for force in forces], axis=1)
    boundary = np.zeros(len(points), dtype=bool)
    boundary[system.stream.boundary_nodes("on_boundary")] = True
    linear = [FunctionSpace(mesh, "CG", 1) for mesh in meshes]
    return OperatorProblem(
        points=points,
        stiffness=system.stiffness,
        mass=system.mass,
        fixed=system.fixed[:, None],
        boundary=boundary,
        features=_features(system),
        loads=loads,
        values=values,
        solutions=solve_reduced(system.stiffness, loads, values, system.reduction),
        coarse=coarse_levels([*linear, system.stream]),
        extras={
            "rotation": system.rotation,
            "divergence": system.divergence,
            "velocity_mass": system.velocity_mass,
            "reduction": system.reduction,
            "nodal_velocity": sparse.csr_array(nodal_velocity(system.stream, system.velocity) @ system.rotation),
            "nodal_divergence": nodal_divergence(system.stream),
            "nodal_loads": sparse.csr_array(nodal_forces(system.stream, system.forces) @ np.stack(forces, axis=1)),
        },
        kind=f"{len(loops) - 1} obstacles",
        cells=drawn_cells(system.stream),
    )


def _channel(rng: np.random.Generator) -> tuple[list[np.ndarray], list[int]]:
    """Return a rectangle with ellipses that are clear of it and of each other, and the markers of their sides."""
    length = rng.uniform(0.9, 1.3)
    loops = [np.array([[0.0, 0.0], [length, 0.0], [length, HEIGHT], [0.0, HEIGHT]])]
    markers = [WALLS[0], OUTLET, WALLS[1], INLET]
    wanted, centres = int(rng.integers(1, 4)), np.zeros((0, 2))
    # Three do not always fit; the first always does.
    for centre in rng.uniform([0.2, 0.15], [length - 0.25, HEIGHT - 0.15], (40, 2)):
        if len(centres) < wanted and (np.linalg.norm(centres - centre, axis=1) > 0.24).all():
            centres = np.concatenate([centres, [centre]])
            loops.append(ellipse(centre, rng.uniform(0.04, 0.09, 2), 8, rng.uniform(0.0, np.pi)))
            markers += [OBSTACLE + len(centres) - 1] * 8
    return loops, markers


def _liftings(rng: np.random.Generator, system: StreamFunctionSystem, points: np.ndarray, count: int) -> np.ndarray:
    r"""Return smooth stream functions with random inflows that are constant on obstacles, shape (N, count).

    .. math:: G = (1 - \sum_k \chi_k) G_0(y) + \sum_k \chi_k c_k

    with the integral G_0 of the inflow's profile, its mean c_k on each obstacle, and Shepard's lifting chi_k of 1 there
    and 0 at walls, inlet and other obstacles.
    """
    on = np.concatenate([np.flatnonzero(system.fixed), *system.obstacles])
    which = np.zeros((len(points), len(system.obstacles)))
    for number, nodes in enumerate(system.obstacles):
        which[nodes, number] = 1.0
    shares = shepard_lifting(points, points[on], system.boundary_weights[on], which[on])
    inflows = np.stack([_inflow(rng)(points[:, 1] / HEIGHT) * HEIGHT for _ in range(count)], axis=1)
    constants = np.stack([inflows[nodes].mean(axis=0) for nodes in system.obstacles])
    return (1.0 - shares.sum(axis=1, keepdims=True)) * inflows + shares @ constants


def _inflow(rng: np.random.Generator) -> Polynomial:
    """Return the integral of a random profile over the share of the height, 0 at 0."""
    s = Polynomial([0.0, 1.0])
    middle = 2.0 * s - 1.0
    shape = 1.0 + rng.uniform(-0.8, 0.8) * middle + rng.uniform(-1.0, 1.0) * (middle**2 - 0.2)
    return (rng.uniform(0.0, 1.0) * 6.0 * s * (1.0 - s) * shape).integ()


def _force(rng: np.random.Generator, system: StreamFunctionSystem) -> np.ndarray:
    """Return a body force at the vertices, shape (2 n,)."""
    points = node_points(system.forces)
    if rng.random() < 0.25:
        return np.zeros(2 * len(points))
    length, strength = rng.uniform(0.15, 0.5), rng.uniform(0.0, FORCE)
    return (strength * np.stack([random_field(rng, length)(points) for _ in range(2)], axis=1)).ravel()


def _features(system: StreamFunctionSystem) -> np.ndarray:
    features = np.zeros((len(system.fixed), 3))
    features[np.concatenate(system.obstacles), 0] = 1.0
    features[system.stream.boundary_nodes(INLET), 1] = 1.0
    features[system.stream.boundary_nodes(OUTLET), 2] = 1.0
    return features
