"""Steps for one image that each thread runs for images of its own: with memory of its own, and nobody to wait for.

The steps are made once, for one image. Every further thread is told other addresses: what the steps write, and what
leads there, exists once more for it. Packed weights exist once.
"""

from __future__ import annotations

import ctypes
import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archcost.kernels import compiled
from archcost.kernels.by_image import MEETING_BYTES
from archcost.kernels.layout import CACHE_LINE, Array, Blocked, aligned
from archcost.kernels.step import WORDS, Integers, Step

AnyArray = npt.NDArray[Any]


class Span(NamedTuple):
    """Bytes of memory: from ``start`` to before ``stop``."""

    start: int
    stop: int

    @classmethod
    def of(cls, array: AnyArray) -> Span:
        """Return the bytes from the first to the last element."""
        start: int = array.__array_interface__["data"][0]
        if not array.size:
            return cls(start, start)
        return cls(start, start + array.itemsize + sum((n - 1) * step for n, step in zip(array.shape, array.strides)))


class Region:
    """Memory of many spans: those that share bytes are one.

    Args:
        spans: in any order.

    Attributes:
        spans: in order, none of which share a byte.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        joined: list[Span] = []
        for span in sorted(spans):
            if joined and span.start < joined[-1].stop:
                joined[-1] = Span(joined[-1].start, max(joined[-1].stop, span.stop))
            elif span.start < span.stop:
                joined.append(span)
        self.spans = tuple(joined)
        self._starts = [span.start for span in joined]

    def meets(self, span: Span) -> bool:
        """Tell whether a span shares a byte with it."""
        last = bisect_left(self._starts, span.stop) - 1
        return last >= 0 and span.start < self.spans[last].stop


class ByImage:
    """Steps for one image, and what runs them for all.

    Args:
        steps: for the first image, made for two threads or one.
        images: size of the batch.
        threads: that run them.
        whole: arrays (N, ...) of which each image reads or writes its part; the first is the first input.
        fixed: arrays that these steps only read, such as packed weights.

    Attributes:
        step: computes all of them for all images.
    """

    def __init__(
        self, steps: Sequence[Step], images: int, threads: int, whole: Sequence[AnyArray], fixed: Sequence[AnyArray]
    ) -> None:
        self._steps, self._images, self._threads, self._whole = tuple(steps), images, threads, tuple(whole)
        kept = {Span.of(array): array for step in steps for array in step.arrays}
        others = Region(Span.of(array) for array in (*whole, *fixed))
        mine = {span: array for span, array in kept.items() if not others.meets(span)}
        own = Region(mine).spans
        self._starts, self._stops = (np.array(numbers, np.int64) for numbers in zip(*own))
        self._memory = [[_memory(span) for span in own] for _ in range(1, threads)]
        distances = [[Span.of(copy).start - span.start for copy, span in zip(copies, own)] for copies in self._memory]
        self._distances = np.array([[0] * len(own), *distances], np.int64)
        # Tensors are zero at first; to read them would only take time and memory.
        tensors = {Span.of(one.memory) for step in steps for one in step.keep if isinstance(one, Blocked)}
        self._table_moves = []
        for thread in range(threads):
            tables = []
            for (start, stop), array in mine.items():
                place = int(self._moved(np.array([start]), thread)[0])
                if thread and (start, stop) not in tensors:
                    ctypes.memmove(place, start, stop - start)
                if array.dtype == np.int64 and array.flags.c_contiguous and array.size:
                    tables.append(_integers_at(place, array.size))
            # Addresses, and where other addresses stand.
            for table in tables:
                table[:] = self._moved(table, thread)
            self._table_moves.append([move for table in tables for move in self._moves(table)])
        self.step = self._composed(self._steps)

    def apart(self) -> Iterator[Step]:
        """Yield a step for each node, to be measured: it does what belongs to the node, for all images.

        What it reads is what the last image has left: a thread has memory for one.
        """
        for name, group in itertools.groupby(self._steps, lambda step: step.name):
            steps = tuple(group)
            method, also = (max(getattr(step, kind) for step in steps) for kind in ("method", "also"))
            yield replace(self._composed(steps), name=name, method=method, also=also)

    def _moved(self, numbers: Integers, thread: int) -> Integers:
        """Return numbers, of which those that are addresses of copied memory lead to the copy of a thread."""
        place = np.searchsorted(self._starts, numbers, side="right") - 1
        is_inside = (place >= 0) & (numbers < self._stops[place])
        return np.where(is_inside, numbers + self._distances[thread, place], numbers)

    def _composed(self, steps: Sequence[Step]) -> Step:
        rows = np.zeros((self._threads, len(steps), WORDS), np.int64)
        # Counters, and what partners tell each other, lie on cache lines of their own.
        counters, meetings = (
            _lines(len(steps) * self._threads),
            _lines(MEETING_BYTES // CACHE_LINE * -(-self._threads // 2)),
        )
        rows[:, :, 0] = Span.of(counters).start + CACHE_LINE * np.arange(counters.shape[0]).reshape(rows.shape[:2])
        for index, step in enumerate(steps):
            rows[:, index, 1 : 1 + len(step.arguments)] = step.arguments
        moves = []
        for thread, own in enumerate(rows):
            own[...] = self._moved(own, thread)
            moves.append([*self._table_moves[thread], *self._moves(own.reshape(-1))])
        functions, table = np.array([step.function for step in steps], np.int64), np.array(moves, np.int64)
        values = (
            Span.of(self._whole[0]).start, self._images, self._threads, functions.ctypes.data, len(steps),
            rows.ctypes.data, 8 * WORDS, len(moves[0]), table.ctypes.data, meetings.ctypes.data,
        )  # fmt: skip
        keep = (
            rows, counters, meetings, functions, table, self._memory, *self._whole,
            *(kept for step in steps for kept in step.keep),
        )  # fmt: skip
        return Step(
            compiled.address("step", "by_image", "images_step"), tuple(map(int, values)), keep, name=steps[0].name,
            mult_adds=self._images * sum(step.mult_adds for step in steps),
        )  # fmt: skip

    def _moves(self, numbers: Integers) -> Iterator[tuple[int, int, int, int]]:
        """Yield what changes from image to image in a table (``kernels.by_image.MOVE``)."""
        for index, array in enumerate(self._whole):
            span, is_input = Span.of(array), int(index == 0)
            for place in np.flatnonzero((numbers >= span.start) & (numbers < span.stop)):
                first = int(numbers[place]) - is_input * span.start
                yield Span.of(numbers[place:]).start, first, array.strides[0], is_input


def _memory(span: Span) -> Array:
    """Return zeros of that size, which lie in their cache lines as those there do in theirs."""
    beyond_line = span.start % CACHE_LINE // 4
    return aligned(beyond_line + -(-(span.stop - span.start) // 4), np.float32)[beyond_line:]


def _lines(count: int) -> Integers:
    """Return zeros on cache lines of their own, (count, 8)."""
    return aligned(count * CACHE_LINE // 4, np.float32).view(np.int64).reshape(count, -1)


def _integers_at(address: int, count: int) -> Integers:
    """Return the numbers that lie at an address."""
    return np.ctypeslib.as_array((ctypes.c_int64 * count).from_address(address))
