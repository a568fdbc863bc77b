"""What all baselines are given: sources and boundary values of size one, and what to multiply their answer with."""

from __future__ import annotations

import torch
from torch import Tensor

from learned.operators.prepared import PreparedProblem, check_told


def scaled_data(problem: PreparedProblem, *, components: int, features: int) -> tuple[Tensor, Tensor]:
    r"""Return the data of each right-hand side over their norm, and the norms.

    .. math:: s^2 = \frac{1}{|\Omega|} \sum_i w_i \big(|f_i|^2 + |g_i|^2\big)

    with the sources f of ``PreparedProblem``. A network of (f, g) / s whose answer is multiplied by s is homogeneous:
    :math:`\lambda` times the data give :math:`\lambda` times the answer for every :math:`\lambda \ge 0`.

    Parameters
    ----------
    problem
        The problem, whose load vectors are b, lifted boundary values g, and shares of the volume w.
    components, features
        What the network is made for.

    Returns
    -------
    data
        (f, g) / s, shape (n, 2 c, m), of the graph's floating-point type; zero where s is.
    norms
        s, shape (m,), float64.

    Raises
    ------
    ValueError
        If the problem has other numbers of components or of features.
    """
    check_told(problem, features=features, components=components)
    weights = problem.graph.weights.double()[:, None, None]
    n, volume = len(weights), weights.sum()
    data = torch.cat([problem.sources(), problem.values.reshape(n, components, -1)], dim=1)
    norms = ((weights * data.square()).sum(dim=(0, 1)) / volume).sqrt()
    scaled = data / torch.where(norms > 0.0, norms, 1.0)
    return scaled.to(problem.graph.nodes.dtype), norms
