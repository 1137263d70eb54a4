"""From ONNX's message to our graph: constants are folded, every other node is converted by its own function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archcost.build import Tensor
from archcost.errors import ArchcostError, ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.interop.onnx import activation, arithmetic, conv, moving, norm, pool, quantize, reduce, reshape, resize
from archcost.interop.onnx.binding import batch_of, bound_shapes
from archcost.interop.onnx.folding import FOLDS, LARGEST_RESULT, SAME, VIEWS
from archcost.interop.onnx.fusing import Call, calls
from archcost.interop.onnx.importer import Importer, Weights
from archcost.interop.onnx.naming import node_names, scopes
from archcost.interop.onnx.registry import ATTRIBUTES, CONVERTERS, IGNORED, apply
from archcost.interop.onnx.tensors import stored
from archcost.interop.onnx.unknown import OutputShapes, unknown
from archcost.interop.onnx.values import Array, BatchAxisError, Constant, Runtime, Value

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto

FAMILIES = (activation, arithmetic, conv, moving, norm, pool, quantize, reduce, reshape, resize)
"""The modules whose functions stand in ``CONVERTERS``."""

DOMAINS = ("", "ai.onnx")

NEVER_FOLDED = frozenset({"Constant", "Shape", "Size", "Cast", "Split", "Dropout"})
"""Operators whose converters deal with constants themselves."""

DAMAGED = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What Python and NumPy raise over numbers that make no sense, and over attributes of another type."""


@dataclass(frozen=True)
class Imported:
    """A model of a file, as ours.

    Attributes:
        graph: the network.
        weights: name of a parameter or buffer -> function that returns its numbers.
        batch: size of the file's first axis, which our shapes leave out; None if the model works on that axis, so that
            an image of ours has all axes of the file's tensors.
        shapes: shapes of the model's outputs, the batch included.
        constants: outputs of the model that no image changes.
    """

    graph: Graph
    weights: Weights
    batch: int | None
    shapes: Mapping[str, Shape]
    constants: Mapping[str, Array] = field(default_factory=dict)

    def state(self) -> dict[str, Array]:
        """Return all weights by name; truth values as numbers.

        Raises:
            ModelError: if the numbers of a tensor are not as many as its shape says.
        """
        try:
            arrays = {name: np.asarray(load()) for name, load in self.weights.items()}
        except ValueError as error:
            raise ModelError(f"its weights do not fit the layers that read them ({error})") from None
        return {name: array.astype(np.float32) if array.dtype == bool else array for name, array in arrays.items()}


def imported(
    model: ModelProto,
    *,
    name: str = "network",
    folder: Path | None = None,
    input_size: Shape | None = None,
    allow_unknown: bool = False,
    known: Mapping[str, Array] | None = None,
) -> Imported:
    """Return a model of ONNX as our graph.

    Args:
        model: the message, without local functions.
        name: of the network.
        folder: where tensors may lie in files of their own.
        input_size: shape of one image, for axes that the model leaves open.
        allow_unknown: make a counted gap of an operator that is not known, instead of an error.
        known: inputs of the model that are constants.

    Raises:
        ModelError: naming the node, the operator or the input that cannot be converted.
    """
    stored_names = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in stored_names and one.name not in (known or {})]
    shapes = bound_shapes(inputs, input_size)
    # They are inferred when the first unknown operator asks for them.
    shapes_of_outputs = cache(lambda: OutputShapes(model, shapes)) if allow_unknown else None
    conversion = _Conversion(model, name, folder, shapes, known or {}, shapes_of_outputs)
    batch = batch_of(shapes)
    if batch is not None:
        try:
            return conversion.run(batch)
        except BatchAxisError:
            pass
    return conversion.run(None)


@dataclass(frozen=True)
class _Conversion:
    model: ModelProto
    name: str
    folder: Path | None
    shapes: Mapping[str, Shape]
    known: Mapping[str, Array]
    outputs: Callable[[], OutputShapes] | None

    def run(self, batch: int | None) -> Imported:
        """Convert the model with ``batch`` as the size of the first axis of everything, or as a whole (None)."""
        graph = self.model.graph
        net = Importer(self.name, batch, _opset(self.model))
        values: dict[str, Value] = {key: Constant.of(array, learned=_is_weight(array), source=key)
                                    for key, array in self.known.items()}  # fmt: skip
        for tensor in graph.initializer:
            values[tensor.name] = stored(tensor, self.folder, learned=True, source=tensor.name)
        if graph.sparse_initializer:
            raise ModelError("it has sparse tensors, which are not read")
        try:
            for key, shape in self.shapes.items():
                values[key] = net.input(key, shape)
            net.scopes.update(scopes(graph.node))
            self._nodes(net, values)
            return self._finished(net, values)
        except BatchAxisError:
            if batch is None:
                raise ModelError("it works on the first axis in a way that is not supported") from None
            raise

    def _nodes(self, net: Importer, values: dict[str, Value]) -> None:
        nodes = calls(self.model.graph)
        budget = _Budget()
        unmade: dict[str, str] = {}  # further outputs (masks, indices): an error for whoever reads them
        for node, name in zip(nodes, node_names(nodes, {key for key, v in values.items() if isinstance(v, Constant)})):
            net.place, net.outputs = name, len(node.outputs)
            where = f"node {(node.name or next(iter(node.outputs), ''))[:80]!r} ({node.kind[:80]})"
            for key in node.outputs:
                if key in values:
                    raise ModelError(f"{where}: {key[:80]!r} is made twice")
            try:
                inputs = [_read(values, key, unmade) for key in node.inputs]
                results = self._converted(net, node, inputs, budget)
            except ArchcostError as error:
                text = str(error).removeprefix(f"{name}: ")
                raise ModelError(f"{where}: {text}") from None
            except BatchAxisError:
                if net.batch is None:
                    raise ModelError(f"{where}: it works on the first axis in a way that is not supported") from None
                raise
            except DAMAGED as error:
                text = " ".join(str(error).split())[:200]
                raise ModelError(f"{where}: its inputs or attributes make no sense ({text})") from None
            values.update({key: value for key, value in zip(node.outputs, results) if key})
            unmade.update(dict.fromkeys(node.outputs[len(results) :], node.kind[:80]))

    def _converted(self, net: Importer, node: Call, inputs: Sequence[Value | None], budget: _Budget) -> Sequence[Value]:
        kind = node.kind
        domain_known = node.domain in DOMAINS
        constant = [value for value in inputs if isinstance(value, Constant)]
        attributes = _attributes(node.attributes, self.folder)
        foldable = domain_known and kind in FOLDS and kind not in NEVER_FOLDED
        if foldable and len(constant) == len(inputs) and inputs:
            return [budget.folded(kind, constant, attributes)]
        if not domain_known or kind not in CONVERTERS:
            if self.outputs is not None:
                return unknown(net, node, inputs, self.outputs())
            kind = kind if domain_known else f"{node.domain}.{kind}"
            raise ModelError(f"the operator {kind[:80]} is not known (`--allow-unknown` counts the others)")
        for name in attributes:
            if name not in ATTRIBUTES[kind] and name not in IGNORED:
                raise ModelError(f"the attribute {name[:80]!r} is not known")
        results = apply(net, kind, inputs, attributes)
        return [results] if isinstance(results, (Constant, Runtime)) else list(results)

    def _finished(self, net: Importer, values: Mapping[str, Value]) -> Imported:
        tensors: list[Tensor] = []
        shapes: dict[str, Shape] = {}
        constants: dict[str, Array] = {}
        for output in self.model.graph.output:
            value = values.get(output.name)
            if value is None:
                raise ModelError(f"no node makes its output {output.name[:80]!r}")
            net.place, shapes[output.name] = output.name, value.shape
            if isinstance(value, Constant):
                constants[output.name] = value.array
                if value.dtype.kind in "fiub" and 0 not in value.shape:
                    tensors.append(net.constant(value, value.shape))
            else:
                tensors.append(value.tensor)
        if not tensors:
            raise ModelError("it has no output")
        return Imported(net.build(tensors), net.weights, net.batch, shapes, constants)


class _Budget:
    """How much memory folded constants may still take."""

    def __init__(self) -> None:
        self.left = 4 * LARGEST_RESULT

    def folded(self, kind: str, inputs: Sequence[Constant], attributes: dict[str, Any]) -> Constant:
        """Return the result of an operator on constants."""
        learned = any(constant.learned for constant in inputs)
        source = ""
        if kind in SAME and inputs[0].source:
            source = inputs[0].source if kind == "Identity" else f"{inputs[0].source}_{kind.lower()}"
        array = np.asarray(FOLDS[kind]([constant.array for constant in inputs], attributes))
        if kind not in VIEWS:
            self.left -= array.nbytes
            if self.left < 0:
                raise ModelError("the constants that it computes take too much memory")
        return Constant.of(array, learned=learned and array.dtype.kind == "f" and array.ndim > 0, source=source)


def _read(values: Mapping[str, Value], key: str, unmade: Mapping[str, str]) -> Value | None:
    if not key:
        return None
    if key in unmade:
        raise ModelError(f"it reads {key[:80]!r}, a further output of {unmade[key]}, which is not supported")
    if key not in values:
        raise ModelError(f"it reads {key[:80]!r}, which no node before it makes")
    return values[key]


def _is_weight(array: Array) -> bool:
    return array.dtype.kind == "f" and array.ndim > 0


def _opset(model: ModelProto) -> int:
    versions = [one.version for one in model.opset_import if one.domain in DOMAINS]
    if not versions:
        raise ModelError("it names no version of ONNX's operators")
    if not 1 <= versions[0] <= 1000:
        raise ModelError(f"version {versions[0]} of ONNX's operators does not exist")
    return int(versions[0])


def _attributes(attributes: Iterable[AttributeProto], folder: Path | None) -> dict[str, Any]:
    """Return attributes by name: numbers, texts, arrays and tuples of them. Graphs and the like are None."""
    found: dict[str, Any] = {}
    for one in attributes:
        kind = one.type
        value: Any = None
        if kind == 1:
            value = one.f
        elif kind == 2:
            value = one.i
        elif kind == 3:
            value = one.s.decode("utf-8", "replace")
        elif kind == 4:
            value = stored(one.t, folder, learned=False).array
        elif kind == 6:
            value = tuple(one.floats)
        elif kind == 7:
            value = tuple(one.ints)
        elif kind == 8:
            value = tuple(text.decode("utf-8", "replace") for text in one.strings)
        found[one.name] = value
    return found
