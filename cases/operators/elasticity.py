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
        "hole give way under loads that they have not seen. Clamped sides stay, Betti's reciprocity holds, and loads "
        "balance around each landmark, whatever the weights: beside them the same network without structure, the "
        "one with structure before training, and finite elements."
    )
    problem = "elasticity"
    look = Look("displacement [m]", deformed=True)
