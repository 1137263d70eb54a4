"""Quantisation: counted, element by element, but not run (the engine computes in floating point alone)."""

from __future__ import annotations

from typing import ClassVar

from archcost.ops.base import ElementWise


class Quantize(ElementWise):
    """round(x / scale) + zero point, clamped to the integer type."""

    family: ClassVar[str] = "quantize"


class Dequantize(ElementWise):
    """(x - zero point) * scale."""

    family: ClassVar[str] = "quantize"
