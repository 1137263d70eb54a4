"""Convolutions by Winograd's filtering along rows, for tensors whose lanes are samples, forward and backward.

Maps become points by rows, [group][channel][point][row][tile][lanes]; for each point, sums over channels and rows of
the kernel remain, which the loops of the direct way compute.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from archcost.kernels.field import Field
from archcost.kernels.layers import Layer
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.operation import Operation
from archcost.kernels.panels import Filters, pieces
from archcost.kernels.passes import forward_halo, phases, with_halo
from archcost.kernels.plain_weights import Weights
from archcost.kernels.pointwise import Operand
from archcost.kernels.sample_filtering_plan import RowTile
from archcost.kernels.sample_filters import points_of, weights_of
from archcost.kernels.sample_lines import transformed
from archcost.kernels.sample_steps import Outputs, Product, multiplied, pieces_of, summed
from archcost.kernels.sample_tile import ProductTile
from archcost.kernels.step import Integers, Step
from archcost.kernels.target import Precision, Target


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
    def make(cls, groups: int, channels: int, tile: RowTile, rows: int, tiles: int, lanes: int, like: Array) -> Points:
        """Return the points of an empty map."""
        shape = (groups, channels, tile.points, rows, tiles, lanes)
        memory = aligned(int(np.prod(shape)), like.dtype).reshape(shape)
        steps = memory.strides
        return cls(memory, Operand(int(memory.ctypes.data), steps[0], steps[1], steps[3], steps[4]), int(steps[2]))


class Filtering:
    """A convolution that is computed so.

    Args:
        layer: the convolution.
        tile: of its rows.
        operation: its tensors and arrays.
        source: its input, with a border as wide as its padding.
    """

    def __init__(self, layer: Layer, tile: RowTile, operation: Operation, source: Blocked) -> None:
        self.layer, self.tile, self.operation, self.source = layer, tile, operation, source
        self.machine, self.precision = operation.machine, operation.precision
        self.weight = operation.parameters["weight"]
        self.groups, self.lanes = source.images, source.lanes
        _, self.height, self.width = operation.output.shape
        self.tiles = tile.tiles(self.width)
        filters = layer.filters
        self.rows = filters.kernel[0]
        self.points_weight = operation.saved.setdefault(
            "weight_points", aligned(tile.points * self.weight.size // tile.taps, self.weight.dtype)
        )
        size = self.weight.itemsize
        flat = Filters(filters.outputs, filters.inputs, (self.rows, 1), filters.groups)
        self.weights = Weights(int(self.points_weight.ctypes.data), flat, size)
        self.weights_step = self.points_weight.nbytes // tile.points

    def make(self, channels: int, rows: int) -> Points:
        """Return the points of a map of so many channels and rows."""
        return Points.make(self.groups, channels, self.tile, rows, self.tiles, self.lanes, self.weight)

    def input_points(self) -> tuple[Step, Points]:
        """Return the step that makes points of the input, those of its border included."""
        (top, _), (left, _) = self.layer.window.padding
        rows = self.height + self.rows - 1
        points = self.make(self.layer.filters.inputs, rows)
        plain = Operand.exact(self.source)._replace(address=self.source.address(-top, -left))
        sizes = self.groups, self.layer.filters.inputs, rows
        return transformed(
            "input", self.tile, self.width, sizes, plain, points.place, points.plane_step, self.machine,
            self.precision, (self.source, points.memory),
        ), points  # fmt: skip

    def gradient_points(self, gradient: Blocked) -> tuple[Step, Points]:
        """Return the step that makes points of the output's gradient."""
        points = self.make(self.layer.filters.outputs, self.height)
        sizes = self.groups, self.layer.filters.outputs, self.height
        return transformed(
            "gradient", self.tile, self.width, sizes, Operand.exact(gradient), points.place, points.plane_step,
            self.machine, self.precision, (gradient, points.memory),
        ), points  # fmt: skip

    def forward(self, bias: Array, activation: str) -> list[Step]:
        """Return the steps of the convolution, and of an ``activation`` behind it; the weight's points stay."""
        output, weights, filters = self.operation.output, self.weights, self.layer.filters
        to_points, points = self.input_points()
        sums = self.make(filters.outputs, self.height)
        taps = np.array(
            [
                (channel * points.place.block_step + row * points.place.row_step, weights.offset(0, channel, row))
                for channel in range(weights.inputs)
                for row in range(self.rows)
            ],
            np.int64,
        )
        zeros = aligned(weights.outputs, self.weight.dtype)
        parts = [
            Outputs(
                weights.outputs,
                weights.address + point * self.weights_step + weights.offset(group * weights.outputs),
                int(zeros.ctypes.data),
                group * weights.inputs * points.place.block_step + point * points.plane_step,
                group * weights.outputs * sums.place.block_step + point * sums.plane_step,
            )
            for point in range(self.tile.points)
            for group in range(filters.groups)
        ]
        field = Field(self.groups, 1, self.height * self.tiles, points.place, sums.place)
        keep = (points.memory, sums.memory, zeros, self.points_weight)
        steps = (weights.offset(1), sums.place.block_step)
        sizes = self.groups, filters.outputs, self.height
        return [
            points_of(self.weight, self.tile, self.points_weight, self.precision),
            to_points,
            summed(field, lambda *_: taps, parts, steps, self.machine, self.precision, keep),
            transformed(
                "output", self.tile, self.width, sizes, Operand.exact(output), sums.place, sums.plane_step,
                self.machine, self.precision, (output, sums.memory, bias),
                bias=(int(bias.ctypes.data), bias.itemsize), activation=activation,
            ),
        ]  # fmt: skip

    def weight_gradient(self, inputs: Points, gradient: Points, result: Array) -> list[Step]:
        """Return the steps that set ``result`` to the gradient of the weight.

        Args:
            inputs: points of the input.
            gradient: points of the output's gradient.
            result: the plain array to write.
        """
        products = aligned(self.points_weight.size, result.dtype)
        weights = self.weights
        shape = pieces_of(weights.outputs, self.rows, self.machine)
        lines = np.zeros((self.groups, 2), np.int64)
        for side, points in enumerate((gradient, inputs)):
            lines[:, side] = np.arange(self.groups) * points.place.image_step
        found = []
        for point in range(self.tile.points):
            for channel in range(self.layer.filters.inputs):
                group, place = divmod(channel, weights.inputs)
                row = 0
                for taps in pieces(self.rows, shape.width):
                    number = group * weights.outputs
                    for rows in pieces(weights.outputs, shape.height):
                        steps = (gradient.place.block_step, inputs.place.row_step)
                        vector = inputs.place.pixel_step
                        found.append(
                            Product(
                                gradient.place.address + number * steps[0] + point * gradient.plane_step,
                                inputs.place.address + channel * inputs.place.block_step
                                + point * inputs.plane_step + row * steps[1],
                                int(products.ctypes.data) + point * self.weights_step
                                + weights.offset(number, place, row),
                                lines, self.height * self.tiles,
                                ProductTile(rows, taps, *steps, vector, vector, weights.offset(1), weights.size),
                            )
                        )  # fmt: skip
                        number += rows
                    row += taps
        executed = products.size * self.groups * self.lanes * self.height * self.tiles
        keep = (products, inputs.memory, gradient.memory)
        return [
            multiplied(found, self.machine, self.precision, keep, executed),
            weights_of(products, self.tile, result, self.precision),
        ]

    def input_gradient(self, gradient: Points, target: Blocked, *, adds: bool) -> list[Step]:
        """Return the steps that compute the gradient of the input.

        Args:
            gradient: points of the output's gradient.
            target: the tensor to write.
            adds: add to what is there.
        """
        weights, filters, window = self.weights, self.layer.filters, self.layer.window
        _, height, width = target.shape
        sums = self.make(filters.inputs, height)
        (phase,) = phases(window, 0, height)

        @cache
        def table(rows: tuple[int, ...]) -> Integers:
            return np.array(
                [
                    (
                        channel * gradient.place.block_step + tap.offset * gradient.place.row_step,
                        weights.offset(channel, 0, tap.place),
                    )
                    for channel in range(weights.outputs)
                    for tap in phase.taps
                    if tap.place in rows
                ],
                np.int64,
            ).reshape(-1, 2)

        def taps(_: int, column: int) -> Integers:
            row = column // self.tiles
            return table(tuple(tap.place for tap in phase.taps if 0 <= row + tap.offset < self.height))

        zeros = aligned(weights.inputs, self.weight.dtype)
        parts = [
            Outputs(
                weights.inputs,
                weights.address + point * self.weights_step + weights.offset(group * weights.outputs),
                int(zeros.ctypes.data),
                group * weights.outputs * gradient.place.block_step + point * gradient.plane_step,
                group * weights.inputs * sums.place.block_step + point * sums.plane_step,
            )
            for point in range(self.tile.points)
            for group in range(filters.groups)
        ]
        field = Field(self.groups, 1, height * self.tiles, gradient.place, sums.place)
        keep = (gradient.memory, sums.memory, zeros, self.points_weight)
        steps = (weights.offset(0, 1), sums.place.block_step)
        left = window.padding[1][0]
        return [
            summed(field, taps, parts, steps, self.machine, self.precision, keep),
            transformed(
                "spread", self.tile, self.width, (self.groups, filters.inputs, height), Operand.exact(target),
                sums.place, sums.plane_step, self.machine, self.precision, (target, sums.memory),
                kept=(left, left + width), adds=adds,
            ),
        ]  # fmt: skip


def filtering(
    layer: Layer, tile: RowTile, operation: Operation, machine: Target, precision: Precision
) -> tuple[list[Step], Filtering]:
    """Return a convolution by filtering, and the steps that give its input a border if it has none.

    Args:
        layer: the convolution.
        tile: of its rows.
        operation: its tensors and arrays.
        machine: which vectors there are.
        precision: element type.
    """
    (source,), output = operation.inputs, operation.output
    needed = forward_halo(layer.window, source.shape[1:], output.shape[1:])
    steps, source = with_halo(source, needed, machine, precision)
    return steps, Filtering(layer, tile, operation, source)
