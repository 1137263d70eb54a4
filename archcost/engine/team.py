"""Threads that run a program together.

Plain Python threads in compiled code without the interpreter lock: starting a parallel region through Numba's own
layers costs between one and a hundred microseconds and seconds of compile time, handing a program to a waiting thread
costs a fraction of one. A helper that has nothing to do spins for a moment, then sleeps.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numba
import numpy as np
from numba import njit

from archcost.errors import UsageError
from archcost.kernels.machine import integers, pause, publish, read, run_program

SPINS_BEFORE_SLEEP = 40_000
"""Rounds of waiting: half a millisecond, which covers what passes between two calls. Waking a thread takes a tenth."""

GENERATION, BARRIER, ADDRESSES, ROWS, ROW_BYTES, STEPS, THREADS = 0, 8, 16, 17, 18, 19, 20
"""Places in the control block, in 64-bit words; the counters that threads write lie on cache lines of their own."""


@njit(nogil=True)
def work(control: int, thread: int) -> None:
    """Run this thread's share of the program that the control block names."""
    block = numba.carray(integers(control), (24,), np.int64)
    run_program(block[16], block[17], block[18], block[19], control + 64, thread, block[20])


@njit(nogil=True)
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


@njit(nogil=True)
def announce(control: int, generation: int) -> None:
    """Let the helpers start."""
    publish(control, generation)


def thread_count(threads: int | None = None) -> int:
    """Return how many threads to use: the argument, else ``ARCHCOST_THREADS``, else all processors of this process.

    Raises:
        UsageError: if it is no positive number.
    """
    text = os.environ.get("ARCHCOST_THREADS", "") if threads is None else str(threads)
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        name = "ARCHCOST_THREADS" if threads is None else "threads"
        raise UsageError(f"`{name}` (={text}) must be a number of threads, at least 1")
    return int(text)


class Team:
    """The calling thread and ``threads`` - 1 helpers."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._control = np.zeros(32, np.int64)
        self._address = int(self._control.ctypes.data)
        self._lock = threading.Lock()
        self._sleepers: list[threading.Event] = []
        self._process = os.getpid()
        for number in range(1, threads):
            event = threading.Event()
            self._sleepers.append(event)
            threading.Thread(target=self._help, args=(number, event), name=f"archcost-{number}", daemon=True).start()

    def _help(self, number: int, event: threading.Event) -> None:
        generation = 0
        while True:
            generation = serve(self._address, generation, number, SPINS_BEFORE_SLEEP)
            event.clear()
            if self._control[GENERATION] == generation:
                event.wait()

    def run(self, addresses: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> None:
        """Run a program: the step functions' addresses, and a row of arguments for each."""
        with self._lock:
            control = self._control
            control[ADDRESSES], control[ROWS] = addresses.ctypes.data, rows.ctypes.data
            control[ROW_BYTES], control[STEPS], control[THREADS] = rows.strides[0], len(addresses), self.threads
            announce(self._address, int(control[GENERATION]) + 1)
            for event in self._sleepers:
                event.set()
            work(self._address, 0)


_teams: dict[int, Team] = {}
_teams_lock = threading.Lock()


def team(threads: int) -> Team:
    """Return the process's team of that size; a forked child gets a new one (its threads did not come along)."""
    with _teams_lock:
        found = _teams.get(threads)
        if found is None or found._process != os.getpid():  # noqa: SLF001
            found = _teams[threads] = Team(threads)
        return found
