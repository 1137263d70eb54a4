"""Operators that are not known: a gap with the shape that ONNX's own inference gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from archcost.errors import ModelError
from archcost.geometry import Shape, product
from archcost.interop.onnx.fusing import Call
from archcost.interop.onnx.importer import Importer
from archcost.interop.onnx.values import Runtime, Value
from archcost.ops import Unknown

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


SMALL = 1024
"""Elements of a tensor that may hold a shape."""


class OutputShapes:
    """The shapes of all values of a model, as far as the file states them or ONNX infers them.

    Args:
        model: the message.
        inputs: the bound shapes of its inputs, which take the place of open axes.
    """

    def __init__(self, model: ModelProto, inputs: Mapping[str, Shape]) -> None:
        from onnx import shape_inference

        copy = _without_weights(model)
        for one in copy.graph.input:
            if one.name in inputs:
                del one.type.tensor_type.shape.dim[:]
                for size in inputs[one.name]:
                    one.type.tensor_type.shape.dim.add().dim_value = size
        # What the file states was inferred for open axes.
        stated = {one.name: one for one in (*model.graph.value_info, *model.graph.output)}
        del copy.graph.value_info[:]
        for one in copy.graph.output:
            one.type.tensor_type.ClearField("shape")
        try:
            copy = shape_inference.infer_shapes(copy, data_prop=True)
        except (RuntimeError, ValueError, TypeError, shape_inference.InferenceError):
            copy.Clear()  # what the file states remains
        inferred = {one.name: one for one in (*copy.graph.value_info, *copy.graph.output)}
        self._shapes: dict[str, Shape] = {}
        for name, one in {**stated, **inferred}.items():
            shape = _closed(one) or (_closed(stated[name]) if name in stated else None)
            if shape is not None:
                self._shapes[name] = shape

    def get(self, name: str) -> Shape | None:
        """Return the shape of a value, if it is known in numbers."""
        return self._shapes.get(name)


def _without_weights(model: ModelProto) -> ModelProto:
    """Return a copy without the numbers of large tensors, which no shape depends on."""
    from onnx import helper

    copy = type(model)(ir_version=model.ir_version, opset_import=model.opset_import)
    for name in ("node", "input", "output"):
        getattr(copy.graph, name).extend(getattr(model.graph, name))
    copy.graph.name = "weightless"
    known = {one.name for one in model.graph.input}
    for tensor in model.graph.initializer:
        if product(tensor.dims) <= SMALL and not tensor.data_location:
            copy.graph.initializer.append(tensor)
        elif tensor.name not in known:
            copy.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return copy


def _closed(one: ValueInfoProto) -> Shape | None:
    """Return the shape that a message states, if all its sizes are numbers."""
    if not one.type.HasField("tensor_type") or not one.type.tensor_type.HasField("shape"):
        return None
    sizes = tuple(dimension.dim_value for dimension in one.type.tensor_type.shape.dim)
    return sizes if all(size > 0 for size in sizes) else None


def unknown(net: Importer, node: Call, inputs: Sequence[Value | None], shapes: OutputShapes) -> list[Value]:
    """Return the outputs of an operator that is not known: gaps of their shapes.

    Raises:
        ModelError: if a shape is not known, or the operator reads nothing that depends on the images.
    """
    read = [value.tensor for value in inputs if isinstance(value, Runtime)]
    if not read:
        raise ModelError("the operator is not known, and computes a constant")
    results: list[Value] = []
    for name in node.outputs:
        shape = shapes.get(name)
        if shape is None:
            known = [value.shape for value in inputs if isinstance(value, Runtime)]
            if len({*known}) != 1 or len(node.outputs) != 1:
                raise ModelError(f"the operator is not known, nor is the shape of its output {name[:80]!r}")
            shape = known[0]
        batched = shape[:1] == (net.batch,) and any(isinstance(value, Runtime) and value.batched for value in inputs)
        own = (shape[1:] if batched else shape) or (1,)
        results.append(Runtime(net.add(Unknown(node.kind[:80] or "?", own), *read), shape, batched))
    return results
