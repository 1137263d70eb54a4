"""Pooling: maximum, average, power average, global, adaptive, and LeNet-5's trainable subsampling.

One operation for each window position and tap (``cost.POOL_OPS_PER_TAP``), taps that fall on padding included.
"""

from __future__ import annotations

from typing import ClassVar, cast

from archcost.cost import (
    LP_POOL_BACKWARD_OPS_PER_TAP,
    LP_POOL_OPS_PER_TAP,
    NO_COST,
    POOL_OPS_PER_TAP,
    BackwardCost,
    Cost,
)
from archcost.errors import OperatorError
from archcost.geometry import (
    IntOrPair,
    PaddingLike,
    PaddingName,
    Pair,
    Shape,
    Sides,
    adaptive_taps,
    pair,
    product,
    resolve,
    shape_text,
    sides,
    whole,
    window_output,
)
from archcost.ops.base import ParameterFree, Saved, Tensors, operator
from archcost.ops.conv import window_text


@operator
class Window(ParameterFree):
    """What max and average pooling share: a window slides over each channel.

    Args:
        kernel_size: rows and columns of the window.
        stride: step of the window; None means the kernel size.
        padding: as for Conv2d, at most half the kernel on each side (no window may lie in padding alone).
        ceil_mode: round the output size up; the last window may hang over the end, but must start inside.
    """

    family: ClassVar[str] = "pool"
    kernel_size: IntOrPair
    stride: IntOrPair | None = None
    padding: PaddingLike = 0
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        kernel = pair("kernel_size", self.kernel_size)
        object.__setattr__(self, "kernel_size", kernel)
        object.__setattr__(self, "stride", kernel if self.stride is None else pair("stride", self.stride))
        object.__setattr__(self, "padding", sides(self.padding))
        if not isinstance(self.padding, str):
            for axis, edges in enumerate(sides(self.padding)):
                if any(2 * edge > kernel[axis] for edge in edges if isinstance(edge, int)):
                    raise OperatorError(
                        f"`padding` (={self.padding}) must be at most half of `kernel_size` (={kernel})"
                    )

    @property
    def window(self) -> tuple[Pair, Pair, Sides | PaddingName]:
        """Kernel size, stride and padding in the full form that construction gave them."""
        return cast("tuple[Pair, Pair, Sides | PaddingName]", (self.kernel_size, self.stride, self.padding))

    def out_shape(self, *inputs: Shape) -> Shape:
        channels, *size = self.image(inputs)
        kernel, stride, padding = self.window
        padding = resolve(padding, size, kernel, stride, (1, 1))
        height, width = (
            window_output(size[axis], kernel[axis], stride[axis], padding[axis], 1, self.ceil_mode) for axis in (0, 1)
        )
        return channels, height, width

    def taps(self, *inputs: Shape) -> int:
        """Return the number of window positions times the taps of a window."""
        return product(self.out_shape(*inputs)) * product(self.window[0])

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, POOL_OPS_PER_TAP * self.taps(*inputs))


class MaxPool2d(Window):
    """Largest element of each window. Backward: one addition for each output, to the element that was the largest."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"indices"})

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, product(self.out_shape(*inputs))),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return f"max pool {window_text(*self.window)}"


@operator
class AvgPool2d(Window):
    """Mean of each window; ``count_include_pad`` divides by the whole kernel, else by the taps inside the input."""

    count_include_pad: bool = True

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, POOL_OPS_PER_TAP * self.taps(*inputs)),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return f"average pool {window_text(*self.window)}"


@operator
class LpPool2d(Window):
    """The ``p``-norm of each window: (sum of abs(x)^p)^(1/p); zeros on the padding (Sermanet et al. 2012)."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input", "output"})
    p: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("p", self.p)

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, LP_POOL_OPS_PER_TAP * self.taps(*inputs) + product(self.out_shape(*inputs)))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        outputs = product(self.out_shape(*inputs))
        return BackwardCost((Cost(0, LP_POOL_BACKWARD_OPS_PER_TAP * self.taps(*inputs) + 2 * outputs),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return f"L{self.p} pool {window_text(*self.window)}"


class SubsamplingPool2d(Window):
    """LeNet-5's subsampling: the sum of each window times a trainable coefficient plus a trainable bias, per channel.

    (LeCun et al. 1998, section II.B; the activation that follows is an operator of its own.) A window of k taps costs
    k - 1 additions, one multiplication and one addition.
    """

    saved_for_params: ClassVar[frozenset[Saved]] = frozenset({"input"})

    def params(self, *inputs: Shape) -> Tensors:
        return {"weight": (inputs[0][0],), "bias": (inputs[0][0],)}

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, self.taps(*inputs) + product(self.out_shape(*inputs)))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        outputs, taps = product(self.out_shape(*inputs)), self.taps(*inputs)
        return BackwardCost((Cost(0, outputs + taps),), Cost(0, taps + 2 * outputs) if trainable else NO_COST)

    def label(self, *inputs: Shape) -> str:
        return f"subsampling {window_text(*self.window)}"


@operator
class AdaptiveAvgPool2d(ParameterFree):
    """Mean over windows chosen so that the output has ``output_size`` (rows, columns), whatever the input's size.

    Window i of an axis runs from floor(i*in/out) to ceil((i+1)*in/out).
    """

    family: ClassVar[str] = "pool"
    output_size: IntOrPair

    def __post_init__(self) -> None:
        object.__setattr__(self, "output_size", pair("output_size", self.output_size))

    def out_shape(self, *inputs: Shape) -> Shape:
        return self.image(inputs)[0], *pair("output_size", self.output_size)

    def taps(self, *inputs: Shape) -> int:
        """Return the summed sizes of all windows."""
        channels, *size = self.image(inputs)
        rows, columns = (adaptive_taps(size[axis], pair("", self.output_size)[axis]) for axis in (0, 1))
        return channels * rows * columns

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, POOL_OPS_PER_TAP * self.taps(*inputs))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, POOL_OPS_PER_TAP * self.taps(*inputs)),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        rows, columns = pair("output_size", self.output_size)
        return f"adaptive average pool {rows}x{columns}"


@operator
class GlobalPool(ParameterFree):
    """What global pools share: (C, H, W) -> (C, 1, 1), or (C,) without ``keep_axes``; any axes after the first."""

    family: ClassVar[str] = "pool"
    keep_axes: bool = True

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        if len(shape) < 2:
            raise OperatorError(f"{type(self).__name__} needs channels and at least one axis, not {shape_text(shape)}")
        return (shape[0], *(1 for _ in shape[1:])) if self.keep_axes else shape[:1]

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, POOL_OPS_PER_TAP * product(inputs[0]))


class GlobalAvgPool(GlobalPool):
    """Mean of each channel over all positions."""

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, POOL_OPS_PER_TAP * product(inputs[0])),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return "global average pool"


class GlobalMaxPool(GlobalPool):
    """Largest element of each channel; backward as MaxPool2d."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"indices"})

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, inputs[0][0]),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return "global max pool"
