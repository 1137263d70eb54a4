"""Generated operators of every class, odd hyper-parameters included, and graphs made of them."""

from __future__ import annotations

from hypothesis import strategies as st

from archcost import ops
from archcost.build import Builder, Tensor
from archcost.errors import OperatorError
from archcost.graph import Graph
from archcost.ops import Op

size = st.integers(1, 4)
step = size | st.tuples(size, size)
edge = st.integers(0, 2)
padding = edge | st.tuples(edge, edge) | st.tuples(st.tuples(edge, edge), st.tuples(edge, edge)) | st.just("same")
axis = st.sampled_from([0, -1])
any_axis = st.integers(-3, 2)
number = st.floats(1e-9, 3) | st.integers(1, 2)
flag = st.booleans()

OPERATORS: dict[str, st.SearchStrategy[Op]] = {
    "Input": st.builds(ops.Input, st.lists(size, min_size=1, max_size=4).map(tuple)),
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
    "LayerNorm": st.builds(ops.LayerNorm, axis, number, flag),
    "LocalResponseNorm": st.builds(ops.LocalResponseNorm, size, number, number, number),
    "Scale": st.builds(ops.Scale, axis),
    "ConstantScale": st.builds(ops.ConstantScale, number),
    "ReLU": st.builds(ops.ReLU),
    "ReLU6": st.builds(ops.ReLU6),
    "Sigmoid": st.builds(ops.Sigmoid),
    "HardSigmoid": st.builds(ops.HardSigmoid),
    "SiLU": st.builds(ops.SiLU),
    "HardSwish": st.builds(ops.HardSwish),
    "GELU": st.builds(ops.GELU),
    "Tanh": st.builds(ops.Tanh),
    "ScaledTanh": st.builds(ops.ScaledTanh, number, number),
    "Softmax": st.builds(ops.Softmax, axis),
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
    "Slice": st.builds(ops.Slice, any_axis, st.integers(0, 1), st.none() | st.integers(2, 9), size),
    "Identity": st.builds(ops.Identity),
}
operators = st.sampled_from(list(OPERATORS)).flatmap(OPERATORS.__getitem__)
words = st.text(min_size=1, max_size=4).filter(lambda word: "." not in word and min(word) >= " " and "\x7f" not in word)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Return a graph of generated operators, each put in where it fits, some of them sharing parameters."""
    net = Builder(draw(st.text(max_size=3)), draw(st.text(max_size=3)))
    tensors = [net.input((4, 6, 6)), net.input((6,), "row")]
    owners: dict[tuple[Op, str], Tensor] = {}
    for _ in range(draw(st.integers(1, 8))):
        op = draw(operators)
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
