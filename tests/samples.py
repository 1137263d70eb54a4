"""At least one operator of every class, with odd hyper-parameters, and inputs that it accepts."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from archcost import ops
from archcost.geometry import Shape
from archcost.ops import Op

IMAGE: Shape = (6, 9, 7)
ROW: Shape = (12,)
VOLUME: Shape = (4, 5, 5, 4)


class Sample(NamedTuple):
    """An operator, the inputs it is tried on, and what comes out of it, worked out by hand."""

    op: Op
    inputs: tuple[Shape, ...]
    output: Shape


SAMPLES: tuple[Sample, ...] = (
    Sample(ops.Input((3, 5, 5)), (), (3, 5, 5)),
    Sample(ops.Input((7,)), (), (7,)),
    Sample(ops.Conv2d(8, 3), (IMAGE,), (8, 7, 5)),
    Sample(ops.Conv2d(4, (2, 3), (2, 1), ((1, 0), (0, 2)), (1, 2), 2, bias=False), (IMAGE,), (4, 5, 5)),
    Sample(ops.Conv2d(12, 5, 2, "same", groups=6), (IMAGE,), (12, 5, 4)),
    Sample(ops.ConvTranspose2d(4, (3, 2), 2, (1, 0), output_padding=(1, 0), bias=False), (IMAGE,), (4, 18, 14)),
    Sample(ops.ConvTranspose2d(9, 3, groups=3), (IMAGE,), (9, 11, 9)),
    Sample(ops.PartialConv2d(((0, 1), (5,), (2, 3, 4)), (3, 1)), (IMAGE,), (3, 7, 7)),
    Sample(ops.Linear(10), (ROW,), (10,)),
    Sample(ops.Linear(10, bias=False), (IMAGE,), (6, 9, 10)),
    Sample(ops.RadialBasis(10), (ROW,), (10,)),
    Sample(ops.MaxPool2d(3, 2, 1, ceil_mode=True), (IMAGE,), (6, 5, 4)),
    Sample(ops.MaxPool2d((9, 7)), (IMAGE,), (6, 1, 1)),
    Sample(ops.AvgPool2d(2, 1, "same", count_include_pad=False), (IMAGE,), (6, 9, 7)),
    Sample(ops.AvgPool2d((2, 1), None, ((1, 0), (0, 0))), (IMAGE,), (6, 5, 7)),
    Sample(ops.SubsamplingPool2d(2), (IMAGE,), (6, 4, 3)),
    Sample(ops.GlobalAvgPool(), (IMAGE,), (6, 1, 1)),
    Sample(ops.GlobalAvgPool(keep_axes=False), (IMAGE,), (6,)),
    Sample(ops.AdaptiveAvgPool2d((4, 10)), (IMAGE,), (6, 4, 10)),
    Sample(ops.BatchNorm2d(1e-3, 0.01, affine=False), (IMAGE,), IMAGE),
    Sample(ops.BatchNorm2d(), (ROW,), ROW),
    Sample(ops.LayerNorm(0), (IMAGE,), IMAGE),
    Sample(ops.LayerNorm(-1, 1e-5, affine=False), (ROW,), ROW),
    Sample(ops.LocalResponseNorm(3, 2e-5, 0.5, 1.0), (IMAGE,), IMAGE),
    Sample(ops.Scale(), (IMAGE,), IMAGE),
    Sample(ops.Scale(-1), (IMAGE,), IMAGE),
    Sample(ops.ConstantScale(0.17), (IMAGE,), IMAGE),
    Sample(ops.ReLU(), (IMAGE,), IMAGE),
    Sample(ops.ReLU6(), (IMAGE,), IMAGE),
    Sample(ops.Sigmoid(), (ROW,), ROW),
    Sample(ops.HardSigmoid(), (IMAGE,), IMAGE),
    Sample(ops.SiLU(), (IMAGE,), IMAGE),
    Sample(ops.HardSwish(), (IMAGE,), IMAGE),
    Sample(ops.GELU(), (IMAGE,), IMAGE),
    Sample(ops.Tanh(), (ROW,), ROW),
    Sample(ops.ScaledTanh(1.0, 0.5), (IMAGE,), IMAGE),
    Sample(ops.Softmax(), (ROW,), ROW),
    Sample(ops.Softmax(0), (IMAGE,), IMAGE),
    Sample(ops.Dropout(0.2), (ROW,), ROW),
    Sample(ops.DropPath(0), (IMAGE,), IMAGE),
    Sample(ops.Add(), (IMAGE, IMAGE, IMAGE), IMAGE),
    Sample(ops.Add(), (IMAGE, (1, 1, 7)), IMAGE),
    Sample(ops.Mul(), ((6, 1, 1), IMAGE), IMAGE),
    Sample(ops.Concat(), (IMAGE, (1, 9, 7)), (7, 9, 7)),
    Sample(ops.Concat(-1), (IMAGE, (6, 9, 1), IMAGE), (6, 9, 15)),
    Sample(ops.Split((2, 3, 1), 1), (IMAGE,), (3, 9, 7)),
    Sample(ops.Split((4, 3), 0, axis=-1), (IMAGE,), (6, 9, 4)),
    Sample(ops.ChannelShuffle(3), (IMAGE,), IMAGE),
    Sample(ops.Transpose((1, 2, 0)), (IMAGE,), (9, 7, 6)),
    Sample(ops.Flatten(), (IMAGE,), (378,)),
    Sample(ops.Reshape((-1, 7)), (IMAGE,), (54, 7)),
    Sample(ops.Reshape((2, 6)), (ROW,), (2, 6)),
    Sample(ops.Pad(((0, 0), (1, 2), (-3, 0)), "constant", -1.5), (IMAGE,), (6, 12, 4)),
    Sample(ops.Pad(((0, 0), (8, 0), (0, 6)), "reflect"), (IMAGE,), (6, 17, 13)),
    Sample(ops.Pad(((2, 1),), "edge"), (ROW,), (15,)),
    Sample(ops.Slice(1, 1, None, 2), (IMAGE,), (6, 4, 7)),
    Sample(ops.Slice(-1, 0, 100, 3), (IMAGE,), (6, 9, 3)),
    Sample(ops.Slice(1, -2, None, -3), (IMAGE,), (6, 3, 7)),
    Sample(ops.Slice(2, -4, -1), (IMAGE,), (6, 9, 3)),
    Sample(ops.Identity(), (ROW,), ROW),
    Sample(ops.Parameter((2, 5)), (), (2, 5)),
    Sample(ops.Constant((3,)), (), (3,)),
    Sample(ops.Conv3d(4, (3, 1, 2), (1, 2, 1), ((1, 0), (0, 0), (0, 2)), (1, 1, 2), 2), (VOLUME,), (4, 4, 3, 4)),
    Sample(ops.Conv3d(6, 3, 2, "same", bias=False), (VOLUME,), (6, 3, 3, 2)),
    Sample(ops.MaxPool3d((2, 3, 2), 2, (1, 1, 0), ceil_mode=True), (VOLUME,), (4, 3, 3, 2)),
    Sample(ops.AvgPool3d(2, 1, ((1, 0), (0, 1), (0, 0)), count_include_pad=False), (VOLUME,), (4, 5, 5, 3)),
    Sample(ops.MatMul(), ((5, 4), (4, 3)), (5, 3)),
    Sample(ops.MatMul(), ((2, 1, 5, 4), (1, 3, 4, 2)), (2, 3, 5, 2)),
    Sample(ops.LpPool2d(3, 2, 1, p=3), (IMAGE,), (6, 5, 4)),
    Sample(ops.GlobalAvgPool(), (VOLUME,), (4, 1, 1, 1)),
    Sample(ops.GlobalMaxPool(), (IMAGE,), (6, 1, 1)),
    Sample(ops.GlobalMaxPool(keep_axes=False), ((6, 9),), (6,)),
    Sample(ops.ReduceMean((1, -1)), (IMAGE,), (6, 1, 1)),
    Sample(ops.ReduceMean((0, 1, 2), keep_axes=False), (IMAGE,), (1,)),
    Sample(ops.ReduceSum((0,), keep_axes=False), (IMAGE,), (9, 7)),
    Sample(ops.ReduceMax((-1,)), (VOLUME,), (4, 5, 5, 1)),
    Sample(ops.ReduceMin((2, 0), keep_axes=False), (IMAGE,), (9,)),
    Sample(ops.LayerNorm(normalized_axes=2), (IMAGE,), IMAGE),
    Sample(ops.InstanceNorm(1e-3), (IMAGE,), IMAGE),
    Sample(ops.InstanceNorm(), (VOLUME,), VOLUME),
    Sample(ops.Softmax(1), (VOLUME,), VOLUME),
    Sample(ops.LogSoftmax(-2), (IMAGE,), IMAGE),
    Sample(ops.HardSigmoid(0.2, 0.4), (ROW,), ROW),
    Sample(ops.GELU("tanh"), (ROW,), ROW),
    Sample(ops.LeakyReLU(0.2), (IMAGE,), IMAGE),
    Sample(ops.PReLU(), (IMAGE,), IMAGE),
    Sample(ops.PReLU(shared=True), (ROW,), ROW),
    Sample(ops.ELU(0.5), (IMAGE,), IMAGE),
    Sample(ops.SELU(1.5, 1.25), (IMAGE,), IMAGE),
    Sample(ops.CELU(2), (IMAGE,), IMAGE),
    Sample(ops.Clip(-0.5, 1), (IMAGE,), IMAGE),
    Sample(ops.Clip(None, 0.25), (ROW,), ROW),
    Sample(ops.Mish(), (IMAGE,), IMAGE),
    Sample(ops.Softplus(), (IMAGE,), IMAGE),
    Sample(ops.Softsign(), (IMAGE,), IMAGE),
    Sample(ops.Exp(), (VOLUME,), VOLUME),
    Sample(ops.Log(), (IMAGE,), IMAGE),
    Sample(ops.Sqrt(), (IMAGE,), IMAGE),
    Sample(ops.Erf(), (IMAGE,), IMAGE),
    Sample(ops.Abs(), (IMAGE,), IMAGE),
    Sample(ops.Neg(), (IMAGE,), IMAGE),
    Sample(ops.Sub(), (IMAGE, (6, 1, 7)), IMAGE),
    Sample(ops.Div(), ((1, 9, 7), IMAGE), IMAGE),
    Sample(ops.Pow(), (IMAGE, (1, 1, 1)), IMAGE),
    Sample(ops.Minimum(), (ROW, (1,), ROW), ROW),
    Sample(ops.Maximum(), (VOLUME, (4, 1, 1, 4)), VOLUME),
    Sample(ops.Mean(), (IMAGE, (6, 1, 1), IMAGE), IMAGE),
    Sample(ops.Gather(1, (0, -1, 3, 3), (2, 2)), (IMAGE,), (6, 2, 2, 7)),
    Sample(ops.Gather(-1, (4,)), (IMAGE,), (6, 9)),
    Sample(ops.Gather(0, (2,)), (ROW,), (1,)),
    Sample(ops.Expand((2, 3, 12)), (ROW,), (2, 3, 12)),
    Sample(ops.Expand((6, 9, 7)), ((1, 9, 1),), IMAGE),
    Sample(ops.DepthToSpace(2), ((8, 3, 5),), (2, 6, 10)),
    Sample(ops.DepthToSpace(2, "CRD"), ((12, 1, 2),), (3, 2, 4)),
    Sample(ops.SpaceToDepth(3), ((6, 9, 6),), (54, 3, 2)),
    Sample(ops.Resize((18, 5)), (IMAGE,), (6, 18, 5)),
    Sample(ops.Resize((5, 9, 14), "linear", "align_corners"), (IMAGE,), (5, 9, 14)),
    Sample(ops.Resize((20,), "linear", "asymmetric", "floor", (1.7,)), (ROW,), (20,)),
    Sample(ops.Quantize(), (IMAGE,), IMAGE),
    Sample(ops.Dequantize(), (IMAGE,), IMAGE),
    Sample(ops.Unknown("Einsum", (4, 5)), (IMAGE, ROW), (4, 5)),
)

each_sample = pytest.mark.parametrize(
    "sample", SAMPLES, ids=[f"{index}-{type(sample.op).__name__}" for index, sample in enumerate(SAMPLES)]
)
