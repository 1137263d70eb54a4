"""Phases and rounds: medians, turning order, repetition while others are busy, ratios paired by rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from archcost.bench import rounds
from archcost.bench.rounds import Ratio, Times, busy, fastest, measured, order, ratio
from archcost.bench.timing import LEAST_CALLS, Phase, phase
from archcost.busy import BUSY, Watch

if TYPE_CHECKING:
    import pytest


class Shares(Watch):
    """A watch that says what it is told to say."""

    def __init__(self, *shares: float | None) -> None:
        self.shares = list(shares)
        self.known: list[float] = []

    def start(self) -> None:
        pass

    def others(self, known: float = 0.0) -> float | None:
        self.known.append(known)
        return self.shares.pop(0)


def replayed(*medians: float) -> Callable[[], Phase]:
    """Return what gives these medians, one after the other."""
    left = list(medians)
    return lambda: Phase(left.pop(0), 4, 0.5, 0.6)


def test_a_phase_takes_the_median_of_the_calls_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    lengths = [50.0, 50.0, 1.0, 7.0, 2.0, 3.0, 9.0]
    monkeypatch.setattr("archcost.bench.timing.time.perf_counter", lambda: now[0])

    def call() -> None:
        now[0] += lengths.pop(0)

    found = phase(call, seconds=12.5, warm_up=2)
    assert (found.median, found.calls) == (2.5, 4)
    assert found.wall == 113
    assert lengths == [9.0]


def test_a_phase_runs_three_times_at_least() -> None:
    calls: list[int] = []
    assert phase(lambda: calls.append(1), seconds=0, warm_up=1).calls == LEAST_CALLS == len(calls) - 1


def test_the_order_turns_and_every_runtime_begins() -> None:
    turns = [order(["a", "b", "c"], turn) for turn in range(6)]
    assert turns == [[*"abc"], [*"cba"], [*"bca"], [*"acb"], [*"cab"], [*"bac"]]
    assert order(["a"], 5) == ["a"]


def test_rounds_run_each_runtime_once_in_turn() -> None:
    ran: list[str] = []

    def run(name: str, value: float) -> Callable[[], Phase]:
        def call() -> Phase:
            ran.append(name)
            return Phase(value, 3, 0.0, 1.0)

        return call

    found = measured({"a": run("a", 1.0), "b": run("b", 2.0)}, 3, pause=0, watch=Shares(*[None] * 6))
    assert ran == ["a", "b", "b", "a", "b", "a"]
    assert found == {"a": Times((1.0,) * 3, 9, None), "b": Times((2.0,) * 3, 9, None)}


def test_a_disturbed_phase_is_repeated_and_the_quietest_counts() -> None:
    watch = Shares(0.3, 0.2, 0.4, 0.01, 0.5, 0.02)
    found = measured({"a": replayed(7.0, 6.0, 8.0, 5.0, 9.0, 4.0)}, 3, pause=0, watch=watch)
    assert found["a"].rounds == (6.0, 5.0, 4.0)  # three tries, one, two
    assert found["a"].busy == 0.2
    assert watch.known == [0.5] * 6
    assert watch.shares == []
    assert busy(found)


def test_a_pause_comes_before_every_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("archcost.bench.rounds.time.sleep", slept.append)
    measured({"a": replayed(1.0, 1.0)}, 2, watch=Shares(None, None))
    assert slept == [rounds.PAUSE] * 2


def test_ratios_are_paired_by_rounds() -> None:
    ours, theirs = Times((1.0, 4.0, 6.0), 9, 0.0), Times((2.0, 4.0, 8.0), 9, 0.0)
    assert ratio(ours, theirs) == (0.75, 0.5, 1.0)
    assert ratio(theirs, ours) == Ratio(4 / 3, 1.0, 2.0)


def test_the_fastest_of_those_that_were_measured() -> None:
    times = {"a": Times((3.0, 9.0, 1.0), 3, None), "b": Times((2.0, 4.0, 1.0), 3, None)}
    assert fastest(times, ["a", "b", "c"]) == "b"
    assert fastest(times, ["a", "c"]) == "a"
    assert fastest(times, ["c"]) is None
    assert not busy(times)
    assert not busy({"a": Times((1.0,), 1, BUSY)})
