"""Models built here, imported and run: against ONNX's own evaluator, and against numbers counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from archcost.errors import ModelError
from archcost.interop.onnx.convert import imported
from archcost.interop.onnx.importer import Importer
from archcost.interop.onnx.registry import ATTRIBUTES, CONVERTERS
from archcost.ops import OPERATORS, Op
from archcost.report.rows import rows_of, total
from tests.interop.onnx.models import agrees, model, node, ours, values


def kinds(proto: ModelProto) -> list[str]:
    return [type(one.op).__name__ for one in imported(proto).graph]


def test_a_small_network_is_counted_and_computed() -> None:
    proto = model(
        [
            node("Conv", "x w b", "a", "/features/features.0/Conv", pads=[1, 0, 1, 2], strides=[2, 1]),
            node("BatchNormalization", "a g s m v", "c", "/features/features.1/BatchNormalization"),
            node("Relu", "c", "d", "/features/features.2/Relu"),
            node("GlobalAveragePool", "d", "e", "/pool/GlobalAveragePool"),
            node("Flatten", "e", "f", "/Flatten"),
            node("Gemm", "f features.weight fb", "y", "/head/Gemm", transB=1),
        ],
        {"x": ("N", 3, 9, 8)},
        "y",
        {
            "w": values(4, 3, 3, 3), "b": values(4), "g": values(4), "s": values(4), "m": values(4),
            "v": np.abs(values(4)), "features.weight": values(5, 4), "fb": values(5),
        },
    )  # fmt: skip
    made = agrees(proto, values(1, 3, 9, 8))
    graph = made.graph
    assert made.batch == 1
    assert [one.name for one in graph] == [
        *("x", "features.0", "features.1", "features.2", "pool", "flatten", "features"),
    ]
    sums = total(rows_of(graph))
    assert sums["params"] == 4 * 3 * 9 + 4 + 4 + 4 + 5 * 4 + 5
    assert sums["buffers"] == 4 + 4 + 1
    assert sums["mult_adds"] == 4 * 3 * 9 * 5 * 8 + 4 * 5
    assert graph.shapes["features.0"] == (4, 5, 8)
    np.testing.assert_array_equal(made.state()["features.1.running_mean"], values(4))


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_is_left_out_of_the_shapes_and_of_the_costs(batch: int) -> None:
    proto = model([node("Conv", "x w", "y")], {"x": (batch, 2, 5, 5)}, "y", {"w": values(3, 2, 3, 3)})
    made = agrees(proto, values(batch, 2, 5, 5))
    assert made.batch == batch
    assert total(rows_of(made.graph))["mult_adds"] == 3 * 2 * 9 * 9


BY_OPSET: dict[str, tuple[int, list[Any], tuple[int, ...], dict[str, Any]]] = {
    "Clip by attributes": (6, [node("Clip", "x", "y", min=-0.5, max=0.25)], (2, 3, 4), {}),
    "Clip by inputs": (13, [node("Clip", "x - high", "y")], (2, 3, 4), {"high": np.float32(0.1)}),
    "Softmax of one axis": (13, [node("Softmax", "x", "y", axis=1)], (2, 3, 4, 2), {}),
    "Softmax by default": (11, [node("Softmax", "x", "y")], (2, 6), {}),
    "LogSoftmax of one axis": (13, [node("LogSoftmax", "x", "y", axis=2)], (2, 3, 4, 2), {}),
    "Slice by attributes": (9, [node("Slice", "x", "y", axes=[1, 3], starts=[1, -3], ends=[9, -1])], (2, 3, 4, 5), {}),
    "Slice by inputs": (
        13, [node("Slice", "x starts ends axes steps", "y")], (2, 3, 4, 5),
        {"starts": [3, -1], "ends": [-9, 0], "axes": [2, 3], "steps": [-2, -1]},
    ),
    "Pad by attributes": (10, [node("Pad", "x", "y", pads=[0, 0, 1, 2, 0, 1, 0, 1], value=0.5)], (2, 3, 4, 5), {}),
    "Pad by inputs": (18, [node("Pad", "x p - axes", "y", mode="edge")], (2, 3, 4, 5), {"p": [1, 2], "axes": [2]}),
    "Pad reflected": (13, [node("Pad", "x p", "y", mode="reflect")], (1, 2, 4, 5), {"p": [0, 0, 2, 1, 0, 0, 1, 3]}),
    "Squeeze by attributes": (11, [node("Squeeze", "x", "y", axes=[2])], (2, 3, 1, 4), {}),
    "Squeeze by inputs": (13, [node("Squeeze", "x axes", "y")], (2, 3, 1, 4), {"axes": [-2]}),
    "Unsqueeze by attributes": (11, [node("Unsqueeze", "x", "y", axes=[1, 3])], (2, 3), {}),
    "ReduceSum by attributes": (11, [node("ReduceSum", "x", "y", axes=[1], keepdims=0)], (2, 3, 4), {}),
    "ReduceSum by inputs": (13, [node("ReduceSum", "x axes", "y", keepdims=0)], (2, 3, 4), {"axes": [-1]}),
    "ReduceMean of a map": (18, [node("ReduceMean", "x axes", "y")], (2, 3, 4, 5), {"axes": [2, 3]}),
    "ReduceMax of everything": (13, [node("ReduceMax", "x", "y", keepdims=0)], (1, 3, 4), {}),
    "Dropout with a ratio": (7, [node("Dropout", "x", "y", ratio=0.3)], (2, 3), {}),
    "Dropout with a mask": (12, [node("Dropout", "x r", "y unread")], (2, 3), {"r": np.float32(0.3)}),
    "Upsample": (9, [node("Upsample", "x s", "y", mode="nearest")], (1, 2, 3, 3), {"s": [1.0, 1.0, 2.0, 3.0]}),
    "Resize of version 11": (
        11, [node("Resize", "x - - sizes", "y", mode="linear", coordinate_transformation_mode="align_corners")],
        (1, 2, 3, 4), {"sizes": [1, 2, 5, 7]},
    ),
    "Split by attributes": (11, [node("Split", "x", "a b", axis=1, split=[1, 2]), node("Concat", "b a", "y", axis=1)],
                            (2, 3, 2), {}),
    "Split in equal parts": (13, [node("Split", "x", "a b", axis=-1), node("Sub", "a b", "y")], (2, 3, 4), {}),
    "Gelu": (20, [node("Gelu", "x", "y", approximate="tanh")], (2, 3), {}),
    "HardSwish": (14, [node("HardSwish", "x", "y")], (2, 3), {}),
    "LayerNormalization": (17, [node("LayerNormalization", "x g b", "y", axis=-2)], (2, 3, 4, 5),
                           {"g": values(4, 5), "b": values(4, 5)}),
    "LRN": (13, [node("LRN", "x", "y", size=3, alpha=0.3, beta=0.6, bias=1.5)], (5, 5, 3, 3), {}),
    "PRelu of all channels": (16, [node("PRelu", "x s", "y")], (2, 3, 4, 4), {"s": [0.25]}),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_OPSET)
def test_forms_of_an_operator_in_different_versions(case: str) -> None:
    opset, nodes, shape, stored = BY_OPSET[case]
    agrees(model(nodes, {"x": shape}, "y", stored, opset), values(*shape))


def test_softmax_before_version_13_is_over_all_axes_from_one_on() -> None:
    image = values(2, 3, 4, 2)
    (found,) = ours(model([node("Softmax", "x", "y", axis=2)], {"x": (2, 3, 4, 2)}, "y", opset=11), image)
    powers = np.exp(image.astype(np.float64))
    np.testing.assert_allclose(found, powers / powers.sum(axis=(2, 3), keepdims=True), rtol=1e-5)


ON_THE_BATCH: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "Transpose": ([node("Transpose", "x", "y", perm=[1, 0, 2, 3])], {}),
    "ReduceMean": ([node("ReduceMean", "x a", "y", keepdims=0)], {"a": [0, 2]}),
    "Gather": ([node("Gather", "x i", "y", axis=0)], {"i": np.int64(0)}),
    "Flatten": ([node("Flatten", "x", "y", axis=2)], {}),
    "Reshape": ([node("Reshape", "x s", "y")], {"s": [-1, 4]}),
    "Conv": ([node("Transpose", "x", "t", perm=[1, 0, 2, 3]), node("Conv", "t w", "y")], {"w": values(2, 1, 2, 2)}),
}


@pytest.mark.parametrize("case", ON_THE_BATCH)
@pytest.mark.parametrize("batch", [1, 2])
def test_what_works_on_the_batch_gets_it_as_an_axis(case: str, batch: int) -> None:
    nodes, stored = ON_THE_BATCH[case]
    if case == "Conv" and batch == 2:
        stored = {"w": values(2, 2, 2, 2)}
    made = agrees(model(nodes, {"x": (batch, 3, 4, 4)}, "y", stored), values(batch, 3, 4, 4))
    assert made.batch == (1 if batch == 1 else None)


def test_several_images_of_a_whole_share_a_layer() -> None:
    nodes, _ = ON_THE_BATCH["Conv"]
    made = imported(model(nodes, {"x": (2, 3, 4, 4)}, "y", {"w": values(2, 2, 2, 2)}))
    assert total(rows_of(made.graph))["params"] == 2 * 2 * 4
    assert total(rows_of(made.graph))["mult_adds"] == 3 * 2 * 2 * 4 * 9


def test_a_shape_computed_by_nodes_is_folded_away() -> None:
    proto = model(
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n zeros", "n1"),
            node("Concat", "n1 minus", "target", axis=0),
            node("Reshape", "x target", "r"),
            node("ConstantOfShape", "two", "c", value=numpy_helper.from_array(np.array([1.5], np.float32))),
            node("Cast", "c", "d", to=TensorProto.FLOAT),
            node("Range", "zero four one", "e"),
            node("Equal", "e zero", "q"),
            node("Where", "q zero one", "i"),
            node("Gather", "r i", "g", axis=1),
            node("Mul", "g d", "y"),
        ],
        {"x": ("N", 2, 3, 4)},
        "y",
        {"zero": np.int64(0), "one": np.int64(1), "four": np.int64(4), "zeros": [0], "minus": [-1], "two": [1, 4]},
    )
    agrees(proto, values(1, 2, 3, 4))
    assert kinds(proto) == ["Input", "Flatten", "Gather", "Constant", "Mul"]


def test_a_dense_layer_of_two_nodes_is_one() -> None:
    stored = {"block.3.bias": values(5), "onnx::MatMul_7": values(4, 5)}
    nodes = [
        node("MatMul", "x onnx::MatMul_7", "m", "/block/3/MatMul"),
        node("Add", "block.3.bias m", "y", "/block/3/Add"),
    ]
    made = agrees(model(nodes, {"x": (2, 3, 4)}, "y", stored), values(2, 3, 4))
    assert [(one.name, type(one.op).__name__) for one in made.graph] == [("x", "Input"), ("block.3", "Linear")]
    sums = total(rows_of(made.graph))
    assert (sums["params"], sums["mult_adds"]) == (25, 3 * 20)


@pytest.mark.parametrize("divides", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_gelu_of_several_nodes_is_one(divides: bool, late: bool) -> None:
    root = 2**0.5 if divides else 2**-0.5
    nodes = [
        node("Div" if divides else "Mul", "x root", "a"),
        node("Erf", "a", "b"),
        node("Add", "b one", "c"),
        *([node("Mul", "x c", "d"), node("Mul", "d half", "y")] if late else
          [node("Mul", "x half", "d"), node("Mul", "d c", "y")]),
    ]  # fmt: skip
    proto = model(
        nodes, {"x": (2, 6)}, "y", {k: np.float32(v) for k, v in {"root": root, "one": 1, "half": 0.5}.items()}
    )
    agrees(proto, values(2, 6))
    assert kinds(proto) == ["Input", "GELU"]
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32(3), "root"))
    agrees(proto, values(2, 6))
    assert "Erf" in kinds(proto)


def test_swish_and_a_norm_of_channels_of_several_nodes_are_one_each() -> None:
    nodes = [
        node("Sigmoid", "x", "s"),
        node("Mul", "s x", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "b w v", "c"),
        node("Transpose", "c", "d", perm=[0, 3, 1, 2]),
        node("Concat", "d", "y", axis=1),
    ]
    proto = model(nodes, {"x": (2, 3, 4, 4)}, "y", {"w": values(3), "v": values(3, seed=1)})
    agrees(proto, values(2, 3, 4, 4))
    assert kinds(proto) == ["Input", "SiLU", "LayerNorm", "Concat"]
    proto.graph.node[4].attribute[0].ints[:] = [0, 2, 1, 3]
    agrees(proto, values(2, 3, 4, 4))
    assert kinds(proto) == ["Input", "SiLU", "Transpose", "LayerNorm", "Transpose", "Concat"]


def test_equal_weights_that_are_stored_once_are_counted_once() -> None:
    nodes = [node("Conv", "x w", "a", "/one/Conv"), node("Identity", "w", "v"), node("Conv", "a v", "y", "/two/Conv")]
    made = agrees(model(nodes, {"x": (1, 2, 5, 5)}, "y", {"w": values(2, 2, 3, 3)}), values(1, 2, 5, 5))
    assert [(one.name, one.shares) for one in made.graph] == [("x", None), ("one", None), ("two", "one")]
    assert total(rows_of(made.graph))["params"] == 36


def test_stored_operands_are_parameters_and_constants_are_not() -> None:
    constant = node("Constant", "", "c", value=numpy_helper.from_array(values(1, 4)))
    proto = model(
        [constant, node("Mul", "x s", "a"), node("Add", "a c", "y")], {"x": (2, 3, 4)}, "y", {"s": values(3, 1)}
    )
    made = agrees(proto, values(2, 3, 4))
    sums = total(rows_of(made.graph))
    assert (sums["params"], sums["buffers"]) == (3, 4)


def test_a_bias_of_zeros_that_is_not_stored_is_none() -> None:
    zeros = node("ConstantOfShape", "four", "b", value=numpy_helper.from_array(np.zeros(1, np.float32)))
    proto = model([zeros, node("Conv", "x w b", "y")], {"x": (1, 2, 3, 3)}, "y", {"four": [4], "w": values(4, 2, 3, 3)})
    assert total(rows_of(agrees(proto, values(1, 2, 3, 3)).graph))["params"] == 72


def test_quantisation_is_counted_and_quantised_weights_are_folded() -> None:
    nodes = [
        node("DequantizeLinear", "w ws wz", "wf", axis=0),
        node("QuantizeLinear", "x xs xz", "q"),
        node("DequantizeLinear", "q xs xz", "f"),
        node("Conv", "f wf", "y"),
    ]
    weight = np.arange(-8, 8, dtype=np.int8).reshape(2, 2, 2, 2)
    stored: dict[str, Any] = {
        "w": weight,
        "ws": np.array([0.5, 0.25], np.float32),
        "wz": np.array([1, 0], np.int8),
        "xs": np.float32(0.1),
        "xz": np.int8(0),
    }
    made = imported(model(nodes, {"x": (1, 2, 3, 3)}, "y", stored))
    assert [type(one.op).__name__ for one in made.graph] == ["Input", "Quantize", "Dequantize", "Conv2d"]
    wanted = (weight - np.array([1, 0]).reshape(2, 1, 1, 1)) * np.array([0.5, 0.25]).reshape(2, 1, 1, 1)
    np.testing.assert_array_equal(made.state()["conv.weight"], wanted)


@pytest.mark.parametrize("kind", ["Conv", "MaxPool", "AveragePool"])
@pytest.mark.parametrize("axes", [1, 3])
def test_one_and_three_axes_are_counted(kind: str, axes: int) -> None:
    stored = {"w": values(4, 2, *(2,) * axes)} if kind == "Conv" else {}
    inputs = "x w" if kind == "Conv" else "x"
    proto = model([node(kind, inputs, "y", kernel_shape=[2] * axes)], {"x": (1, 2, *(5,) * axes)}, "y", stored)
    sums = total(rows_of(imported(proto).graph))
    assert sums["mult_adds"] == (4 * 2 * 2**axes * 4**axes if kind == "Conv" else 0)
    if kind != "Conv":
        assert sums["flops"] == 2 * 2**axes * 4**axes
    if axes == 1:
        agrees(proto, values(1, 2, 5))


def test_every_converter_names_attributes_that_onnx_has() -> None:
    from onnx import defs

    every = {schema.name: {*schema.attributes} for schema in defs.get_all_schemas_with_history() if not schema.domain}
    for schema in defs.get_all_schemas_with_history():
        if not schema.domain:
            every[schema.name].update(schema.attributes)
    for kind, names in ATTRIBUTES.items():
        if kind in every:
            assert names <= every[kind], kind
            assert every[kind] - names <= {"consumed_inputs"}, kind
    assert len(CONVERTERS.keys() & every.keys()) >= 70


def test_the_helper_of_the_converters_numbers_names_that_are_taken() -> None:
    net = Importer("net", 1, 20)
    assert [net.unique(name) for name in ("a", "a", "a b", "a..b.", "", "a_1")] == [
        "a",
        "a_1",
        "a_b",
        "a.b",
        "node",
        "a_1_1",
    ]


def test_every_operator_that_models_may_hold_can_be_had() -> None:
    assert all(issubclass(operator, Op) for operator in OPERATORS.values())
    with pytest.raises(ModelError, match=r"the operator Cosh is not known"):
        imported(model([node("Cosh", "x", "y")], {"x": (1, 2)}, "y"))


def test_constants_may_be_outputs() -> None:
    made = imported(model([node("Shape", "x", "s"), node("Relu", "x", "y")], {"x": (1, 2, 3)}, "y s"))
    assert made.constants["s"].tolist() == [1, 2, 3]
    assert made.shapes == {"y": (1, 2, 3), "s": (3,)}
