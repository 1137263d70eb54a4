"""Rounds of phases: every runtime once a round, in turning order, and the ratios of what belongs together.

Runtimes are not interleaved call by call: after a call their threads spin for a while, waiting for the next one, and
would take the processors from another's call. In a phase one runtime has the machine; the drift of the machine over
minutes is in both terms of a ratio when both come from one round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from archcost.bench.timing import Phase
from archcost.busy import BUSY, REPEATS, Watch

PAUSE = 0.15
"""Seconds before a phase, in which the threads of the one before fall asleep."""


class Times(NamedTuple):
    """What the rounds found about one runtime.

    Attributes:
        rounds: median seconds of a call, one for each round.
        calls: calls that were timed, in all rounds.
        busy: largest share of all processors' time that other programs took in a phase that counts; None where the
            platform does not say.
    """

    rounds: tuple[float, ...]
    calls: int
    busy: float | None

    @property
    def median(self) -> float:
        """Median of the rounds, in seconds."""
        return statistics.median(self.rounds)


class Ratio(NamedTuple):
    """Ratios of the rounds: their median, and the lowest and highest."""

    median: float
    low: float
    high: float


def order(names: Sequence[str], turn: int) -> list[str]:
    """Return the names in the order of a round: each round begins with another, every second goes backwards."""
    start = turn // 2 % len(names)
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if turn % 2 else turned


def measured(
    runs: Mapping[str, Callable[[], Phase]], rounds: int, *, pause: float = PAUSE, watch: Watch | None = None
) -> dict[str, Times]:
    """Return the times of every runtime.

    Args:
        runs: name -> what runs a phase.
        rounds: how many phases of each count.
        pause: seconds of silence before each phase.
        watch: tells what other programs did during a phase; by default the machine's own.
    """
    seen = watch or Watch()
    phases: dict[str, list[tuple[Phase, float | None]]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(rounds):
        for name in order(names, turn):
            phases[name].append(_quietest(runs[name], pause, seen))
    return {
        name: Times(
            tuple(phase.median for phase, _ in found),
            sum(phase.calls for phase, _ in found),
            max((share for _, share in found if share is not None), default=None),
        )
        for name, found in phases.items()
    }


def _quietest(run: Callable[[], Phase], pause: float, watch: Watch) -> tuple[Phase, float | None]:
    """Run a phase, and again while others are busy; return the one with the least disturbance."""
    found: list[tuple[Phase, float | None]] = []
    for _ in range(1 + REPEATS):
        time.sleep(pause)
        watch.start()
        phase = run()
        share = watch.others(phase.processor)
        found.append((phase, share))
        if share is None or share <= BUSY:
            break
    return min(found, key=lambda one: one[1] or 0.0)


def ratio(ours: Times, theirs: Times) -> Ratio:
    """Return our time over theirs, paired by rounds: below 1 we are faster."""
    pairs = [own / other for own, other in zip(ours.rounds, theirs.rounds)]
    return Ratio(statistics.median(pairs), min(pairs), max(pairs))


def fastest(times: Mapping[str, Times], names: Sequence[str]) -> str | None:
    """Return which of the names has the lowest median; None if none of them was measured."""
    return min((name for name in names if name in times), key=lambda name: times[name].median, default=None)


def busy(times: Mapping[str, Times]) -> bool:
    """Return whether other programs disturbed a measurement, however often it was repeated."""
    return any(one.busy is not None and one.busy > BUSY for one in times.values())
