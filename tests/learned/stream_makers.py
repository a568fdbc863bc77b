"""Makers of samples that other processes import."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from learned.stream import stream


def square(settings: float, number: int) -> int:
    """Return the square, after a time that is longest for the first of three."""
    time.sleep(settings * (2 - number % 3))
    return number * number


def leaves_a_file(settings: Path, number: int) -> int:
    (settings / f"{number}.{os.getpid()}").touch()
    return number


def fails(settings: int, number: int) -> int:
    if number == settings:
        raise ValueError(f"seven is right out, got {number}")
    return number


def dies(settings: int, number: int) -> int:
    if number == settings:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


if __name__ == "__main__":
    # Takes a sample, says so, and waits to be killed.
    samples = stream(leaves_a_file, Path(sys.argv[1]), range(100), processes=2)
    print(next(samples), flush=True)
    time.sleep(60.0)
