"""Random numbers from counters, for loops over images: any number of a stream is had without those before it.

The generator is SplitMix64, as for dropout: a stream's state hashes the numbers that name it (seed, epoch, image, what
it is for), and number i of the stream is output i from that state. So an image's numbers depend on neither the batch
that it is in nor the thread that works on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from archcost.kernels.dropout import GAMMA, ROUNDS, mixed
from archcost.kernels.function import function

STEP = GAMMA - 2**64
"""The generator's step as a signed 64-bit integer; Numba's products of those wrap around."""

INT64 = ir.IntType(64)


@intrinsic
def mix(_context: Any, value: Any) -> Any:
    """Return the generator's output from the state ``value``."""

    def write(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return mixed(builder, arguments[0])

    return types.int64(types.int64), write


@intrinsic
def _upper(_context: Any, value: Any) -> Any:
    """Return the upper 53 bits of ``value``: as many as a float64 holds exactly."""

    def write(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.lshr(arguments[0], ir.Constant(INT64, 11))

    return types.int64(types.int64), write


@function
def bits(state: int, number: int) -> int:
    """Return number ``number`` of a stream, an integer from 0 to 2^53 - 1."""
    result: int = _upper(mix(state + number * STEP))
    return result


@function
def uniform(state: int, number: int) -> float:
    """Return number ``number`` of a stream, in [0, 1)."""
    return bits(state, number) * 2.0**-53


@function
def symmetric(state: int, number: int) -> float:
    """Return number ``number`` of a stream, in [-1, 1)."""
    return 2.0 * uniform(state, number) - 1.0


@function
def normal(state: int, number: int) -> float:
    """Return number ``number`` of a stream, of mean 0 and variance 1, never beyond 3.47.

    The sum of four uniform numbers of 13 bits: near enough to a normal distribution for images, without outliers, and
    the same on every machine, as no logarithm is.
    """
    word = bits(state, number)
    total = (word & 8191) + (word >> 13 & 8191) + (word >> 26 & 8191) + (word >> 39 & 8191)
    return (total - 16382.0) * (np.sqrt(3.0) / 8192.0)


def state_of(*numbers: int) -> int:
    """Return the state of the stream that ``numbers`` name, as a signed 64-bit integer."""
    value = 0
    for number in numbers:
        value = (value + number + GAMMA) % 2**64
        for shift, factor in ROUNDS:
            value = (value ^ value >> shift) * factor % 2**64
    return value - 2**64 if value >= 2**63 else value


def words(state: int, count: int) -> npt.NDArray[np.uint64]:
    """Return the first ``count`` numbers of a stream, 64 bits each."""
    values = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GAMMA) + np.uint64(state % 2**64)
    for shift, factor in ROUNDS:
        values = (values ^ values >> np.uint64(shift)) * np.uint64(factor)
    return values
