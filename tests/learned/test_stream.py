"""A stream gives the same samples in the same order however they are made, and its processes do not outlive it."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from stream_makers import dies, fails, leaves_a_file, square

from learned.stream import RollingPool, stream


@pytest.mark.parametrize("processes", [0, 3])
def test_samples_come_in_order_whichever_process_makes_them(processes: int) -> None:
    # The first of three takes longest, so that three processes end in another order.
    assert list(stream(square, 0.1, [5, 0, 1, 2, 7], processes=processes)) == [(5, 25), (0, 0), (1, 1), (2, 4), (7, 49)]
    with closing(stream(square, 0.0, count(3), processes=processes)) as endless:
        assert [value for _, value in islice(endless, 3)] == [9, 16, 25]
    assert multiprocessing.active_children() == []


def test_no_more_samples_are_made_ahead_than_asked_for(tmp_path: Path) -> None:
    with closing(stream(leaves_a_file, tmp_path, count(), processes=2, ahead=3)) as samples:
        for _ in range(4):
            next(samples)
        deadline = time.monotonic() + 10.0
        while len(list(tmp_path.iterdir())) < 9 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        # Before the fourth was given, six were on the way, after three that had been.
        made = [path.name.split(".") for path in tmp_path.iterdir()]
    assert sorted(int(number) for number, _ in made) == list(range(9))


def test_an_error_in_a_process_is_raised_with_its_text_and_ends_the_stream() -> None:
    samples = stream(fails, 2, count(), processes=2)
    assert [next(samples), next(samples)] == [(0, 0), (1, 1)]
    with pytest.raises(RuntimeError, match=r"^sample 2: ValueError: seven is right out, got 2$"):
        next(samples)
    assert multiprocessing.active_children() == []
    with pytest.raises(RuntimeError, match=r"^samples: got no answer from a process, it was killed; try fewer"):
        list(stream(dies, 1, range(4), processes=1))


def test_processes_end_when_the_one_that_uses_them_is_killed(tmp_path: Path) -> None:
    script = Path(__file__).with_name("stream_makers.py")
    with subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None and user.stdout.readline() == "(0, 0)\n"
        workers = {path.name.split(".")[1] for path in tmp_path.iterdir()}
        assert workers and str(user.pid) not in workers
        user.kill()
    deadline = time.monotonic() + 20.0
    alive = workers
    while alive and time.monotonic() < deadline:
        time.sleep(0.1)
        alive = {worker for worker in workers if _runs(worker)}
    assert alive == set()


def test_writing_to_a_process_that_has_died_does_not_end_the_one_that_writes(tmp_path: Path) -> None:
    # PETSc's own answer to a broken pipe, once Firedrake is imported, is to end the process with code 59.
    code = (
        "import firedrake, os\n"
        "from stream_makers import square\n"
        "from learned.stream import stream\n"
        "if __name__ == '__main__':\n"
        "    print(list(stream(square, 0.0, [3], processes=1)))\n"
        "    reading, writing = os.pipe()\n"
        "    os.close(reading)\n"
        "    try:\n"
        "        os.write(writing, b'x')\n"
        "    except BrokenPipeError:\n"
        "        print('an error like others')\n"
    )
    script = tmp_path / "writes.py"
    script.write_text(code)
    places = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": places}, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.splitlines() == ["[(3, 9)]", "an error like others"], done.stderr


def _runs(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("reuse", [1, 3])
def test_a_pool_that_is_rewound_is_the_one_that_went_on(reuse: int) -> None:
    def numbers(first: int) -> Generator[int, None, None]:
        yield from count(first)

    for draws in range(14):
        whole, other = (RollingPool(numbers, most=4, reuse=reuse) for _ in range(2))
        rng = np.random.default_rng(0)
        for _ in range(draws):
            whole.draw(rng)
        other.rewind(draws)
        assert other.items == whole.items
        # The newest is there, and the oldest is gone.
        taken = -(-draws // reuse)
        assert sorted(whole.items) == list(range(max(0, taken - 4), taken))
        state = rng.bit_generator.state
        after = [whole.draw(rng) for _ in range(9)]
        rng.bit_generator.state = state
        assert [other.draw(rng) for _ in range(9)] == after
