"""Every operator: hyper-parameters, output shape, parameters, cost. Standard library only."""

from __future__ import annotations

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
from archcost.ops.dense import Linear, RadialBasis
from archcost.ops.dropout import Dropout, DropPath
from archcost.ops.merge import Add, Concat, Mul, Split
from archcost.ops.norm import BatchNorm2d, ConstantScale, LayerNorm, LocalResponseNorm, Scale
from archcost.ops.pool import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool, MaxPool2d, SubsamplingPool2d
from archcost.ops.reshape import ChannelShuffle, Flatten, Identity, Pad, Reshape, Slice, Transpose

OPERATORS: dict[str, type[Op]] = {
    operator.__name__: operator
    for operator in (
        Input, Conv2d, ConvTranspose2d, PartialConv2d, Linear, RadialBasis,
        MaxPool2d, AvgPool2d, GlobalAvgPool, AdaptiveAvgPool2d, SubsamplingPool2d,
        BatchNorm2d, LayerNorm, LocalResponseNorm, Scale, ConstantScale,
        ReLU, ReLU6, Sigmoid, HardSigmoid, SiLU, HardSwish, GELU, Tanh, ScaledTanh, Softmax,
        Dropout, DropPath, Add, Mul, Concat, Split,
        ChannelShuffle, Transpose, Flatten, Reshape, Pad, Slice, Identity,
    )
}  # fmt: skip
"""Operator name -> class; what a graph file may hold."""

__all__ = [
    "GELU",
    "OPERATORS",
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "BatchNorm2d",
    "ChannelShuffle",
    "Concat",
    "ConstantScale",
    "Conv2d",
    "ConvTranspose2d",
    "DropPath",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "Input",
    "LayerNorm",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "Mul",
    "Op",
    "Pad",
    "PartialConv2d",
    "RadialBasis",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Scale",
    "ScaledTanh",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "SubsamplingPool2d",
    "Tanh",
    "Transpose",
]
