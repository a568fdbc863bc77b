"""Stokes flow by operator networks."""

from __future__ import annotations

from cases.operators.operator_case import Look, OperatorCase


class OperatorStokes(OperatorCase):
    r"""Solve Stokes' equations in random channels with obstacles by networks, without any divergence.

    .. math:: -\Delta u + \nabla p = f,\qquad \operatorname{div} u = 0,\qquad u = \operatorname{rot} \psi
    """

    name = "operator-stokes"
    summary = "operator networks with and without structure: Stokes flow around obstacles not seen in training"
    title = "Stokes flow by operator networks"
    description = (
        "Structure-preserving operator networks predict Stokes flow through random channels with up to three obstacles "
        "that they have not seen, as stream functions: no divergence is left, whatever the weights. Beside them the "
        "same network for velocities in the nodes, without structure, the one with structure before training, and "
        "finite elements."
    )
    problem = "stokes"
    look = Look("speed [m/s]", streamlines=True)
