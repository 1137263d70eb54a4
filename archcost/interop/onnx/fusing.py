"""Operators that exporters write as several nodes: dense layers with a bias, and GELU by the error function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, Any

from archcost.interop.onnx.tensors import stored

if TYPE_CHECKING:
    from onnx import GraphProto

DENSE = "MatMul and Add"
"""The operator that stands for a product with a constant matrix and the addition of a constant vector."""

CHANNEL_NORM = "LayerNormalization of channels"
"""The operator that stands for a LayerNormalization of the last axis between a transposition to it and one back."""

NEAR = 1e-3

INTEGER = 2
"""Type of an attribute that is one integer."""


@dataclass(frozen=True)
class Call:
    """A node of the model, or one that stands for several.

    Attributes:
        kind, domain: the operator.
        name: of the node in the file.
        inputs, outputs: names of values.
        attributes, notes: the messages.
    """

    kind: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Sequence[Any] = ()
    notes: Sequence[Any] = ()


def _printable(name: str | bytes) -> str:
    """Return the name of an operator, for errors of one line too: no known one holds control characters.

    Names that are no UTF-8 come as bytes.
    """
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def calls(graph: GraphProto) -> list[Call]:
    """Return the nodes of ``graph``, those that belong together as one."""
    found = [
        Call(
            _printable(node.op_type), _printable(node.domain), node.name, tuple(node.input), tuple(node.output),
            node.attribute, node.metadata_props,
        )
        for node in graph.node
    ]  # fmt: skip
    return _Fusing(graph, found).fused()


class _Fusing:
    """What the patterns need to know of a model: who makes a value, and how often it is read."""

    def __init__(self, graph: GraphProto, found: list[Call]) -> None:
        self.calls: list[Call | None] = list(found)
        self.makers = {name: index for index, call in enumerate(found) for name in call.outputs}
        self.readers = Counter(name for call in found for name in call.inputs)
        self.readers.update(one.name for one in graph.output)
        self.shapes: dict[str, tuple[int, ...]] = {one.name: tuple(one.dims) for one in graph.initializer}
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        for call in found:  # exporters store equal tensors once
            if call.kind == "Identity" and not call.domain and call.inputs and call.inputs[0] in self.shapes:
                self.shapes[call.outputs[0]] = self.shapes[call.inputs[0]]

    def fused(self) -> list[Call]:
        for index, call in enumerate(self.calls):
            if call is None or call.domain:
                continue
            if call.kind == "Add":
                self._dense(index, call)
            elif call.kind == "Mul":
                self._swish(index, call)
                self._gelu(index, call)
            elif call.kind == "Transpose":
                self._channel_norm(index, call)
        return [call for call in self.calls if call is not None]

    def maker(self, name: str, kinds: Iterable[str]) -> Call | None:
        """Return the node that makes a value which nobody else reads, if it is one of ``kinds``."""
        call = self.calls[self.makers[name]] if name in self.makers else None
        return call if call is not None and call.kind in kinds and self.readers[name] == 1 else None

    def number(self, name: str) -> float | None:
        """Return the number that a value is, if it is a constant of one number."""
        tensor = self._stored.get(name)
        call = self.calls[self.makers[name]] if name in self.makers else None
        if tensor is None and call is not None and call.kind == "Constant":
            for one in call.attributes:
                if one.name == "value_float":
                    return float(one.f)
                tensor = one.t if one.name == "value" else None
        if tensor is None or any(size != 1 for size in tensor.dims) or tensor.data_type not in (1, 10, 11):
            return None
        return float(stored(tensor, None, learned=False).array.reshape(-1)[0]) if not tensor.data_location else None

    def other(self, call: Call, *numbers: float) -> str | None:
        """Return the input of a node beside a constant that is one of ``numbers``."""
        if len(call.inputs) != 2:
            return None
        for mine, constant in (call.inputs, call.inputs[::-1]):
            value = self.number(constant)
            if value is not None and any(abs(value - number) < NEAR * number for number in numbers):
                return mine
        return None

    def _dense(self, index: int, call: Call) -> None:
        for product, bias in (call.inputs, call.inputs[::-1]) if len(call.inputs) == 2 else ():
            matmul = self.maker(product, ("MatMul",))
            if matmul is None or len(self.shapes.get(bias, ())) != 1 or len(matmul.inputs) != 2:
                continue
            if self._columns(matmul.inputs[1]) == self.shapes[bias][0]:
                self.calls[self.makers[product]] = None
                joined = replace(matmul, kind=DENSE, inputs=(*matmul.inputs, bias), outputs=call.outputs)
                self.calls[index] = joined
                return

    def _columns(self, name: str) -> int | None:
        """Return the columns of a stored matrix, or of one that is transposed before it is used."""
        if name in self.shapes:
            return self.shapes[name][1] if len(self.shapes[name]) == 2 else None
        call = self.calls[self.makers[name]] if name in self.makers else None
        if call is None or call.kind != "Transpose" or len(self.shapes.get(call.inputs[0], ())) != 2:
            return None
        return self.shapes[call.inputs[0]][0]

    def _swish(self, index: int, call: Call) -> None:
        """Look for x * sigmoid(x)."""
        for x, gate in (call.inputs, call.inputs[::-1]) if len(call.inputs) == 2 else ():
            sigmoid = self.maker(gate, ("Sigmoid",))
            if sigmoid is not None and sigmoid.inputs == (x,):
                self.calls[self.makers[gate]] = None
                self.calls[index] = replace(call, kind="Swish", inputs=(x,), attributes=())
                return

    def _channel_norm(self, index: int, call: Call) -> None:
        """Look for a LayerNormalization between (N, C, H, W) to (N, H, W, C) and back."""
        norm = self.maker(call.inputs[0], ("LayerNormalization",)) if len(call.inputs) == 1 else None
        if norm is None or len(norm.inputs) != 3 or _numbers(call, "perm") != (0, 3, 1, 2):
            return
        before = self.maker(norm.inputs[0], ("Transpose",))
        stored_vectors = all(len(self.shapes.get(name, ())) == 1 for name in norm.inputs[1:])
        if before is None or not stored_vectors or _numbers(before, "perm") != (0, 2, 3, 1):
            return
        if (_numbers(norm, "axis") or (-1,)) in ((-1,), (3,)):
            for made in (call.inputs[0], norm.inputs[0]):
                self.calls[self.makers[made]] = None
            inputs = (*before.inputs, *norm.inputs[1:])
            self.calls[index] = replace(norm, kind=CHANNEL_NORM, inputs=inputs, outputs=call.outputs)

    def _gelu(self, index: int, call: Call) -> None:
        """Look for x * (erf(x / sqrt 2) + 1) * 0.5 with the factors in any order."""
        parts: list[str] = []
        half = False
        waiting = list(call.inputs)
        gone: list[str] = []
        while waiting and len(gone) < 4:
            name = waiting.pop()
            if (value := self.number(name)) is not None and abs(value - 0.5) < NEAR and not half:
                half = True
            elif (product := self.maker(name, ("Mul",))) is not None:
                gone.append(name)
                waiting += product.inputs
            else:
                parts.append(name)
        if waiting or not half or len(parts) != 2:
            return
        for x, curve in (parts, parts[::-1]):
            plus = self.maker(curve, ("Add",))
            erf = self.maker(self.other(plus, 1.0) or "", ("Erf",)) if plus else None
            scaled = self.maker(erf.inputs[0], ("Div", "Mul")) if erf else None
            if plus is None or erf is None or scaled is None:
                continue
            if self.other(scaled, sqrt(2) if scaled.kind == "Div" else sqrt(0.5)) == x:
                for made in (*gone, *plus.outputs, *erf.outputs, *scaled.outputs):
                    self.calls[self.makers[made]] = None
                self.calls[index] = replace(call, kind="Gelu", inputs=(x,), attributes=())
                return


def _numbers(call: Call, name: str) -> tuple[int, ...]:
    """Return an attribute of whole numbers; empty if there is none."""
    for one in call.attributes:
        if one.name == name:
            return (one.i,) if one.type == INTEGER else tuple(one.ints)
    return ()
