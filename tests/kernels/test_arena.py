"""Arrays of a program lie side by side, aligned and zero, and no two of them overlap."""

from __future__ import annotations

import threading
import weakref
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from archcost.kernels.arena import ALIGNMENT, FIRST_PIECE, LARGEST_PIECE, PAGE, Arena, side_by_side
from archcost.kernels.layout import Array, aligned

SIZES = st.one_of(st.integers(0, 5000), st.integers(FIRST_PIECE // 4, 2 * FIRST_PIECE))


@given(st.lists(SIZES, max_size=12))
def test_arrays_of_an_arena_are_zero_and_do_not_overlap(sizes: list[int]) -> None:
    with side_by_side():
        arrays = [aligned(size, "float32") for size in sizes]
    for array in arrays:
        assert not array.any()
        array[:] = 1.0
    assert [array.size for array in arrays] == sizes
    assert all(array.ctypes.data % ALIGNMENT == 0 for array in arrays if array.size)
    spans = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays if array.size)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_small_arrays_lie_in_one_piece() -> None:
    with side_by_side():
        first, second = aligned(1000, "float64"), aligned(1000, "float64")
    assert abs(second.ctypes.data - first.ctypes.data) == 8192


def test_what_a_piece_has_left_is_used_by_later_arrays() -> None:
    arena = Arena()
    first, _, third = (arena.take(size) for size in (FIRST_PIECE // 2, LARGEST_PIECE, 4096))
    assert third.ctypes.data == first.ctypes.data + FIRST_PIECE // 2


def test_large_pieces_begin_with_a_large_page() -> None:
    assert Arena().take(2 * PAGE).ctypes.data % PAGE == 0


def test_an_arena_holds_for_its_own_thread_and_block() -> None:
    found: list[Array] = []
    with side_by_side():
        inside = aligned(16, "float32")
        other = threading.Thread(target=lambda: found.append(aligned(16, "float32")))
        other.start()
        other.join()
        with side_by_side():
            found.append(aligned(16, "float32"))
        after = aligned(16, "float32")
    found.append(aligned(16, "float32"))
    assert after.ctypes.data == inside.ctypes.data + ALIGNMENT
    assert whole(after) is whole(inside)
    assert all(whole(array) is not whole(inside) for array in found)


def test_memory_goes_with_the_last_array() -> None:
    arena = Arena()
    array = arena.take(100)
    gone = weakref.ref(whole(array))
    del arena
    assert gone() is not None
    del array
    assert gone() is None


def whole(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the allocation that an array is a part of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
