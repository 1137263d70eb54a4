"""Clearing the border of a tensor whose memory another tensor has written into."""

from __future__ import annotations

from typing import Any

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Blocked
from archcost.kernels.machine import clear, integers
from archcost.kernels.step import Step
from archcost.kernels.units import lines_per_unit, next_unit

WORD = 4
"""Bytes that are cleared at a time; every pixel is a multiple of it, also that of a few channels without a vector."""


def border_step() -> Any:
    """Return the step function that sets the borders of maps to zero."""

    @function
    def clear_border(row: int, _thread: int, threads: int) -> None:
        """Clear the border of every map (a channel block of an image).

        Arguments: the tensor, maps, maps of a unit; words of a map before its first inside pixel, behind its last one,
        and of a row's inside and of its border; rows inside.
        """
        words = integers(row)
        maps, together, before, behind = words[2], words[3], words[4], words[5]
        inside, border, rows = words[6], words[7], words[8]
        size = before + rows * inside + (rows - 1) * border + behind
        unit = next_unit(row, -1, threads)
        while unit * together < maps:
            for index in range(unit * together, min(maps, (unit + 1) * together)):
                place = words[1] + 4 * index * size
                clear(place, 4 * before)
                place += 4 * (before + inside)
                for _ in range(rows - 1):
                    clear(place, 4 * border)
                    place += 4 * (border + inside)
                clear(place, 4 * behind)
            unit = next_unit(row, unit, threads)

    return clear_border


def cleared(tensor: Blocked) -> Step:
    """Return the step that sets the border of ``tensor`` to zero."""
    (top, bottom), (left, right) = tensor.halo
    _, height, width = tensor.shape
    images, blocks, _, columns, _ = tensor.memory.shape
    pixel, row = tensor.pixel_step // WORD, tensor.row_step // WORD
    before, behind = top * row + left * pixel, bottom * row + right * pixel
    pixels = (top + bottom) * columns + height * (left + right)
    maps = images * blocks
    arguments = (tensor.memory.ctypes.data, maps, lines_per_unit(maps, pixels), before, behind, width * pixel,
                 (left + right) * pixel, height)  # fmt: skip
    return Step(compiled.address("step", "border", "border_step"), tuple(map(int, arguments)), (tensor,))
