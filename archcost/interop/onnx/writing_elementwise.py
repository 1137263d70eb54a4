"""Activations and arithmetic as ONNX nodes: one function for each operator."""

from __future__ import annotations

import math
from collections.abc import Callable

from archcost.interop.onnx.writing_place import Place, axis_of_batch
from archcost.ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Clip,
    ConstantScale,
    Dropout,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    LogSoftmax,
    Mul,
    Op,
    PReLU,
    ReLU6,
    ScaledTanh,
    SiLU,
    Softmax,
)


def relu6(place: Place, op: ReLU6) -> None:
    """Clip."""
    place.end("Clip", *place.inputs, place.constant(0.0), place.constant(6.0))


def hard_sigmoid(place: Place, op: HardSigmoid) -> None:
    """HardSigmoid."""
    place.end("HardSigmoid", alpha=float(op.slope), beta=float(op.offset))


def scaled_tanh(place: Place, op: ScaledTanh) -> None:
    """Tanh between two multiplications."""
    curve = place.add("Tanh", place.add("Mul", *place.inputs, place.constant(op.slope)))
    place.end("Mul", curve, place.constant(op.amplitude))


def silu(place: Place, op: SiLU) -> None:
    """Sigmoid and Mul, as exporters write it; ONNX has an operator of its own from version 24 on."""
    place.end("Mul", *place.inputs, place.add("Sigmoid", *place.inputs))


def hard_swish(place: Place, op: HardSwish) -> None:
    """HardSwish, or before version 14 HardSigmoid and Mul."""
    if place.model.opset >= 14:
        place.end("HardSwish")
    else:
        place.end("Mul", *place.inputs, place.add("HardSigmoid", *place.inputs, alpha=1 / 6, beta=0.5))


def gelu(place: Place, op: GELU) -> None:
    """Gelu, or before version 20 what it is defined by."""
    if place.model.opset >= 20:
        place.end("Gelu", approximate=op.approximate)
        return
    value = place.inputs[0]
    if op.approximate == "none":
        curve = place.add("Erf", place.add("Div", value, place.constant(math.sqrt(2))))
    else:
        cube = place.add("Mul", place.add("Mul", value, value), value)
        bent = place.add("Add", value, place.add("Mul", cube, place.constant(0.044715)))
        curve = place.add("Tanh", place.add("Mul", bent, place.constant(math.sqrt(2 / math.pi))))
    half = place.add("Mul", value, place.constant(0.5))
    place.end("Mul", half, place.add("Add", curve, place.constant(1.0)))


def leaky_relu(place: Place, op: LeakyReLU) -> None:
    """LeakyRelu."""
    place.end("LeakyRelu", alpha=float(op.slope))


def prelu(place: Place, op: PReLU) -> None:
    """PRelu; the slopes broadcast to the channels."""
    sizes = (-1,) if op.shared else (-1, *(1 for _ in place.shapes[0][1:]))
    place.end("PRelu", *place.inputs, place.weight("weight", place.tensor("weight").reshape(sizes), f".{len(sizes)}"))


def exponential(place: Place, op: ELU | CELU) -> None:
    """Elu and Celu."""
    place.end("Elu" if isinstance(op, ELU) else "Celu", alpha=float(op.alpha))


def selu(place: Place, op: SELU) -> None:
    """Selu."""
    place.end("Selu", alpha=float(op.alpha), gamma=float(op.gamma))


def clip(place: Place, op: Clip) -> None:
    """Clip; an open side is an input that is not given. ``high`` counts where it is below ``low``, as in ours."""
    bounds = [place.constant(bound) if bound is not None else "" for bound in (op.low, op.high)]
    place.end("Clip" if any(bounds) else "Identity", *place.inputs, *(bounds if any(bounds) else ()))


def mish(place: Place, op: Op) -> None:
    """Mish, or before version 18 what it is defined by."""
    if place.model.opset >= 18:
        place.end("Mish")
    else:
        place.end("Mul", *place.inputs, place.add("Tanh", place.add("Softplus", *place.inputs)))


def softmax(place: Place, op: Softmax | LogSoftmax) -> None:
    """Softmax and LogSoftmax."""
    place.end(type(op).__name__, axis=axis_of_batch(op.axis))


def constant_scale(place: Place, op: ConstantScale) -> None:
    """Mul by a constant."""
    place.end("Mul", *place.inputs, place.constant(op.factor))


def dropout(place: Place, op: Dropout) -> None:
    """Dropout, which does nothing in inference."""
    place.end("Dropout", *place.inputs, place.constant(op.rate))


def identity(place: Place, op: Op) -> None:
    """Identity."""
    place.end("Identity")


def many(of_two: str, of_more: str) -> Callable[[Place, Op], None]:
    """Return the rule of an operator of any number of inputs: the result of one is that input itself."""

    def rule(place: Place, _: Op) -> None:
        place.end("Identity" if len(place.inputs) == 1 else of_two if len(place.inputs) == 2 else of_more)

    return rule


def mul(place: Place, op: Mul) -> None:
    """Mul, one after the other."""
    value = place.inputs[0]
    for other in place.inputs[1:-1]:
        value = place.add("Mul", value, other)
    if len(place.inputs) > 1:
        place.end("Mul", value, place.inputs[-1])
    else:
        place.end("Identity")
