"""Where the writer of ONNX stands: the nodes written so far, and what one operator of ours may add to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError
from archcost.geometry import Pair, Shape, same_padding
from archcost.graph import Graph, Node

NEEDED = 'ONNX files need the onnx library: pip install "archcost[onnx]"'


def edges_of(
    padding: Sequence[Pair] | str,
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[Pair]:
    """Return a padding in numbers, (start, end) for each axis of ``size``."""
    if isinstance(padding, str):
        return [same_padding(*axis) for axis in zip(size, kernel, stride, dilation)]
    return list(padding)


def axis_of_batch(axis: int) -> int:
    """Return an axis of one image's tensor as an axis of the batch's."""
    return axis + 1 if axis >= 0 else axis


def pads_of(edges: Sequence[Pair]) -> list[int]:
    """Return a padding as ONNX lists it: all starts, then all ends."""
    return [side[end] for end in (0, 1) for side in edges]


@dataclass
class Model:
    """An ONNX graph that is being written.

    Attributes:
        graph: the network.
        arrays: parameters and buffers by name (``layer1.0.conv1.weight``), float32.
        opset: version of the ONNX operators.
        nodes: what has been written, in ONNX's own records.
        initializers: name -> array, in the order of their first use.
        alike: values that have one image's worth of elements for the whole batch: they broadcast.
        values: names that are taken.
        named: our name of a tensor -> the name of its initializer.
        written: values of our graph that are there.
    """

    graph: Graph
    arrays: Mapping[str, npt.NDArray[Any]]
    opset: int
    nodes: list[Any] = field(default_factory=list)
    initializers: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    alike: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    named: dict[str, str] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.values.update(self.graph.shapes)

    def fresh(self, name: str) -> str:
        """Return a name that no value has: ``name``, or ``name`` with a number."""
        found, number = name, 1
        while found in self.values:
            number += 1
            found = f"{name}_{number}"
        self.values.add(found)
        return found

    def add(self, kind: str, inputs: Iterable[str], outputs: list[str], **attributes: Any) -> None:
        """Write one ONNX node; it is called as its first output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=outputs[0], **attributes))
        self.written.update(outputs)

    def add_constant(self, name: str, value: npt.NDArray[Any]) -> None:
        """Write a Constant node: numbers that are not learned."""
        from onnx import numpy_helper

        self.add("Constant", (), [name], value=numpy_helper.from_array(value))


@dataclass(frozen=True)
class Place:
    """One operator of ours that is being written as one or more ONNX nodes.

    Attributes:
        model: what it is written into.
        node: the operator in our graph.
        inputs: the ONNX values that it reads.
        shapes: their shapes for one image.
    """

    model: Model
    node: Node
    inputs: tuple[str, ...]
    shapes: tuple[Shape, ...]

    @property
    def output(self) -> Shape:
        """Shape of the output for one image."""
        return self.model.graph.shapes[self.node.name]

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Write an ONNX node on the way to the output; return its value."""
        name = self.model.fresh(f"{self.node.name}_{kind.lower()}")
        self.model.add(kind, inputs, [name], **attributes)
        return name

    def end(self, kind: str, *inputs: str, **attributes: object) -> None:
        """Write the ONNX node that makes the output; without ``inputs`` it reads the operator's own."""
        self.model.add(kind, inputs or self.inputs, [self.node.name], **attributes)

    def tensor(self, name: str) -> npt.NDArray[Any]:
        """Return a parameter or buffer of the operator."""
        return self.model.arrays[f"{self.node.shares or self.node.name}.{name}"]

    def weight(self, name: str, array: npt.NDArray[Any] | None = None, form: str = "") -> str:
        """Return the initializer that holds a parameter.

        Args:
            name: of the parameter.
            array: its elements in the order or shape that ONNX wants; None for as they are.
            form: tells apart the initializers of one parameter that is shared in different shapes.
        """
        full = f"{self.node.shares or self.node.name}.{name}{form}"
        if full not in self.model.named:
            plain = np.asarray(self.tensor(name) if array is None else array, np.float32)
            self.model.named[full] = self.model.fresh(full)
            self.model.initializers[self.model.named[full]] = plain
        return self.model.named[full]

    def weights(self) -> list[str]:
        """Return the initializers of all parameters, in the operator's order."""
        return [self.weight(name) for name in self.model.graph.params(self.node)]

    def constant(self, value: npt.ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """Return the value of a Constant node: numbers that are not learned."""
        name = self.model.fresh(f"{self.node.name}_constant")
        self.model.add_constant(name, np.asarray(value, dtype))
        return name

    def integers(self, values: Iterable[int]) -> str:
        """Return the value of a Constant node that holds a list of integers: a shape, axes, indices."""
        return self.constant(list(values), np.int64)

    def needs(self, opset: int, what: str) -> None:
        """Raise UsageError if the operator cannot be written in the version that was asked for."""
        if self.model.opset < opset:
            raise UsageError(f"{self.node.name}: {what} needs `--opset` {opset} or newer, not {self.model.opset}")

    def reshaped(self, value: str, *sizes: int) -> str:
        """Return ``value`` with the axes ``sizes`` after the batch."""
        return self.add("Reshape", value, self.integers((0, *sizes)))

    def reduced(self, kind: str, value: str, axes: Sequence[int]) -> str:
        """Return a reduction over ``axes`` of the batch's tensor, which stay as axes of size 1."""
        inputs, attributes = self.reduction(kind, axes)
        return self.add(kind, value, *inputs, **attributes, keepdims=1)

    def reduction(self, kind: str, axes: Sequence[int]) -> tuple[list[str], dict[str, Any]]:
        """Return the axes of a reduction as inputs or as attributes: inputs from version 18 on, a sum's always."""
        if kind == "ReduceSum" or self.model.opset >= 18:
            return [self.integers(axes)], {}
        return [], {"axes": list(axes)}

    def for_each_image(self, value: str, shape: Shape) -> str:
        """Return a value that is alike for all images, repeated for each of them."""
        first = self.model.graph.inputs[0].name
        count = self.add("Slice", self.add("Shape", first), self.integers([0]), self.integers([1]))
        sizes = self.add("Concat", count, self.integers(shape), axis=0)
        return self.add("Expand", value, sizes)
