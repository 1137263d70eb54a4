"""Threads that run a program together.

Plain Python threads in compiled code without the interpreter lock: starting a parallel region through Numba's own
layers costs between one and a hundred microseconds and seconds of compile time, handing a program to a waiting thread
costs a fraction of one. A helper that has nothing to do spins for a moment, then sleeps.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from archcost.errors import UsageError
from archcost.kernels import compiled
from archcost.kernels.missing import compile_all
from archcost.kernels.serving import GENERATION, THREADS, WORDS

SPINS_BEFORE_SLEEP = 40_000
"""Rounds of waiting: half a millisecond, which covers what passes between two calls. Waking a thread takes a tenth."""


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


@cache
def _called(name: str) -> Callable[..., Any]:
    """Return a function of ``kernels.serving``; the interpreter lock is free while it runs."""
    arguments, returns = compiled.SIGNATURES[name]
    kind = ctypes.CFUNCTYPE(ctypes.c_int64 if returns else None, *[ctypes.c_int64] * arguments)
    return kind(compiled.address(*_kernel(name)[:3], name))


def _kernel(name: str) -> compiled.Kernel:
    return compiled.Kernel(name, "serving", "serving_function", (name,))


class Team:
    """The calling thread and ``threads`` - 1 helpers."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._control = np.zeros(WORDS, np.int64)
        self._control[THREADS] = threads
        self._address = int(self._control.ctypes.data)
        self._lock = threading.Lock()
        self._sleepers: list[threading.Event] = []
        self._process = os.getpid()
        names = ("work", "start", "serve", "sleep")
        compile_all(map(_kernel, names), threads)
        self._work, self._start, self._serve, self._sleep = map(_called, names)
        for number in range(1, threads):
            event = threading.Event()
            self._sleepers.append(event)
            threading.Thread(target=self._help, args=(number, event), name=f"archcost-{number}", daemon=True).start()

    def _help(self, number: int, event: threading.Event) -> None:
        generation = 0
        while True:
            generation = self._serve(self._address, generation, number, SPINS_BEFORE_SLEEP)
            event.clear()
            self._sleep(self._address, 1)
            if self._control[GENERATION] == generation:
                event.wait()
            self._sleep(self._address, -1)

    def run(self, program: int) -> None:
        """Run the program that the words at this address describe (``kernels.serving``)."""
        with self._lock:
            if self._start(self._address, program):
                for event in self._sleepers:
                    event.set()
                self._work(self._address, 0)


_teams: dict[int, Team] = {}
_teams_lock = threading.Lock()


def team(threads: int) -> Team:
    """Return the process's team of that size; a forked child gets a new one (its threads did not come along)."""
    with _teams_lock:
        found = _teams.get(threads)
        if found is None or found._process != os.getpid():  # noqa: SLF001
            found = _teams[threads] = Team(threads)
        return found
