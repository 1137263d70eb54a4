"""The ONNX project's own backend tests, run by archcost: which are within its scope, by rules, and how they end.

A case's inputs that are parameters or shape numbers for us (weights, pads, axes, indices) are bound as constants before
the import; an operator that archcost only folds gets all of its inputs bound. What remains must be float32 tensors.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests

from archcost.engine.network import Network
from archcost.interop.onnx.convert import DOMAINS, Imported, imported
from archcost.interop.onnx.reading import expanded
from archcost.interop.onnx.registry import CONVERTERS
from archcost.interop.weights import load_into

Array = npt.NDArray[Any]

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")

PARAMETERS: dict[str, tuple[int, ...]] = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "BatchNormalization": (1, 2, 3, 4), "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2), "PRelu": (1,), "Clip": (1, 2), "Dropout": (1, 2), "Pad": (1, 2, 3), "Gemm": (1, 2),
    "Resize": (1, 2, 3), "Upsample": (1,), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,), "Unsqueeze": (1,),
    "Reshape": (1,), "Expand": (1,), "Gather": (1,), "ReduceMean": (1,), "ReduceSum": (1,), "ReduceMax": (1,),
    "ReduceMin": (1,), "ConstantOfShape": (0,),
}  # fmt: skip
"""Operator -> its inputs that are parameters or shape numbers for archcost."""

FOLDED = frozenset({"Where", "Equal", "ConstantOfShape", "Constant"})
"""Operators that archcost folds, and has no meaning for on images."""

COST_ONLY = frozenset({"QuantizeLinear", "DequantizeLinear"})

WITH_WINDOWS = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"})


@dataclass(frozen=True)
class Case:
    """One case of the suite: a model, and inputs with the outputs that they must give."""

    kind: str
    name: str
    model: ModelProto
    data: list[tuple[list[Any], list[Any]]]
    rtol: float
    atol: float


def cases() -> Iterator[Case]:
    """Yield all cases of the suite, as the installed package has them."""
    for kind in KINDS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the suite divides by zero when it makes its data
            found = load_model_tests(kind=kind)
        for test in found:
            if test.url is not None:
                root = Path(onnx.__file__).parents[1]
                model = onnx.load(root / test.url)
                data = [_light(root / test.url, model)]
            elif test.model is not None:
                model, data = test.model, [(list(a), list(b)) for a, b in test.data_sets or ()]
            else:
                folder = Path(test.model_dir)
                model = onnx.load(folder / "model.onnx")
                data = [_stored(part) for part in sorted(folder.glob("test_data_set*"))]
            yield Case(kind, test.name, model, data, test.rtol, test.atol)


def _light(path: Path, model: ModelProto) -> tuple[list[Any], list[Any]]:
    """Return the input that the suite makes for a model-zoo network, and the output that lies beside it."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs: list[Any] = []
    for one in model.graph.input:
        if one.name not in stored:
            shape = tuple(dimension.dim_value or 1 for dimension in one.type.tensor_type.shape.dim)
            count = int(np.prod(shape))
            inputs.append((np.arange(count).reshape(shape) / count).astype(np.float32))
    return inputs, [_tensor(path.with_name(f"{path.stem}_output_0.pb"))]


def _stored(folder: Path) -> tuple[list[Any], list[Any]]:
    def read(prefix: str) -> list[Any]:
        paths = sorted(folder.glob(f"{prefix}_*.pb"), key=lambda path: int(path.stem.rpartition("_")[2]))
        return [_tensor(path) for path in paths]

    return read("input"), read("output")


def _tensor(path: Path) -> Any:
    tensor = TensorProto()
    tensor.ParseFromString(path.read_bytes())
    try:
        return numpy_helper.to_array(tensor)
    except (TypeError, ValueError):  # a sequence or an optional value: its bytes are no tensor
        return None


def bound_inputs(model: ModelProto) -> set[str]:
    """Return the inputs that are parameters or shape numbers, or all where the model is one that is only folded."""
    bound: set[str] = set()
    for node in model.graph.node:
        folded = node.op_type in FOLDED
        for place, name in enumerate(node.input):
            if folded or place in PARAMETERS.get(node.op_type, ()):
                bound.add(name)
    return bound & {one.name for one in model.graph.input}


def out_of_scope(case: Case) -> str:
    """Return why a case is not within archcost's operators on float32 tensors; empty if it is."""
    graph = case.model.graph
    kinds = [node.op_type for node in graph.node]
    foreign = [node.domain for node in graph.node if node.domain not in DOMAINS]
    if foreign or any(kind not in CONVERTERS and kind not in FOLDED for kind in kinds):
        return "an operator that is not in the list"
    if any(not one.type.HasField("tensor_type") for one in (*graph.input, *graph.output)):
        return "sequences, maps or optional values"
    arrays = [value for inputs, outputs in case.data for value in (*inputs, *outputs)]
    if any(not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub" for value in arrays):
        return "elements that are no numbers, or of a type that NumPy lacks"
    if COST_ONLY & set(kinds):
        return "quantisation: counted, not run"
    if any(0 in value.shape for value in arrays if value.ndim) and not _only_shape_numbers_empty(case):
        return "tensors without elements"
    further = {name for node in graph.node if node.op_type != "Split" for name in node.output[1:]}
    if further & {*(name for node in graph.node for name in node.input), *(one.name for one in graph.output)}:
        return "a second output (indices, masks, statistics)"
    for node in graph.node:
        reason = _node_out_of_scope(node)
        if reason:
            return reason
    if any(node.op_type in WITH_WINDOWS for node in graph.node) and any(
        isinstance(value, np.ndarray) and value.ndim > 4 for value in arrays
    ):
        return "three axes of positions: counted, not run"
    return _types_out_of_scope(case)


def _only_shape_numbers_empty(case: Case) -> bool:
    bound, names = bound_inputs(case.model), [one.name for one in case.model.graph.input]
    for inputs, outputs in case.data:
        if any(0 in value.shape for value in outputs):
            return False
        if any(0 in value.shape for name, value in zip(names, inputs) if name not in bound):
            return False
    return True


def _node_out_of_scope(node: NodeProto) -> str:
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    if attributes.get("training_mode") or (node.op_type == "Dropout" and len(node.input) > 2):
        return "training"
    mode = attributes.get("mode", b"")
    if node.op_type in ("Resize", "Upsample"):
        crops = attributes.get("coordinate_transformation_mode") == b"tf_crop_and_resize"
        if mode == b"cubic" or crops or attributes.get("antialias") or attributes.get("exclude_outside"):
            return "resizing that is neither nearest nor linear"
    if node.op_type == "Pad" and mode == b"wrap":
        return "padding that wraps around"
    return ""


def _types_out_of_scope(case: Case) -> str:
    bound, graph = bound_inputs(case.model), case.model.graph
    stored = {tensor.name for tensor in graph.initializer}
    names = [one.name for one in graph.input if one.name not in stored]
    for inputs, outputs in case.data:
        images = [value for name, value in zip(names, inputs) if name not in bound]
        folded = not images or {node.op_type for node in graph.node} <= {"Shape", "Size"}
        if not folded and any(value.dtype != np.float32 for value in (*images, *outputs)):
            return "elements other than float32"
    return ""


def run(case: Case) -> None:
    """Import a case, run it in the engine, and compare all outputs at the suite's tolerances."""
    for inputs, wanted in case.data:
        found = outputs(case.model, inputs)
        assert len(found) == len(wanted)
        for ours, theirs in zip(found, wanted):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours.astype(theirs.dtype), theirs, rtol=case.rtol, atol=case.atol)


def outputs(model: ModelProto, inputs: Sequence[Array]) -> list[Array]:
    """Return the outputs of a model that archcost has imported, for the suite's inputs."""
    bound = bound_inputs(model)
    stored = {tensor.name for tensor in model.graph.initializer}
    names = [one.name for one in model.graph.input if one.name not in stored]
    known = {name: value for name, value in zip(names, inputs) if name in bound}
    images = [value for name, value in zip(names, inputs) if name not in bound]
    if not images:  # a network has an input, even where nothing reads it
        model, images = _with_input(model), [np.zeros((1, 1), np.float32)]
    made = imported(expanded(model), known=known)
    network = Network(made.graph, threads=1)
    state = made.state()
    if state:
        load_into(network, state)
    if made.batch is None:
        images = [value[None] if value.ndim else value.reshape(1, 1) for value in images]
    else:
        images = [value if value.ndim > 1 else value.reshape(-1, 1) for value in images]
    images = [value.astype(np.float32) for value in images]
    results = network(images if len(images) > 1 else images[0])
    arrays = iter(results if isinstance(results, tuple) else [results])
    return [_as_theirs(made, one.name, arrays) for one in model.graph.output]


def _as_theirs(made: Imported, name: str, arrays: Iterator[Array]) -> Array:
    """Return an output with the axes of the file: a constant is the same for each image."""
    if name in made.constants:
        constant = made.constants[name]
        ours = next(arrays)[0] if constant.size else constant
        np.testing.assert_array_equal(ours.reshape(constant.shape), constant.astype(np.float32))
        return constant
    array = next(arrays)
    shape = made.shapes[name]
    assert array.size == int(np.prod(shape))
    return array.reshape(shape)


def _with_input(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    copy.graph.input.append(onnx.helper.make_tensor_value_info("unread image", TensorProto.FLOAT, [1, 1]))
    return copy
