"""What all loops share: what they are given, what they count, how they are compiled, and where elements lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from archcost.ops import Op

Array: TypeAlias = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])


class Count(NamedTuple):
    """What a loop has done, counted by itself.

    Attributes:
        mult_adds: products added to a sum of a convolution or dense layer, those with zeros of the padding included.
        written: elements of a new tensor that it has written; 0 for a view.
    """

    mult_adds: int
    written: int


@dataclass(frozen=True)
class Work:
    """One operator on plain arrays.

    Attributes:
        op: the operator.
        inputs: what it reads, contiguous, the batch in front.
        parameters: name -> array in the shape of ``op.params``.
        buffers: name -> array in the shape of ``op.buffers``; training writes the running statistics of a BatchNorm.
        training: batch statistics and random masks, instead of running statistics and none.
        random: the mask of dropout (the input's shape) or drop path (one value for each image): 0 drops.
        empty: makes the array of a new tensor, given its shape.
        batch: images; what has no input gives its output to each of them.
    """

    op: Op
    inputs: tuple[Array, ...]
    parameters: Mapping[str, Array]
    buffers: Mapping[str, Array]
    training: bool
    random: Array | None
    empty: Callable[[tuple[int, ...]], Array]
    batch: int = 1

    @property
    def input(self) -> Array:
        """The first input."""
        return self.inputs[0]

    def learned(self, name: str, size: int, otherwise: float) -> Array:
        """Return a vector of parameters, or ``otherwise`` for each of ``size`` where the operator has none."""
        return self.parameters[name] if name in self.parameters else np.full(size, otherwise, self.input.dtype)


Done: TypeAlias = tuple[Array, Count]
"""The output and what was counted."""


def loop(function: Function) -> Function:
    """Compile a loop; the machine code is kept on disk, unless no folder takes it."""
    try:
        return cast("Function", njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # Numba finds no folder to write to
        return cast("Function", njit(nogil=True, error_model="numpy")(function))


@loop
def place(number: int, shape: Array, strides: Array) -> int:
    """Return where in a tensor of ``strides`` the element lies that is the ``number``-th of a tensor of ``shape``."""
    found = 0
    for axis in range(len(shape) - 1, -1, -1):
        found += number % shape[axis] * strides[axis]
        number //= shape[axis]
    return found


def strides_of(shape: tuple[int, ...]) -> list[int]:
    """Return how many elements apart the neighbours on each axis of a contiguous tensor lie."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def integers(values: object) -> Array:
    """Return whole numbers as the loops take them."""
    return np.array(values, np.int64)


def around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """Return (elements before, size, elements after) of an axis; ``axis`` is one image's, ``shape`` has the batch."""
    axis = axis + 1 if axis >= 0 else axis + len(shape)
    before, after = 1, 1
    for size in shape[:axis]:
        before *= size
    for size in shape[axis + 1 :]:
        after *= size
    return before, shape[axis], after


def positions(size: int, kernel: int, stride: int, padding: tuple[int, int], *, ceil_mode: bool = False) -> int:
    """Slide a window of ``kernel`` elements over an axis and count where it stops.

    With ``ceil_mode`` it stops once more where it hangs over the end, if it starts before the end of the input.
    """
    start, end, count = -padding[0], size + padding[1], 0
    while start + kernel <= end:
        start, count = start + stride, count + 1
    hangs_over = end < start + kernel < end + stride
    return count + 1 if ceil_mode and hangs_over and start < size else count
