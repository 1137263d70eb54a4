"""Which loop does which operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from archcost import ops
from archcost.errors import OperatorError
from archcost.ops import Op
from archcost.reference import (
    activation,
    arithmetic,
    constant,
    conv,
    conv3d,
    dense,
    dropout,
    functions,
    merge,
    moves,
    norm,
    pool,
    reduce,
    reshape,
    resize,
)
from archcost.reference.work import Array, Done, Work

LOOPS: dict[type[Op], Callable[[Work], Done]] = {
    ops.Conv2d: conv.convolution,
    ops.ConvTranspose2d: conv.transposed_convolution,
    ops.PartialConv2d: conv.partial_convolution,
    ops.Conv3d: conv3d.convolution,
    ops.Linear: dense.linear,
    ops.MatMul: dense.matrix_product,
    ops.RadialBasis: dense.radial_basis,
    ops.MaxPool2d: pool.maximum,
    ops.AvgPool2d: pool.average,
    ops.SubsamplingPool2d: pool.subsampling,
    ops.AdaptiveAvgPool2d: pool.adaptive_average,
    ops.GlobalAvgPool: pool.global_average,
    ops.GlobalMaxPool: pool.global_maximum,
    ops.LpPool2d: pool.power_average,
    ops.MaxPool3d: conv3d.maximum,
    ops.AvgPool3d: conv3d.average,
    ops.ReduceMean: reduce.mean,
    ops.ReduceSum: reduce.total,
    ops.ReduceMax: reduce.largest,
    ops.ReduceMin: reduce.smallest,
    ops.BatchNorm2d: norm.batch_norm,
    ops.LayerNorm: norm.layer_norm,
    ops.InstanceNorm: norm.instance_norm,
    ops.LocalResponseNorm: norm.local_response_norm,
    ops.Scale: norm.scale,
    ops.ConstantScale: norm.constant_scale,
    ops.ReLU: activation.relu,
    ops.ReLU6: activation.relu6,
    ops.Sigmoid: activation.sigmoid,
    ops.HardSigmoid: activation.hard_sigmoid,
    ops.SiLU: activation.silu,
    ops.HardSwish: activation.hard_swish,
    ops.GELU: activation.gelu,
    ops.Tanh: activation.tanh,
    ops.ScaledTanh: activation.scaled_tanh,
    ops.Softmax: activation.softmax,
    ops.LogSoftmax: functions.log_softmax,
    ops.LeakyReLU: functions.leaky_relu,
    ops.PReLU: functions.parametric_relu,
    ops.ELU: functions.elu,
    ops.SELU: functions.selu,
    ops.CELU: functions.celu,
    ops.Clip: functions.clip,
    ops.Mish: functions.mish,
    ops.Softplus: functions.softplus,
    ops.Softsign: functions.softsign,
    ops.Exp: functions.exponential,
    ops.Log: functions.logarithm,
    ops.Sqrt: functions.square_root,
    ops.Erf: functions.erf,
    ops.Abs: functions.absolute,
    ops.Neg: functions.negative,
    ops.Dropout: dropout.masked,
    ops.DropPath: dropout.masked,
    ops.Add: merge.add,
    ops.Mul: merge.multiply,
    ops.Sub: arithmetic.subtract,
    ops.Div: arithmetic.divide,
    ops.Pow: arithmetic.power,
    ops.Minimum: arithmetic.smallest,
    ops.Maximum: arithmetic.largest,
    ops.Mean: arithmetic.mean,
    ops.Concat: merge.concatenate,
    ops.Split: merge.split,
    ops.Identity: reshape.identity,
    ops.Flatten: reshape.flatten,
    ops.Reshape: reshape.reshape,
    ops.Transpose: reshape.transpose,
    ops.ChannelShuffle: reshape.channel_shuffle,
    ops.Pad: reshape.pad,
    ops.Slice: reshape.pick,
    ops.Gather: moves.gather,
    ops.Expand: moves.expand,
    ops.DepthToSpace: moves.depth_to_space,
    ops.SpaceToDepth: moves.space_to_depth,
    ops.Resize: resize.resize,
    ops.Parameter: constant.parameter,
    ops.Constant: constant.constant,
}
"""Operator class -> its loop; all but Input, which computes nothing, and what is counted alone."""


def run(
    op: Op,
    inputs: Sequence[Array],
    parameters: Mapping[str, Array],
    buffers: Mapping[str, Array],
    training: bool = False,
    random: Array | None = None,
    empty: Callable[[tuple[int, ...]], Array] | None = None,
    batch: int | None = None,
) -> Done:
    """Do one operator with its naive loop.

    Args:
        op: the operator.
        inputs: arrays of one element type, the batch in front: (N, channels, height, width), (N, features).
        parameters: name -> array in the shape of ``op.params``.
        buffers: name -> array in the shape of ``op.buffers``; a BatchNorm writes them in training.
        training: batch statistics and random masks, instead of running statistics and none.
        random: the mask that dropout (the input's shape) or drop path (one value for each image) applies in training.
        empty: makes the output's array, given its shape; by default NumPy does.
        batch: images; by default as many as the inputs have, and 1 without inputs.

    Returns:
        The output, and the mult-adds executed and elements written.

    Raises:
        OperatorError: if the operator is counted alone (``ops.COUNTED_ONLY``) and has no loop.

    Example:
        >>> import numpy as np
        >>> from archcost.ops import Conv2d
        >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3))
        >>> y, count = run(Conv2d(1, 3, padding=1, bias=False), [x], {"weight": weight}, {})
        >>> y[0, 0, 0].tolist(), count
        ([4.0, 6.0, 4.0], Count(mult_adds=81, written=9))
    """
    # a part of a split tensor may have gaps; the loops are compiled for arrays without any
    arrays = tuple(np.ascontiguousarray(x) for x in inputs)
    make = empty if empty is not None else lambda shape: np.empty(shape, arrays[0].dtype)
    if type(op) not in LOOPS:
        raise OperatorError(f"{type(op).__name__} is counted, but cannot be run")
    images = batch or (len(arrays[0]) if arrays else 1)
    return LOOPS[type(op)](Work(op, arrays, parameters, buffers, training, random, make, images))
