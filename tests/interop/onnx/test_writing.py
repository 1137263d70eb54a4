"""Every operator as ONNX: accepted by its checker, and computed by its own evaluator to what our loops compute."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from archcost import Builder, Graph, Sequential
from archcost.errors import UsageError
from archcost.interop.onnx.writing import DEFAULT, NOT_WRITTEN, OLDEST, RULES, proto, write_onnx, written
from archcost.ops import (
    CELU,
    ELU,
    GELU,
    OPERATORS,
    SELU,
    Abs,
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    AvgPool3d,
    Clip,
    Concat,
    Constant,
    Conv2d,
    Conv3d,
    ConvTranspose2d,
    DepthToSpace,
    Div,
    Erf,
    Exp,
    Expand,
    Gather,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    Input,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    Log,
    LogSoftmax,
    LpPool2d,
    MatMul,
    Maximum,
    MaxPool2d,
    MaxPool3d,
    Mean,
    Minimum,
    Mish,
    Mul,
    Neg,
    Op,
    Parameter,
    Pow,
    PReLU,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
    ReLU,
    Resize,
    Slice,
    Softmax,
    Softplus,
    Softsign,
    SpaceToDepth,
    Split,
    Sqrt,
    Sub,
    Unknown,
)
from archcost.reference.execution import execute
from tests.samples import SAMPLES, Sample

onnx = pytest.importorskip("onnx", reason="writing ONNX needs the onnx package")

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

POSITIVE = {"Log", "Sqrt", "Pow", "Div"}
"""Operators that have no finite value for some inputs, or a steep one."""


def values(graph: Graph, *, positive: bool = False) -> tuple[Arrays, Arrays, list[Array]]:
    """Return random parameters, buffers and inputs (of two images), float64 numbers that float32 holds exactly."""
    generator = np.random.default_rng(len(graph))

    def drawn(shape: tuple[int, ...], *, above_zero: bool) -> Array:
        numbers = generator.standard_normal(shape).astype(np.float32).astype(np.float64)
        return np.abs(numbers) + 0.5 if above_zero else numbers

    parameters, buffers = {}, {}
    for node in graph:
        for name, shape in graph.params(node).items():
            parameters[f"{node.name}.{name}"] = drawn(shape, above_zero=positive)
        for name, shape in graph.buffers(node).items():
            number = drawn(shape, above_zero=positive or name == "running_var")
            buffers[f"{node.name}.{name}"] = number if shape else np.zeros((), np.int64)
    inputs = [drawn((2, *graph.shapes[node.name]), above_zero=positive) for node in graph.inputs]
    return parameters, buffers, inputs


def evaluated(model: Any, inputs: Mapping[str, Array]) -> list[Array]:
    """Check an ONNX model with full shape inference, and return what ONNX's own evaluator computes."""
    from onnx.reference import ReferenceEvaluator

    onnx.checker.check_model(model, full_check=True)
    given = {name: value.astype(np.float32) for name, value in inputs.items()}
    return [np.asarray(value) for value in ReferenceEvaluator(model).run(None, given)]


def check(graph: Graph, opset: int = DEFAULT, *, positive: bool = False, tolerance: float = 1e-5) -> Any:
    """Compare the exported graph with our loops; return the ONNX model."""
    parameters, buffers, inputs = values(graph, positive=positive)
    model = proto(written(graph, {**parameters, **buffers}, opset))
    assert model.opset_import[0].version == opset
    named = {node.name: value for node, value in zip(graph.inputs, inputs)}
    wanted = execute(graph, parameters, buffers, named, keep=set(graph.outputs)).values
    for name, found in zip(graph.outputs, evaluated(model, named), strict=True):
        assert found.shape == wanted[name].shape
        np.testing.assert_allclose(found, wanted[name], tolerance, tolerance * max(1.0, np.abs(wanted[name]).max()))
    return model


def graph_of(sample: Sample) -> Graph:
    """Return a graph of one operator."""
    net = Builder()
    inputs = [net.input(shape, f"input{index}") for index, shape in enumerate(sample.inputs)]
    if not inputs:
        net.input((1,))
    return net.build(net(sample.op, *inputs, name="it"))


IMAGE, ROW = (6, 9, 7), (12,)

MORE = (
    Sample(ConvTranspose2d(4, 3, 2, ((1, 0), (0, 1)), dilation=2), (IMAGE,), (4, 20, 16)),
    Sample(AvgPool2d(3, 2, 1, ceil_mode=True), ((6, 8, 9),), (6, 5, 5)),
    Sample(AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), ((6, 8, 9),), (6, 5, 5)),
    Sample(MaxPool2d(2, 3, ceil_mode=True), ((2, 7, 9),), (2, 3, 3)),
    Sample(LpPool2d(3, 2, 1, p=2), (IMAGE,), (6, 5, 4)),
    Sample(AdaptiveAvgPool2d((3, 7)), (IMAGE,), (6, 3, 7)),
    Sample(AdaptiveAvgPool2d(1), (IMAGE,), (6, 1, 1)),
    Sample(GlobalMaxPool(keep_axes=False), (IMAGE,), (6,)),
    Sample(ReduceMean((1, -1)), (IMAGE,), (6, 1, 1)),
    Sample(ReduceSum((0,), keep_axes=False), (IMAGE,), (9, 7)),
    Sample(ReduceMax((0, 1, 2), keep_axes=False), (IMAGE,), (1,)),
    Sample(ReduceMin((-2,), keep_axes=False), (IMAGE,), (6, 7)),
    Sample(LayerNorm(0, affine=False), (IMAGE,), IMAGE),
    Sample(LayerNorm(normalized_axes=2), (IMAGE,), IMAGE),
    Sample(InstanceNorm(1e-3), (IMAGE,), IMAGE),
    Sample(PReLU(), (IMAGE,), IMAGE),
    Sample(PReLU(shared=True), (ROW,), ROW),
    *(Sample(op, (IMAGE,), IMAGE) for op in (
        LeakyReLU(0.2), ELU(0.7), SELU(), CELU(1.5), Clip(-0.5, 1.5), Clip(None, 0.5), Clip(), Mish(), Softplus(),
        Softsign(), LogSoftmax(1), Exp(), Log(), Sqrt(), Erf(), Abs(), Neg(), HardSigmoid(0.3, 0.4),
        GELU("tanh"), Softmax(-2),
    )),
    Sample(Sub(), (IMAGE, (6, 1, 1)), IMAGE),
    Sample(Div(), ((1, 9, 1), IMAGE), IMAGE),
    Sample(Pow(), (IMAGE, IMAGE), IMAGE),
    Sample(Minimum(), (IMAGE, (1, 1, 7), IMAGE), IMAGE),
    Sample(Maximum(), (IMAGE,), IMAGE),
    Sample(Mean(), (IMAGE, IMAGE, (6, 1, 1)), IMAGE),
    Sample(MatMul(), ((2, 3, 4), (1, 4, 5)), (2, 3, 5)),
    Sample(Slice(1, -2, None, -3), (IMAGE,), (6, 3, 7)),
    Sample(Slice(0, 4, 1, -1), (IMAGE,), (3, 9, 7)),
    Sample(Gather(1, (3, -1, 3, 0), (2, 2)), (IMAGE,), (6, 2, 2, 7)),
    Sample(Gather(0, (5,)), (IMAGE,), (9, 7)),
    Sample(Gather(0, (5,)), (ROW,), (1,)),
    Sample(Expand((2, 6, 9, 7)), ((6, 1, 7),), (2, 6, 9, 7)),
    Sample(DepthToSpace(2, "CRD"), ((8, 2, 3),), (2, 4, 6)),
    Sample(DepthToSpace(2), ((8, 2, 3),), (2, 4, 6)),
    Sample(SpaceToDepth(3), ((2, 6, 3),), (18, 2, 1)),
    Sample(Resize((18, 5), "linear"), (IMAGE,), (6, 18, 5)),
    Sample(Resize((4, 21), rounding="floor", coordinates="asymmetric"), (IMAGE,), (6, 4, 21)),
    Sample(Resize((13, 10), "linear", "align_corners"), (IMAGE,), (6, 13, 10)),
    Sample(Resize((18, 10), coordinates="asymmetric", scales=(2.0, 1.5)), (IMAGE,), (6, 18, 10)),
    Sample(Conv3d(4, (2, 3, 1), 2, groups=2), ((4, 5, 6, 3),), (4, 2, 2, 2)),
    Sample(MaxPool3d(2, ceil_mode=True), ((2, 5, 4, 3),), (2, 3, 2, 2)),
    Sample(AvgPool3d(2, 1), ((2, 5, 4, 3),), (2, 4, 3, 2)),
)  # fmt: skip

UNLIKE_ONNX = {
    "*ConvTranspose2d(out_channels=9, *": "it cannot reshape the weights of several groups",
    "*LocalResponseNorm(*": "it leaves channels out of its windows",
    "*Pad(pads=((0, 0), (1, 2), (-3, 0))*": "it does not crop",
    "*GlobalMaxPool(*inputs=((6, 9),),*": "it takes two axes, whatever there are",
}
"""What ONNX's evaluator gets wrong: such models are only checked here (ONNX Runtime agrees with ours on them)."""

RUN = [
    sample
    for sample in (*SAMPLES, *MORE)
    if not isinstance(sample.op, Input) and type(sample.op).__name__ not in NOT_WRITTEN
]


@pytest.mark.parametrize("sample", RUN, ids=[f"{index}-{type(one.op).__name__}" for index, one in enumerate(RUN)])
def test_operator_computes_the_same(sample: Sample) -> None:
    graph = graph_of(sample)
    assert graph.shapes["it"] == sample.output
    if any(fnmatchcase(repr(sample), pattern) for pattern in UNLIKE_ONNX):
        parameters, buffers, _ = values(graph)
        onnx.checker.check_model(proto(written(graph, {**parameters, **buffers})), full_check=True)
    else:
        check(graph, positive=type(sample.op).__name__ in POSITIVE)


@pytest.mark.parametrize(
    "op",
    [GELU(), GELU("tanh"), Mish(), LayerNorm(), LayerNorm(0), LayerNorm(normalized_axes=2, affine=False),
     ReduceMean((1,)), ReduceMax((1, 2), keep_axes=False), Resize((4, 4), "linear"), HardSwish()],
    ids=repr,
)  # fmt: skip
def test_operators_that_are_newer_are_written_by_parts(op: Op) -> None:
    check(graph_of(Sample(op, (IMAGE,), IMAGE)), OLDEST)


def test_every_operator_is_written_or_refused() -> None:
    assert {*RULES, *NOT_WRITTEN, "Input"} == set(OPERATORS)
    assert not set(RULES) & set(NOT_WRITTEN)


def kinds(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node if node.op_type != "Constant"]


def test_a_layer_on_the_last_of_several_axes_is_a_matrix_product() -> None:
    assert kinds(check(Sequential([Linear(5)], (3, 4)))) == ["MatMul", "Add"]
    assert kinds(check(Sequential([Linear(5)], (4,)))) == ["Gemm"]


def test_a_cut_is_one_split_for_all_its_parts_and_a_repeated_part_is_the_same() -> None:
    net = Builder()
    x = net.input((6, 3, 3))
    last = net(Split((1, 2, 3), 2), x)
    first = net(Split((1, 2, 3), 0), x)
    again = net(Split((1, 2, 3), 2, axis=-3), x)
    model = check(net.build(net(Concat(), again, first, last)))
    assert sorted(kinds(model)) == ["Concat", "Split", "Split"]


def test_shared_weights_are_one_initializer() -> None:
    net = Builder()
    x = net.input((4, 5, 5))
    first = net(Conv2d(4, 3, padding=1), x, name="conv")
    model = check(net.build(net(Conv2d(4, 3, padding=1), first, name="again", shares=first)))
    assert [tensor.name for tensor in model.graph.initializer] == ["conv.weight", "conv.bias"]


def test_stored_tensors_broadcast_over_the_batch_or_are_repeated() -> None:
    net = Builder()
    x = net.input((4, 5, 5))
    learned, fixed = net(Parameter((4, 1, 1)), name="learned"), net(Constant((4, 5, 5)), name="fixed")
    both = net(Add(), learned, fixed)
    graph = net.build(
        net(Mul(), x, both, name="product"),
        net(Concat(), x, fixed, name="joined"),
        net(ReLU(), both, name="rectified"),
        net(MatMul(), fixed, x, name="matrix"),
        both,
    )
    model = check(graph)
    assert [tensor.name for tensor in model.graph.initializer] == ["learned"]


def test_inputs_and_repeated_nodes_may_be_outputs() -> None:
    net = Builder()
    x = net.input((4,))
    y = net(ReLU(), x)
    model = check(net.build(y, x, y))
    assert [value.name for value in model.graph.output] == ["relu", "input_output", "relu_output"]


def test_the_batch_is_open_and_names_are_those_of_the_state_dict() -> None:
    graph = Sequential({"a.conv": Conv2d(2, 3), "a.pool": MaxPool2d(3, 2, ceil_mode=True)}, (3, 8, 8), "tiny")
    model = check(graph)
    sizes = [[size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim] for value in
             (*model.graph.input, *model.graph.value_info, *model.graph.output)]  # fmt: skip
    assert sizes == [["N", 3, 8, 8], ["N", 2, 6, 6], ["N", 2, 3, 3]]
    assert [tensor.name for tensor in model.graph.initializer] == ["a.conv.weight", "a.conv.bias"]
    assert [node.name for node in model.graph.node] == ["a.conv", "a.pool"]
    assert (model.graph.name, model.producer_name) == ("tiny", "archcost")


def test_a_node_that_is_called_like_a_tensor_keeps_its_name() -> None:
    net = Builder()
    x = net(Conv2d(2, 1), net.input((3, 4, 4)), name="conv")
    model = check(net.build(net(ReLU(), x, name="conv.weight")))
    assert [tensor.name for tensor in model.graph.initializer] == ["conv.weight_2", "conv.bias"]
    assert [value.name for value in model.graph.output] == ["conv.weight"]


def test_elements_that_are_too_many_lie_beside_the_file(tmp_path: Path) -> None:
    graph = Sequential([Linear(3), Linear(2)], (4,))
    parameters, buffers, inputs = values(graph)
    whole, path = tmp_path / "whole.onnx", tmp_path / "network.onnx"
    write_onnx(whole, graph, {**parameters, **buffers})
    write_onnx(path, graph, {**parameters, **buffers}, largest=16)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["network.onnx", "network.onnx.data", "whole.onnx"]
    assert (tmp_path / "network.onnx.data").stat().st_size == 4 * (4 * 3 + 3 + 3 * 2 + 2)
    onnx.checker.check_model(str(path), full_check=True)
    one, two = (evaluated(onnx.load(str(file)), {"input": inputs[0]}) for file in (path, whole))
    np.testing.assert_array_equal(one[0], two[0])


@pytest.mark.parametrize("opset", [OLDEST - 1, 10_000])
def test_an_unknown_version_is_refused(opset: int) -> None:
    with pytest.raises(UsageError, match=rf"`--opset` \(={opset}\) must be from {OLDEST} to \d+, the newest"):
        written(Sequential([ReLU()], (2,)), {}, opset)


def test_what_cannot_be_written_is_named() -> None:
    net = Builder()
    graph = net.build(net(Unknown("Loop", (2,)), net.input((2,)), name="a.loop"))
    with pytest.raises(UsageError, match=r"a\.loop: Loop \(not counted\) cannot be written, archcost does not know"):
        written(graph, {})
    resize = Sequential({"up": Resize((4, 4), coordinates="half_pixel_symmetric")}, (1, 2, 2))
    with pytest.raises(UsageError, match="up: half_pixel_symmetric needs `--opset` 19 or newer, not 18"):
        written(resize, {}, 18)
