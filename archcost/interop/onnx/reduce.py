"""Reductions of ONNX: over axes given as attribute (older versions) or as input."""

from __future__ import annotations

from collections.abc import Sequence

from archcost.interop.onnx.importer import Importer, checked
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import Value
from archcost.ops import GlobalAvgPool, ReduceMax, ReduceMean, ReduceMin, ReduceSum
from archcost.ops.reduce import Reduction


def _reduced(
    net: Importer,
    op: type[Reduction],
    x: Value,
    given: Value | None,
    axes: Sequence[int] | None,
    keepdims: int,
    noop_with_empty_axes: int,
) -> Value:
    data = net.runtime(x)
    rank = len(data.shape)
    wanted = list(axes or ()) if given is None else list(net.integers(given, "the list of its axes"))
    if not wanted and noop_with_empty_axes:
        return data
    full = sorted({checked(axis, rank) for axis in wanted} or range(rank))
    shape = tuple(1 if axis in full else size for axis, size in enumerate(data.shape) if keepdims or axis not in full)
    if not full:  # a tensor without axes is its own sum
        return data
    data, own = net.axes(full, data)
    if op is ReduceMean and len(data.tensor.shape) == 3 and own == (1, 2):
        return net.like(data, net.add(GlobalAvgPool(keep_axes=bool(keepdims)), data.tensor), shape)
    return net.like(data, net.add(op(own, bool(keepdims)), data.tensor), shape)


def _register(kind: str, op: type[Reduction]) -> None:
    @converts(kind)
    def convert(
        net: Importer,
        x: Value,
        given: Value | None = None,
        *,
        axes: Sequence[int] | None = None,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Value:
        return _reduced(net, op, x, given, axes, keepdims, noop_with_empty_axes)


_register("ReduceMean", ReduceMean)
_register("ReduceSum", ReduceSum)
_register("ReduceMax", ReduceMax)
_register("ReduceMin", ReduceMin)
