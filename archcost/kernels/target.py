"""Which vectors this machine has, and which tile of them the micro-kernel computes.

``ARCHCOST_TARGET`` forces one (``avx512``, ``avx2``, ``neon``, ``portable``), so that every path can be tested on one
machine: LLVM turns vectors that the processor lacks into several that it has.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Literal, NamedTuple

import llvmlite.binding as llvm

from archcost.errors import UsageError, did_you_mean

Precision = Literal["float32", "float64"]
ELEMENT_BYTES: dict[Precision, int] = {"float32": 4, "float64": 8}


class Target(NamedTuple):
    """A kind of processor.

    Attributes:
        name: what ``ARCHCOST_TARGET`` calls it.
        vector_bytes: size of a vector register.
        registers: how many of them there are.
    """

    name: str
    vector_bytes: int
    registers: int

    def lanes(self, precision: Precision) -> int:
        """Return the elements of a vector: the channels of a block of the engine's layout."""
        return self.vector_bytes // ELEMENT_BYTES[precision]

    def tile_pixels(self, vectors: int) -> int:
        """Return how many pixels x ``vectors`` accumulators leave room for the weights and one broadcast element."""
        return max(1, (self.registers - vectors - 1) // vectors)


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (Target("avx512", 64, 32), Target("avx2", 32, 16), Target("neon", 16, 32), Target("portable", 16, 16))
}


@cache
def detect() -> Target:
    """Return the widest target that this processor has."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return TARGETS["avx512"]
    if features.get("avx2") and features.get("fma"):
        return TARGETS["avx2"]
    return TARGETS["neon"] if features.get("neon") else TARGETS["portable"]


def current() -> Target:
    """Return the target to generate code for: ``ARCHCOST_TARGET``, else what the processor has.

    Raises:
        UsageError: if the variable names none.
    """
    name = os.environ.get("ARCHCOST_TARGET", "")
    if not name:
        return detect()
    if name not in TARGETS:
        raise UsageError(
            f"ARCHCOST_TARGET (={name!r}) must be one of {', '.join(TARGETS)}{did_you_mean(name, TARGETS)}"
        )
    return TARGETS[name]
