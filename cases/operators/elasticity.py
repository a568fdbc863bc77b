"""Linear elasticity by operator networks."""

from __future__ import annotations

from cases.operators.operator_case import Look, OperatorCase


class OperatorElasticity(OperatorCase):
    r"""Solve for displacements of random beams, panels and plates with holes by networks.

    .. math:: -\nabla \cdot \sigma(u) = f,\qquad u = 0 \text{ on clamped},\quad \sigma n = t \text{ on loaded sides}
    """

    name = "operator-elasticity"
    summary = "operator networks with and without structure: elastic beams, panels, plates not seen in training"
    title = "Elasticity by operator networks"
    description = (
        "Structure-preserving operator networks predict how random cantilever beams, tapered panels and plates with a "
        "hole give way under loads they have not seen, so that loads and reactions balance and Betti's reciprocity "
        "holds whatever the weights, beside the same network without structure, one with random weights, and finite "
        "elements."
    )
    problem = "elasticity"
    look = Look("displacement [m]", deformed=True)
