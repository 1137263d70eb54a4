"""What the threads of a team run: programs that a block of memory announces (``engine.team``)."""

from __future__ import annotations

from typing import Any

from archcost.kernels.function import function
from archcost.kernels.machine import clear, integers, pause, read, run_program, take

GENERATION, BARRIER, PROGRAM, THREADS, SLEEPING = 0, 8, 16, 17, 24
"""Places in the control block, in 64-bit words; what threads write lies on cache lines of its own.

How many programs were announced; where the threads meet; the program, and how many threads run it; how many helpers
sleep.
"""

WORDS = 32
"""Size of the control block."""

ADDRESSES, ROWS, ROW_BYTES, STEPS, COUNTERS, COUNTER_BYTES = range(6)
"""What describes a program: tables of the step functions' addresses and of rows of arguments, sizes, and counters."""


@function
def work(control: int, thread: int) -> None:
    """Run this thread's share of the program that the control block names."""
    block = integers(control)
    task = integers(block[PROGRAM])
    barrier = control + 8 * BARRIER
    run_program(task[ADDRESSES], task[ROWS], task[ROW_BYTES], task[STEPS], barrier, thread, block[THREADS])


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
def start(control: int, program: int) -> int:
    """Announce a program and run this thread's share of it; where helpers sleep, only return how many.

    All in one call: what the interpreter does before and after a program costs ten times what it usually does, since
    the program has driven it out of the caches.
    """
    block, task = integers(control), integers(program)
    clear(task[COUNTERS], task[COUNTER_BYTES])
    block[PROGRAM] = program
    take(control + 8 * GENERATION, 1)
    sleeping = take(control + 8 * SLEEPING, 0)
    if not sleeping:
        work(control, 0)
    return sleeping


@function
def sleep(control: int, change: int) -> None:
    """Count helpers that sleep: who announces a program after that wakes them, who did before is seen by them."""
    take(control + 8 * SLEEPING, change)


def serving_function(name: str) -> Any:
    """Return "work", "serve", "start" or "sleep"."""
    return {"work": work, "serve": serve, "start": start, "sleep": sleep}[name]
