"""What a converter of one ONNX operator works with: the graph so far, and helpers for axes, shapes and constants.

Axis 0 of the inputs is the batch, and our shapes leave it out. Where the batch is one image, an operator that works on
axis 0 gets a tensor that has this axis. Where it is several, it raises ``BatchAxisError``; then the model is converted
as a whole: one image of ours has all axes of the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape, product, shape_text
from archcost.graph import Graph
from archcost.interop.onnx import values
from archcost.interop.onnx.naming import cleaned
from archcost.interop.onnx.values import Array, BatchAxisError, Runtime, Value
from archcost.ops import Concat, Constant, Flatten, Op, Parameter, Reshape, Slice

Weights = dict[str, Callable[[], Array]]


MOST_PARTS = 1024
"""Parts of a first axis that is no batch: each of them takes nodes of its own."""


class Importer:
    """A model that is being converted.

    Args:
        name: of the network.
        batch: size of axis 0 of the inputs, which our shapes leave out; None to convert the model as a whole.
        opset: version of the model's operators.

    Attributes:
        weights: name of a parameter or buffer (``conv1.weight``) -> function that returns its numbers.
        place: name that the nodes of the operator that is being converted get.
        outputs: number of outputs of that operator.
        scopes: what a scope is, for the layer tree.
    """

    def __init__(self, name: str, batch: int | None, opset: int) -> None:
        self._builder = Builder(name)
        self._name = name
        self.batch = batch
        self.opset = opset
        self.weights: Weights = {}
        self.place = ""
        self.outputs = 1
        self.scopes: dict[str, str] = {}
        self._used: dict[str, int] = {}
        self._owners: dict[object, Tensor] = {}
        self._nodes: dict[tuple[object, Shape], Tensor] = {}

    def unique(self, name: str) -> str:
        """Return ``name``, or ``name`` with a number if it is taken."""
        name = cleaned(name)
        found = name
        while found in self._used:
            # Counting goes on where it ended: a model may call all of its nodes alike.
            self._used[name] = self._used.get(name, 0) + 1
            found = f"{name}_{self._used[name]}"
        self._used[found] = 0
        return found

    def add(
        self, op: Op, *tensors: Tensor, weights: Mapping[str, values.Constant] | None = None, role: str = ""
    ) -> Tensor:
        """Add a node of ours and return its output.

        Args:
            op: the operator.
            tensors: what it reads.
            weights: its parameters and buffers. What reads the same stored ones as an earlier node shares its.
            role: what it is for, where it is not the operator that is being converted itself.
        """
        weights = weights or {}
        for constant in weights.values():
            if constant.dtype.kind not in "fiub":
                raise ModelError(f"its weight {constant.source[:80]!r} holds elements of a type that is not read")
        name = self.unique(f"{self.place}_{role}" if role else self.place)
        sources = tuple(constant.source for constant in weights.values())
        key = (type(op), sources, tuple(constant.shape for constant in weights.values()))
        shares = self._owners.get(key) if sources and all(sources) else None
        tensor = self._builder(op, *tensors, name=name, shares=shares)
        if shares is None:
            self._owners[key] = tensor
            for tensor_name, constant in weights.items():
                self.weights[f"{name}.{tensor_name}"] = partial(getattr, constant, "array")
        return tensor

    def constant(self, constant: values.Constant, shape: Shape) -> Tensor:
        """Return a node that holds a constant, reshaped to ``shape``: learned or not, as the constant is."""
        if constant.dtype.kind not in "fiub":
            raise ModelError("it reads a constant that holds no numbers")
        if min(shape, default=1) < 1:
            raise ModelError(f"it reads an empty constant, {shape_text(constant.shape)}")
        shape = shape or (1,)
        key = (constant.source or id(constant), shape)
        if key not in self._nodes:
            name = self.unique(constant.source or f"{self.place}_constant")
            op, tensor = (Parameter(shape), "weight") if constant.learned else (Constant(shape), "value")
            self._nodes[key] = self._builder(op, name=name)
            self.weights[f"{name}.{tensor}"] = lambda: constant.array.reshape(shape)
        return self._nodes[key]

    def input(self, name: str, shape: Shape) -> Runtime:
        """Add an input of the model's ``shape``."""
        batched = self.batch is not None
        return Runtime(
            self._builder.input((shape[1:] if batched else shape) or (1,), self.unique(name)), shape, batched
        )

    def build(self, outputs: Sequence[Tensor]) -> Graph:
        """Return the finished graph."""
        graph = self._builder.build(*outputs)
        return Graph.of_inferred(graph.nodes, graph.shapes, graph.outputs, self._name, "", self.scopes)

    def like(self, x: Runtime, tensor: Tensor, shape: Shape | None = None) -> Runtime:
        """Return ``tensor``, made of ``x``, as a value of the model; its shape is given where it has no own axes."""
        if shape is None:
            shape = (x.shape[0], *tensor.shape) if x.batched else tensor.shape
        return Runtime(tensor, shape, x.batched)

    def whole(self, x: Runtime) -> Runtime:
        """Return ``x`` with the batch as an axis of our tensor. Raises BatchAxisError if that is of several images."""
        if not x.batched:
            return x
        if self.batch != 1:
            raise BatchAxisError
        return Runtime(self.view(x.tensor, x.shape, "whole"), x.shape, batched=False)

    def per_image(self, x: Runtime) -> Runtime:
        """Return ``x`` without a first axis of size 1 in our tensor, if there is one and images come one by one."""
        if x.batched or self.batch != 1 or x.shape[:1] != (1,):
            return x
        return Runtime(self.view(x.tensor, x.shape[1:], "image"), x.shape, batched=True)

    def axis(self, axis: int, x: Runtime) -> tuple[Runtime, int]:
        """Return ``x``, and ``axis`` of the model's shape as an axis of our tensor.

        Raises:
            BatchAxisError: if it is the batch, of several images.
            ModelError: if there is no such axis.
        """
        x, (own,) = self.axes((axis,), x)
        return x, own

    def axes(self, axes: Sequence[int], x: Runtime) -> tuple[Runtime, tuple[int, ...]]:
        """Return ``x``, and several axes as those of our tensor; see ``axis``."""
        found = [checked(axis, len(x.shape)) for axis in axes]
        if x.batched and 0 in found:
            x = self.whole(x)
        return x, tuple(axis - x.batched for axis in found)

    def view(self, tensor: Tensor, own: Shape, role: str) -> Tensor:
        """Return a tensor of ours in another shape."""
        own = own or (1,)
        if own == tensor.shape:
            return tensor
        return self.add(Flatten() if len(own) == 1 else Reshape(own), tensor, role=role)

    def runtime(self, value: Value | None, what: str = "its input") -> Runtime:
        """Return a value as a tensor of the network: a constant becomes a node. Raises ModelError if it is missing."""
        if value is None:
            raise ModelError(f"{what} is missing")
        if isinstance(value, Runtime):
            return value
        return Runtime(self.constant(value, value.shape), value.shape, batched=False)

    def known(self, value: Value | None, what: str) -> values.Constant:
        """Return a constant. Raises ModelError if the value is missing or depends on the images."""
        if isinstance(value, values.Constant):
            return value
        raise ModelError(f"{what} {'is missing' if value is None else 'depends on the images, which is not supported'}")

    def integers(self, value: Value | None, what: str) -> tuple[int, ...]:
        """Return a constant of up to a few thousand integers, as a list. Raises ModelError for another value."""
        constant = self.known(value, what)
        if constant.dtype.kind not in "iub" or len(constant.shape) > 1 or product(constant.shape) > 2**16:
            raise ModelError(f"{what} must be a list of integers, not {shape_text(constant.shape)} {constant.dtype}")
        return tuple(int(number) for number in constant.array.reshape(-1))

    def numbers(self, value: Value | None, what: str) -> tuple[float, ...]:
        """Return a constant of up to a few thousand numbers, as a list. Raises ModelError for another value."""
        constant = self.known(value, what)
        if constant.dtype.kind not in "fiub" or product(constant.shape) > 2**16:
            raise ModelError(f"{what} must be a list of numbers, not {shape_text(constant.shape)} {constant.dtype}")
        return tuple(float(number) for number in constant.array.reshape(-1))

    def number(self, value: Value | None, what: str) -> float:
        """Return a constant of one number. Raises ModelError for another value."""
        found = self.numbers(value, what)
        if len(found) != 1:
            raise ModelError(f"{what} must be one number, not {len(found)}")
        return found[0]

    def each(self, op: Op, x: Value | None, **weights: values.Constant) -> Runtime:
        """Add an operator that leaves the shape as it is."""
        value = self.runtime(x)
        return self.like(value, self.add(op, value.tensor, weights=weights), value.shape)

    def reshape(self, x: Runtime, shape: Shape, role: str = "reshape") -> Runtime:
        """Return ``x`` in another shape of the model; ``role`` is empty where this is the operator itself."""
        if product(shape) != product(x.shape):
            raise ModelError(f"{shape_text(x.shape)} cannot be reshaped to {shape_text(shape)}")
        if min(shape, default=1) < 1:
            raise ModelError("its output is empty")
        # Of one image alone, the first axis is the batch again wherever its size is 1.
        batched = shape[:1] == (self.batch,) and (x.batched or self.batch == 1)
        if x.batched and not batched and self.batch != 1:
            raise BatchAxisError
        return Runtime(self.view(x.tensor, shape[1:] if batched else shape, role), shape, batched)

    def images(self, x: Runtime, function: Callable[[Tensor], Tensor]) -> Runtime:
        """Apply what works on one image's tensor: to the tensor itself, or to each part of its first axis."""
        x = self.per_image(x)
        if x.batched:
            return self.like(x, function(x.tensor))
        if not x.shape:
            raise ModelError("its input has no axes")
        if x.shape[0] > MOST_PARTS:
            raise ModelError(
                f"its input of {shape_text(x.shape)} has no batch, and more than {MOST_PARTS:,} parts to compute apart"
            )
        results = []
        for index in range(x.shape[0]):
            part = x.tensor
            if x.shape[0] > 1:
                part = self.add(Slice(0, index, index + 1), part, role="image")
            single = self.add(Reshape(x.shape[1:] or (1,)), part, role="unbatched")
            done = function(single)
            results.append(self.add(Reshape((1, *done.shape)), done, role="batched"))
        joined = results[0] if len(results) == 1 else self.add(Concat(0), *results, role="images")
        return self.like(x, joined)

    def as_image(self, tensor: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply what works on (C, H, W) to a tensor of (C, L), which is (C, 1, L), or of three axes."""
        if len(tensor.shape) == 3:
            return function(tensor)
        if len(tensor.shape) != 2:
            raise ModelError(
                f"its input has {len(tensor.shape) - 1} axes beside batch and channels; 1, 2 or 3 are read"
            )
        channels, length = tensor.shape
        done = function(self.add(Reshape((channels, 1, length)), tensor, role="rows"))
        return self.add(Reshape((done.shape[0], *done.shape[2:])), done, role="line")


def checked(axis: int, rank: int) -> int:
    """Return ``axis`` counted from the front. Raises ModelError if there is none."""
    if not -rank <= axis < rank:
        raise ModelError(f"axis {axis} is none of the {rank} axes of its input")
    return axis % rank


def scalar(value: values.Constant | Value | None) -> float | None:
    """Return the number of a constant that holds exactly one number in a tensor without axes or of sizes 1."""
    if isinstance(value, values.Constant) and product(value.shape) == 1 and value.dtype.kind in "fiub":
        number = float(np.asarray(value.array).reshape(-1)[0])
        return number if abs(number) < 1e300 else None
    return None


def float_array(array: Any) -> Array:
    """Return an array in float32, as weights are stored."""
    return np.asarray(array, np.float32)
