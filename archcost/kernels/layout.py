"""The engine's own layout: channels in blocks of one vector, and a border of zeros around every map.

    [image][channel block][halo + height + halo][halo + width + halo][lanes]

A pixel is one vector, so that the distance from pixel to pixel is the same in every layer; the channels that fill up
the last block are zero. The border is as wide as the widest padding of the operators that read the tensor; whoever
writes the tensor writes the inside only. NCHW exists where a graph begins and ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archcost.geometry import Shape, Sides
from archcost.kernels.arena import zeroed

Array = npt.NDArray[np.floating]

CACHE_LINE = 64

NO_HALO: Sides = ((0, 0), (0, 0))


def aligned(elements: int, dtype: npt.DTypeLike) -> Array:
    """Return a zeroed array whose first element lies at a multiple of a cache line."""
    inside = zeroed(elements, dtype)
    if inside is not None:
        return inside
    size = np.dtype(dtype).itemsize
    memory = np.zeros(elements + CACHE_LINE // size, dtype)
    start = (-memory.ctypes.data % CACHE_LINE) // size
    return memory[start : start + elements]


LARGE_AREA = 2**18
"""Elements of an area up to which memory for it is a power of two; for larger ones it grows by quarters of that."""


class Areas(NamedTuple):
    """Scratch memory of some threads.

    Attributes:
        memory: the areas of all threads.
        step: elements from a thread's area to the next one's.
    """

    memory: Array
    step: int


class Shared:
    """Memory that steps use one after the other: each fills it before it reads it.

    Args:
        dtype: element type.

    Attributes:
        made: the arrays that the memory was so far; the last one is given now.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.made = [aligned(0, dtype)]

    def take(self, elements: int) -> Array:
        """Return so many elements, of the memory that others have got too unless they are more than those."""
        if elements > self.made[-1].size:
            self.made.append(aligned(elements, self.made[-1].dtype))
        return self.made[-1][:elements]

    def areas(self, threads: int, elements: int) -> Areas:
        """Return at least so many elements for each thread: equal parts of all the memory that there is.

        So a thread's area stays the same while the memory does. What it has left there is in its own caches.
        """
        elements = -(-elements // CACHE_LINE) * CACHE_LINE
        if threads * elements > self.made[-1].size:
            # More than this step asks for, since later ones ask for a little more; what nobody touches is not there.
            unit = 1 << (elements - 1).bit_length() if elements <= LARGE_AREA else LARGE_AREA // 4
            self.take(threads * -(-elements // unit) * unit)
        memory = self.made[-1]
        return Areas(memory, memory.size // threads // CACHE_LINE * CACHE_LINE)


@dataclass(frozen=True)
class Blocked:
    """A tensor (N, C, H, W) in blocks; (N, C) is a map of one pixel.

    Attributes:
        images: N.
        shape: (C, H, W).
        halo: ((top, bottom), (left, right)).
        lanes: channels of a block.
        memory: the elements, [N, blocks, rows, columns, lanes].
        channels_last: the graph's axes are (H, W, C). Only the order of the graph's axes differs, not the elements.
    """

    images: int
    shape: tuple[int, int, int]
    halo: Sides
    lanes: int
    memory: Array
    channels_last: bool = False

    @classmethod
    def make(cls, images: int, shape: Shape, halo: Sides, lanes: int, dtype: npt.DTypeLike) -> Blocked:
        """Return a zeroed tensor with memory of its own."""
        channels, height, width = shape if len(shape) == 3 else (shape[0], 1, 1)
        rows, columns = height + sum(halo[0]), width + sum(halo[1])
        size = (images, -(-channels // lanes), rows, columns, lanes)
        memory = aligned(int(np.prod(size)), dtype).reshape(size)
        return cls(images, (channels, height, width), halo, lanes, memory)

    @classmethod
    def absent(cls, images: int, shape: tuple[int, int, int], lanes: int, dtype: npt.DTypeLike) -> Blocked:
        """Return a tensor that only has a shape: nobody reads or writes its elements."""
        channels, height, width = shape
        size = (images, -(-channels // lanes), height, width, lanes)
        return cls(images, shape, NO_HALO, lanes, np.broadcast_to(np.zeros((), dtype), size))

    @property
    def pixel_step(self) -> int:
        """Bytes from a pixel to the next."""
        return int(self.memory.strides[3])

    @property
    def row_step(self) -> int:
        """Bytes from a row to the next."""
        return int(self.memory.strides[2])

    @property
    def block_step(self) -> int:
        """Bytes from a block of channels to the next."""
        return int(self.memory.strides[1])

    @property
    def image_step(self) -> int:
        """Bytes from an image to the next."""
        return int(self.memory.strides[0])

    def address(self, row: int = 0, column: int = 0) -> int:
        """Return the address of a pixel of the first block; negative positions lie in the halo."""
        start = int(self.memory.ctypes.data)
        return start + (row + self.halo[0][0]) * self.row_step + (column + self.halo[1][0]) * self.pixel_step

    def inside(self) -> Array:
        """Return the elements without the halo, [N, blocks, H, W, lanes], as a view."""
        (top, _), (left, _) = self.halo
        _, height, width = self.shape
        return self.memory[:, :, top : top + height, left : left + width]

    def write(self, values: Array) -> None:
        """Set the tensor from an array (N, C, H, W)."""
        channels = self.shape[0]
        padded = np.zeros((self.images, self.memory.shape[1] * self.lanes, *self.shape[1:]), self.memory.dtype)
        padded[:, :channels] = values.reshape(self.images, *self.shape)
        blocks = padded.reshape(self.images, -1, self.lanes, *self.shape[1:])
        self.inside()[...] = blocks.transpose(0, 1, 3, 4, 2)

    def read(self) -> Array:
        """Return the tensor as an array (N, C, H, W) of its own."""
        channels, height, width = self.shape
        lanes = self.memory.shape[1] * self.lanes
        plain = self.inside().transpose(0, 1, 4, 2, 3).reshape(self.images, lanes, height, width)
        return np.array(plain[:, :channels], order="C")
