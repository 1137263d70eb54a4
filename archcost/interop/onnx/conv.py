"""Convolutions and dense layers of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from archcost.build import Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape, shape_text
from archcost.interop.onnx.arithmetic import binary, operand
from archcost.interop.onnx.fusing import DENSE
from archcost.interop.onnx.importer import Importer, float_array
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import BatchAxisError, Constant, Runtime, Value
from archcost.interop.onnx.windows import Windows, windows
from archcost.ops import Conv2d, Conv3d, ConvTranspose2d, Linear, MatMul, Transpose


@converts("Conv")
def conv(
    net: Importer,
    x: Value,
    w: Value,
    b: Value | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Runtime:
    """Conv of 1, 2 or 3 axes."""
    data, weight = net.runtime(x), net.known(w, "its weight")
    kernel = _kernel(weight, kernel_shape, data)
    window = windows(data.shape[2:], kernel, strides, pads, dilations, auto_pad).rows_and_columns
    _check_channels(data.shape[1], weight.shape[1] * group, weight)
    out_channels = weight.shape[0]
    weights = {"weight": _with_rows(weight, window), **_bias(net, b, out_channels)}
    arguments: dict[str, Any] = {"out_channels": out_channels, **window.arguments}

    def one(tensor: Tensor) -> Tensor:
        if len(window.kernel) == 3:
            return net.add(Conv3d(groups=group, bias="bias" in weights, **arguments), tensor, weights=weights)
        return net.add(Conv2d(groups=group, bias="bias" in weights, **arguments), tensor, weights=weights)

    if len(window.kernel) == 3:
        return net.images(data, one)
    return net.images(data, lambda tensor: net.as_image(tensor, one))


@converts("ConvTranspose")
def conv_transpose(
    net: Importer,
    x: Value,
    w: Value,
    b: Value | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Runtime:
    """ConvTranspose of 1 or 2 axes; a wanted output shape is turned into a padding."""
    data, weight = net.runtime(x), net.known(w, "its weight")
    kernel = _kernel(weight, kernel_shape, data)
    axes = len(kernel)
    if axes > 2:
        raise ModelError("a transposed convolution of three axes is not supported")
    extra = tuple(output_padding or (0,) * axes)
    window = windows(data.shape[2:], kernel, strides, pads, dilations, "NOTSET")
    wanted = None
    if output_shape:
        wanted = tuple(output_shape)[-axes:]
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(size * stride for size, stride in zip(data.shape[2:], window.strides))
    if len(extra) != axes or (wanted and len(wanted) != axes):
        raise ModelError(f"`output_padding` and `output_shape` must hold {axes} numbers")
    if wanted:
        window, extra = _padded_to(wanted, data.shape[2:], window, extra, upper=auto_pad == "SAME_UPPER")
    _check_channels(data.shape[1], weight.shape[0], weight)
    window = window.rows_and_columns
    out_channels = weight.shape[1] * group
    weights = {"weight": _with_rows(weight, window), **_bias(net, b, out_channels)}
    arguments: dict[str, Any] = {**window.arguments, "output_padding": (0,) * (2 - axes) + extra}
    op = ConvTranspose2d(out_channels, groups=group, bias="bias" in weights, **arguments)
    return net.images(data, lambda image: net.as_image(image, lambda one: net.add(op, one, weights=weights)))


def _padded_to(
    wanted: Sequence[int], size: Sequence[int], window: Windows, extra: tuple[int, ...], *, upper: bool
) -> tuple[Windows, tuple[int, ...]]:
    """Return windows whose padding makes a transposed convolution's output ``wanted`` long; see ONNX's formula."""
    pads = []
    more = list(extra)
    for axis, length in enumerate(wanted):
        extent = (window.kernel[axis] - 1) * window.dilations[axis] + 1
        total = window.strides[axis] * (size[axis] - 1) + extra[axis] + extent - length
        if total < 0:  # elements are added at the end
            more[axis] -= total
            total = 0
        half = total // 2
        pads.append((half, total - half) if upper else (total - half, half))
    return replace(window, pads=tuple(pads)), tuple(more)


def _kernel(weight: Constant, kernel_shape: Sequence[int] | None, data: Runtime) -> tuple[int, ...]:
    if len(weight.shape) != len(data.shape) or not 3 <= len(weight.shape) <= 5:
        raise ModelError(f"its weight {shape_text(weight.shape)} does not fit the input {shape_text(data.shape)}")
    if kernel_shape and tuple(kernel_shape) != weight.shape[2:]:
        raise ModelError(f"`kernel_shape` (={list(kernel_shape)[:8]}) is not that of its weight")
    return weight.shape[2:]


def _check_channels(given: int, wanted: int, weight: Constant) -> None:
    if given != wanted:
        raise ModelError(f"its weight {shape_text(weight.shape)} is for {wanted} input channels, not {given}")


def _with_rows(weight: Constant, window: Windows) -> Constant:
    """Return the weight with the axes of the windows: one over (L,) gets an axis of size 1."""
    shape = (*weight.shape[:2], *window.kernel)
    return weight if shape == weight.shape else reshaped(weight, shape)


def reshaped(constant: Constant, shape: Shape) -> Constant:
    """Return a constant in another shape, from the same source."""
    return Constant(
        lambda: constant.array.reshape(shape), shape, constant.dtype, learned=constant.learned, source=constant.source
    )


def _bias(net: Importer, bias: Value | None, channels: int) -> dict[str, Constant]:
    if bias is None:
        return {}
    constant = net.known(bias, "its bias")
    if constant.shape != (channels,):
        raise ModelError(f"its bias has {shape_text(constant.shape)} numbers for {channels} channels")
    if not constant.learned and not np.any(constant.array):
        return {}  # PyTorch's exporter gives a convolution without a bias one of zeros
    return {"bias": constant}


@converts("Gemm")
def gemm(
    net: Importer,
    a: Value,
    b: Value,
    c: Value | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803  (ONNX's name)
    transB: int = 0,  # noqa: N803
    broadcast: int = 0,
) -> Runtime:
    """The product alpha * A' * B' + beta * C: a dense layer where B is constant and C a constant for each column."""
    data = net.runtime(a)
    if len(data.shape) != 2:
        raise ModelError(f"its input has {len(data.shape)} axes, not 2")
    if transA:
        data = net.whole(data)
        data = net.like(data, net.add(Transpose((1, 0)), data.tensor, role="transposed"))
    if isinstance(b, Constant) and len(b.shape) == 2:
        features = b.shape[0 if transB else 1]
        if b.shape[1 if transB else 0] != data.shape[1]:
            raise ModelError(f"its weight {shape_text(b.shape)} does not fit the input {shape_text(data.shape)}")
        weights = {"weight": _derived(b, alpha, transposed=not transB)}
        joined = isinstance(c, Constant) and c.shape in ((features,), (1, features), (1,), ())
        if isinstance(c, Constant) and joined:
            weights["bias"] = _bias_of(c, beta, features)
        data = net.per_image(data)
        result = net.like(data, net.add(Linear(features, bias=joined), data.tensor, weights=weights))
        return result if c is None or joined else _plus(net, result, c, beta)
    data, second = net.whole(data), net.whole(net.runtime(b))
    if transB:
        second = net.like(second, net.add(Transpose((1, 0)), second.tensor, role="transposed"))
    product: Value = net.like(data, net.add(MatMul(), data.tensor, second.tensor))
    if alpha != 1.0:
        product = binary(net, "Mul", [product, Constant.of(np.full((), alpha, np.float32))])
    return _plus(net, net.runtime(product), c, beta)


def _plus(net: Importer, result: Runtime, c: Value | None, beta: float) -> Runtime:
    if c is None:
        return result
    if beta != 1.0:
        factor = Constant.of(np.full((), beta, np.float32))
        c = (
            Constant.of(np.asarray(c.array * np.float32(beta)))
            if isinstance(c, Constant)
            else binary(net, "Mul", [c, factor])
        )
    return net.runtime(binary(net, "Add", [result, c]))


def _derived(b: Constant, factor: float, *, transposed: bool) -> Constant:
    """Return the weight of a dense layer: B transposed if need be, times ``factor``."""
    if not transposed and factor == 1.0:
        return b
    shape = b.shape[::-1] if transposed else b.shape

    def load() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        array = float_array(b.array.T if transposed else b.array)
        return array if factor == 1.0 else array * np.float32(factor)

    source = b.source and f"{b.source} transposed {transposed} times {factor}"
    return Constant(load, shape, b.dtype, learned=b.learned, source=source)


def _bias_of(c: Constant, beta: float, features: int) -> Constant:
    if c.shape == (features,) and beta == 1.0:
        return c
    source = c.source and f"{c.source} times {beta}"

    def load() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return np.broadcast_to(float_array(c.array).reshape(-1) * np.float32(beta), (features,))

    return Constant(load, (features,), c.dtype, learned=c.learned, source=source)


@converts("MatMul")
def matmul(net: Importer, a: Value, b: Value) -> Value:
    """A dense layer where the second matrix is constant, else a product of two tensors."""
    if isinstance(a, Runtime) and isinstance(b, Constant) and len(b.shape) == 2 and len(a.shape) >= 2:
        if a.shape[-1] != b.shape[0]:
            raise ModelError(f"its weight {shape_text(b.shape)} does not fit the input {shape_text(a.shape)}")
        weights = {"weight": _derived(b, 1.0, transposed=True)}
        a = net.per_image(a)
        return net.like(a, net.add(Linear(b.shape[1], bias=False), a.tensor, weights=weights))
    return _product(net, a, b)


@converts(DENSE)
def dense(net: Importer, a: Value, b: Value, bias: Value) -> Value:
    """A product with a constant matrix and the addition of a constant vector."""
    if not (isinstance(a, Runtime) and isinstance(b, Constant) and len(b.shape) == 2 and len(a.shape) >= 2):
        return binary(net, "Add", [matmul(net, a, b), bias])
    if a.shape[-1] != b.shape[0]:
        raise ModelError(f"its weight {shape_text(b.shape)} does not fit the input {shape_text(a.shape)}")
    weights = {"weight": _derived(b, 1.0, transposed=True), **_bias(net, bias, b.shape[1])}
    a = net.per_image(a)
    return net.like(a, net.add(Linear(b.shape[1], bias="bias" in weights), a.tensor, weights=weights))


def _product(net: Importer, a: Value, b: Value) -> Runtime:
    """Return the product of two tensors; one without rows or columns gets an axis of size 1 for a while."""
    if not a.shape or not b.shape:
        raise ModelError("its inputs must have axes")
    rank = max(len(a.shape), len(b.shape), 2)
    first = (1,) * (rank - max(len(a.shape), 2)) + ((1, *a.shape) if len(a.shape) == 1 else a.shape)
    second = (1,) * (rank - max(len(b.shape), 2)) + ((*b.shape, 1) if len(b.shape) == 1 else b.shape)
    batched = _is_batched(net, [(a, first), (b, second)])
    left, right = (operand(net, value, form[1:] if batched else form) for value, form in ((a, first), (b, second)))
    tensor = net.add(MatMul(), left, right)
    full = (net.batch or 1, *tensor.shape) if batched else tensor.shape
    shape = (*full[:-2], *((full[-2],) if len(a.shape) > 1 else ()), *((full[-1],) if len(b.shape) > 1 else ()))
    return net.reshape(Runtime(tensor, full, batched), shape)


def _is_batched(net: Importer, factors: Sequence[tuple[Value, Shape]]) -> bool:
    """Return whether the first axis of all factors is the batch. Raises BatchAxisError if it is that of some alone."""
    if not any(isinstance(value, Runtime) and value.batched for value, _ in factors):
        return False
    if net.batch == 1:
        return all(len(form) > 2 and form[0] == 1 for _, form in factors)
    for value, form in factors:
        own = isinstance(value, Runtime) and value.batched and len(form) == len(value.shape)
        if len(form) < 3 or not (own or (isinstance(value, Constant) and form[0] == 1)):
            raise BatchAxisError
    return True
