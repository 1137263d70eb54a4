"""Small ONNX models for the tests, and ONNX's own evaluator as the judge of what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from archcost.engine.network import Network
from archcost.geometry import Shape
from archcost.interop.onnx.convert import Imported, imported
from archcost.interop.weights import load_into

Array = npt.NDArray[Any]
Sizes = Sequence[int | str]

OPSET = 20


def node(kind: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> NodeProto:
    """Return a node; inputs and outputs are words, ``-`` stands for one that is left out."""
    words = ["" if word == "-" else word for word in inputs.split()]
    return helper.make_node(kind, words, outputs.split(), name, **attributes)


def model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sizes],
    outputs: str,
    stored: Mapping[str, npt.ArrayLike] | None = None,
    opset: int = OPSET,
) -> ModelProto:
    """Return a model of float32 inputs; integers among the stored arrays are of 64 bits, numbers of 32."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(plain(value), name) for name, value in (stored or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def plain(value: npt.ArrayLike) -> Array:
    array = np.asarray(value)
    if isinstance(value, np.ndarray):
        return array
    return array.astype(np.int64 if array.dtype.kind == "i" else np.float32)


def values(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ours(proto: ModelProto, *images: Array, input_size: Shape | None = None) -> list[Array]:
    """Return what archcost computes of the images that the model describes, in the model's shapes."""
    made = imported(proto, input_size=input_size)
    network = Network(made.graph, threads=1)
    state = made.state()
    if state:
        load_into(network, state)
    given = [image if made.batch is not None else image[None] for image in images]
    results = network(given if len(given) > 1 else given[0])
    arrays = results if isinstance(results, tuple) else (results,)
    return [array.reshape(shape) for array, shape in zip(arrays, made.shapes.values())]


def theirs(proto: ModelProto, *images: Array) -> list[Array]:
    names = [one.name for one in proto.graph.input]
    results = ReferenceEvaluator(proto).run(None, dict(zip(names, images)))
    return [np.asarray(result) for result in results]


def agrees(proto: ModelProto, *images: Array) -> Imported:
    """Check that archcost computes what ONNX's evaluator computes, and return what was imported."""
    wanted = theirs(proto, *images)
    found = ours(proto, *images)
    assert len(found) == len(wanted)
    for mine, other in zip(found, wanted):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=2e-6)
    return imported(proto)
