"""Step functions called from Python, in the calling thread: what prepares images while the engine trains.

They are compiled and cached as the engine's steps are, so that a second process compiles nothing and the package's
folder may be read-only. ``ctypes`` lets go of the interpreter lock during a call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from archcost.kernels import compiled
from archcost.kernels.machine import _numbers
from archcost.kernels.step import WORDS

PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_ssize_t)

unsigned8s = _numbers(types.uint8, ir.IntType(8))
"""Return an address as a pointer to unsigned 8-bit integers."""


def address_of(array: npt.NDArray[Any]) -> int:
    """Return where an array's numbers lie; they lie one after the other.

    Raises:
        ValueError: if there are gaps between them.
    """
    if not array.flags.c_contiguous:
        raise ValueError("a step reads and writes contiguous arrays only")
    return int(array.ctypes.data)


def run_step(module: str, factory: str, options: Sequence[object], arguments: Sequence[int]) -> None:
    """Run a step function once, alone.

    Args:
        module: module below ``archcost.kernels`` that holds the factory.
        factory: function that returns the step function, given ``options``.
        options: plain values whose ``repr`` can be read back.
        arguments: what the step reads: numbers and addresses of arrays, which the caller keeps alive.
    """
    row = np.zeros(WORDS, np.int64)
    row[1 : 1 + len(arguments)] = arguments
    PROTOTYPE(compiled.address("step", module, factory, *options))(row.ctypes.data, 0, 1)
