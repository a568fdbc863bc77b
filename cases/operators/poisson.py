"""Poisson's equation by operator networks."""

from __future__ import annotations

from cases.operators.operator_case import Look, OperatorCase


class OperatorPoisson(OperatorCase):
    r"""Solve Poisson's equation on random squares, L-shapes and domains with holes by networks.

    .. math:: -\Delta u = f \text{ in } \Omega,\qquad u = g \text{ on } \partial\Omega
    """

    name = "operator-poisson"
    summary = "operator networks with and without structure: Poisson's equation on domains not seen in training"
    title = "Poisson's equation by operator networks"
    description = (
        "Structure-preserving operator networks solve Poisson's equation on random squares, L-shapes and domains with "
        "holes that they have not seen, on meshes as generated and moved. Boundary values are met to the last bit and "
        "the operator is symmetric, whatever the weights: beside them the same network without structure, the one with "
        "structure before training, and finite elements."
    )
    problem = "poisson"
    look = Look("u")
