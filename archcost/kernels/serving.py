"""What the threads of a team run: programs that a block of memory announces (``engine.team``)."""

from __future__ import annotations

from typing import Any

from archcost.kernels.function import function
from archcost.kernels.machine import integers, pause, publish, read, run_program

GENERATION, BARRIER, ADDRESSES, ROWS, ROW_BYTES, STEPS, THREADS = 0, 8, 16, 17, 18, 19, 20
"""Places in the control block, in 64-bit words; the counters that threads write lie on cache lines of their own."""

WORDS = 32
"""Size of the control block."""


@function
def work(control: int, thread: int) -> None:
    """Run this thread's share of the program that the control block names."""
    block = integers(control)
    barrier = control + 8 * BARRIER
    run_program(block[ADDRESSES], block[ROWS], block[ROW_BYTES], block[STEPS], barrier, thread, block[THREADS])


@function
def serve(control: int, generation: int, thread: int, spins: int) -> int:
    """Work on every program that is announced after ``generation``; return the last one when patience ends.

    The interpreter is not asked in between: it may be busy with what prepares the next program.
    """
    waited = 0
    while waited <= spins:
        if read(control) == generation:
            waited += 1
            pause()
        else:
            work(control, thread)
            generation += 1
            waited = 0
    return generation


@function
def announce(control: int, generation: int) -> None:
    """Let the helpers start."""
    publish(control, generation)


def serving_function(name: str) -> Any:
    """Return "work", "serve" or "announce"."""
    return {"work": work, "serve": serve, "announce": announce}[name]
