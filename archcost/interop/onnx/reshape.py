"""Shapes of ONNX: what names, views or reads them, and constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from archcost.errors import ModelError
from archcost.geometry import product, shape_text
from archcost.interop.onnx.folding import resolved
from archcost.interop.onnx.importer import Importer, checked
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import Constant, Value

FLOATS = {1, 10, 11, 16}
"""Element types that our network computes in, whatever their width."""

CASTS: dict[int, str] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64", 16: "float32",
}  # fmt: skip


@converts("Constant")
def constant(
    net: Importer,
    *,
    value: Any = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
    value_string: str | None = None,
    value_strings: Sequence[str] | None = None,
    sparse_value: Any = None,
) -> Value:
    """A constant of the model's own: no parameter."""
    floats = value_floats if value_float is None else value_float
    integers = value_ints if value_int is None else value_int
    if value is not None:
        return Constant.of(np.asarray(value))
    if floats is not None:
        return Constant.of(np.asarray(floats, np.float32))
    if integers is not None:
        return Constant.of(np.asarray(integers, np.int64))
    raise ModelError("it holds no numbers, or sparse ones, which are not read")


@converts("Shape")
def shape(net: Importer, x: Value, *, start: int = 0, end: int | None = None) -> Value:
    """The shape of the input, which is known."""
    return Constant.of(np.array(x.shape[start:end], np.int64))


@converts("Size")
def size(net: Importer, x: Value) -> Value:
    """The number of elements of the input, which is known."""
    return Constant.of(np.array(product(x.shape), np.int64))


@converts("Cast")
def cast(net: Importer, x: Value, *, to: int | str = 1, saturate: int = 1, round_mode: str = "up") -> Value:
    """Another element type: of a constant in fact, of anything else only if it is one of floats."""
    kind = {"FLOAT": 1, "FLOAT16": 10, "DOUBLE": 11, "INT32": 6, "INT64": 7, "BOOL": 9}.get(str(to), to)
    if isinstance(x, Constant):
        if kind not in CASTS:
            raise ModelError(f"`to` (={to}) is an element type that is not read")
        dtype = np.dtype(CASTS[int(kind)])
        with np.errstate(all="ignore"):
            return Constant(lambda: x.array.astype(dtype), x.shape, dtype, learned=x.learned, source=x.source)
    if kind not in FLOATS:
        raise ModelError("it makes other things than floating-point numbers of what depends on the images")
    return x


@converts("CastLike")
def cast_like(net: Importer, x: Value, like: Value, *, saturate: int = 1, round_mode: str = "up") -> Value:
    """The element type of another tensor: what depends on the images has that of floating-point numbers."""
    floats = not isinstance(like, Constant) or like.dtype.kind == "f"
    if isinstance(x, Constant):
        dtype = like.dtype if isinstance(like, Constant) else np.dtype(np.float32)
        return Constant(lambda: x.array.astype(dtype), x.shape, dtype, learned=x.learned, source=x.source)
    if not floats:
        raise ModelError("it makes other things than floating-point numbers of what depends on the images")
    return x


@converts("Identity")
def identity(net: Importer, x: Value) -> Value:
    """The input itself."""
    return x


@converts("Reshape")
def reshape(
    net: Importer, x: Value, target: Value | None = None, *, allowzero: int = 0, shape: Sequence[int] | None = None
) -> Value:
    """The same elements in another shape; before version 5 an attribute named it."""
    data = net.runtime(x)
    sizes = shape if target is None and shape is not None else net.integers(target, "the new shape")
    return net.reshape(data, resolved(sizes, data.shape, allow_zero=bool(allowzero)), "")


@converts("Flatten")
def flatten(net: Importer, x: Value, *, axis: int = 1) -> Value:
    """All axes before ``axis`` in one, and all others in another."""
    data = net.runtime(x)
    rank = len(data.shape)
    if not -rank <= axis <= rank:
        raise ModelError(f"`axis` (={axis}) is none of the {rank} axes of its input")
    cut = axis if axis >= 0 else axis + rank
    return net.reshape(data, (product(data.shape[:cut]), product(data.shape[cut:])), "")


def _axes(net: Importer, given: Value | None, axes: Sequence[int] | None) -> tuple[int, ...] | None:
    if given is not None:
        return net.integers(given, "the list of its axes")
    return None if axes is None else tuple(axes)


@converts("Squeeze")
def squeeze(net: Importer, x: Value, given: Value | None = None, *, axes: Sequence[int] | None = None) -> Value:
    """The input without axes of size 1."""
    data = net.runtime(x)
    named = _axes(net, given, axes)
    rank = len(data.shape)
    gone = (
        {axis for axis in range(rank) if data.shape[axis] == 1} if named is None else {checked(a, rank) for a in named}
    )
    if any(data.shape[axis] != 1 for axis in gone):
        raise ModelError(f"an axis of {shape_text(data.shape)} that it takes away is not of size 1")
    data, _ = net.axes(sorted(gone), data)
    return net.reshape(data, tuple(size for axis, size in enumerate(data.shape) if axis not in gone), "")


@converts("Unsqueeze")
def unsqueeze(net: Importer, x: Value, given: Value | None = None, *, axes: Sequence[int] | None = None) -> Value:
    """The input with axes of size 1 at the places ``axes`` of the output."""
    data = net.runtime(x)
    named = _axes(net, given, axes)
    if named is None:
        raise ModelError("the list of its axes is missing")
    rank = len(data.shape) + len(named)
    new = {checked(axis, rank) for axis in named}
    if len(new) != len(named):
        raise ModelError("it names an axis twice")
    if 0 in new:
        data = net.whole(data)
    old = iter(data.shape)
    return net.reshape(data, tuple(1 if axis in new else next(old) for axis in range(rank)), "")
