"""Memory for the many arrays of a program, side by side in few large pieces.

A processor finds memory by pages, and keeps the places of some thousands of them. Weights of tens of megabytes in pages
of 4 KiB are more than that, and every page that is not known costs a walk through tables in memory: 3 to 4 percent of
the time of MobileNets, ResNet-50 and EfficientNet-B0, where one pass reads each weight once. Systems give pages of
2 MiB to large allocations that ask for them (NumPy does on Linux, from 4 MiB on), not to the many of a layer each.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

PAGE = 2 * 2**20
"""Bytes of a large page."""

FIRST_PIECE = 2**20
"""Bytes of the first piece, which small networks do not fill: it has small pages, as much memory as is used."""

LARGEST_PIECE = 64 * 2**20
"""Bytes of a piece once a program has many: what is not used of it takes no memory."""

ALIGNMENT = 256
"""Arrays start at multiples of this many bytes: a few cache lines, so that neighbours do not share one."""


@dataclass
class Piece:
    """One allocation: its bytes, all zero, and how many are taken."""

    memory: Bytes
    taken: int

    def take(self, size: int) -> Bytes | None:
        """Return ``size`` bytes that nobody has; None if there are not so many left."""
        if self.taken + size > len(self.memory):
            return None
        self.taken += size
        return self.memory[self.taken - size : self.taken]


class Arena:
    """Memory for arrays that live about as long as each other; a piece goes with the last of its arrays."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._size = FIRST_PIECE

    def take(self, size: int) -> Bytes:
        """Return ``size`` zeroed bytes, aligned."""
        size = -(-size // ALIGNMENT) * ALIGNMENT
        for piece in self._pieces:
            found = piece.take(size)
            if found is not None:
                return found
        piece = _piece(max(size, self._size))
        self._size = min(4 * self._size, LARGEST_PIECE)
        self._pieces.append(piece)
        found = piece.take(size)
        assert found is not None
        return found


def _piece(size: int) -> Piece:
    """Return a piece with room for ``size`` bytes from the first place of its alignment on."""
    alignment = PAGE if size >= 2 * PAGE else ALIGNMENT
    memory = np.zeros(size + alignment, np.uint8)
    return Piece(memory, -memory.ctypes.data % alignment)


class _Current(threading.local):
    """The arena of this thread, while there is one."""

    arena: Arena | None = None


_current = _Current()


@contextmanager
def side_by_side() -> Iterator[None]:
    """Let the arrays that this thread makes (``layout.aligned``) lie in pieces of their own, side by side."""
    before, _current.arena = _current.arena, Arena()
    try:
        yield
    finally:
        _current.arena = before


def zeroed(elements: int, dtype: npt.DTypeLike) -> npt.NDArray[np.floating] | None:
    """Return a zeroed array in the arena of this thread; None if there is none."""
    arena = _current.arena
    if arena is None:
        return None
    item = np.dtype(dtype).itemsize
    array: npt.NDArray[np.floating] = arena.take(elements * item)[: elements * item].view(dtype)
    return array
