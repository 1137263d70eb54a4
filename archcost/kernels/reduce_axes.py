"""Sums of a tensor over any axes, in plain loops: gradients of inputs that are broadcast as networks rarely ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Blocked
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit


def reduced_step(precision: Precision) -> Any:
    """Return the step function of sums over any axes."""
    view = float32s if precision == "float32" else float64s

    @function
    def reduce_axes(row: int, _thread: int, threads: int) -> None:
        """Add up what falls on each element of the output.

        Arguments: source; elements to its next image, block, row and pixel; images, channels, rows, columns; lanes;
        output; elements to its next image, block, lane, row and column; its images, channels, rows, columns (their
        number or 1); whether to add to it.
        """
        words = integers(row)
        images, channels, rows, columns, lanes = words[6], words[7], words[8], words[9], words[10]
        kept_images, kept_channels, kept_rows, kept_columns = words[17], words[18], words[19], words[20]
        adds = words[21]
        source = view(words[1])
        unit = next_unit(row, -1, threads)
        while unit < kept_images * kept_channels * kept_rows:
            image = unit // (kept_channels * kept_rows)
            channel = unit // kept_rows % kept_channels
            line = unit % kept_rows
            for column in range(kept_columns):
                value = 0.0
                for i in range(image, images if kept_images == 1 else image + 1):
                    for c in range(channel, channels if kept_channels == 1 else channel + 1):
                        start = i * words[2] + c // lanes * words[3] + c % lanes
                        for h in range(line, rows if kept_rows == 1 else line + 1):
                            for w in range(column, columns if kept_columns == 1 else column + 1):
                                value += source[start + h * words[4] + w * words[5]]
                place = image * words[12] + channel // lanes * words[13] + channel % lanes * words[14]
                place += line * words[15] + column * words[16]
                output = view(words[11])
                output[place] = output[place] + value if adds else value
            unit = next_unit(row, unit, threads)

    return reduce_axes


def reduced(
    source: Blocked,
    sizes: Sequence[int],
    address: int,
    steps: Sequence[int],
    precision: Precision,
    keep: object,
    *,
    adds: bool,
) -> Step:
    """Return the step that sums a tensor over any axes, in plain loops: for what networks rarely ask.

    Args:
        source: the tensor.
        sizes: images, channels, rows and columns of the result: those of the tensor, or 1 where they are summed.
        address: where the result goes.
        steps: elements there from an image, block, lane, row and column to the next.
        precision: element type.
        keep: what the address points into.
        adds: add to the result instead of overwriting it.
    """
    size = source.memory.itemsize
    places = (source.image_step, source.block_step, source.row_step, source.pixel_step)
    arguments = (
        source.address(), *(step // size for step in places), source.images, *source.shape, source.lanes, address,
        *steps, *sizes, int(adds),
    )  # fmt: skip
    return Step(compiled.address("step", "reduce_axes", "reduced_step", precision), arguments, (source, keep))
