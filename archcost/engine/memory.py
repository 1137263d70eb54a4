"""One block of memory for the tensors of a program: those that never live at the same time share bytes.

Tensors are placed largest first, each at the lowest place that no tensor of an overlapping lifetime takes (greedy by
size: Pisarchyk & Lee 2020, Efficient Memory Management for Deep Neural Net Inference).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from archcost.geometry import Sides
from archcost.kernels.layout import Blocked, aligned

Key = tuple[str, str]
"""Names a tensor of a program: what it holds, and the node that it belongs to."""

PLACE = 256
"""Tensors start at multiples of this many bytes: a few cache lines, so that neighbours do not share one."""


@dataclass(frozen=True)
class Need:
    """A tensor that a program needs.

    Attributes:
        shape: (C, H, W).
        halo: ((top, bottom), (left, right)).
        first, last: numbers of the first and the last piece of work that touches it.
        again: the same where it is written again, as a whole, and read again; in between others may take its place.
    """

    shape: tuple[int, int, int]
    halo: Sides
    first: int
    last: int
    again: tuple[int, int] | None = None

    @property
    def spans(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """From when to when it lives; twice the same if it lives once."""
        once = self.first, self.last
        return once, self.again or once


class Memory:
    """The memory of a program.

    Args:
        needs: key -> tensor.
        images: size of the batch.
        lanes: channels of a block.
        dtype: element type.

    Attributes:
        tensors: key -> tensor; all zero at first.
        uncleared: keys of the tensors whose border another tensor writes into: it must be cleared before each use.
        bytes: size of the block.
    """

    def __init__(self, needs: Mapping[Key, Need], images: int, lanes: int, dtype: npt.DTypeLike) -> None:
        item = np.dtype(dtype).itemsize
        sizes = {key: _memory_shape(need, images, lanes) for key, need in needs.items()}
        rounded = np.array([-(-prod(size) * item // PLACE) * PLACE for size in sizes.values()], np.int64)
        spans = np.array([need.spans for need in needs.values()], np.int64).reshape(-1, 2, 2)
        places = offsets(rounded, spans[:, :, 0], spans[:, :, 1])
        ends = places + rounded
        self.bytes = int(max(ends, default=0))
        self.tensors: dict[Key, Blocked] = {}
        self.uncleared: set[Key] = set()
        block = aligned(self.bytes // item, dtype)
        layouts = [(int(place), sizes[key], needs[key].halo) for place, key in zip(places, needs)]
        for (key, need), layout, end in zip(needs.items(), layouts, ends):
            start, size, halo = layout
            memory = block[start // item :][: prod(size)].reshape(size)
            self.tensors[key] = Blocked(images, need.shape, halo, lanes, memory)
            sharing = np.flatnonzero((places < end) & (start < ends))
            # Tensors of one layout have their borders at the same bytes, which stay zero.
            if any(map(any, halo)) and any(layouts[other] != layout for other in sharing):
                self.uncleared.add(key)


def _memory_shape(need: Need, images: int, lanes: int) -> tuple[int, ...]:
    """Return the elements that a tensor takes, by axis."""
    channels, height, width = need.shape
    rows, columns = height + sum(need.halo[0]), width + sum(need.halo[1])
    return images, -(-channels // lanes), rows, columns, lanes


def offsets(
    sizes: npt.NDArray[np.int64], first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return a place for each tensor, such that those that live at the same time do not overlap.

    Args:
        sizes: bytes of each tensor.
        first: the time from which it lives; a row for each tensor if it lives more than once.
        last: the time to which it lives, included.
    """
    first, last = (np.atleast_2d(times.T).T for times in (first, last))
    places = np.zeros(len(sizes), np.int64)
    order = sorted(range(len(sizes)), key=lambda index: (-int(sizes[index]), int(first[index, 0])))
    done = np.zeros(len(sizes), bool)
    for index in order:
        together = (first[:, :, None] <= last[index]) & (first[index] <= last[:, :, None])
        others = np.flatnonzero(done & together.any(axis=(1, 2)))
        others = others[np.argsort(places[others], kind="stable")]
        # The gap in front of each of them begins where the farthest of those before it ends.
        reached = np.maximum.accumulate(places[others] + sizes[others]) if len(others) else others
        begins = np.concatenate(([0], reached[:-1])) if len(others) else np.zeros(0, np.int64)
        fits = np.flatnonzero(places[others] - begins >= sizes[index])
        places[index] = begins[fits[0]] if len(fits) else (reached[-1] if len(others) else 0)
        done[index] = True
    return places
