"""Progress bar of a run: on a terminal only, on rank 0 only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


def is_a_terminal(console: Console) -> bool:
    """Tell whether somebody is watching: mpiexec gives its processes a terminal even when it has none itself."""
    if not console.is_terminal:
        return False
    if "OMPI_COMM_WORLD_SIZE" not in os.environ:
        return True
    try:
        launcher_output = str(Path(f"/proc/{os.getppid()}/fd/1").readlink())
    except OSError:
        return False
    return launcher_output.startswith(("/dev/pts/", "/dev/tty"))


class RunProgress:
    """Show simulated time, step, time step, mass drift and time left.

    Parameters
    ----------
    console
        Where to draw; nothing is drawn unless it is a terminal.
    name
        Label of the bar.
    t_end
        Simulated time at the end [s].
    """

    def __init__(self, console: Console, name: str, t_end: float):
        self._active = not console.quiet and is_a_terminal(console)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not self._active,
            transient=True,
        )
        self._task = self._progress.add_task(name, total=t_end, state="")

    def __enter__(self) -> RunProgress:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_) -> None:
        """Stop drawing."""
        self._progress.stop()

    def update(self, t: float, step: int, dt: float, mass_drift: Callable[[], float]) -> None:
        """Move the bar to simulated time t [s]; collective, as the mass is a sum over ranks."""
        drift = mass_drift()
        if self._active:
            state = f"t = {t:7.3f} s  step {step}  dt {dt:.2e} s  mass drift {drift:.1e}"
            self._progress.update(self._task, completed=t, state=state)
