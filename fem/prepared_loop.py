"""PyOP2 loops made once and called many times, without the cost of preparing each call anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from firedrake import Cofunction, Function
from firedrake.assemble import get_assembler
from pyop2 import op2
from pyop2.global_kernel import compile_global_kernel
from pyop2.parloop import Parloop
from ufl.form import Form


class PreparedLoop:
    """Call a PyOP2 loop over the same data again and again.

    On one rank the compiled function is called at once with arguments collected beforehand: a call costs some
    microseconds instead of some dozen, which on a few thousand cells is as much as the loop itself. On several
    ranks PyOP2 calls it, with its halo exchanges. Both run the same compiled code on the same data.

    Parameters
    ----------
    loop
        Loop to call. Its data must keep their memory, as those of Functions do.
    """

    def __init__(self, loop: Parloop):
        self._loop = loop
        self._serial = loop.comm.size == 1
        if self._serial:
            self._function = compile_global_kernel(loop.global_kernel, loop.comm)
            self._arguments = (0, loop.iterset.size, *loop.arglist)
            # Sums into a Global go through a copy that starts at zero.
            self._sums = [(copy._data, total.data._data) for copy, total in loop.reduced_globals.items()]

    def __call__(self) -> None:
        """Run the loop over all entities."""
        if not self._serial:
            self._loop()
            return
        for copy, _ in self._sums:
            copy[...] = 0
        self._function(*self._arguments)
        for copy, total in self._sums:
            total += copy


def argument(function: Function | Cofunction, access):
    """Return a function's values in the nodes of a cell as argument of a loop over cells."""
    return function.dat(access, function.cell_node_map())


def prepare_loop(kernel: op2.Kernel, iteration_set: op2.Set, arguments: Sequence) -> PreparedLoop:
    """Return a prepared loop of a C kernel over a set."""
    return PreparedLoop(op2.ParLoop(kernel, iteration_set, *arguments))


class PreparedAssembler:
    """Assemble the same form into the same place again and again.

    Parameters
    ----------
    form
        Form of one argument, or of none.
    """

    def __init__(self, form: Form):
        self._assembler = get_assembler(form)
        self.result = self._assembler.allocate()
        data = self.result.dat if isinstance(self.result, Cofunction) else self.result
        self._data = data
        self._is_vector = isinstance(self.result, Cofunction)
        self._serial = data.comm.size == 1
        if self._serial:
            self._memory: np.ndarray = data._data
            self._loops = [PreparedLoop(loop) for loop in self._assembler.parloops(self.result)]

    def __call__(self):
        """Assemble; return the Cofunction, or the number for a form without argument."""
        if self._serial:
            self._memory[...] = 0.0
            for loop in self._loops:
                loop()
        else:
            self._assembler.assemble(tensor=self.result)
        return self.result if self._is_vector else float(self._data.data_ro[0])
