"""A phase: one program runs again and again, alone, and its median time is taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

LEAST_CALLS = 3


class Phase(NamedTuple):
    """What a phase found.

    Attributes:
        median: seconds of a call.
        calls: how many were timed.
        processor: seconds of processor time that the process took while it was measured, warm-up included.
        wall: seconds that passed meanwhile.
    """

    median: float
    calls: int
    processor: float
    wall: float


def phase(call: Callable[[], object], seconds: float, warm_up: int = 2) -> Phase:
    """Run ``call`` for about ``seconds``, after some calls that do not count.

    The threads of a program that has been idle are asleep, and its weights are in no cache: what is not counted ends
    that. At least three calls are timed, however long they take.
    """
    begin, used = time.perf_counter(), time.process_time()
    for _ in range(warm_up):
        call()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < LEAST_CALLS or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    end = time.perf_counter()
    return Phase(statistics.median(times), len(times), time.process_time() - used, end - begin)
