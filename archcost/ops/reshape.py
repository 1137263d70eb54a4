"""Operators that only move or rename elements. None of them computes anything."""

from __future__ import annotations

from typing import ClassVar, Literal

from archcost.errors import OperatorError
from archcost.geometry import LARGEST_SIZE, Pair, Shape, number, product, shape_text, shown, whole, wholes
from archcost.ops.base import Free, operator
from archcost.ops.merge import checked_axis


@operator
class View(Free):
    """Shares the memory of its input."""

    family: ClassVar[str] = "reshape"
    makes_tensor: ClassVar[bool] = False


class Copy(Free):
    """Writes its elements to a new tensor."""

    family: ClassVar[str] = "reshape"


class Identity(View):
    """The input itself: a name for a place in the graph."""

    def out_shape(self, *inputs: Shape) -> Shape:
        return self.one(inputs)


class Flatten(View):
    """All axes of an image's tensor in one: (C, H, W) -> (C*H*W,)."""

    def out_shape(self, *inputs: Shape) -> Shape:
        return (product(self.one(inputs)),)


@operator
class Reshape(View):
    """The elements in another ``shape``; one size may be -1 and follows from the others."""

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = wholes("shape", self.shape, -1)
        if not sizes:
            raise OperatorError("`shape` must have at least one axis")
        object.__setattr__(self, "shape", tuple(size if size == -1 else whole("shape", size) for size in sizes))
        if self.shape.count(-1) > 1:
            raise OperatorError(f"`shape` (={self.shape}) may hold -1 once")

    def out_shape(self, *inputs: Shape) -> Shape:
        elements = product(self.one(inputs))
        known = product([size for size in self.shape if size != -1])
        if elements % known if -1 in self.shape else elements != known:
            raise OperatorError(f"`shape` (={self.shape}) does not hold the {elements} elements of the input")
        return tuple(elements // known if size == -1 else size for size in self.shape)


@operator
class Transpose(Copy):
    """Axes in another order: ``axes[i]`` of the input becomes axis i; (1, 2, 0) makes (C, H, W) channels-last."""

    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", wholes("axes", self.axes, 0))
        if sorted(self.axes) != list(range(len(self.axes))):
            raise OperatorError(f"`axes` (={self.axes}) must name every axis once")

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        if len(shape) != len(self.axes):
            raise OperatorError(f"`axes` (={self.axes}) must name the {len(shape)} axes of {shape_text(shape)}")
        return tuple(shape[axis] for axis in self.axes)


@operator
class ChannelShuffle(Copy):
    """Channel g*n + i becomes channel i*groups + g, so that groups see each other (Zhang et al. 2018, section 3.1)."""

    groups: int

    def __post_init__(self) -> None:
        whole("groups", self.groups)

    def out_shape(self, *inputs: Shape) -> Shape:
        channels, height, width = self.image(inputs)
        if channels % self.groups:
            raise OperatorError(f"`groups` (={self.groups}) must divide the {channels} input channels")
        return channels, height, width


@operator
class Pad(Copy):
    """Elements added around the input: ``pads`` gives (before, after) for each axis; a negative number crops.

    Args:
        pads: for each axis of the image's tensor, for example ((0, 0), (1, 1), (1, 1)).
        mode: "constant" writes ``value``; "reflect" and "edge" repeat the input.
        value: the constant.
    """

    pads: tuple[Pair, ...]
    mode: Literal["constant", "reflect", "edge"] = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.pads, (tuple, list)):
            raise OperatorError(f"`pads` (={shown(self.pads)}) must hold a pair for each axis")
        pads = tuple(wholes("pads", sides, -LARGEST_SIZE) for sides in self.pads)
        if any(len(sides) != 2 for sides in pads):
            raise OperatorError(f"`pads` (={shown(self.pads)}) must hold a pair for each axis")
        object.__setattr__(self, "pads", pads)
        number("value", self.value)
        if self.mode not in ("constant", "reflect", "edge"):
            raise OperatorError(f"`mode` (={shown(self.mode)}) must be 'constant', 'reflect' or 'edge'")

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        if len(shape) != len(self.pads):
            raise OperatorError(f"`pads` (={self.pads}) must hold a pair for each axis of {shape_text(shape)}")
        padded = tuple(size + before + after for size, (before, after) in zip(shape, self.pads))
        if min(padded) < 1:
            raise OperatorError(f"`pads` (={self.pads}) leave nothing of {shape_text(shape)}")
        if self.mode == "reflect" and any(max(side) >= size for size, side in zip(shape, self.pads)):
            raise OperatorError(f"`pads` (={self.pads}) must be smaller than {shape_text(shape)} to be reflected")
        return padded


@operator
class Slice(Copy):
    """Every ``step``-th element of ``axis`` from ``start`` to before ``stop`` (None: to the end).

    As Python's slices: a negative ``start`` or ``stop`` counts from the end, both are clamped to the axis, and a
    negative ``step`` goes backwards, with None down to the first element.
    """

    axis: int
    start: int = 0
    stop: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        whole("start", self.start, -LARGEST_SIZE)
        if not whole("step", self.step, -LARGEST_SIZE):
            raise OperatorError("`step` (=0) must not be 0")
        if self.stop is not None:
            whole("stop", self.stop, -LARGEST_SIZE)

    def taken(self, size: int) -> range:
        """Return which elements of an axis of ``size`` elements are taken, in their order."""
        return range(*slice(self.start, self.stop, self.step).indices(size))

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        axis = checked_axis(self.axis, shape)
        taken = self.taken(shape[axis])
        if not taken:
            raise OperatorError(f"`start` (={self.start}) leaves nothing of the axis of size {shape[axis]}")
        return *shape[:axis], len(taken), *shape[axis + 1 :]
