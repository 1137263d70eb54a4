"""Quantisation of ONNX: counted, but not run."""

from __future__ import annotations

from archcost.interop.onnx.importer import Importer
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import Value
from archcost.ops import Dequantize, Quantize


@converts("QuantizeLinear")
def quantize_linear(
    net: Importer,
    x: Value,
    scale: Value,
    zero: Value | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Value:
    """Integers of what depends on the images."""
    return net.each(Quantize(), x)


@converts("DequantizeLinear")
def dequantize_linear(
    net: Importer,
    x: Value,
    scale: Value,
    zero: Value | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Value:
    """Floating-point numbers again."""
    return net.each(Dequantize(), x)
