"""Resizing of the last axes by interpolation, as ONNX's Resize defines it."""

from __future__ import annotations

from math import ceil, floor
from typing import ClassVar, Literal, NamedTuple

from archcost.cost import NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape, number, product, shape_text, shown, wholes
from archcost.ops.base import ParameterFree, operator

Coordinates = Literal["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
Rounding = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


class Source(NamedTuple):
    """Where one output position of an axis reads: input ``low`` times 1 - ``share``, plus ``high`` times ``share``."""

    low: int
    high: int
    share: float


@operator
class Resize(ParameterFree):
    """The last ``len(sizes)`` axes resized to ``sizes``: (C, H, W) with two of them, other ranks alike.

    An axis of unchanged size and no scale of its own is passed through. "linear" interpolates on each resized axis: of
    k such axes an output element weights 2^k input elements and adds them up. "nearest" computes nothing.

    Args:
        sizes: output sizes of the last axes.
        mode: "nearest" or "linear".
        coordinates: how an output position maps to a place on the input axis (ONNX's names).
        rounding: of a place that "nearest" takes.
        scales: output over input positions of each axis, where it is not the quotient of the sizes.
    """

    family: ClassVar[str] = "reshape"
    COORDINATES: ClassVar[tuple[str, ...]] = (
        "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric",
    )  # fmt: skip
    ROUNDINGS: ClassVar[tuple[str, ...]] = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    sizes: tuple[int, ...]
    mode: Literal["nearest", "linear"] = "nearest"
    coordinates: Coordinates = "half_pixel"
    rounding: Rounding = "round_prefer_floor"
    scales: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", wholes("sizes", self.sizes))
        if not self.sizes:
            raise OperatorError("`sizes` must name at least one axis")
        choices = (
            ("mode", ("nearest", "linear")),
            ("coordinates", self.COORDINATES),
            ("rounding", self.ROUNDINGS),
        )
        for name, allowed in choices:
            if getattr(self, name) not in allowed:
                raise OperatorError(f"`{name}` (={shown(getattr(self, name))}) must be one of {', '.join(allowed)}")
        if self.scales is not None:
            if not isinstance(self.scales, (tuple, list)) or len(self.scales) != len(self.sizes):
                raise OperatorError(f"`scales` (={shown(self.scales)}) must hold a number for each of `sizes`")
            object.__setattr__(self, "scales", tuple([number("scales", scale) for scale in self.scales]))
            if any(scale <= 0 for scale in self.scales):
                raise OperatorError(f"`scales` (={shown(self.scales)}) must be above 0")

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        if len(shape) < len(self.sizes):
            raise OperatorError(f"`sizes` (={self.sizes}) must be at most the {len(shape)} axes of {shape_text(shape)}")
        return *shape[: len(shape) - len(self.sizes)], *self.sizes

    def resized(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes of ``shape`` that are resized, counted from the front."""
        first = len(shape) - len(self.sizes)
        return tuple(
            first + place
            for place, size in enumerate(self.sizes)
            if size != shape[first + place] or (self.scales is not None and self.scales[place] != 1)
        )

    def sources(self, shape: Shape, axis: int) -> tuple[Source, ...]:
        """Return where each output position of ``axis`` of an input of ``shape`` reads.

        With "nearest" both places are the one that is taken, and the share is 0.
        """
        place, size = axis - (len(shape) - len(self.sizes)), shape[axis]
        output, scale = self.sizes[place], None if self.scales is None else self.scales[place]
        found = []
        for position in range(output):
            at = place_of(position, size, output, scale, self.coordinates)
            if self.mode == "nearest":
                taken = min(max(_rounded(at, self.rounding), 0), size - 1)
                found.append(Source(taken, taken, 0.0))
            else:
                low = floor(at)
                share = at - low
                found.append(Source(min(max(low, 0), size - 1), min(max(low + 1, 0), size - 1), share))
        return tuple(found)

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        if self.mode == "nearest":
            return NO_COST
        taps = 2 ** len(self.resized(inputs[0]))
        return Cost(0, (2 * taps - 1) * product(self.out_shape(*inputs)) if taps > 1 else 0)

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        """Linear: a multiplication and an addition for each output and tap. Nearest: an addition for each output."""
        taps = 2 ** len(self.resized(inputs[0]))
        each = (1 if self.mode == "nearest" else 2 * taps) if taps > 1 else 0
        return BackwardCost((Cost(0, each * product(self.out_shape(*inputs))),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return f"{self.mode} resize to {shape_text(self.sizes)}"


def place_of(position: int, size: int, output: int, scale: float | None, coordinates: Coordinates) -> float:
    """Return the place on an input axis of ``size`` that output ``position`` of ``output`` maps to.

    Without a ``scale`` the quotient of the sizes is meant, in one division: places that are whole come out whole. A
    scale comes from a file as a number of 32 bits, and places next to a whole or half one are meant to be that one.
    Source: the table of coordinate transformations of ONNX's operator Resize (opset 19).
    """
    length = output if scale is None else scale * size  # of the output axis, not rounded
    if coordinates == "align_corners":
        return position * (size - 1) / (length - 1) if length != 1 else 0.0
    if coordinates == "asymmetric":
        return position * size / output if scale is None else _settled(position / scale)
    if coordinates == "pytorch_half_pixel" and output == 1:
        return 0.0
    if scale is None:
        return (2 * position + 1) * size / (2 * output) - 0.5
    shift = size / 2 * (1 - output / length) if coordinates == "half_pixel_symmetric" else 0.0
    return _settled(shift + (position + 0.5) / scale - 0.5)


def _settled(place: float) -> float:
    halves = round(2 * place)
    return halves / 2 if abs(2 * place - halves) < 1e-6 * (1 + abs(place)) else place


def _rounded(place: float, rounding: Rounding) -> int:
    if rounding == "floor":
        return floor(place)
    if rounding == "ceil":
        return ceil(place)
    return ceil(place - 0.5) if rounding == "round_prefer_floor" else floor(place + 0.5)
