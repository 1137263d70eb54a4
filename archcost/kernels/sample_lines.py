"""The transforms of Winograd's filtering along rows, for tensors whose lanes are samples: a call transforms a row.

    out = A^T [ (G g) * (B^T d) ]    d: inputs of a tile, g: taps of a row of the kernel

The gradients follow by transposition: to the input B [ (G g) * (A e) ], to the kernel G^T [ (A e) * (B^T d) ], with the
gradient e of the output. The points of all tiles of a row lie in planes, one for each point. All tiles are written out,
so that the last one, which may be shorter, costs what it holds.
"""

from __future__ import annotations

from typing import Any, Literal

from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.elementary import epilogue_of
from archcost.kernels.function import function
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.pointwise import Operand
from archcost.kernels.sample_filtering_plan import RowTile
from archcost.kernels.step import Step
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import lines_per_unit, next_near
from archcost.kernels.vector import Code, Value
from archcost.kernels.winograd_transforms import Matrix, combined

Kind = Literal["input", "gradient", "output", "spread"]
"""What a row becomes: an input row points (B^T d), a row of the output's gradient points (A e), points a row of outputs
(A^T M), or points a row of the input's gradient (B S)."""

RECORD = ("plain", "points", "plane_step", "bias")
"""What a call reads: the row of the map, its first point's row, bytes from a plane to the next, the channel's bias."""


def line_kernel(
    target: str,
    precision: Precision,
    kind: Kind,
    tile: tuple[int, int],
    width: int,
    kept: tuple[int, int],
    activation: str,
    adds: bool,
) -> Any:
    """Return the transform of a row, as an intrinsic.

    Args:
        target: name of the target.
        precision: element type.
        kind: what is transformed.
        tile: a ``RowTile``.
        width: outputs of the convolution in a row.
        kept: first and last but one element of a row of the input that its gradient is wanted of (kind "spread").
        activation: operator that is fused behind (kind "output").
        adds: add to what is there (kind "spread").
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            row = _Row(Code(builder, lanes, precision), arguments[0], RowTile(*tile), width)
            if kind == "input":
                row.write_points(row.tile.input, row.tile.points - row.tile.outputs)
            elif kind == "gradient":
                row.write_points(tuple(zip(*row.tile.output)), 0)
            elif kind == "output":
                row.write_outputs(activation)
            else:
                row.write_spread(kept, adds)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


class _Row:
    """Writes the transforms of one row."""

    def __init__(self, code: Code, record: Value, tile: RowTile, width: int) -> None:
        self.code, self.tile, self.width = code, tile, width
        values = dict(zip(RECORD, code.arguments(record, len(RECORD))))
        self.plain, self.bias = code.pointer(values["plain"]), code.pointer(values["bias"])
        self.planes = [code.pointer(values["points"])]
        for _ in range(tile.points - 1):
            self.planes.append(code.at(self.planes[-1], values["plane_step"]))

    def tiles(self) -> list[tuple[int, int, int]]:
        """Return for each tile its byte offset in a plane, its first output, and how many it has."""
        step = self.tile.outputs
        return [
            (number * self.code.vector_bytes, first, min(step, self.width - first))
            for number, first in enumerate(range(0, self.width, step))
        ]

    def points(self, offset: int) -> list[Value]:
        """Return the points of a tile."""
        return [self.code.load(plane, offset) for plane in self.planes]

    def write_points(self, matrix: Matrix, more: int) -> None:
        """Write the points of every tile: ``matrix`` times its elements, of which there are ``more`` than outputs."""
        code = self.code
        for offset, first, count in self.tiles():
            elements = [code.load(self.plain, (first + place) * code.vector_bytes) for place in range(count + more)]
            cut = tuple(line[: count + more] for line in matrix)
            for plane, value in zip(self.planes, combined(code, cut, elements)):
                code.store(value, plane, offset)

    def write_outputs(self, activation: str) -> None:
        """Write the outputs of every tile."""
        code, bias = self.code, self.code.broadcast(self.bias)
        for offset, first, count in self.tiles():
            sums = combined(code, self.tile.output[:count], self.points(offset))
            for place, value in enumerate(sums, first):
                result = epilogue_of(activation)(code, code.add(value, bias))
                code.store(result, self.plain, place * code.vector_bytes)

    def write_spread(self, kept: tuple[int, int], adds: bool) -> None:
        """Write the sums of the tiles, which overlap."""
        code, (start, end) = self.code, kept
        matrix = tuple(zip(*self.tile.input))
        left: list[Value] = []
        for offset, first, count in self.tiles():
            sums = combined(code, matrix[: count + self.tile.taps - 1], self.points(offset))
            sums = [code.add(*pair) for pair in zip(sums, left)] + sums[len(left) :]
            done = count if first + count < self.width else len(sums)
            left = sums[done:]
            for place, value in enumerate(sums[:done], first):
                if start <= place < end:
                    there = (place - start) * code.vector_bytes
                    code.store(code.add(code.load(self.plain, there), value) if adds else value, self.plain, there)


def lines_step() -> Any:
    """Return the step function."""
    return transform_lines


@function
def transform_lines(row: int, thread: int, threads: int) -> None:
    """Transform every row.

    Arguments: kernel; groups of samples, channels, rows, lines of a unit; address, group step, channel step and row
    step of the map, and of the points; bytes between planes; bias, its step.
    """
    words = integers(row)
    channels, rows, unit_lines = words[3], words[4], words[5]
    lines = words[2] * channels * rows
    units = (lines + unit_lines - 1) // unit_lines
    address = blank_record()
    record = integers(address)
    record[2] = words[14]
    unit = next_near(row, -1, thread, threads, units)
    while unit < units:
        for line in range(unit * unit_lines, min((unit + 1) * unit_lines, lines)):
            group = line // (channels * rows)
            channel = line // rows % channels
            place = line % rows
            record[0] = words[6] + group * words[7] + channel * words[8] + place * words[9]
            record[1] = words[10] + group * words[11] + channel * words[12] + place * words[13]
            record[3] = words[15] + channel * words[16]
            call_tile(words[1], address)
        unit = next_near(row, unit, thread, threads, units)


def transformed(
    kind: Kind,
    tile: RowTile,
    width: int,
    sizes: tuple[int, int, int],
    plain: Operand,
    points: Operand,
    plane_step: int,
    machine: Target,
    precision: Precision,
    keep: tuple[object, ...],
    *,
    bias: tuple[int, int] = (0, 0),
    kept: tuple[int, int] = (0, 0),
    activation: str = "Identity",
    adds: bool = False,
) -> Step:
    """Return the step that transforms all rows.

    Args:
        kind: what is transformed.
        tile: of a row.
        width: outputs of the convolution in a row.
        sizes: groups of samples, channels, rows.
        plain: the map.
        points: the first plane of points.
        plane_step: bytes from a plane to the next.
        machine: which vectors there are.
        precision: element type.
        keep: what the addresses point into.
        bias: address, and bytes from a channel to the next (kind "output").
        kept: columns that are written, of those that the tiles reach (kind "spread").
        activation: operator that is fused behind (kind "output").
        adds: add to what is there (kind "spread").
    """
    kernel = compiled.address(
        "tile", "sample_lines", "line_kernel", machine.name, precision, kind, tuple(tile), width, kept, activation, adds
    )
    groups, channels, rows = sizes
    work = 4 * tile.points * tile.tiles(width)
    arguments = (
        kernel, *sizes, lines_per_unit(groups * channels * rows, work), *plain[:4], *points[:4], plane_step, *bias
    )  # fmt: skip
    return Step(compiled.address("step", "sample_lines", "lines_step"), arguments, keep)
