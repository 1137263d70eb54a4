"""Adding one plain array to another: gradients of layers that share their parameters."""

from __future__ import annotations

from typing import Any

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit

UNIT = 16_384
"""Elements of a unit."""


def accumulate_step(precision: Precision) -> Any:
    """Return the step function that adds one array to another."""
    view = float32s if precision == "float32" else float64s

    @function
    def accumulate(row: int, _thread: int, threads: int) -> None:
        """Add element by element. Arguments: the sum, what is added to it, elements."""
        words = integers(row)
        elements = words[3]
        total = view(words[1])
        part = view(words[2])
        unit = next_unit(row, -1, threads)
        while unit * UNIT < elements:
            for index in range(unit * UNIT, min(elements, (unit + 1) * UNIT)):
                total[index] += part[index]
            unit = next_unit(row, unit, threads)

    return accumulate


def accumulated(total: Array, part: Array, precision: Precision) -> Step:
    """Return the step that adds ``part`` to ``total``, contiguous arrays of one size."""
    function = compiled.address("step", "accumulate", "accumulate_step", precision)
    return Step(function, (total.ctypes.data, part.ctypes.data, total.size), (total, part))
