"""Memory that steps share."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.kernels.layout import CACHE_LINE, LARGE_AREA, Shared


def test_a_thread_finds_its_own_area_at_every_step_that_fits() -> None:
    shared = Shared("float32")
    first = shared.areas(2, 1000)
    assert first.step >= 1000
    assert first.memory.size == 2 * first.step
    assert not first.memory.any()
    again = shared.areas(2, 10)
    assert again.memory is first.memory
    assert again.step == first.step


def test_what_needs_more_gets_other_memory() -> None:
    shared = Shared("float64")
    first = shared.areas(2, 1000)
    assert shared.areas(2, first.step).memory is first.memory
    more = shared.areas(3, 1000)
    assert more.memory.size >= 3 * more.step >= 3 * 1000
    larger = shared.areas(2, LARGE_AREA + 1)
    assert larger.step == LARGE_AREA + LARGE_AREA // 4
    assert larger.memory.dtype == np.float64


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("taken", [1, 999, 10_000])
def test_areas_lie_in_the_memory_and_begin_with_a_cache_line(threads: int, taken: int) -> None:
    shared = Shared("float32")
    shared.take(taken)
    for elements in (1, 17, 130, 4000):
        areas = shared.areas(threads, elements)
        assert areas.step >= elements
        assert threads * areas.step <= areas.memory.size
        assert areas.step * 4 % CACHE_LINE == 0


def test_memory_for_packing_is_given_again() -> None:
    shared = Shared("float32")
    first = shared.take(100)
    assert np.shares_memory(first, shared.take(60))
    assert shared.take(200).size == 200
    assert [array.size for array in shared.made] == [0, 100, 200]
