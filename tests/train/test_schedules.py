"""Schedules against values worked out by hand; epochs count from 1, steps from 0."""

from __future__ import annotations

import math
import re

import pytest

from archcost.errors import UsageError
from archcost.train.schedules import Constant, Cosine, Exponential, Plateau, Schedule, Steps, WarmUp


def by_epoch(schedule: Schedule, epochs: int, steps: int = 4) -> list[float]:
    """Return the rate at the beginning of each epoch."""
    return [schedule.rate(epoch, 0, steps) for epoch in range(1, epochs + 1)]


def test_constant() -> None:
    assert by_epoch(Constant(0.3), 3) == [0.3] * 3


def test_steps_hold_from_their_epoch_on() -> None:
    lecture = Steps(0.1, ((20, 0.01), (50, 0.001), (100, 0.0001)))
    assert [lecture.rate(epoch, 3, 4) for epoch in (1, 19, 20, 49, 50, 99, 100, 300)] == [
        0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001,
    ]  # fmt: skip


def test_cosine() -> None:
    cosine = Cosine(0.8, 4)
    # cos(0), cos(pi/4), cos(pi/2), cos(3 pi/4)
    wanted = [0.8, 0.4 * (1 + math.sqrt(0.5)), 0.4, 0.4 * (1 - math.sqrt(0.5))]
    assert by_epoch(cosine, 4) == pytest.approx(wanted, rel=1e-14)
    assert cosine.rate(2, 2, 3) == pytest.approx(0.4 * (1 + math.cos(math.pi * 5 / 12)), rel=1e-14)
    assert Cosine(0.8, 4, 0.2).rate(3, 0, 7) == pytest.approx(0.5, rel=1e-14)
    rates = [cosine.rate(epoch, step, 5) for epoch in range(1, 5) for step in range(5)]
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.01
    assert Cosine(0.8, 4, 0.2).rate(9, 0, 5) == 0.2, "after the end it stays at the minimum"


def test_exponential() -> None:
    assert by_epoch(Exponential(0.8, 0.5), 4) == [0.8, 0.4, 0.2, 0.1]
    assert by_epoch(Exponential(0.8, 0.5, 0.3), 4) == [0.8, 0.4, 0.3, 0.3]
    assert Exponential(1.0).rate(3, 3, 4) == pytest.approx(0.9025, rel=1e-14)


def after_losses(plateau: Schedule, losses: list[float]) -> list[float]:
    """Return the rate of each epoch after the first."""
    rates = []
    for epoch, loss in enumerate(losses, 1):
        plateau.epoch_ended(loss)
        rates.append(plateau.rate(epoch + 1, 0, 4))
    return rates


def test_plateau_waits_and_restarts_its_count() -> None:
    losses = [1.0, 0.9, 0.95, 0.9, 0.91, 0.95, 0.8, 0.9, 0.9]
    #                   bad   bad: halved   bad bad: halved   better  bad bad: halved
    assert after_losses(Plateau(0.8, 0.5, 2), losses) == [0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1]


def test_plateau_counts_only_clear_improvements_and_stops_at_the_minimum() -> None:
    assert after_losses(Plateau(1.0, 0.5, 1, threshold=0.1), [1.0, 0.95, 0.89, 0.85]) == [1.0, 0.5, 0.5, 0.25]
    assert after_losses(Plateau(1.0, 0.5, 1, minimum=0.3), [1.0] * 4) == [1.0, 0.5, 0.3, 0.3]
    assert after_losses(Plateau(1.0, 0.5, 1), [math.nan, 1.0, math.inf]) == [0.5, 0.5, 0.25]
    assert after_losses(Plateau(1.0, 0.5, 1, threshold=0.1), [-1.0, -1.05, -1.2]) == [1.0, 0.5, 0.5]


@pytest.mark.parametrize("cut", range(7))
@pytest.mark.parametrize("warm", [False, True])
def test_a_restored_plateau_goes_on_as_the_whole_one(cut: int, warm: bool) -> None:
    def make() -> Schedule:
        plateau = Plateau(0.8, 0.5, 2)
        return WarmUp(plateau, 3) if warm else plateau

    losses = [1.0, 1.1, 0.9, 0.95, 0.9, 0.92, 0.8]
    whole, first, second = make(), make(), make()
    wanted = after_losses(whole, losses)
    before = after_losses(first, losses[:cut])
    second.restore(first.state())
    after = []
    for epoch, loss in enumerate(losses[cut:], cut + 1):
        second.epoch_ended(loss)
        after.append(second.rate(epoch + 1, 0, 4))
    assert before + after == wanted
    assert all(math.isfinite(number) for number in first.state().values()), "JSON has no infinity"


def test_states_of_other_schedules_are_refused() -> None:
    assert Cosine(0.1, 3).state() == {}
    Cosine(0.1, 3).restore({})
    with pytest.raises(UsageError, match="this schedule keeps no state, but was given best"):
        Cosine(0.1, 3).restore({"best": 1.0})
    with pytest.raises(UsageError, match=re.escape("the state of a plateau is reductions, waited and best, not empty")):
        Plateau(0.1).restore({})


def test_warm_up_over_steps() -> None:
    warm = WarmUp(Constant(0.8), 6, "steps", 0.2)
    rates = [warm.rate(epoch, step, 4) for epoch in (1, 2) for step in range(4)]
    assert rates == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8], rel=1e-14)


def test_warm_up_over_epochs_follows_the_schedule_behind_it() -> None:
    warm = WarmUp(Steps(0.8, ((2, 0.4),)), 2)
    rates = [warm.rate(epoch, step, 2) for epoch in (1, 2, 3) for step in range(2)]
    assert rates == pytest.approx([0.2, 0.4, 0.3, 0.4, 0.4, 0.4], rel=1e-14)
    half = WarmUp(Constant(1.0), 0.5)
    assert [half.rate(1, step, 4) for step in range(4)] == [0.5, 1, 1, 1]
    assert WarmUp(Constant(1.0), 0.01).rate(1, 0, 4) == 1, "shorter than a step"
