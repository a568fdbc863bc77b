"""The command line with something happening in the middle: ``interfere.py ACTION STEP RANK ARGUMENTS...``.

At a step of the run, on one rank only, the process gets a SIGTERM (``terminate``), or an exception nobody expects
(``crash``). Figures are left out.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    action, number, rank = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sys.argv[1:] = sys.argv[4:]
    from cases import cli  # first, as it keeps PETSc from taking the signals

    arguments, sys.argv[1:] = sys.argv[1:], []
    import cases.figures
    from fem.shallow_water_stepper import ShallowWaterStepper

    step, taken = ShallowWaterStepper.step, 0

    def counted(self, t: float, dt_max: float):
        nonlocal taken
        taken += 1
        if taken == number and self.comm.rank == rank:
            if action == "crash":
                raise RuntimeError("a crash on one rank")
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, t, dt_max)

    ShallowWaterStepper.step = counted  # type: ignore[method-assign]
    cases.figures.write_figures = lambda *_, **__: []  # type: ignore[assignment]
    sys.argv[1:] = arguments
    cli.main()


if __name__ == "__main__":
    main()
