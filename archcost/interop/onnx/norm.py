"""Normalisation of ONNX."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from archcost.build import Tensor
from archcost.errors import ModelError
from archcost.geometry import product, shape_text
from archcost.interop.onnx.arithmetic import binary
from archcost.interop.onnx.fusing import CHANNEL_NORM
from archcost.interop.onnx.importer import Importer, checked
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import Constant, Runtime, Value
from archcost.ops import BatchNorm2d, Dropout, InstanceNorm, LayerNorm, LocalResponseNorm, Reshape


@converts("BatchNormalization")
def batch_normalization(
    net: Importer,
    x: Value,
    scale: Value,
    bias: Value,
    mean: Value,
    var: Value,
    *,
    epsilon: float = 1e-5,
    is_test: int = 1,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
) -> Runtime:
    """Normalisation by running statistics; ONNX's momentum is what the old statistics keep."""
    data = net.runtime(x)
    if training_mode or not spatial or (net.opset < 7 and not is_test):
        raise ModelError("only its form for inference, with one scale for each channel, is supported")
    channels = data.shape[1] if len(data.shape) > 1 else 1
    weights = {
        "weight": _vector(net, scale, channels, "its scale"),
        "bias": _vector(net, bias, channels, "its shift"),
        "running_mean": _vector(net, mean, channels, "its mean"),
        "running_var": _vector(net, var, channels, "its variance"),
    }
    op = BatchNorm2d(eps=epsilon, momentum=1 - momentum)
    return net.images(data, lambda tensor: _with_map(net, tensor, lambda one: net.add(op, one, weights=weights)))


def _vector(net: Importer, value: Value, size: int, what: str) -> Constant:
    constant = net.known(value, what)
    if constant.shape != (size,):
        raise ModelError(f"{what} has {shape_text(constant.shape)} numbers for {size} channels")
    return constant


def _with_map(net: Importer, tensor: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply what takes (C,) or (C, H, W) to a tensor of any rank."""
    if len(tensor.shape) in (1, 3):
        return function(tensor)
    flat = net.add(Reshape((tensor.shape[0], 1, product(tensor.shape[1:]))), tensor, role="rows")
    return net.add(Reshape(tensor.shape), function(flat), role="shape")


@converts("InstanceNormalization")
def instance_normalization(net: Importer, x: Value, scale: Value, bias: Value, *, epsilon: float = 1e-5) -> Runtime:
    """Each channel of each image by its own statistics."""
    data = net.runtime(x)
    channels = data.shape[1] if len(data.shape) > 1 else 1
    weights = {
        "weight": _vector(net, scale, channels, "its scale"),
        "bias": _vector(net, bias, channels, "its shift"),
    }
    return net.images(data, lambda tensor: net.add(InstanceNorm(epsilon), tensor, weights=weights))


@converts("LayerNormalization")
def layer_normalization(
    net: Importer, x: Value, scale: Value, bias: Value | None = None, *, axis: int = -1, epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Value:  # fmt: skip
    """The axes from ``axis`` on by their own statistics; a scale of another shape is multiplied afterwards."""
    data = net.runtime(x)
    if not data.shape:
        raise ModelError("its input has no axes")
    first = checked(axis, len(data.shape))
    data, _ = net.axis(first, data)
    shape = data.shape[first:]
    if isinstance(scale, Constant) and scale.shape == shape and (bias is None or isinstance(bias, Constant)):
        shift = Constant.of(np.zeros(shape, np.float32)) if bias is None else bias
        if isinstance(shift, Constant) and shift.shape == shape:
            op = LayerNorm(eps=epsilon, normalized_axes=len(shape))
            tensor = net.add(op, data.tensor, weights={"weight": scale, "bias": shift})
            return net.like(data, tensor, data.shape)
    plain = LayerNorm(eps=epsilon, affine=False, normalized_axes=len(shape))
    result: Value = net.like(data, net.add(plain, data.tensor), data.shape)
    result = binary(net, "Mul", [result, scale])
    return result if bias is None else binary(net, "Add", [result, bias])


@converts(CHANNEL_NORM)
def channel_normalization(
    net: Importer, x: Value, scale: Value, bias: Value, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Value:
    """The channels of (N, C, H, W) by their own statistics at each position."""
    data = net.runtime(x)
    if len(data.shape) != 4:
        raise ModelError(f"its input has {len(data.shape)} axes, not 4")
    channels = data.shape[1]
    weights = {
        "weight": _vector(net, scale, channels, "its scale"),
        "bias": _vector(net, bias, channels, "its shift"),
    }
    op = LayerNorm(axis=0, eps=epsilon)
    return net.images(data, lambda tensor: net.add(op, tensor, weights=weights))


@converts("LRN")
def lrn(
    net: Importer, x: Value, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int = 0
) -> Runtime:
    """Local response normalisation across channels."""
    op = LocalResponseNorm(size, alpha, beta, bias)
    return net.images(net.runtime(x), lambda tensor: net.as_image(tensor, lambda one: net.add(op, one)))


@converts("Dropout")
def dropout(
    net: Importer,
    x: Value,
    rate: Value | None = None,
    training: Value | None = None,
    *,
    is_test: int = 1,
    ratio: float = 0.5,
    seed: int = 0,
) -> Value:
    """Nothing, in inference; the layer stays in the graph for training."""
    if isinstance(x, Constant):
        return x
    if training is not None and net.number(training, "its training mode"):
        raise ModelError("only its form for inference is supported")
    share = ratio if rate is None else net.number(rate, "its ratio")
    return net.each(Dropout(share), x) if 0 <= share < 1 else net.runtime(x)
