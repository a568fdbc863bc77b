"""Numerical fluxes of the shallow-water equations at a facet, as UFL expressions."""

from __future__ import annotations

from dataclasses import dataclass

from firedrake import as_vector, dot, max_value, min_value, sqrt
from ufl.core.expr import Expr

# Keeps the HLL quotient defined where both sides are dry and still; far below any physical wave speed [m/s].
TINY_SPEED = 1e-14


@dataclass(frozen=True)
class FacetState:
    """One side's state at a facet point.

    Attributes
    ----------
    depth
        Water depth h [m], scalar UFL expression, nonnegative.
    velocity
        Depth-averaged velocity u [m/s], UFL vector of two components.
    """

    depth: Expr
    velocity: Expr


def desingularised_velocity(depth: Expr, discharge: Expr, dry_depth: Expr | float) -> Expr:
    r"""Divide discharge by depth without a singularity at the shore.

    .. math:: u = \frac{2 h\, q}{h^2 + \max(h, \epsilon)^2}

    which is exactly ``q / h`` for ``h >= epsilon`` and falls to 0 with h below.

    Parameters
    ----------
    depth
        h [m].
    discharge
        q = h u [m^2/s], vector.
    dry_depth
        epsilon [m], depth below which a film counts as dry.

    References
    ----------
    Kurganov and Petrova (2007), A second-order well-balanced positivity preserving central-upwind scheme for
    the Saint-Venant system, eq. 2.17, with the depth itself in place of its fourth power.
    """
    wet = max_value(depth, dry_depth)
    return (2 * depth / (depth * depth + wet * wet)) * discharge


def hydrostatic_depths(depth_left: Expr, bed_left: Expr, depth_right: Expr, bed_right: Expr) -> tuple[Expr, Expr]:
    r"""Reconstruct both depths over the higher of the two beds.

    .. math:: h^*_\pm = \max(0,\; h_\pm + b_\pm - \max(b_-, b_+))

    so that water at rest has equal reconstructed depths, and none where the bed stands above its level.

    References
    ----------
    Audusse, Bouchut, Bristeau, Klein, Perthame (2004), eq. 2.9.
    """
    step = max_value(bed_left, bed_right)
    return max_value(depth_left + bed_left - step, 0.0), max_value(depth_right + bed_right - step, 0.0)


def hllc_flux(left: FacetState, right: FacetState, normal: Expr, gravity: Expr | float, grid_speed=0.0) -> Expr:
    r"""Return the HLLC flux of (h, hu, hv) out of the left state through a facet.

    In the frame of the normal n, with :math:`c = \sqrt{g h}` and the facet itself moving at :math:`w_n`,

    .. math::
        \hat F = \frac{s_R F_L - s_L F_R + s_L s_R (U_R - U_L)}{s_R - s_L}, \qquad
        s_L = \min(0, u_L - c_L, u_* - c_*) , \quad s_R = \max(0, u_R + c_R, u_* + c_*)

    for h and the normal momentum (:math:`F = (h (u_n - w_n),\; h u_n (u_n - w_n) + g h^2 / 2)`, speeds relative
    to the facet); the contact wave carries the tangential momentum with the mass:
    :math:`\hat F_t = \hat F_h^+ u_{t,L} + \hat F_h^- u_{t,R}`, which is what the HLLC star states give, as the
    star mass flux has the sign of the contact speed. The star state is the two-rarefaction one,
    :math:`u_* = (u_L + u_R)/2 + c_L - c_R`, :math:`c_* = (c_L + c_R)/2 + (u_L - u_R)/4`.

    Parameters
    ----------
    left, right
        States on either side.
    normal
        Unit normal out of the left cell, UFL vector.
    gravity
        g [m/s^2].
    grid_speed
        Normal speed of the facet :math:`w_n` [m/s]; 0 on a fixed mesh.

    Returns
    -------
    Expr
        UFL vector (mass, x momentum, y momentum) per unit length [m^2/s, m^3/s^2, m^3/s^2].

    References
    ----------
    Toro (2001), Shock-Capturing Methods for Free-Surface Shallow Flows, sections 10.4-10.5.
    """
    tangent = as_vector([-normal[1], normal[0]])
    h_l, h_r = left.depth, right.depth
    u_l, u_r = dot(left.velocity, normal), dot(right.velocity, normal)
    t_l, t_r = dot(left.velocity, tangent), dot(right.velocity, tangent)
    c_l, c_r = sqrt(gravity * h_l), sqrt(gravity * h_r)
    u_star = 0.5 * (u_l + u_r) + c_l - c_r
    c_star = max_value(0.5 * (c_l + c_r) + 0.25 * (u_l - u_r), 0.0)
    s_l = min_value(min_value(u_l - c_l, u_star - c_star) - grid_speed, -TINY_SPEED)
    s_r = max_value(max_value(u_r + c_r, u_star + c_star) - grid_speed, TINY_SPEED)

    def hll(flux_l, flux_r, state_l, state_r):
        return (s_r * flux_l - s_l * flux_r + s_l * s_r * (state_r - state_l)) / (s_r - s_l)

    relative_l, relative_r = u_l - grid_speed, u_r - grid_speed
    mass = hll(h_l * relative_l, h_r * relative_r, h_l, h_r)
    momentum_n = hll(
        h_l * u_l * relative_l + 0.5 * gravity * h_l * h_l,
        h_r * u_r * relative_r + 0.5 * gravity * h_r * h_r,
        h_l * u_l,
        h_r * u_r,
    )
    momentum_t = max_value(mass, 0.0) * t_l + min_value(mass, 0.0) * t_r
    momentum = momentum_n * normal + momentum_t * tangent
    return as_vector([mass, momentum[0], momentum[1]])


def wall_flux(inside: FacetState, normal: Expr, gravity: Expr | float) -> Expr:
    r"""Return the flux through an impermeable wall: no mass, and the pressure of the mirrored state.

    The HLL flux between (h, u_n) and (h, -u_n) in closed form, so that the mass flux is 0 exactly:

    .. math:: p = \tfrac12 g h^2 + h u_n (u_n + s), \qquad s = \max(c - u_n,\; c + u_n / 2)

    Parameters and units as in :func:`hllc_flux`.
    """
    h, u = inside.depth, dot(inside.velocity, normal)
    c = sqrt(gravity * h)
    speed = max_value(max_value(c - u, c + 0.5 * u), 0.0)
    pressure = 0.5 * gravity * h * h + h * u * (u + speed)
    return as_vector([0.0, pressure * normal[0], pressure * normal[1]])
