"""Adding one plain array to another: gradients of layers that share their parameters."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import njit

from archcost.kernels import compiled
from archcost.kernels.layout import Array
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit

UNIT = 16_384
"""Elements of a unit."""


def accumulate_step(precision: Precision) -> Any:
    """Return the step function that adds one array to another."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)

    @njit(nogil=True)
    def accumulate(row: int, _thread: int, threads: int) -> None:
        """Add element by element. Arguments: the sum, what is added to it, elements."""
        words = numba.carray(integers(row), (40,), np.int64)
        elements = words[3]
        total = numba.carray(view(words[1]), (elements,), dtype)
        part = numba.carray(view(words[2]), (elements,), dtype)
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
