"""How busy other programs keep the machine, from ``/proc/stat``; nothing is known where that does not exist."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

STATISTICS = Path("/proc/stat")

SHORTEST = 0.2
"""Seconds; over less than that the kernel's ticks of a hundredth are too coarse to say anything."""

REPEATS = 2
"""How often a measurement is repeated when other programs were busy meanwhile."""

BUSY = 0.05
"""Share of all processors' time that other programs may take during a measurement."""

IDLE, WAITING, GUEST = 3, 4, 8
"""Columns of the line "cpu": idle, idle while a disk is waited for, and from GUEST on what other columns hold too."""


class Reading(NamedTuple):
    """Seconds since the machine started, over all processors: busy (stolen time too) and all."""

    busy: float
    whole: float


def reading(path: Path = STATISTICS) -> Reading | None:
    """Return the counters of now; None where the platform has none."""
    try:
        line = path.read_text(encoding="ascii").splitlines()[0]
        columns = [int(word) for word in line.split()[1 : 1 + GUEST]]
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    whole = sum(columns)
    return Reading((whole - columns[IDLE] - columns[WAITING]) / ticks, whole / ticks)


class Watch:
    """Tells which share of the processors other programs took between ``start`` and ``others``."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin to watch."""
        self._own = time.process_time()
        self._began = time.perf_counter()
        self._reading = reading()

    def others(self, known: float = 0.0) -> float | None:
        """Return the share since ``start``, from 0 to 1; None if it cannot be known.

        Args:
            known: seconds of processor time of our own other processes.
        """
        now = reading()
        if self._reading is None or now is None or time.perf_counter() - self._began < SHORTEST:
            return None
        return share(self._reading, now, known + time.process_time() - self._own)


def share(before: Reading, after: Reading, known: float) -> float | None:
    """Return which share of all processors' time was busy with what is not ``known`` (seconds)."""
    whole = after.whole - before.whole
    if whole <= 0:
        return None
    return min(1.0, max(0.0, (after.busy - before.busy - known) / whole))
