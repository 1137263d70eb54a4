"""Memory that steps share."""

from __future__ import annotations

import numpy as np

from archcost.kernels.layout import LARGE_AREA, Shared


def test_a_thread_finds_its_own_area_at_every_step_that_fits() -> None:
    shared = Shared("float32")
    first = shared.areas(2, 1000)
    assert first.step >= 1000
    assert first.memory.size == 2 * first.step
    assert not first.memory.any()
    again = shared.areas(2, 10)
    assert again.memory is first.memory
    assert again.step == first.step


def test_larger_areas_and_more_threads_get_other_memory() -> None:
    shared = Shared("float64")
    first = shared.areas(2, 1000)
    assert shared.areas(2, first.step).memory is first.memory
    more = shared.areas(3, 1000)
    assert more.memory.size == 3 * more.step
    larger = shared.areas(2, LARGE_AREA + 1)
    assert larger.step == LARGE_AREA + LARGE_AREA // 4
    assert larger.memory.dtype == np.float64


def test_memory_for_packing_is_given_again() -> None:
    shared = Shared("float32")
    first = shared.take(100)
    assert np.shares_memory(first, shared.take(60))
    assert shared.take(200).size == 200
    assert [array.size for array in shared.made] == [0, 100, 200]
