"""Ways to damage a file: blindly, byte by byte, and by its structure, so that the damage reaches what reads it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

Random = np.random.Generator

EXTREMES: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 7, 64, 255, 65536, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**31), -(2**63),
)  # fmt: skip
ODD: tuple[Any, ...] = (
    *EXTREMES,
    10**30,
    1e308,
    -1.5,
    0.0,
    True,
    None,
    "",
    "x",
    "input",
    "\0",
    "a.b",
    [],
    {},
    [[1]],
    [-1],
)
"""Values for any place of a JSON file."""


def one_of(random: Random, things: Sequence[Any]) -> Any:
    return things[int(random.integers(len(things)))]


def bytes_changed(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Return ``data`` with a few bytes flipped, overwritten, cut out, repeated, or taken from another file."""
    result = bytearray(data)
    for _ in range(int(random.integers(1, 5))):
        size = len(result)
        if not size:
            break
        at, length = int(random.integers(size)), int(random.integers(1, 17))
        way = int(random.integers(8))
        if way == 0:
            result[at] ^= 1 << int(random.integers(8))
        elif way == 1:
            result[at] = one_of(random, (0, 1, 0x7F, 0x80, 0xFF))
        elif way == 2:
            del result[at:]
        elif way == 3:
            del result[at : at + length]
        elif way == 4:
            result[at:at] = result[at : at + length] * int(random.integers(1, 40))
        elif way == 5:
            number = int(one_of(random, EXTREMES)) & (2**64 - 1)
            form, mask = one_of(random, (("<Q", 2**64 - 1), ("<I", 2**32 - 1), (">I", 2**32 - 1), (">H", 2**16 - 1)))
            packed = struct.pack(form, number & mask)
            result[at : at + len(packed)] = packed
        elif way == 6:
            result[at:at] = random.bytes(length)
        else:
            other = one_of(random, others)
            start = int(random.integers(len(other)))
            result[at : at + 64] = other[start : start + int(random.integers(1, 257))]
    return bytes(result)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) in a JSON value."""
    found, rest = [], [value]
    while rest:
        inner = rest.pop()
        items = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
        for key, one in items:
            found.append((inner, key))
            rest.append(one)
    return found


def value_changed(data: Any, random: Random) -> None:
    """Change a few places of a JSON value in place: other values, removed, repeated, swapped, nested deeply."""
    for _ in range(int(random.integers(1, 4))):
        places = _places(data)
        if not places:
            return
        container, key = one_of(random, places)
        way = int(random.integers(6))
        if way <= 2:
            container[key] = deepcopy(one_of(random, ODD))
        elif way == 3:
            del container[key]
        elif way == 4:
            other, place = one_of(random, places)
            container[key] = deepcopy(other[place]) if isinstance(other, dict) else None
        elif isinstance(container, list):
            container *= int(one_of(random, (2, 3, 20)))
        else:
            value: Any = 1
            for _ in range(int(one_of(random, (3, 30, 500)))):
                value = [value]
            container[key] = value


def json_changed(data: bytes, random: Random) -> bytes:
    """Return a graph file with places changed."""
    value = json.loads(data)
    value_changed(value, random)
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"[" * 100_000


def safetensors_changed(data: bytes, random: Random) -> bytes:
    """Return a safetensors file whose header is changed."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    value_changed(header, random)
    try:
        text = json.dumps(header).encode()
    except RecursionError:
        text = b"[" * 100_000
    said = len(text) if random.integers(4) else int(one_of(random, EXTREMES)) & (2**64 - 1)
    return struct.pack("<Q", said) + text + data[8 + length :]


def onnx_changed(data: bytes, random: Random) -> bytes:
    """Return an ONNX file with fields changed, nodes rewired, repeated or swapped, tensors lost."""
    from onnx import ModelProto

    model = ModelProto.FromString(data)
    for _ in range(int(random.integers(1, 4))):
        _change_model(model, random)
    content: bytes = model.SerializeToString()
    return content


def _change_model(model: Any, random: Random) -> None:
    graph = model.graph
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    node = one_of(random, graph.node) if graph.node else graph.node.add()
    tensor = one_of(random, graph.initializer) if graph.initializer else graph.initializer.add()
    number = int(one_of(random, EXTREMES))
    number = min(max(number, -(2**63)), 2**63 - 1)
    ways: list[Callable[[], Any]] = [
        lambda: node.ClearField("input") if not names else node.input.append(one_of(random, names)),
        lambda: node.input.__setitem__(int(random.integers(len(node.input))), one_of(random, names)),
        lambda: node.output.__setitem__(0, one_of(random, names)),
        lambda: setattr(node, "op_type", one_of(random, [other.op_type for other in graph.node])),
        lambda: setattr(node, "op_type", one_of(random, ("Loop", "", "Softmax", "MatMul", "Shape", "Expand", "Range"))),
        lambda: setattr(one_of(random, node.attribute), "i", number),
        lambda: one_of(random, node.attribute).ints.append(number),
        lambda: one_of(random, node.attribute).ints.__setitem__(0, number),
        lambda: setattr(one_of(random, node.attribute), "name", one_of(random, ("pads", "axis", "group", "x"))),
        lambda: setattr(one_of(random, node.attribute), "type", int(random.integers(15))),
        lambda: tensor.dims.append(number),
        lambda: tensor.dims.__setitem__(int(random.integers(len(tensor.dims))), number),
        lambda: setattr(tensor, "data_type", int(random.integers(-1, 25))),
        lambda: setattr(tensor, "raw_data", tensor.raw_data[: len(tensor.raw_data) // 2]),
        lambda: setattr(tensor, "data_location", 1),
        lambda: setattr(tensor, "name", one_of(random, names)),
        lambda: graph.initializer.remove(tensor),
        lambda: graph.node.remove(node),
        lambda: graph.node.extend([node] * int(one_of(random, (1, 2, 1000)))),
        lambda: graph.node.insert(0, graph.node[-1]),
        lambda: graph.input.extend(list(graph.input)),
        lambda: setattr(_size(random, graph.input), "dim_value", number),
        lambda: setattr(_size(random, graph.input), "dim_param", "size"),
        lambda: setattr(one_of(random, graph.input).type.tensor_type, "elem_type", int(random.integers(20))),
        lambda: setattr(one_of(random, graph.output), "name", one_of(random, names)),
        lambda: graph.ClearField("output"),
        lambda: setattr(model.opset_import[0], "version", number),
        lambda: setattr(model.opset_import[0], "domain", "other"),
        lambda: setattr(tensor.external_data.add(), "key", "location"),
        lambda: _outside(tensor, one_of(random, ("../secret", "/etc/hostname", "none", "", "\0")), number),
    ]
    try:
        one_of(random, ways)()
    except (IndexError, ValueError, TypeError):
        node.name = "\x07" * int(random.integers(1, 50))  # there is no such place, or the format itself refuses


def _size(random: Random, values: Any) -> Any:
    return one_of(random, one_of(random, values).type.tensor_type.shape.dim)


def _outside(tensor: Any, location: str, length: int) -> None:
    tensor.data_location = 1
    for key, value in (("location", location), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


STRUCTURED: dict[str, Callable[[bytes, Random], bytes]] = {
    "onnx": onnx_changed,
    "json": json_changed,
    "safetensors": safetensors_changed,
}
"""Kind -> what changes it by its structure; half of its cases are changed so, and some of those blindly too."""


def mutated(kind: str, files: Sequence[bytes], random: Random) -> bytes:
    """Return one of ``files``, damaged."""
    data = one_of(random, files)
    if kind in STRUCTURED and random.integers(2):
        data = STRUCTURED[kind](data, random)
        if random.integers(8):
            return data
    return bytes_changed(data, random, files)
