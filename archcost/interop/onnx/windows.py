"""Windows as ONNX describes them: kernel, strides, dilations, and paddings given or chosen by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archcost.errors import ModelError
from archcost.geometry import Pair

AUTOMATIC = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True)
class Windows:
    """One number, or pair of numbers, for each axis after the channels."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[Pair, ...]
    dilations: tuple[int, ...]

    @property
    def arguments(self) -> dict[str, Any]:
        """The windows as our convolutions take them."""
        return {
            "kernel_size": self.kernel,
            "stride": self.strides,
            "padding": self.pads,
            "dilation": self.dilations,
        }

    @property
    def rows_and_columns(self) -> Windows:
        """The windows over (H, W); those over (L,) are ones over (1, L)."""
        if len(self.kernel) != 1:
            return self
        return Windows((1, *self.kernel), (1, *self.strides), ((0, 0), *self.pads), (1, *self.dilations))


def windows(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    pads: Sequence[int] | None,
    dilations: Sequence[int] | None,
    auto_pad: str,
) -> Windows:
    """Return windows over axes of ``size``, with a padding in numbers.

    Raises:
        ModelError: if the lists do not fit the axes.
    """
    axes = len(size)
    strides = tuple(strides) if strides else (1,) * axes
    dilations = tuple(dilations) if dilations else (1,) * axes
    for name, numbers in (("kernel_shape", kernel), ("strides", strides), ("dilations", dilations)):
        if len(numbers) != axes or min(numbers, default=1) < 1:
            raise ModelError(f"`{name}` (={list(numbers)[:8]}) must be {axes} numbers of at least 1")
    sides = sides_of(pads, axes)
    if auto_pad not in AUTOMATIC:
        raise ModelError(f"`auto_pad` (={auto_pad[:40]!r}) must be one of {', '.join(AUTOMATIC)}")
    if auto_pad == "VALID":
        sides = ((0, 0),) * axes
    elif auto_pad != "NOTSET":
        sides = tuple(
            _same(size[axis], (kernel[axis] - 1) * dilations[axis] + 1, strides[axis], upper=auto_pad == "SAME_UPPER")
            for axis in range(axes)
        )
    return Windows(tuple(kernel), strides, sides, dilations)


def sides_of(pads: Sequence[int] | None, axes: int) -> tuple[Pair, ...]:
    """Return (before, after) for each axis of a list that holds all starts, then all ends."""
    if not pads:
        return ((0, 0),) * axes
    if len(pads) != 2 * axes:
        raise ModelError(f"`pads` (={list(pads)[:8]}) must be {2 * axes} numbers")
    return tuple((int(before), int(after)) for before, after in zip(pads[:axes], pads[axes:]))


def _same(size: int, extent: int, stride: int, *, upper: bool) -> Pair:
    total = max(0, (-(-size // stride) - 1) * stride + extent - size)
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)
