"""Operators whose inputs are all constants: the shape arithmetic of exporters, computed once with NumPy.

Memory is bounded: a result that repeats numbers is a view where NumPy allows it, and what results take together is
limited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.errors import ModelError
from archcost.geometry import product

Array = npt.NDArray[Any]
Attributes = dict[str, Any]

LARGEST_RESULT = 2**28
"""Bytes of one result; together, results of a model may take four times as many."""

MOST_ELEMENTS = 2**33
"""Elements of a result that is only a view of fewer numbers."""


def _limited(shape: Sequence[int], itemsize: int = 8) -> tuple[int, ...]:
    """Return ``shape`` if a new array of it may be made."""
    if any(size < 0 for size in shape):
        raise ModelError(f"a constant would have the shape {tuple(shape)}")
    if product(shape) * itemsize > LARGEST_RESULT:
        raise ModelError(f"a constant that it computes would take {product(shape) * itemsize:,} bytes")
    return tuple(shape)


def _view(shape: Sequence[int]) -> tuple[int, ...]:
    if any(size < 0 for size in shape) or product(shape) > MOST_ELEMENTS or len(shape) > 32:
        raise ModelError("a constant that it repeats would have an impossible shape")
    return tuple(shape)


def _with_broadcast(function: Callable[..., Any]) -> Callable[..., Array]:
    def folded(inputs: list[Array], _attributes: Attributes) -> Array:
        shape = np.broadcast_shapes(*(array.shape for array in inputs))
        _limited(shape)
        with np.errstate(all="ignore"):
            return np.asarray(function(*inputs))

    return folded


def _divide(a: Array, b: Array) -> Array:
    """Return the quotient; that of integers is cut towards zero, as in C."""
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        if not np.all(b):
            raise ModelError("it divides by 0")
        return np.asarray(np.trunc(a / b)).astype(a.dtype) if max(np.abs(a).max(initial=0), 1) < 2**52 else a // b
    return np.asarray(a / b)


def _power(a: Array, b: Array) -> Array:
    return np.asarray(np.power(a.astype(np.float64), b)).astype(a.dtype)


def _many(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(*arrays: Array) -> Any:
        result = arrays[0]
        for array in arrays[1:]:
            result = function(result, array)
        return result

    return reduced


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": _divide, "Pow": _power, "Mod": np.mod,
    "Min": _many(np.minimum), "Max": _many(np.maximum), "Sum": _many(np.add),
    "Neg": np.negative, "Abs": np.abs, "Sqrt": np.sqrt, "Exp": np.exp, "Log": np.log, "Floor": np.floor,
    "Ceil": np.ceil, "Round": np.round, "Sign": np.sign, "Reciprocal": np.reciprocal, "Not": np.logical_not,
    "Equal": np.equal, "Less": np.less, "Greater": np.greater, "LessOrEqual": np.less_equal,
    "GreaterOrEqual": np.greater_equal, "And": np.logical_and, "Or": np.logical_or, "Where": np.where,
    "Relu": lambda x: np.maximum(x, 0),
}  # fmt: skip


def _integers(array: Array) -> list[int]:
    if array.size > 2**16 or array.dtype.kind not in "iub":
        raise ModelError("it needs a short list of integers")
    return [int(number) for number in array.reshape(-1)]


def _concat(inputs: list[Array], attributes: Attributes) -> Array:
    _limited((sum(array.size for array in inputs),))
    return np.concatenate(inputs, int(attributes["axis"]))


def _gather(inputs: list[Array], attributes: Attributes) -> Array:
    data, indices = inputs
    axis = int(attributes.get("axis", 0))
    _limited((product(data.shape) // max(data.shape[axis], 1) * indices.size,))
    return np.take(data, indices.astype(np.int64), axis)


def _slice(inputs: list[Array], attributes: Attributes) -> Array:
    data = inputs[0]
    lists = [_integers(array) for array in inputs[1:]]
    starts = lists[0] if lists else list(attributes["starts"])
    stops = lists[1] if lists else list(attributes["ends"])
    axes = lists[2] if len(lists) > 2 else list(attributes.get("axes", range(len(starts))))
    steps = lists[3] if len(lists) > 3 else [1] * len(starts)
    cut = [slice(None)] * data.ndim
    for axis, start, stop, step in zip(axes, starts, stops, steps):
        beyond = step < 0 and stop < -data.shape[axis]
        cut[axis] = slice(start, None if beyond else stop, step)
    return data[tuple(cut)]


def _axes(inputs: list[Array], attributes: Attributes) -> list[int] | None:
    if len(inputs) > 1:
        return _integers(inputs[1])
    return list(attributes["axes"]) if "axes" in attributes else None


def _squeeze(inputs: list[Array], attributes: Attributes) -> Array:
    axes = _axes(inputs, attributes)
    return np.squeeze(inputs[0], None if axes is None else tuple(axes))


def _unsqueeze(inputs: list[Array], attributes: Attributes) -> Array:
    return np.expand_dims(inputs[0], tuple(_axes(inputs, attributes) or ()))


def resolved(shape: Sequence[int], data: Sequence[int], *, allow_zero: bool = False) -> tuple[int, ...]:
    """Return the target of a Reshape in numbers: 0 keeps an axis of ``data``, and -1 follows from the others.

    Raises:
        ModelError: if there is no such shape.
    """
    sizes = [
        data[axis] if size == 0 and not allow_zero and axis < len(data) else size for axis, size in enumerate(shape)
    ]
    known = product([size for size in sizes if size != -1])
    if sizes.count(-1) > 1 or min(sizes, default=1) < -1 or (-1 in sizes and (not known or product(data) % known)):
        raise ModelError(f"{list(data)} cannot be reshaped to {list(shape)[:16]}")
    return tuple(product(data) // known if size == -1 else size for size in sizes)


def _reshape(inputs: list[Array], attributes: Attributes) -> Array:
    target = _integers(inputs[1]) if len(inputs) > 1 else list(attributes["shape"])
    return _reshaped(inputs[0], resolved(target, inputs[0].shape, allow_zero=bool(attributes.get("allowzero", 0))))


def _reshaped(data: Array, shape: Sequence[int]) -> Array:
    """Return ``data`` in another shape; what repeats one number stays a view."""
    if 0 not in data.strides or data.size < 2:
        return data.reshape(shape)
    if not any(data.strides):
        return np.broadcast_to(data[(0,) * data.ndim], shape)
    return data.reshape(_limited(shape))


def _flatten(inputs: list[Array], attributes: Attributes) -> Array:
    axis = int(attributes.get("axis", 1))
    front = product(inputs[0].shape[: axis if axis >= 0 else inputs[0].ndim + axis])
    return _reshaped(inputs[0], (front, inputs[0].size // max(front, 1)))


def _expand(inputs: list[Array], _: Attributes) -> Array:
    return np.broadcast_to(inputs[0], np.broadcast_shapes(inputs[0].shape, _view(_integers(inputs[1]))))


def _constant_of_shape(inputs: list[Array], attributes: Attributes) -> Array:
    value = attributes.get("value", np.zeros(1, np.float32))
    return np.broadcast_to(np.asarray(value).reshape(()), _view(_integers(inputs[0])))


def _range(inputs: list[Array], _: Attributes) -> Array:
    start, stop, step = (array.reshape(()).item() for array in inputs)
    count = max(0, -int((start - stop) // step)) if step else 2**62
    _limited((count,))
    return np.asarray(start + np.arange(count) * step, inputs[0].dtype)


def _tile(inputs: list[Array], _: Attributes) -> Array:
    repeats = _integers(inputs[1])
    _limited([size * times for size, times in zip(inputs[0].shape, repeats)])
    return np.tile(inputs[0], repeats)


def _reduction(function: Callable[..., Any]) -> Callable[[list[Array], Attributes], Array]:
    def folded(inputs: list[Array], attributes: Attributes) -> Array:
        axes = _axes(inputs, attributes)
        if not axes and attributes.get("noop_with_empty_axes"):
            return inputs[0]
        keep = bool(attributes.get("keepdims", 1))
        return np.asarray(function(inputs[0], axis=tuple(axes) if axes else None, keepdims=keep), inputs[0].dtype)

    return folded


def _non_zero(inputs: list[Array], _: Attributes) -> Array:
    _limited((inputs[0].ndim, inputs[0].size))
    return np.array(np.nonzero(inputs[0]), np.int64)


def _dequantize(inputs: list[Array], attributes: Attributes) -> Array:
    data, scale = inputs[0], inputs[1]
    zero = inputs[2] if len(inputs) > 2 else np.zeros_like(scale, data.dtype)
    if scale.size > 1 or scale.ndim == 1:
        if scale.ndim != 1 or attributes.get("block_size", 0):
            raise ModelError("blocks of scales are not read")
        axis = int(attributes.get("axis", 1))
        form = [1] * data.ndim
        form[axis] = max(1, scale.size)
        scale, zero = scale.reshape(form), zero.reshape(form)
    _limited(data.shape, 4)
    return ((data.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)).astype(np.float32)


FOLDS: dict[str, Callable[[list[Array], Attributes], Array]] = {
    **{kind: _with_broadcast(function) for kind, function in ELEMENTWISE.items()},
    "Concat": _concat, "Gather": _gather, "Slice": _slice, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Reshape": _reshape, "Flatten": _flatten, "Expand": _expand, "ConstantOfShape": _constant_of_shape,
    "Range": _range, "Tile": _tile, "NonZero": _non_zero, "DequantizeLinear": _dequantize,
    "Identity": lambda inputs, _: inputs[0],
    "Transpose": lambda inputs, attributes: np.transpose(inputs[0], attributes.get("perm")),
    "CastLike": lambda inputs, _: inputs[0].astype(inputs[1].dtype),
    "ReduceProd": _reduction(np.prod), "ReduceMax": _reduction(np.max), "ReduceMin": _reduction(np.min),
    "ReduceSum": _reduction(np.sum), "ReduceMean": _reduction(np.mean),
}  # fmt: skip
"""Operators that are computed when all their inputs are constants. Shape, Size, Cast and Split are converters."""

VIEWS = frozenset({"Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "ConstantOfShape"})
"""Those whose result takes no memory of its own."""

SAME = frozenset({"Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "DequantizeLinear"})
"""Those whose result is the stored tensor in another form, one number for each of its numbers."""
