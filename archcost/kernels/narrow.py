"""Inputs of few channels: the channels of a pixel lie side by side, without the lanes that would fill a vector.

    [image][halo + height + halo][halo + width + halo][channel]

An image of three channels takes three sixteenths of the memory of the usual layout so. Only convolutions of one group
can read it, which spread single elements over vectors; the pixels of a row of their kernel lie side by side, so that
they are one tap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.step import Step
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import lines_per_unit, next_near
from archcost.kernels.vector import Code, Value

NARROW_SHARE = 4
"""An input is narrow if its channels fill at most this part of a vector."""


def is_narrow(channels: int, lanes: int) -> bool:
    """Return whether a map of so many channels is better kept without idle lanes."""
    return NARROW_SHARE * channels <= lanes


RECORD = ("pixels", "plain", "plane_step", "narrow")
"""What a call for a row reads: the pixels; their first elements in the plain array and in the tensor; bytes from a
channel's plane to the next."""


def interleaving_kernel(target: str, precision: Precision, channels: int) -> Any:
    """Return the loop that puts the channels of a row side by side, as an intrinsic.

    Args:
        target: name of the target.
        precision: element type.
        channels: of a pixel.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            values = dict(zip(RECORD, code.arguments(arguments[0], len(RECORD))))
            start, narrow = code.pointer(values["plain"]), code.pointer(values["narrow"])
            planes = [start]
            while len(planes) < channels:
                planes.append(code.at(planes[-1], values["plane_step"]))
            rest = builder.and_(values["pixels"], code.int(lanes - 1))
            full = builder.sub(values["pixels"], rest)

            def group(pixel: Value, _: list[Value]) -> list[Value]:
                offset = builder.mul(pixel, code.int(code.element_bytes))
                vectors = [code.load(plane, offset) for plane in planes]
                place = code.at(narrow, builder.mul(offset, code.int(channels)))
                for number in range(channels):
                    code.store(_mixed(code, vectors, number), place, number * code.vector_bytes)
                return []

            def one(index: Value, _: list[Value]) -> list[Value]:
                offset = builder.mul(builder.add(full, index), code.int(code.element_bytes))
                place = code.at(narrow, builder.mul(offset, code.int(channels)))
                for number, plane in enumerate(planes):
                    code.move(code.at(plane, offset), code.at(place, number * code.element_bytes))
                return []

            zero = code.int(0)
            code.choose(builder.icmp_signed(">", full, zero), lambda: code.repeat(full, group, step=lanes), [])
            code.choose(builder.icmp_signed(">", rest, zero), lambda: code.repeat(rest, one), [])
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def _mixed(code: Code, vectors: Sequence[Value], number: int) -> Value:
    """Return vector ``number`` of those that hold all channels of a group of pixels, one pixel after the other."""
    lanes, channels = code.lanes, len(vectors)
    places = [divmod(number * lanes + lane, channels) for lane in range(lanes)]
    result = code.shuffled(vectors[0], vectors[0], [pixel for pixel, _ in places])
    for channel in range(1, channels):
        taken = [lanes + pixel if own == channel else lane for lane, (pixel, own) in enumerate(places)]
        result = code.shuffled(result, vectors[channel], taken)
    return result


def narrow_step() -> Any:
    """Return the step function that puts the channels of each pixel side by side."""
    return interleave


@function
def interleave(row: int, thread: int, threads: int) -> None:
    """Copy every row of every image, near each other what one thread copies: it reads them in the next layer.

    Arguments: plain array, bytes to its next image, channel and row; images, rows, columns; first pixel of the tensor,
    bytes to its next image and row; rows of a unit; the kernel.
    """
    words = integers(row)
    rows, together = words[6], words[11]
    lines = words[5] * rows
    address = blank_record()
    record = integers(address)
    record[0], record[2] = words[7], words[3]
    units = (lines + together - 1) // together
    unit = next_near(row, -1, thread, threads, units)
    while unit < units:
        for line in range(unit * together, min(lines, (unit + 1) * together)):
            image = line // rows
            place = line - image * rows
            record[1] = words[1] + image * words[2] + place * words[4]
            record[3] = words[8] + image * words[9] + place * words[10]
            call_tile(words[12], address)
        unit = next_near(row, unit, thread, threads, units)


def entered(tensor: Blocked, plain: Array, machine: Target, precision: Precision) -> Step:
    """Return the step that fills a narrow tensor.

    Args:
        tensor: as many lanes as channels.
        plain: (N, C, H, W), contiguous.
        machine: which vectors there are.
        precision: element type.
    """
    channels, height, width = tensor.shape
    element = plain.itemsize
    together = lines_per_unit(tensor.images * height, channels * width // machine.lanes(precision))
    kernel = compiled.address("tile", "narrow", "interleaving_kernel", machine.name, precision, channels)
    steps = (channels * height * width * element, height * width * element, width * element)
    arguments = (
        plain.ctypes.data, *steps, tensor.images, height, width, tensor.address(), tensor.image_step, tensor.row_step,
        together, kernel,
    )  # fmt: skip
    return Step(compiled.address("step", "narrow", "narrow_step"), arguments, (tensor, plain))
