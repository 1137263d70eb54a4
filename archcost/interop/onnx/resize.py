"""Resize and Upsample of ONNX, to sizes in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import cast

from archcost.errors import ModelError
from archcost.geometry import product, shape_text
from archcost.interop.onnx.importer import Importer, checked
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import Constant, Runtime, Value
from archcost.ops import Resize
from archcost.ops.resize import Coordinates, Rounding


@converts("Resize")
def resize(
    net: Importer,
    x: Value,
    roi: Value | None = None,
    scales: Value | None = None,
    sizes: Value | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Value:
    """Nearest or linear interpolation; version 10 has scales as second input and asymmetric coordinates."""
    data = net.runtime(x)
    if net.opset < 11:
        return _resized(net, data, _full(net, data, roi, None), None, mode, "asymmetric", "floor")
    if antialias or exclude_outside:
        raise ModelError("`antialias` and `exclude_outside` are not supported")
    coordinates = coordinate_transformation_mode.replace("tf_half_pixel_for_nn", "half_pixel")
    if sizes is None or _empty(sizes):
        return _resized(net, data, _full(net, data, scales, axes), None, mode, coordinates, nearest_mode)
    wanted = list(net.integers(sizes, "the new sizes"))
    places = [checked(axis, len(data.shape)) for axis in (axes or range(len(data.shape)))]
    if len(wanted) != len(places):
        raise ModelError(f"it names {len(wanted)} sizes for {len(places)} axes")
    factors = None
    if keep_aspect_ratio_policy != "stretch":
        quotients = [size / data.shape[place] for size, place in zip(wanted, places)]
        one = min(quotients) if keep_aspect_ratio_policy == "not_larger" else max(quotients)
        wanted = [floor(one * data.shape[place] + 0.5) for place in places]
        factors = [1.0] * len(data.shape)
        for place in places:
            factors[place] = one
    full = list(data.shape)
    for place, size in zip(places, wanted):
        full[place] = size
    return _resized(net, data, factors, full, mode, coordinates, nearest_mode)


@converts("Upsample")
def upsample(
    net: Importer,
    x: Value,
    given: Value | None = None,
    *,
    height_scale: float = 1.0,
    mode: str = "nearest",
    scales: Sequence[float] | None = None,
    width_scale: float = 1.0,
) -> Value:
    """Resize before version 10: asymmetric coordinates, scales as attribute or input."""
    data = net.runtime(x)
    factors = list(scales or (1.0, 1.0, height_scale, width_scale)) if given is None else _full(net, data, given, None)
    return _resized(net, data, factors, None, mode, "asymmetric", "floor")


def _empty(value: Value) -> bool:
    return isinstance(value, Constant) and product(value.shape) == 0


def _full(net: Importer, data: Runtime, scales: Value | None, axes: Sequence[int] | None) -> list[float]:
    """Return a scale for every axis of ``data``."""
    given = net.numbers(scales, "the list of its scales")
    places = [checked(axis, len(data.shape)) for axis in (axes or range(len(data.shape)))]
    if len(given) != len(places) or min(given, default=1.0) <= 0:
        raise ModelError(f"its scales {list(given)[:8]} must be {len(places)} numbers above 0")
    factors = [1.0] * len(data.shape)
    for place, scale in zip(places, given):
        factors[place] = scale
    return factors


def _resized(
    net: Importer,
    data: Runtime,
    scales: Sequence[float] | None,
    sizes: Sequence[int] | None,
    mode: str,
    coordinates: str,
    rounding: str,
) -> Value:
    mode = {"bilinear": "linear", "trilinear": "linear"}.get(mode, mode)
    if mode not in ("nearest", "linear"):
        raise ModelError(f"`mode` (={mode[:40]!r}) must be nearest or linear")
    if scales is not None and len(scales) != len(data.shape):
        raise ModelError(f"it has {len(scales)} scales for {len(data.shape)} axes")
    if sizes is None:
        sizes = [floor(size * scale) for size, scale in zip(data.shape, scales or ())]
    if min(sizes) < 1:
        raise ModelError(f"{shape_text(data.shape)} cannot be resized to {list(sizes)[:8]}")
    changed = [
        axis
        for axis, size in enumerate(data.shape)
        if sizes[axis] != size or (scales is not None and scales[axis] != 1.0)
    ]
    if not changed:
        return data
    data, _ = net.axes(changed, data)
    last = tuple(sizes[changed[0] :])
    factors = None
    if scales is not None and any(scales[axis] != sizes[axis] / data.shape[axis] for axis in changed):
        factors = tuple(scales[len(scales) - len(last) :])
    op = Resize(
        last,
        "nearest" if mode == "nearest" else "linear",
        cast("Coordinates", coordinates),
        cast("Rounding", rounding),
        factors,
    )
    return net.like(data, net.add(op, data.tensor), tuple(sizes))
