"""Generated operators of every class, odd hyper-parameters included, and graphs made of them."""

from __future__ import annotations

from hypothesis import strategies as st

from archcost import ops
from archcost.build import Builder, Tensor
from archcost.errors import OperatorError
from archcost.graph import Graph
from archcost.ops import Op
from archcost.reference import LOOPS

size = st.integers(1, 4)
step = size | st.tuples(size, size)
edge = st.integers(0, 2)
padding = edge | st.tuples(edge, edge) | st.tuples(st.tuples(edge, edge), st.tuples(edge, edge)) | st.just("same")
axis = st.sampled_from([0, -1])
any_axis = st.integers(-3, 2)
number = st.floats(1e-9, 3) | st.integers(1, 2)
flag = st.booleans()
shape = st.lists(size, min_size=1, max_size=4).map(tuple)
cube = size | st.tuples(size, size, size)
volume_padding = edge | st.tuples(edge, edge, edge) | st.tuples(*[st.tuples(edge, edge)] * 3) | st.just("same")
some_axes = st.lists(any_axis, min_size=1, max_size=3, unique=True).map(tuple)

OPERATORS: dict[str, st.SearchStrategy[Op]] = {
    "Input": st.builds(ops.Input, shape),
    "Conv2d": st.builds(ops.Conv2d, st.sampled_from([2, 4, 6]), step, step, padding, step, st.integers(1, 2), flag),
    "ConvTranspose2d": st.builds(
        ops.ConvTranspose2d, st.sampled_from([2, 4]), step, st.integers(3, 4), edge, step, st.integers(1, 2), flag, edge
    ),
    "PartialConv2d": st.builds(
        ops.PartialConv2d,
        st.lists(st.sets(st.integers(0, 3), min_size=1).map(tuple), min_size=1, max_size=3).map(tuple),
        step,
        flag,
    ),
    "Linear": st.builds(ops.Linear, size, flag),
    "RadialBasis": st.builds(ops.RadialBasis, size),
    "MaxPool2d": st.builds(ops.MaxPool2d, st.integers(4, 5), st.none() | step, padding, flag),
    "AvgPool2d": st.builds(ops.AvgPool2d, st.integers(4, 5), st.none() | step, padding, flag, flag),
    "SubsamplingPool2d": st.builds(ops.SubsamplingPool2d, step),
    "GlobalAvgPool": st.builds(ops.GlobalAvgPool, flag),
    "AdaptiveAvgPool2d": st.builds(ops.AdaptiveAvgPool2d, step),
    "BatchNorm2d": st.builds(ops.BatchNorm2d, number, number, flag),
    "LayerNorm": st.builds(ops.LayerNorm, axis, number, flag)
    | st.builds(ops.LayerNorm, st.just(-1), number, flag, st.integers(1, 3)),
    "LocalResponseNorm": st.builds(ops.LocalResponseNorm, size, number, number, number),
    "Scale": st.builds(ops.Scale, axis),
    "ConstantScale": st.builds(ops.ConstantScale, number),
    "ReLU": st.builds(ops.ReLU),
    "ReLU6": st.builds(ops.ReLU6),
    "Sigmoid": st.builds(ops.Sigmoid),
    "HardSigmoid": st.builds(ops.HardSigmoid, number, number),
    "SiLU": st.builds(ops.SiLU),
    "HardSwish": st.builds(ops.HardSwish),
    "GELU": st.builds(ops.GELU, st.sampled_from(["none", "tanh"])),
    "Tanh": st.builds(ops.Tanh),
    "ScaledTanh": st.builds(ops.ScaledTanh, number, number),
    "Softmax": st.builds(ops.Softmax, any_axis),
    "Dropout": st.builds(ops.Dropout, st.floats(0, 0.99)),
    "DropPath": st.builds(ops.DropPath, st.floats(0, 0.99)),
    "Add": st.builds(ops.Add),
    "Mul": st.builds(ops.Mul),
    "Concat": st.builds(ops.Concat, any_axis),
    "Split": st.builds(ops.Split, st.lists(size, min_size=2, max_size=3).map(tuple), st.integers(0, 1), any_axis),
    "ChannelShuffle": st.builds(ops.ChannelShuffle, st.integers(1, 2)),
    "Transpose": st.builds(ops.Transpose, st.permutations(range(3)).map(tuple)),
    "Flatten": st.builds(ops.Flatten),
    "Reshape": st.builds(ops.Reshape, st.lists(size | st.just(-1), min_size=1, max_size=2, unique=True).map(tuple)),
    "Pad": st.builds(
        ops.Pad,
        st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), min_size=3, max_size=3).map(tuple),
        st.sampled_from(["constant", "reflect", "edge"]),
        number,
    ),
    "Slice": st.builds(
        ops.Slice,
        any_axis,
        st.integers(-7, 3),
        st.none() | st.integers(-7, 9),
        st.integers(-2, 3).filter(bool),
    ),
    "Identity": st.builds(ops.Identity),
    "Parameter": st.builds(ops.Parameter, shape),
    "Constant": st.builds(ops.Constant, shape),
    "Conv3d": st.builds(ops.Conv3d, st.sampled_from([2, 4]), cube, cube, volume_padding, cube, st.integers(1, 2), flag),
    "MaxPool3d": st.builds(ops.MaxPool3d, st.integers(4, 5), st.none() | cube, volume_padding, flag),
    "AvgPool3d": st.builds(ops.AvgPool3d, st.integers(4, 5), st.none() | cube, volume_padding, flag, flag),
    "MatMul": st.builds(ops.MatMul),
    "LpPool2d": st.builds(ops.LpPool2d, st.integers(4, 5), st.none() | step, padding, flag, size),
    "GlobalMaxPool": st.builds(ops.GlobalMaxPool, flag),
    "ReduceMean": st.builds(ops.ReduceMean, some_axes, flag),
    "ReduceSum": st.builds(ops.ReduceSum, some_axes, flag),
    "ReduceMax": st.builds(ops.ReduceMax, some_axes, flag),
    "ReduceMin": st.builds(ops.ReduceMin, some_axes, flag),
    "InstanceNorm": st.builds(ops.InstanceNorm, number),
    "LogSoftmax": st.builds(ops.LogSoftmax, any_axis),
    "LeakyReLU": st.builds(ops.LeakyReLU, number),
    "PReLU": st.builds(ops.PReLU, flag),
    "ELU": st.builds(ops.ELU, number),
    "SELU": st.builds(ops.SELU, number, number),
    "CELU": st.builds(ops.CELU, number),
    "Clip": st.builds(ops.Clip, st.none() | number, st.none() | number),
    "Sub": st.builds(ops.Sub),
    "Div": st.builds(ops.Div),
    "Pow": st.builds(ops.Pow),
    "Minimum": st.builds(ops.Minimum),
    "Maximum": st.builds(ops.Maximum),
    "Mean": st.builds(ops.Mean),
    "Gather": st.integers(1, 3).flatmap(
        lambda count: st.builds(
            ops.Gather,
            any_axis,
            st.lists(st.integers(-4, 3), min_size=count, max_size=count).map(tuple),
            st.sampled_from([(count,), (1, count)] if count > 1 else [(), (1,)]),
        )
    ),
    "Expand": st.builds(ops.Expand, st.sampled_from([(4, 6, 6), (6,), (2, 6), (4, 6, 5), (2, 4, 6, 6)])),
    "DepthToSpace": st.builds(ops.DepthToSpace, st.integers(1, 2), st.sampled_from(["DCR", "CRD"])),
    "SpaceToDepth": st.builds(ops.SpaceToDepth, size),
    "Resize": st.integers(1, 3).flatmap(
        lambda count: st.builds(
            ops.Resize,
            st.lists(st.integers(1, 9), min_size=count, max_size=count).map(tuple),
            st.sampled_from(["nearest", "linear"]),
            st.sampled_from(ops.Resize.COORDINATES),
            st.sampled_from(ops.Resize.ROUNDINGS),
            st.none() | st.lists(st.floats(0.25, 3), min_size=count, max_size=count).map(tuple),
        )
    ),
    "Unknown": st.builds(ops.Unknown, st.sampled_from(["Einsum", "NonZero"]), shape),
}
PLAIN = ("Mish", "Softplus", "Softsign", "Exp", "Log", "Sqrt", "Erf", "Abs", "Neg", "Quantize", "Dequantize")
OPERATORS.update({name: st.builds(ops.OPERATORS[name]) for name in PLAIN})

operators = st.sampled_from(list(OPERATORS)).flatmap(OPERATORS.__getitem__)
words = st.text(min_size=1, max_size=4).filter(lambda word: "." not in word and min(word) >= " " and "\x7f" not in word)


@st.composite
def graphs(draw: st.DrawFn, *, runnable: bool = False) -> Graph:
    """Return a graph of generated operators, each put in where it fits, some of them sharing parameters.

    With ``runnable`` none of them is counted alone.
    """
    net = Builder(draw(st.text(max_size=3)), draw(st.text(max_size=3)))
    tensors = [net.input((4, 6, 6)), net.input((6,), "row"), net.input((4, 5, 6, 6), "volume")]
    owners: dict[tuple[Op, str], Tensor] = {}
    for _ in range(draw(st.integers(1, 8))):
        op = draw(operators)
        if runnable and type(op) not in LOOPS:
            continue
        count = draw(st.integers(1, 3)) if op.arity is None else op.arity
        inputs = [draw(st.sampled_from(tensors)) for _ in range(count)]
        with net.scope(draw(words), draw(st.text(max_size=2))):
            try:
                op.out_shape(*[tensor.shape for tensor in inputs])
            except OperatorError:
                continue
            params = op.params(*[tensor.shape for tensor in inputs])
            owner = owners.get((op, repr(params))) if draw(flag) else None
            made = net(op, *inputs, shares=owner, call=draw(st.sampled_from(["module", "function", "operator"])))
        tensors.append(made)
        if params and owner is None:
            owners[op, repr(params)] = made
    return net.build(*draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=3)))
