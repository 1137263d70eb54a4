"""Convolutions by Winograd's filtering along rows, for tensors whose lanes are samples, forward and backward.

Maps become points by rows, [group][channel][point][row][tile][lanes]; for each point, sums over channels and rows of
the kernel remain, which the loops of the direct way compute. Some groups of samples go through all steps before the
next ones do, so that the points of a pass stay in the second cache level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from archcost.kernels.field import Field
from archcost.kernels.layers import Layer
from archcost.kernels.layout import Array, Blocked, Shared, aligned
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.panels import Filters, pieces
from archcost.kernels.passes import forward_halo, phases, with_halo
from archcost.kernels.plain_weights import Weights
from archcost.kernels.pointwise import Operand
from archcost.kernels.sample_filtering_plan import RowTile
from archcost.kernels.sample_filters import points_of, weights_of
from archcost.kernels.sample_gradient import bias_gradient
from archcost.kernels.sample_lines import transformed
from archcost.kernels.sample_steps import Outputs, Product, TapsAt, multiplied, pieces_of, summed
from archcost.kernels.sample_tile import ProductTile
from archcost.kernels.step import Integers, Step

PASS_BYTES = 2**20
"""Most bytes of the points of a pass, if it has more than one group of samples."""


class Points(NamedTuple):
    """The points of a map.

    Attributes:
        memory: [group][channel][point][row][tile][lanes].
        place: address of the first vector; steps of group, channel, row and tile.
        plane_step: bytes from a point to the next.
    """

    memory: Array
    place: Operand
    plane_step: int

    @classmethod
    def of(cls, memory: Array) -> Points:
        """Return the points that lie in ``memory``."""
        steps = memory.strides
        return cls(memory, Operand(int(memory.ctypes.data), steps[0], steps[1], steps[3], steps[4]), int(steps[2]))


class Part(NamedTuple):
    """Groups of samples of a pass: every so many, so that of two threads each works on the half that it always does."""

    first: int
    step: int
    groups: int

    def of(self, tensor: Blocked) -> Blocked:
        """Return these groups of a tensor."""
        return replace(tensor, images=self.groups, memory=tensor.memory[self.first :: self.step])


class Filtering:
    """A convolution that is computed so.

    Args:
        layer: the convolution.
        tile: of its rows.
        operation: its tensors and arrays.

    Attributes:
        prepare: steps that give the input a border as wide as the padding, if it has none.
    """

    def __init__(self, layer: Layer, tile: RowTile, operation: Operation) -> None:
        self.layer, self.tile, self.operation = layer, tile, operation
        self.machine, self.precision = operation.machine, operation.precision
        (source,), output = operation.inputs, operation.output
        needed = forward_halo(layer.window, source.shape[1:], output.shape[1:])
        self.prepare, self.source = with_halo(source, needed, self.machine, self.precision)
        self.weight = operation.parameters["weight"]
        self.groups = source.images
        _, self.height, self.width = output.shape
        self.tiles = tile.tiles(self.width)
        filters = layer.filters
        self.rows = filters.kernel[0]
        self.points_weight = operation.saved.setdefault(
            "weight_points", aligned(tile.points * self.weight.size // tile.taps, self.weight.dtype)
        )
        flat = Filters(filters.outputs, filters.inputs, (self.rows, 1), filters.groups)
        self.weights = Weights(int(self.points_weight.ctypes.data), flat, self.weight.itemsize)
        self.weights_step = self.points_weight.nbytes // tile.points

    def forward(self, bias: Array, activation: str) -> list[Step]:
        """Return the steps of the convolution, and of an ``activation`` behind it; the weight's points stay."""
        output, weights, filters = self.operation.output, self.weights, self.layer.filters
        steps = [*self.prepare, points_of(self.weight, self.tile, self.points_weight, self.precision)]
        parts, (points, sums) = self._passes((filters.inputs, self._input_rows), (filters.outputs, self.height))
        taps = _table([
            (channel * points.place.block_step + row * points.place.row_step, weights.offset(0, channel, row))
            for channel in range(weights.inputs)
            for row in range(self.rows)
        ])  # fmt: skip
        distances = (weights.offset(1), sums.place.block_step)
        for part in parts:
            written = part.of(output)
            steps += [
                self._input_points(part, points),
                self._sums(part.groups, self.height, points, sums, lambda *_: taps, distances, outward=True),
                transformed(
                    "output", self.tile, self.width, (part.groups, filters.outputs, self.height),
                    Operand.exact(written), sums.place, sums.plane_step, self.machine, self.precision,
                    (written, sums.memory, bias), bias=(int(bias.ctypes.data), bias.itemsize), activation=activation,
                ),
            ]  # fmt: skip
        return steps

    def backward(self, gradient: Gradient) -> list[Step]:
        """Return the steps of the gradients to the weight, the bias and the input."""
        (target,), output, filters = gradient.inputs, gradient.output, self.layer.filters
        to_weight = gradient.parameters.get("weight")
        maps = {"gradient": (filters.outputs, self.height)}
        if to_weight is not None:
            maps["inputs"] = filters.inputs, self._input_rows
        if target is not None:
            maps["sums"] = filters.inputs, target.shape[1]
        parts, found = self._passes(*maps.values())
        points = dict(zip(maps, found))
        steps = list(self.prepare) if to_weight is not None else []
        halves = min(2, parts[0].groups)
        products = aligned(halves * self.points_weight.size, self.weight.dtype).reshape(halves, -1)
        for part in parts:
            steps.append(self._gradient_points(part.of(output), points["gradient"]))
            if to_weight is not None:
                steps.append(self._input_points(part, points["inputs"]))
                steps.append(self._products(part, points["gradient"], points["inputs"], products))
            if target is not None:
                steps += self._spread(points["gradient"], points["sums"], part.of(target), adds=gradient.adds[0])
        if to_weight is not None:
            steps.append(weights_of(products, self.tile, to_weight, self.precision))
        if "bias" in gradient.parameters:
            steps += bias_gradient(output, gradient.parameters["bias"], self.machine, self.precision)
        return steps

    @property
    def _input_rows(self) -> int:
        """Rows of the input that outputs see, those of its border included."""
        return self.height + self.rows - 1

    def _passes(self, *maps: tuple[int, int]) -> tuple[list[Part], list[Points]]:
        """Return the passes, and memory for the points of these maps (channels, rows) in one of them."""
        shapes = [
            (channels, self.tile.points, rows, self.tiles, self.source.lanes) for channels, rows in maps
        ]  # fmt: skip
        elements = sum(int(np.prod(shape)) for shape in shapes)
        passes = -(-self.groups // max(1, PASS_BYTES // (elements * self.weight.itemsize)))
        counts = [len(range(first, self.groups, passes)) for first in range(passes)]
        scratch = (self.operation.scratch or Shared(self.weight.dtype)).take(counts[0] * elements)
        found, start = [], 0
        for shape in shapes:
            size = counts[0] * int(np.prod(shape))
            found.append(Points.of(scratch[start : start + size].reshape(counts[0], *shape)))
            start += size
        return [Part(first, passes, count) for first, count in enumerate(counts)], found

    def _input_points(self, part: Part, points: Points) -> Step:
        (top, _), (left, _) = self.layer.window.padding
        source = part.of(self.source)
        plain = Operand.exact(source)._replace(address=source.address(-top, -left))
        return transformed(
            "input", self.tile, self.width, (part.groups, self.layer.filters.inputs, self._input_rows), plain,
            points.place, points.plane_step, self.machine, self.precision, (source, points.memory),
        )  # fmt: skip

    def _gradient_points(self, gradient: Blocked, points: Points) -> Step:
        return transformed(
            "gradient", self.tile, self.width, (gradient.images, self.layer.filters.outputs, self.height),
            Operand.exact(gradient), points.place, points.plane_step, self.machine, self.precision,
            (gradient, points.memory),
        )  # fmt: skip

    def _sums(
        self,
        groups: int,
        rows: int,
        points: Points,
        sums: Points,
        taps: TapsAt,
        distances: tuple[int, int],
        *,
        outward: bool,
    ) -> Step:
        """Return the step that sums points over channels and rows of the kernel, to outputs or (back) to inputs."""
        weights = self.weights
        read, written = (weights.inputs, weights.outputs) if outward else (weights.outputs, weights.inputs)
        zeros = aligned(written, self.weight.dtype)
        outputs = [
            Outputs(
                written,
                weights.address + point * self.weights_step + weights.offset(group * weights.outputs),
                int(zeros.ctypes.data),
                group * read * points.place.block_step + point * points.plane_step,
                group * written * sums.place.block_step + point * sums.plane_step,
            )
            for point in range(self.tile.points)
            for group in range(self.layer.filters.groups)
        ]
        field = Field(groups, 1, rows * self.tiles, points.place, sums.place)
        keep = (points.memory, sums.memory, zeros, self.points_weight)
        return summed(field, taps, outputs, distances, self.machine, self.precision, keep)

    def _products(self, part: Part, gradient: Points, inputs: Points, results: Array) -> Step:
        """Return the step that sums products of points to ``results``, each of (points, outputs, inputs, rows).

        One result is of the first groups, one of the last: so two threads read the points that they have written.
        """
        found: list[Product] = []
        first = 0
        for count, result in zip(pieces(part.groups, -(-part.groups // len(results))), results):
            found += self._group_products(range(first, first + count), gradient, inputs, result, adds=part.first > 0)
            first += count
        executed = results[0].size * part.groups * self.source.lanes * self.height * self.tiles
        keep = (results, inputs.memory, gradient.memory)
        return multiplied(found, self.machine, self.precision, keep, executed)

    def _group_products(
        self, groups: Sequence[int], gradient: Points, inputs: Points, result: Array, *, adds: bool
    ) -> list[Product]:
        """Return the tiles of the products of some groups of samples."""
        weights = self.weights
        shape = pieces_of(weights.outputs, self.rows, self.machine)
        lines = _table([
            (group * gradient.place.image_step, group * inputs.place.image_step) for group in groups
        ])  # fmt: skip
        steps = (gradient.place.block_step, inputs.place.row_step)
        vector = inputs.place.pixel_step
        found = []
        for point in range(self.tile.points):
            for channel in range(self.layer.filters.inputs):
                group, place = divmod(channel, weights.inputs)
                second = inputs.place.address + channel * inputs.place.block_step + point * inputs.plane_step
                row = 0
                for taps in pieces(self.rows, shape.width):
                    number = group * weights.outputs
                    for rows in pieces(weights.outputs, shape.height):
                        first = gradient.place.address + number * steps[0] + point * gradient.plane_step
                        offset = point * self.weights_step + weights.offset(number, place, row)
                        tile = ProductTile(
                            rows, taps, *steps, vector, vector, weights.offset(1), weights.size, int(adds)
                        )
                        found.append(
                            Product(
                                first, second + row * steps[1], int(result.ctypes.data) + offset, lines,
                                self.height * self.tiles, tile,
                            )
                        )  # fmt: skip
                        number += rows
                    row += taps
        return found

    def _spread(self, gradient: Points, sums: Points, target: Blocked, *, adds: bool) -> list[Step]:
        """Return the steps that spread the points of the output's gradient over the gradient of the input."""
        weights, (_, height, width) = self.weights, target.shape
        (phase,) = phases(self.layer.window, 0, height)

        @cache
        def table(rows: tuple[int, ...]) -> Integers:
            return _table([
                (
                    channel * gradient.place.block_step + tap.offset * gradient.place.row_step,
                    weights.offset(channel, 0, tap.place),
                )
                for channel in range(weights.outputs)
                for tap in phase.taps
                if tap.place in rows
            ])  # fmt: skip

        def taps(_: int, column: int) -> Integers:
            row = column // self.tiles
            return table(tuple(tap.place for tap in phase.taps if 0 <= row + tap.offset < self.height))

        distances = (weights.offset(0, 1), sums.place.block_step)
        left = self.layer.window.padding[1][0]
        return [
            self._sums(target.images, height, gradient, sums, taps, distances, outward=False),
            transformed(
                "spread", self.tile, self.width, (target.images, self.layer.filters.inputs, height),
                Operand.exact(target), sums.place, sums.plane_step, self.machine, self.precision,
                (target, sums.memory), kept=(left, left + width), adds=adds,
            ),
        ]  # fmt: skip


def _table(rows: Sequence[tuple[int, int]]) -> Integers:
    """Return a table of pairs, which may be empty."""
    return np.ascontiguousarray(np.array(rows, np.int64).reshape(-1, 2))
