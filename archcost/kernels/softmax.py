"""Softmax over the channels of a pixel, in vector code."""

from __future__ import annotations

from typing import Any

from archcost.kernels.channels import Columns
from archcost.kernels.functions import exp
from archcost.kernels.vector import Value

LOWEST = 3e38
"""What is taken from a lane that is no channel, so that it never is the largest."""


def _softmax(columns: Columns) -> None:
    """Write output = exp(source - maximum) / sum."""
    code = columns.code

    def masked(block: Value, ahead: int) -> tuple[Value]:
        mask = columns.load("mask", block, ahead)
        lowest = code.mul(code.sub(mask, code.constant(1)), code.constant(LOWEST))
        return (code.fma(columns.load("source", block, ahead), mask, lowest),)

    largest = columns.fold(masked, [code.maximum], [-LOWEST])

    def power(block: Value, ahead: int) -> tuple[Value]:
        value = exp(code, code.sub(columns.load("source", block, ahead), largest[ahead][0]))
        value = code.mul(value, columns.load("mask", block, ahead))
        columns.output("output", block, ahead, value)
        return (value,)

    inverse = [code.div(code.constant(1), sums[0]) for sums in columns.sums(power, 1)]

    def scale(block: Value, ahead: int) -> None:
        columns.output("output", block, ahead, code.mul(columns.load("output", block, ahead), inverse[ahead]))

    columns.each(scale)


def _softmax_gradient(columns: Columns, adds: bool) -> None:
    """Write target = output * (gradient - sum of gradient * output); the output is 0 where there is no channel."""
    code = columns.code

    def product(block: Value, ahead: int) -> tuple[Value]:
        value = code.mul(columns.load("gradient", block, ahead), columns.load("output", block, ahead))
        return (code.mul(value, columns.load("mask", block, ahead)),)

    dots = columns.sums(product, 1)

    def result(block: Value, ahead: int) -> None:
        value = code.sub(columns.load("gradient", block, ahead), dots[ahead][0])
        value = code.mul(columns.load("output", block, ahead), value)
        columns.output("target", block, ahead, value, adds=adds)

    columns.each(result)


COLUMNS: dict[str, tuple[Any, int]] = {"softmax": (_softmax, 0), "softmax_gradient": (_softmax_gradient, 0)}
"""Formula -> the function that writes it, and its scratch memories for each pixel."""
