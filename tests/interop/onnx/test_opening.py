"""Files of ONNX on the command line: sizes that are bound, gaps, weights, and files that mean no good."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from archcost.errors import ArchcostError, ModelError
from archcost.interop.model import open_model, open_weights
from archcost.interop.onnx import reading
from archcost.interop.onnx.opening import read_onnx
from archcost.interop.weights import read_weights
from tests.conftest import Ended
from tests.interop.onnx.models import model, node, values

Run = Callable[..., Ended]

WEIGHT = values(4, 3, 3, 3)


def network(*sizes: int | str, kind: str = "Relu") -> ModelProto:
    nodes = [
        node("Conv", "x conv.weight", "a"),
        node(kind, "a", "b", "odd"),
        node("GlobalAveragePool", "b", "y", "pool"),
    ]
    return model(nodes, {"x": sizes or (1, 3, 8, 8)}, "y", {"conv.weight": WEIGHT})


def saved(tmp_path: Path, proto: ModelProto, name: str = "net.onnx") -> str:
    path = tmp_path / name
    path.write_bytes(proto.SerializeToString())
    return str(path)


def test_a_file_is_a_model(tmp_path: Path, run: Run) -> None:
    path = saved(tmp_path, network())
    graph = open_model(path)
    assert (graph.name, list(graph.shapes)) == ("net", ["x", "conv", "odd", "pool"])
    ended = run("summary", path, "--format", "json")
    assert ended.code == 0
    totals = json.loads(ended.out)["totals"]
    assert (totals["params"], totals["mult_adds"]) == (108, 108 * 36)
    weights = open_weights(path)
    assert weights is not None
    np.testing.assert_array_equal(weights["conv.weight"], WEIGHT)
    np.testing.assert_array_equal(read_weights(path)["conv.weight"], WEIGHT)
    assert open_weights("resnet18") is None


def test_the_commands_take_a_file(tmp_path: Path, run: Run) -> None:
    path = saved(tmp_path, network())
    for command in (
        ("verify", path),
        ("compare", path, "lenet"),
        ("reconcile", path),
        ("profile", path, "--runs", "1"),
    ):
        ended = run(*command)
        assert ended.code == 0, ended.err + ended.out
        assert "net" in ended.out


def test_open_axes_are_bound_by_the_input_size(tmp_path: Path, run: Run) -> None:
    path = saved(tmp_path, network("N", 3, "H", "W"))
    ended = run("summary", path)
    assert ended.code == 2
    assert ended.err.endswith(f"{path}: input 'x' is Nx3xHxW: bind the open axes with `--input-size CxHxW`\n")
    assert open_model(path, {"input_size": (3, 10, 12)}).shapes["conv"] == (4, 8, 10)
    assert open_model(path, {"input_size": "3x10x12"}).shapes["conv"] == (4, 8, 10)
    with pytest.raises(
        ModelError, match=r"'x' is Nx3xHxW in the file: `--input-size` binds only axes that it leaves open"
    ):
        open_model(path, {"input_size": (1, 10, 12)})
    with pytest.raises(ModelError, match="has no options but the input size; num_classes cannot be changed"):
        open_model(path, {"num_classes": 10})
    with pytest.raises(ModelError, match=r"`--input-size` 3x8x8 fits none of its inputs \('x' 1x4\)"):
        open_model(saved(tmp_path, model([node("Relu", "x", "y")], {"x": (1, 4)}, "y")), {"input_size": (3, 8, 8)})


def test_an_unknown_operator_is_an_error_or_a_listed_gap(tmp_path: Path, run: Run) -> None:
    path = saved(tmp_path, network(kind="Cosh"))
    ended = run("summary", path)
    assert ended.code == 2
    what = "the operator Cosh is not known (`--allow-unknown` counts the others)"
    assert ended.err == f"archcost: error: {path}: node 'odd' (Cosh): {what}\n"
    ended = run("summary", path, "--allow-unknown")
    assert ended.code == 0
    assert "2 of 3 operators counted; not counted: Cosh at odd\n" in ended.out
    data = json.loads(run("summary", path, "--allow-unknown", "--format", "json").out)
    assert data["coverage"] == {"operators": 3, "counted": 2, "not_counted": [{"op_type": "Cosh", "layer": "odd"}]}
    assert data["totals"]["mult_adds"] == 108 * 36
    assert "net: 2 of 3 operators counted" in run("compare", path, "lenet", "--allow-unknown").out
    assert "coverage" not in json.loads(run("summary", "lenet", "--format", "json").out)
    foreign = network()
    foreign.graph.node[1].domain = "com.example"
    with pytest.raises(ModelError, match=r"node 'odd' \(Relu\): the operator com\.example\.Relu is not known"):
        open_model(saved(tmp_path, foreign))


def test_the_shape_of_a_gap_is_what_onnx_infers(tmp_path: Path) -> None:
    nodes = [node("ArgMax", "x", "a", "odd", axis=1, keepdims=0), node("Cast", "a", "y", to=TensorProto.FLOAT)]
    path = saved(tmp_path, model(nodes, {"x": ("N", 3, 4)}, "y"))
    assert open_model(path, allow_unknown=True).shapes["odd"] == (4,)


def with_external(tmp_path: Path, location: str, **more: str) -> str:
    proto = network()
    (tensor,) = proto.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return saved(tmp_path, proto)


def test_weights_in_another_file_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"1234" + WEIGHT.tobytes())
    weights = open_weights(with_external(tmp_path, "w.bin", offset="4", length=str(WEIGHT.nbytes)))
    assert weights is not None
    np.testing.assert_array_equal(weights["conv.weight"], WEIGHT)


@pytest.mark.parametrize(
    ("location", "more", "message"),
    [
        ("../w.bin", {}, "outside of the model's folder"),
        ("/etc/passwd", {}, "outside of the model's folder"),
        ("..\\w.bin", {}, "outside of the model's folder"),
        ("C:\\w.bin", {}, "outside of the model's folder"),
        ("link.bin", {}, "outside of the model's folder"),
        ("none.bin", {}, "which is not there"),
        ("w.bin", {"offset": "1"}, "needs 432 bytes from 1 on; 'w.bin' has 432"),
        ("w.bin", {"length": "8"}, "needs 432 bytes"),
        ("w.bin", {"offset": "many"}, "a place that is no number"),
        ("w.bin", {"offset": "-4"}, "needs 432 bytes"),
        ("", {}, "does not say in which"),
    ],
)
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str, more: dict[str, str], message: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (tmp_path, folder):
        (place / "w.bin").write_bytes(WEIGHT.tobytes())
    if location == "link.bin":
        try:
            (folder / location).symlink_to(tmp_path / "w.bin")
        except OSError:
            pytest.skip("this system makes no links")
    with pytest.raises(ModelError, match=message):
        open_model(with_external(folder, location, **more))


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    data = network().SerializeToString()
    for content in (b"", b"no model", data[:200], data[: len(data) // 2], b"\xff" * 100, b"\x08\x07"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"net\.onnx: (truncated, or no ONNX file|no ONNX model)") as error:
            read_onnx(path)
        assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="not a file"):
        read_onnx(tmp_path)


def attribute(proto: ModelProto, name: str, value: object) -> None:
    proto.graph.node[0].attribute.append(helper.make_attribute(name, value))


def dims(proto: ModelProto, *sizes: int) -> None:
    proto.graph.initializer[0].dims[:] = sizes


def kind(proto: ModelProto, number: int) -> None:
    proto.graph.initializer[0].data_type = number


def reads(proto: ModelProto, index: int, name: str) -> None:
    proto.graph.node[index].input[0] = name


def huge(proto: ModelProto) -> None:
    for dimension in proto.graph.input[0].type.tensor_type.shape.dim:
        dimension.dim_value = 2**31


HOSTILE: dict[str, tuple[Callable[[ModelProto], object], str]] = {
    "cycle": (lambda p: reads(p, 0, "y"), "reads 'y', which no node before it makes"),
    "missing": (lambda p: reads(p, 1, "no"), "reads 'no', which no node before it makes"),
    "twice": (lambda p: p.graph.node[1].output.__setitem__(0, "a"), "'a' is made twice"),
    "output": (lambda p: setattr(p.graph.output[0], "name", "no"), "no node makes its output 'no'"),
    "sizes": (lambda p: dims(p, 2**40, 3, 3, 3), "impossible shape"),
    "negative": (lambda p: dims(p, -1, 3, 3, 3), "impossible shape"),
    "few": (lambda p: dims(p, 5, 3, 3, 3), "the file holds 108 numbers for it"),
    "channels": (lambda p: dims(p, 3, 4, 3, 3), "for 4 input channels, not 3"),
    "type": (lambda p: kind(p, 8), "its weight 'conv.weight' holds elements of a type that is not read"),
    "odd type": (lambda p: kind(p, 99), "elements of a type that is not read"),
    "opset": (lambda p: setattr(p.opset_import[0], "version", 0), "version 0 of ONNX's operators does not exist"),
    "attribute": (lambda p: attribute(p, "so", 1), "the attribute 'so' is not known"),
    "strides": (lambda p: attribute(p, "strides", [0, 1]), "`strides` .* must be 2 numbers of at least 1"),
    "strange": (lambda p: attribute(p, "strides", "a"), r"node .* \(Conv\)"),
    "input": (lambda p: p.graph.input[0].type.Clear(), "is no tensor"),
    "no input": (lambda p: p.graph.ClearField("input"), "it has no input"),
    "inputs": (lambda p: p.graph.node[1].ClearField("input"), r"\(Relu\)"),
    "huge": (huge, "is too large"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_model_that_does_not_hold_together_is_one_line(tmp_path: Path, case: str) -> None:
    change, message = HOSTILE[case]
    proto = network()
    change(proto)
    with pytest.raises(ModelError, match=message) as error:
        read_onnx(saved(tmp_path, proto))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Range", "Concat", "Tile"])
def test_constants_that_grow_without_end_take_no_memory(tmp_path: Path, kind: str) -> None:
    long: dict[str, Any] = {
        "huge": [2**40],
        "big": [2**20, 2**20],
        "one": np.array([1], np.float32),
        "zero": np.float32(0),
        "end": np.float32(1e15),
    }
    nodes = {
        "ConstantOfShape": [node("ConstantOfShape", "big", "c0"), node("Neg", "c0", "c")],
        "Expand": [node("Expand", "one big", "c0"), node("Exp", "c0", "c")],
        "Range": [node("Range", "zero end step", "c")],
        "Tile": [node("Tile", "one huge", "c")],
        "Concat": [
            node("Identity", "one", "c0"),
            *(node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(60)),
            node("Identity", "c60", "c"),
        ],
    }[kind]
    proto = model([*nodes, node("Add", "x c", "y")], {"x": (1, 2)}, "y", {**long, "step": np.float32(1)})
    with pytest.raises(ArchcostError, match=r"would take|impossible shape"):
        read_onnx(saved(tmp_path, proto))


def test_too_many_nodes_are_refused_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_NODES", 50)
    proto = model([node("Relu", f"x{i}", f"x{i + 1}") for i in range(60)], {"x0": (1, 2)}, "x60")
    with pytest.raises(ModelError, match="60 nodes; models of up to 50 are read"):
        read_onnx(saved(tmp_path, proto))
    # Functions that call one another double the nodes each time.
    functions = [
        helper.make_function(
            "own", f"f{i}", ["a"], ["c"], [helper.make_node(f"f{i + 1}", [one], [two], domain="own") for one, two in
                                           (("a", "b"), ("b", "c"))],
            [helper.make_opsetid("own", 1)],
        )
        for i in range(60)
    ]  # fmt: skip
    proto = model([node("f0", "x", "y", domain="own")], {"x": (1, 2)}, "y")
    proto.functions.extend(functions)
    start = time.perf_counter()
    with pytest.raises(ModelError, match="more than 50 nodes when its functions are written out"):
        read_onnx(saved(tmp_path, proto))
    assert time.perf_counter() - start < 5
    proto.functions[0].node[0].op_type = "f0"
    with pytest.raises(ModelError, match="function 'f0' calls itself"):
        read_onnx(saved(tmp_path, proto))


def test_functions_are_written_out(tmp_path: Path) -> None:
    body = [node("Relu", "a", "b"), node("Neg", "b", "c")]
    proto = model([node("act", "x", "y", domain="own")], {"x": (1, 2)}, "y")
    opsets = [helper.make_opsetid("", 20)]
    proto.functions.append(helper.make_function("own", "act", ["a"], ["c"], body, opsets))
    proto.opset_import.append(helper.make_opsetid("own", 1))
    assert [type(one.op).__name__ for one in read_onnx(saved(tmp_path, proto)).graph] == ["Input", "ReLU", "Neg"]


def test_an_operator_whose_name_holds_control_characters_is_one_line(tmp_path: Path) -> None:
    place = saved(tmp_path, model([node("Re\nl\x00u", "x", "y")], {"x": (1, 3, 2, 2)}, "y"))
    with pytest.raises(ModelError, match=r"node 'y' \(Re\?l\?u\): the operator Re\?l\?u is not known"):
        open_model(place)


def test_attributes_of_another_type_and_too_many_parts_are_one_line(tmp_path: Path) -> None:
    mode = node("Resize", "x   s", "y", coordinate_transformation_mode=3)
    sizes = {"s": values(4) * 0 + 4}
    damaged = model([mode], {"x": (1, 3, 2, 2)}, "y", {"s": sizes["s"].astype("int64")})
    with pytest.raises(ModelError, match=r"node 'y' \(Resize\): its inputs or attributes make no sense"):
        open_model(saved(tmp_path, damaged))
    turned = [node("Transpose", "x", "a", perm=[1, 0, 2, 3]), node("GlobalAveragePool", "a", "y")]
    with pytest.raises(ModelError, match="more than 1,024 parts to compute apart"):
        open_model(saved(tmp_path, model(turned, {"x": (3, 2000, 2, 2)}, "y")))


def test_many_nodes_of_one_kind_take_time_linear_in_their_number(tmp_path: Path) -> None:
    count = 20_000
    nodes = [node("Relu", f"t{number}" if number else "x", f"t{number + 1}") for number in range(count)]
    place = saved(tmp_path, model(nodes, {"x": (1, 3, 2, 2)}, f"t{count}"))
    start = time.perf_counter()
    graph = open_model(place)
    assert time.perf_counter() - start < 10  # half a second; a minute where each name is compared with all others
    assert len({one.name for one in graph}) == count + 1
