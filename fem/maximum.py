"""The highest water surface so far, node by node."""

from __future__ import annotations

import numpy as np
from firedrake import Function
from pyop2 import op2

from fem.prepared_loop import argument, prepare_loop
from fem.problems.shallow_water import ShallowWater
from fem.shallow_water_kernels import kernel


class MaximumElevation:
    r"""Keep :math:`\max_t (h + b)` in each node [m]; b where the node was never wet.

    Parameters
    ----------
    problem
        Equations, with bathymetry and dry depth.
    state
        (h, hu, hv) to observe.

    Attributes
    ----------
    elevation
        The maximum so far, a Function of the bathymetry's space [m].
    """

    def __init__(self, problem: ShallowWater, state: Function):
        bed = self._bed = problem.bathymetry
        self.elevation = Function(bed.function_space(), name="maximum_elevation").assign(bed)
        code = kernel("raise", degree=problem.degree, gravity=problem.gravity, dry_depth=problem.dry_depth)
        arguments = (argument(self.elevation, op2.RW), argument(state, op2.READ), argument(bed, op2.READ))
        self._raise = prepare_loop(code, problem.mesh.cell_set, arguments)
        self.update()

    def update(self) -> None:
        """Take the present state into the maximum."""
        self._raise()

    def rise(self, still_level: float) -> Function:
        r"""Return the maximum less what is still water or bed, in the form in which it goes to a moved mesh [m].

        .. math:: M - \max(L, b),\qquad M' = \max\big(b', \max(L, b') + R(M - \max(L, b))\big)

        Where the water was at rest, and on ground that was always dry, this is zero, however the bed is sampled anew:
        then M' is the still level or the bed again. See :func:`over_bed` for the second formula; R is a transfer that
        is bounded, so that there is no new maximum.

        Parameters
        ----------
        still_level
            L [m].
        """
        rise = Function(self.elevation.function_space(), name="rise")
        still = np.maximum(still_level, self._bed.dat.data_ro_with_halos)
        rise.dat.data_wo_with_halos[:] = self.elevation.dat.data_ro_with_halos - still
        return rise


def over_bed(rise: Function, bed: Function, still_level: float, dry_depth: float) -> Function:
    """Return the maximum elevation [m] of the rise of :meth:`MaximumElevation.rise`, carried, and the bed there.

    Ground counts as never wet where the maximum stands over it by no more than the dry depth, as while stepping: a
    transfer spreads ever thinner films over the land.
    """
    maximum, ground = Function(bed.function_space(), name="maximum_elevation"), bed.dat.data_ro
    surface = np.maximum(still_level, ground) + rise.dat.data_ro
    maximum.dat.data_wo[:] = np.where(surface - ground > dry_depth, surface, ground)
    return maximum
