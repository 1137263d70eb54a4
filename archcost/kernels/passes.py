"""Where a convolution and its gradient to the input find their inputs.

Forward is one pass over the outputs. Backward, an input position belongs to one of stride x stride phases; in each of
them, the same taps of the kernel lead to outputs that are neighbours, so that a phase is a convolution too, which
writes every stride-th position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archcost.geometry import Pair, Sides
from archcost.kernels.field import NOTHING, Field
from archcost.kernels.layout import Blocked
from archcost.kernels.pointwise import Operand, pointwise
from archcost.kernels.step import Step
from archcost.kernels.target import Precision, Target


class Window(NamedTuple):
    """How a convolution goes from the larger map to the smaller one."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Sides = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)


class Tap(NamedTuple):
    """One position of the kernel on an axis, and how far from the first one it reads, in elements of the source."""

    place: int
    offset: int


class Phase(NamedTuple):
    """Outputs of an axis that see the same taps: their first position, and how many there are."""

    first: int
    length: int
    taps: tuple[Tap, ...]


def phases(window: Window, axis: int, size: int) -> list[Phase]:
    """Return the phases of an axis of ``size`` positions of the larger map, when the smaller one is spread over it."""
    stride, dilation = window.stride[axis], window.dilation[axis]
    result = []
    for first in range(min(stride, size)):
        start = first + window.padding[axis][0]
        taps = tuple(
            Tap(place, (start - place * dilation) // stride)
            for place in range(window.kernel[axis])
            if (start - place * dilation) % stride == 0
        )
        result.append(Phase(first, -(-(size - first) // stride), taps))
    return result


def reach(axis_phases: Sequence[Phase], size: int) -> Pair:
    """Return how far the phases read beyond both ends of an axis of ``size`` elements of the smaller map."""
    before = [-tap.offset for phase in axis_phases for tap in phase.taps]
    after = [phase.length + tap.offset - size for phase in axis_phases for tap in phase.taps]
    return max([0, *before]), max([0, *after])


def spread_halo(window: Window, larger: Sequence[int], smaller: Sequence[int]) -> Sides:
    """Return the border that the smaller map needs to be spread over the larger one; sizes are (height, width)."""
    rows, columns = (reach(phases(window, axis, larger[axis]), smaller[axis]) for axis in (0, 1))
    return rows, columns


@dataclass(frozen=True)
class Pass:
    """A field of outputs that see the same taps.

    Attributes:
        field: the outputs.
        taps: positions of the kernel.
        offsets: byte offset of each tap in the source.
    """

    field: Field
    taps: tuple[Pair, ...]
    offsets: tuple[int, ...]


def forward_pass(
    window: Window, source: Blocked, target: Blocked, residual: Blocked | None, *, every_tap: bool = True
) -> Pass:
    """Return the pass from the larger map to the smaller one; without taps on the border alone if not ``every_tap``."""
    place = Operand.exact(source)
    place = place._replace(
        address=source.address(-window.padding[0][0], -window.padding[1][0]),
        row_step=source.row_step * window.stride[0],
        pixel_step=source.pixel_step * window.stride[1],
    )
    field = Field(
        target.images, *target.shape[1:], place, Operand.exact(target), Operand.exact(residual) if residual else NOTHING
    )
    kernel, dilation = window.kernel, window.dilation
    rows, columns = map(range, kernel) if every_tap else live_taps(window, source.shape[1:], target.shape[1:])
    taps = tuple((row, column) for row in rows for column in columns)
    offsets = tuple(
        row * dilation[0] * source.row_step + column * dilation[1] * source.pixel_step for row, column in taps
    )
    return Pass(field, taps, offsets)


def live_taps(window: Window, larger: Sequence[int], smaller: Sequence[int]) -> tuple[range, range]:
    """Return the rows and columns of the kernel that ever reach the larger map; sizes are (height, width).

    Where a map is smaller than the kernel, the outer taps read the zeros around it alone: a 3x3 kernel on a map of one
    pixel is a 1x1 kernel.
    """

    def axis_taps(axis: int) -> range:
        places = [place * window.stride[axis] - window.padding[axis][0] for place in range(smaller[axis])]
        shifts = [tap * window.dilation[axis] for tap in range(window.kernel[axis])]
        live = [tap for tap, shift in enumerate(shifts) if any(0 <= place + shift < larger[axis] for place in places)]
        return range(live[0], live[-1] + 1) if live else range(1)

    return axis_taps(0), axis_taps(1)


def backward_passes(window: Window, source: Blocked, target: Blocked, residual: Blocked | None) -> list[Pass]:
    """Return the passes from the smaller map to the larger one, those without taps among them."""
    result = []
    for row_phase in phases(window, 0, target.shape[1]):
        for column_phase in phases(window, 1, target.shape[2]):

            def every(tensor: Blocked, rows: Phase = row_phase, columns: Phase = column_phase) -> Operand:
                return Operand(
                    tensor.address(rows.first, columns.first),
                    tensor.image_step,
                    tensor.block_step,
                    tensor.row_step * window.stride[0],
                    tensor.pixel_step * window.stride[1],
                )

            pairs = [(row, column) for row in row_phase.taps for column in column_phase.taps]
            field = Field(
                target.images, row_phase.length, column_phase.length, Operand.exact(source), every(target),
                every(residual) if residual else NOTHING,
            )  # fmt: skip
            taps = tuple((row.place, column.place) for row, column in pairs)
            offsets = tuple(row.offset * source.row_step + column.offset * source.pixel_step for row, column in pairs)
            result.append(Pass(field, taps, offsets))
    return result


def taps_in_line(offsets: Sequence[int], size: int) -> int:
    """Return how many taps in turn read what lies side by side: the micro-kernel goes through them as through one.

    Args:
        offsets: byte offset of each tap in the source.
        size: bytes that a tap reads of a pixel.
    """
    for times in range(len(offsets), 1, -1):
        lines = [offsets[first : first + times] for first in range(0, len(offsets), times)]
        if all(len(line) == times and line == tuple(range(line[0], line[0] + times * size, size)) for line in lines):
            return times
    return 1


def with_halo(source: Blocked, needed: Sides, machine: Target, precision: Precision) -> tuple[list[Step], Blocked]:
    """Return a tensor whose border is wide enough, and the step that copies ``source`` to it where its own is not."""
    if all(have >= want for axis in (0, 1) for have, want in zip(source.halo[axis], needed[axis])):
        return [], source
    copy = Blocked.make(source.images, source.shape, needed, source.lanes, source.memory.dtype)
    return [pointwise("copy", copy, [Operand.exact(source)], machine, precision, [source])], copy


def forward_halo(window: Window, larger: Sequence[int], smaller: Sequence[int]) -> Sides:
    """Return the border that the larger map needs for the forward pass; sizes are (height, width)."""

    def axis_halo(axis: int) -> Pair:
        before = window.padding[axis][0]
        extent = (window.kernel[axis] - 1) * window.dilation[axis] + 1
        return before, max(0, (smaller[axis] - 1) * window.stride[axis] + extent - before - larger[axis])

    return axis_halo(0), axis_halo(1)
