"""Solutions with boundary layers, as UFL expressions of the place: source terms follow by differentiation."""

from __future__ import annotations

from collections.abc import Callable
from math import exp as exp_of
from math import log, prod, sqrt

from firedrake import Constant, exp, pi, sin
from ufl.core.expr import Expr

Exact = Callable[[Expr], Expr]


def outflow_layers(diffusivity: float, velocity: tuple[float, float]) -> Exact:
    r"""Return a solution on the unit square with layers at both sides of outflow, x = 1 and y = 1.

    .. math:: u = g(x; b_x/\epsilon)\, g(y; b_y/\epsilon),\qquad
              g(s; P) = s - \frac{e^{P(s-1)} - e^{-P}}{1 - e^{-P}}

    It is 0 on the boundary; :math:`-\epsilon\Delta u + b\cdot\nabla u = b_x g(y) + b_y g(x)`, as -eps g'' + b g' = b.
    The layers are eps / b thick.

    Parameters
    ----------
    diffusivity
        eps, more than 0 [m^2/s].
    velocity
        (b_x, b_y), both positive [m/s].
    """
    # Constants: another diffusivity needs no new code.
    numbers = [Constant(speed / diffusivity) for speed in velocity]

    def profile(s: Expr, peclet: Constant) -> Expr:
        last = exp(-peclet)
        return s - (exp(peclet * (s - 1.0)) - last) / (1.0 - last)

    return lambda x: profile(x[0], numbers[0]) * profile(x[1], numbers[1])


def outflow_peak(diffusivity: float, velocity: tuple[float, float]) -> float:
    r"""Return the greatest value of ``outflow_layers``, near the corner (1, 1); the least is 0, on the boundary.

    As g' = 1 - P e^{P(s-1)} / (1 - e^{-P}), g is greatest where :math:`e^{P(s-1)} = (1 - e^{-P}) / P`.

    Parameters
    ----------
    diffusivity, velocity
        As of ``outflow_layers``.
    """

    def peak(peclet: float) -> float:
        rest = 1.0 - exp_of(-peclet)
        return 1.0 + (log(rest / peclet) - 1.0) / peclet + (1.0 - rest) / rest

    return prod(peak(speed / diffusivity) for speed in velocity)


def anisotropic_layer(ratio: float) -> Exact:
    r"""Return a solution of :math:`u_{xx} + \epsilon u_{yy} = 0` with a layer at y = 0.

    .. math:: u = \sin(\pi x)\, e^{-\pi y/\sqrt\epsilon}

    It is sqrt(eps) / pi thick.

    Parameters
    ----------
    ratio
        eps, the conductivity across the layer over that along it, more than 0.
    """
    thickness = Constant(sqrt(ratio) / pi)
    return lambda x: sin(pi * x[0]) * exp(-x[1] / thickness)
