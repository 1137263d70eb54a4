"""One block of memory for the tensors of a program: those that never live at the same time share bytes.

Tensors are placed largest first, each at the lowest place that no tensor of an overlapping lifetime takes (greedy by
size: Pisarchyk & Lee 2020, Efficient Memory Management for Deep Neural Net Inference).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import numpy.typing as npt

from archcost.geometry import Sides
from archcost.kernels.layout import Blocked, aligned

Key = tuple[str, str]
"""Names a tensor of a program: what it holds, and the node that it belongs to."""

SPARE = 6 * 2**20
"""Bytes for each image that may be spent to keep borders apart, which saves clearing them before each use."""

LARGEST_SPARE = 24 * 2**20
"""Bytes that may be spent so for all images together: in large batches clearing takes a small share of the time."""

SMALL = 2**18
"""Elements of an image's map up to which clearing its border takes a share of the time of its layer."""

PLACE = 256
"""Tensors start at multiples of this many bytes: a few cache lines, so that neighbours do not share one."""


@dataclass(frozen=True)
class Need:
    """A tensor that a program needs.

    Attributes:
        shape: (C, H, W).
        halo: ((top, bottom), (left, right)).
        first, last: numbers of the first and the last piece of work that touches it.
        lanes: channels of a block; 0 for those of a vector.
        images: that it holds; 0 for the batch.
        inside: the tensor that it is a part of, and its first block there; None: it has a place of its own.
        again: the same where it is written again, as a whole, and read again; in between others may take its place.
        by_image: who writes it computes one image at a time.
    """

    shape: tuple[int, int, int]
    halo: Sides
    first: int
    last: int
    lanes: int = 0
    images: int = 0
    inside: tuple[Key, int] | None = None
    again: tuple[int, int] | None = None
    by_image: bool = False

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
        wholes: part -> the tensor that it is a part of.
        bytes: size of the block.
    """

    def __init__(self, needs: Mapping[Key, Need], images: int, lanes: int, dtype: npt.DTypeLike) -> None:
        item = np.dtype(dtype).itemsize
        parts = {key: (need, *need.inside) for key, need in needs.items() if need.inside}
        needs = {key: need for key, need in needs.items() if not need.inside}
        sizes = {key: _memory_shape(need, images, lanes) for key, need in needs.items()}
        rounded = np.array([-(-prod(size) * item // PLACE) * PLACE for size in sizes.values()], np.int64)
        spans = np.array([need.spans for need in needs.values()], np.int64).reshape(-1, 2, 2)
        first, last = spans[:, :, 0], spans[:, :, 1]
        layouts = [(sizes[key], need.halo) for key, need in needs.items()]
        places = offsets(rounded, first, last)
        apart = offsets(rounded, first, last, _borders(layouts))
        # Where activations are recomputed, memory is what counts.
        spare = 0 if any(need.again for need in needs.values()) else min(SPARE * images, LARGEST_SPARE)
        if max(apart + rounded, default=0) <= max(places + rounded, default=0) + spare:
            places = apart
        ends = places + rounded
        self.bytes = int(max(ends, default=0))
        self.tensors: dict[Key, Blocked] = {}
        self.uncleared: set[Key] = set()
        block = aligned(self.bytes // item, dtype)
        placed = [(int(place), *layout) for place, layout in zip(places, layouts)]
        for (key, need), layout, end in zip(needs.items(), placed, ends):
            start, size, halo = layout
            memory = block[start // item :][: prod(size)].reshape(size)
            self.tensors[key] = Blocked(size[0], need.shape, halo, need.lanes or lanes, memory)
            sharing = np.flatnonzero((places < end) & (start < ends))
            # Tensors of one layout have their borders at the same bytes, which stay zero.
            if any(map(any, halo)) and any(placed[other] != layout for other in sharing):
                self.uncleared.add(key)
        self.wholes = {key: whole for key, (_, whole, _) in parts.items()}
        for key, (need, whole, first_block) in parts.items():
            tensor = self.tensors[whole]
            blocks = slice(first_block, first_block - (-need.shape[0] // lanes))
            self.tensors[key] = replace(tensor, shape=need.shape, memory=tensor.memory[:, blocks])


def _borders(layouts: Sequence[tuple[tuple[int, ...], Sides]]) -> npt.NDArray[np.int64]:
    """Return a number for each tensor: those of equal numbers above 0 have their borders at the same bytes."""
    numbers = {layout: index for index, layout in enumerate(dict.fromkeys(layouts), 1)}
    return np.array(
        [numbers[shape, halo] if any(map(any, halo)) and prod(shape[1:]) <= SMALL else 0 for shape, halo in layouts],
        np.int64,
    )


def _memory_shape(need: Need, images: int, lanes: int) -> tuple[int, ...]:
    """Return the elements that a tensor takes, by axis."""
    channels, height, width = need.shape
    rows, columns = height + sum(need.halo[0]), width + sum(need.halo[1])
    lanes = need.lanes or lanes
    return need.images or images, -(-channels // lanes), rows, columns, lanes


def offsets(
    sizes: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    borders: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """Return a place for each tensor, such that those that live at the same time do not overlap.

    Args:
        sizes: bytes of each tensor.
        first: the time from which it lives; a row for each tensor if it lives more than once.
        last: the time to which it lives, included.
        borders: numbers; tensors of different numbers never overlap, whenever they live.
    """
    first, last = (np.atleast_2d(times.T).T for times in (first, last))
    borders = np.zeros(len(sizes), np.int64) if borders is None else borders
    places = np.zeros(len(sizes), np.int64)
    order = sorted(range(len(sizes)), key=lambda index: (-int(sizes[index]), int(first[index, 0])))
    done = np.zeros(len(sizes), bool)
    for index in order:
        together = (first[:, :, None] <= last[index]) & (first[index] <= last[:, :, None])
        alive = together.any(axis=(1, 2))
        others = np.flatnonzero(done & (alive | (borders != borders[index])))
        others = others[np.argsort(places[others], kind="stable")]
        # The gap in front of each of them begins where the farthest of those before it ends.
        reached = np.maximum.accumulate(places[others] + sizes[others]) if len(others) else others
        begins = np.concatenate(([0], reached[:-1])) if len(others) else np.zeros(0, np.int64)
        fits = np.flatnonzero(places[others] - begins >= sizes[index])
        places[index] = begins[fits[0]] if len(fits) else (reached[-1] if len(others) else 0)
        done[index] = True
    return places
