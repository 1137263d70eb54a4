"""Every operator: hyper-parameters, output shape, parameters, cost. Standard library only.

The operators of the catalogue's networks are imported with the package; those that only other models hold (imported or
described by users) when they are first used, since every class costs start-up time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from archcost.ops.activation import (
    GELU,
    HardSigmoid,
    HardSwish,
    ReLU,
    ReLU6,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from archcost.ops.base import Input, Op
from archcost.ops.conv import Conv2d, ConvTranspose2d, PartialConv2d
from archcost.ops.dense import Linear, MatMul, RadialBasis
from archcost.ops.dropout import Dropout, DropPath
from archcost.ops.merge import Add, Concat, Mul, Split
from archcost.ops.norm import BatchNorm2d, ConstantScale, InstanceNorm, LayerNorm, LocalResponseNorm, Scale
from archcost.ops.pool import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    GlobalAvgPool,
    GlobalMaxPool,
    LpPool2d,
    MaxPool2d,
    SubsamplingPool2d,
)
from archcost.ops.reshape import ChannelShuffle, Flatten, Identity, Pad, Reshape, Slice, Transpose

if TYPE_CHECKING:
    from archcost.ops.arithmetic import Div, Maximum, Mean, Minimum, Pow, Sub
    from archcost.ops.constant import Constant, Parameter
    from archcost.ops.conv3d import AvgPool3d, Conv3d, MaxPool3d
    from archcost.ops.functions import (
        CELU,
        ELU,
        SELU,
        Abs,
        Clip,
        Erf,
        Exp,
        LeakyReLU,
        Log,
        LogSoftmax,
        Mish,
        Neg,
        PReLU,
        Softplus,
        Softsign,
        Sqrt,
    )
    from archcost.ops.moves import DepthToSpace, Expand, Gather, SpaceToDepth
    from archcost.ops.quantize import Dequantize, Quantize
    from archcost.ops.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceSum
    from archcost.ops.resize import Resize
    from archcost.ops.unknown import Unknown

    OPERATORS: dict[str, type[Op]]
    """Operator name -> class; what a graph file may hold."""

COUNTED_ONLY: frozenset[str] = frozenset({"Conv3d", "MaxPool3d", "AvgPool3d", "Quantize", "Dequantize", "Unknown"})
"""Operators that cannot be run: they have shapes and costs alone (an Unknown not even a cost)."""

_HOME = {
    name: f"archcost.ops.{module}"
    for module, names in (
        ("arithmetic", "Div Maximum Mean Minimum Pow Sub"),
        ("constant", "Constant Parameter"),
        ("conv3d", "AvgPool3d Conv3d MaxPool3d"),
        ("functions", "Abs CELU Clip ELU Erf Exp LeakyReLU Log LogSoftmax Mish Neg PReLU SELU Softplus Softsign Sqrt"),
        ("moves", "DepthToSpace Expand Gather SpaceToDepth"),
        ("quantize", "Dequantize Quantize"),
        ("reduce", "ReduceMax ReduceMean ReduceMin ReduceSum"),
        ("resize", "Resize"),
        ("unknown", "Unknown"),
    )
    for name in names.split()
}
"""Operator that is imported when it is first used -> its module."""


def __getattr__(name: str) -> object:
    """Import an operator, or all of them for ``OPERATORS``, when it is first used."""
    if name in _HOME:
        globals()[name] = getattr(import_module(_HOME[name]), name)
    elif name == "OPERATORS":
        operators = [one for one in __all__ if one not in {"COUNTED_ONLY", "OPERATORS", "Op"}]
        globals()[name] = {one: globals().get(one) or __getattr__(one) for one in operators}
    else:
        raise AttributeError(f"module 'archcost.ops' has no attribute {name!r}")
    return globals()[name]


__all__ = [
    "CELU",
    "COUNTED_ONLY",
    "ELU",
    "GELU",
    "OPERATORS",
    "SELU",
    "Abs",
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm2d",
    "ChannelShuffle",
    "Clip",
    "Concat",
    "Constant",
    "ConstantScale",
    "Conv2d",
    "Conv3d",
    "ConvTranspose2d",
    "DepthToSpace",
    "Dequantize",
    "Div",
    "DropPath",
    "Dropout",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Gather",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "Input",
    "InstanceNorm",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "Log",
    "LogSoftmax",
    "LpPool2d",
    "MatMul",
    "MaxPool2d",
    "MaxPool3d",
    "Maximum",
    "Mean",
    "Minimum",
    "Mish",
    "Mul",
    "Neg",
    "Op",
    "PReLU",
    "Pad",
    "Parameter",
    "PartialConv2d",
    "Pow",
    "Quantize",
    "RadialBasis",
    "ReLU",
    "ReLU6",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Reshape",
    "Resize",
    "Scale",
    "ScaledTanh",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Sub",
    "SubsamplingPool2d",
    "Tanh",
    "Transpose",
    "Unknown",
]
