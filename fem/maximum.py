"""The highest water surface so far, node by node."""

from __future__ import annotations

from firedrake import Function
from pyop2 import op2

from fem.prepared_loop import argument, prepare_loop
from fem.shallow_water import ShallowWater
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
        bed = problem.bathymetry
        self.elevation = Function(bed.function_space(), name="maximum_elevation").assign(bed)
        code = kernel("raise", degree=problem.degree, gravity=problem.gravity, dry_depth=problem.dry_depth)
        arguments = (argument(self.elevation, op2.RW), argument(state, op2.READ), argument(bed, op2.READ))
        self._raise = prepare_loop(code, problem.mesh.cell_set, arguments)
        self.update()

    def update(self) -> None:
        """Take the present state into the maximum."""
        self._raise()
