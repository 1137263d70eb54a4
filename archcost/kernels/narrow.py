"""Inputs of few channels: the channels of a pixel lie side by side, without the lanes that would fill a vector.

    [image][halo + height + halo][halo + width + halo][channel]

An image of three channels takes three sixteenths of the memory of the usual layout so. Only convolutions of one group
can read it, which spread single elements over vectors; the pixels of a row of their kernel lie side by side, so that
they are one tap.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.step import Step
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import lines_per_unit, next_unit

NARROW_SHARE = 4
"""An input is narrow if its channels fill at most this part of a vector."""


def is_narrow(channels: int, lanes: int) -> bool:
    """Return whether a map of so many channels is better kept without idle lanes."""
    return NARROW_SHARE * channels <= lanes


def narrow_step(precision: Precision) -> Any:
    """Return the step function that puts the channels of each pixel side by side."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)

    @function
    def interleave(row: int, _thread: int, threads: int) -> None:
        """Copy every row of every image.

        Arguments: plain array; images, channels, rows, columns; first pixel of the tensor, bytes to its next image and
        row; rows of a unit.
        """
        words = integers(row)
        images, channels, rows, columns, together = words[2], words[3], words[4], words[5], words[9]
        lines = images * rows
        plain = numba.carray(view(words[1]), (images, channels, rows, columns), dtype)
        unit = next_unit(row, -1, threads)
        while unit * together < lines:
            for line in range(unit * together, min(lines, (unit + 1) * together)):
                image, place = line // rows, line % rows
                start = words[6] + image * words[7] + place * words[8]
                pixels = numba.carray(view(start), (columns, channels), dtype)
                if channels == 3:
                    red, green, blue = plain[image, 0, place], plain[image, 1, place], plain[image, 2, place]
                    for column in range(columns):
                        pixels[column, 0] = red[column]
                        pixels[column, 1] = green[column]
                        pixels[column, 2] = blue[column]
                else:
                    for channel in range(channels):
                        for column in range(columns):
                            pixels[column, channel] = plain[image, channel, place, column]
            unit = next_unit(row, unit, threads)

    return interleave


def entered(tensor: Blocked, plain: Array, machine: Target, precision: Precision) -> Step:
    """Return the step that fills a narrow tensor.

    Args:
        tensor: as many lanes as channels.
        plain: (N, C, H, W), contiguous.
        machine: which vectors there are.
        precision: element type.
    """
    channels, height, width = tensor.shape
    together = lines_per_unit(tensor.images * height, channels * width // machine.lanes(precision))
    arguments = (
        plain.ctypes.data, tensor.images, channels, height, width, tensor.address(), tensor.image_step,
        tensor.row_step, together,
    )  # fmt: skip
    return Step(compiled.address("step", "narrow", "narrow_step", precision), arguments, (tensor, plain))
