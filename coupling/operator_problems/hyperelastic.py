"""A hyperelastic beam in compression: states from the first load to beyond buckling."""

from __future__ import annotations

import numpy as np
from firedrake import Constant, FunctionSpace, VectorFunctionSpace, as_vector

from coupling.operator_problems.geometry import coarse_levels, hierarchy, moved_outline, polygon_outline
from coupling.operator_problems.trajectories import trajectory
from fem.problems.elasticity import Material
from fem.problems.hyperelasticity import solve_hyperelastic
from learned.operators.trajectory import OperatorTrajectory

_FREE, _CLAMPED, _PRESSED, _SIDE = 1, 2, 3, 4
# Largest shortening: beyond, cells at the clamped corners fold.
_MOST = 0.2


def make(rng: np.random.Generator, nodes: int, steps: int, moved: bool) -> OperatorTrajectory:
    r"""Draw a beam and press its ends together, step by step.

    .. math:: \min_u \int W(I + \nabla u) - s \int_{\text{side}} t \cdot u,\qquad
              u = 0 \text{ on the left},\quad u = (-s\,\delta, 0) \text{ on the right},\quad s = 1/n, 2/n, \ldots, 1

    with a neo-Hookean law in plane strain, E = 1 and nu = 0.3. The beam is 1 long and 1/6 to 1/12 high. delta is 1.5 to
    4 times the shortening at which an ideal slender beam buckles, :math:`\pi^2 h^2 / 3`, and at most 0.2; a small
    pressure t on one long side, of either sign, says to which side it gives way.

    Arguments are those of ``poisson.make``, with the number of load steps, each a state, for the right-hand sides.

    Returns
    -------
    OperatorTrajectory
        Displacements in linear elements, in space of the undeformed beam, with two coarser levels; ``times`` are s.
        Parameters: ``height``, ``shortening``, ``pressure``. ``features`` say which nodes are on the side with the
        pressure and on the pressed end.

    Raises
    ------
    RuntimeError
        If a load step finds no equilibrium.
    """
    height = 1.0 / rng.uniform(6.0, 12.0)
    shortening = min(rng.uniform(1.5, 4.0) * np.pi**2 * height**2 / 3.0, _MOST)
    # What bends the beam by about a fiftieth of its height: q L^4 / (384 E I), E I = h^3 / 12.
    pressure = float(rng.choice([-1.0, 1.0])) * rng.uniform(0.5, 1.5) * 0.02 * height * 384.0 * height**3 / 12.0
    loop = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, height], [0.0, height]])
    outline = polygon_outline([loop], [_FREE, _PRESSED, _SIDE, _CLAMPED], nodes)
    if moved:
        outline = moved_outline(rng, outline)
    meshes = hierarchy(outline)
    spaces = [FunctionSpace(mesh, "CG", 1) for mesh in meshes]
    space, material = VectorFunctionSpace(meshes[-1], "CG", 1), Material(young=1.0, poisson=0.3)
    shares = np.arange(1, steps + 1) / steps
    fields, last = [], None
    for share in shares:
        last = solve_hyperelastic(
            meshes[-1],
            material,
            degree=1,
            fixed={_CLAMPED: (0.0, 0.0), _PRESSED: (Constant(-share * shortening), 0.0)},
            tractions={_SIDE: as_vector([0.0, Constant(-share * pressure)])},
            steps=2,
            start=last,
        )
        fields.append(last.dat.data_ro.copy())
    fixed, features = np.zeros((space.node_count, 2), dtype=bool), np.zeros((space.node_count, 2))
    for marker in (_CLAMPED, _PRESSED):
        fixed[space.boundary_nodes(marker)] = True
    for column, marker in enumerate((_SIDE, _PRESSED)):
        features[space.boundary_nodes(marker), column] = 1.0
    return trajectory(
        spaces[-1],
        fixed=fixed,
        features=features,
        times=shares,
        fields=np.stack(fields),
        parameters={"height": height, "shortening": shortening, "pressure": pressure},
        coarse=coarse_levels(spaces),
        kind="hyperelastic",
    )
