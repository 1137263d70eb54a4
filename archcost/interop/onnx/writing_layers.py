"""Convolutions and dense layers as ONNX nodes: one function for each operator."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from archcost.geometry import pair
from archcost.interop.onnx.writing_place import Place, edges_of, pads_of
from archcost.ops import Conv2d, ConvTranspose2d, Linear, PartialConv2d, RadialBasis
from archcost.ops.conv3d import Conv3d


def _window(place: Place, op: Conv2d | Conv3d | ConvTranspose2d) -> dict[str, Any]:
    """Return the attributes that all convolutions have; the padding is written in numbers."""
    kernel, stride, padding, dilation = op.window
    edges = edges_of(padding, place.shapes[0][1:], kernel, stride, dilation)
    pads = pads_of(edges)
    return {"kernel_shape": kernel, "strides": stride, "pads": pads, "dilations": dilation, "group": op.groups}


def conv(place: Place, op: Conv2d | Conv3d) -> None:
    """Conv."""
    place.end("Conv", *place.inputs, *place.weights(), **_window(place, op))


def conv_transpose2d(place: Place, op: ConvTranspose2d) -> None:
    """ConvTranspose."""
    extra = pair("output_padding", op.output_padding, 0)
    place.end("ConvTranspose", *place.inputs, *place.weights(), **_window(place, op), output_padding=extra)


def partial_conv2d(place: Place, op: PartialConv2d) -> None:
    """A grouped convolution for each run of filters that see as many channels; gathered channels are its groups.

    So no product with a zero is computed, and the weights are as many as those of our operator.
    """
    weight = place.tensor("weight")
    bias = place.tensor("bias") if op.bias else None
    parts: list[str] = []
    link = filters = 0
    for inputs, run in groupby(op.connections, len):
        seen = list(run)
        channels = place.integers(channel for one in seen for channel in one)
        taps = weight[link : link + inputs * len(seen)].reshape(len(seen), inputs, *weight.shape[1:])
        tensors = [place.weight("weight", taps, f".{len(parts)}")]
        if bias is not None:
            tensors.append(place.weight("bias", bias[filters : filters + len(seen)], f".{len(parts)}"))
        gathered = place.add("Gather", place.inputs[0], channels, axis=1)
        kernel = pair("kernel_size", op.kernel_size)
        parts.append(place.add("Conv", gathered, *tensors, kernel_shape=kernel, group=len(seen)))
        link += inputs * len(seen)
        filters += len(seen)
    place.end("Concat", *parts, axis=1)


def linear(place: Place, op: Linear) -> None:
    """Gemm; on the last of several axes MatMul and the addition of the bias."""
    if len(place.shapes[0]) == 1:
        place.end("Gemm", *place.inputs, *place.weights(), transB=1)
        return
    weight = place.weight("weight", place.tensor("weight").T, ".transposed")
    if op.bias:
        place.end("Add", place.add("MatMul", place.inputs[0], weight), place.weight("bias"))
    else:
        place.end("MatMul", place.inputs[0], weight)


def radial_basis(place: Place, op: RadialBasis) -> None:
    """Subtract, square and add: the prototypes are constants, as they are not learned."""
    axes = [*place.shapes[0][:-1], 1, place.shapes[0][-1]]
    distance = place.add("Sub", place.reshaped(place.inputs[0], *axes), place.constant(place.tensor("prototypes")))
    square = place.add("Mul", distance, distance)
    place.end("ReduceSum", square, place.integers([len(axes)]), keepdims=0)
