"""The measured bounds of the machine: plausible, and measured with what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.kernels import profile_machine
from archcost.kernels.profile_machine import measured
from archcost.kernels.step import Step
from archcost.kernels.target import TARGETS, Precision


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
def test_bounds_are_numbers_of_this_world(target: str, precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_machine, "ARRAY_BYTES", 2**22)
    monkeypatch.setattr(profile_machine, "SECONDS", 0.002)
    threads = []

    def prepare(steps: Sequence[Step]) -> Callable[[], None]:
        threads.append(2)
        return partial(Program(steps).run, team(2))

    found = measured(prepare, 2, TARGETS[target], precision)
    assert len(threads) == 6  # the peak, three kinds of traffic, and two arrays that are filled
    assert found.threads == 2
    assert found.precision == precision
    assert all(0.05 < number < 1e5 for number in (found.peak, found.read, found.write, found.copy))
    assert found.ridge == found.peak / found.read
