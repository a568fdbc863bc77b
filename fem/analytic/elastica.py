"""The elastica: how far a thin beam bends that is clamped at one end and pulled across at the other."""

from __future__ import annotations

from math import asin, sqrt

from scipy.optimize import brentq
from scipy.special import ellipe, ellipeinc, ellipk, ellipkinc


def elastica_tip(load: float) -> tuple[float, float]:
    r"""Return how far the tip of an inextensible cantilever goes across and back, over its length L.

    .. math::

        K(k) - F(\varphi, k) = \sqrt\alpha,\qquad \sin\varphi = 1 / \sqrt2 k,\qquad
        \frac{w}{L} = 1 - \frac{2}{\sqrt\alpha}\left[E(k) - E(\varphi, k)\right],\qquad
        \frac{u}{L} = 1 - \sqrt{\frac{2 (2k^2 - 1)}{\alpha}}

    with the elliptic integrals of modulus k; :math:`2k^2 - 1` is the sine of the tip's angle.

    Parameters
    ----------
    load
        :math:`\alpha = P L^2 / E I` of a force P whose direction stays; from 0.01 to 100.

    Returns
    -------
    float, float
        w / L and u / L, dimensionless.

    Raises
    ------
    ValueError
        For another load.

    Notes
    -----
    Bisshopp and Drucker (1945), Quart. Appl. Math. 3, 272; numbers in Mattiasson (1981), Int. J. Numer. Meth. Engng 17,
    145.
    """
    if not 0.01 <= load <= 100.0:
        raise ValueError(f"load: got {load}, expected 0.01 to 100")
    root = sqrt(load)

    # In the sine of the tip's angle: 0 for no load, 1 for an endless one.
    def excess(sine: float) -> float:
        square = 0.5 * (1.0 + sine)
        return float(ellipk(square) - ellipkinc(asin(sqrt(0.5 / square)), square)) - root

    sine = brentq(excess, 0.0, 1.0 - 1e-15, xtol=1e-15)
    square = 0.5 * (1.0 + sine)
    across = 1.0 - 2.0 / root * float(ellipe(square) - ellipeinc(asin(sqrt(0.5 / square)), square))
    return across, 1.0 - sqrt(2.0 * sine / load)
