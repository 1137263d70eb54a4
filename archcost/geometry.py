"""The only floor and ceil of the project: output sizes of sliding windows, and padding.

Every function works on one axis in plain integers; the operators apply it to height and width. A padding is written as
``p`` (all sides), ``(ph, pw)`` (rows, columns), ``((top, bottom), (left, right))``, ``"valid"`` or ``"same"``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Literal, TypeAlias, Union

from archcost.errors import OperatorError

Shape: TypeAlias = tuple[int, ...]
"""Shape of one image's tensor, without the batch: (channels, height, width) or (features,)."""

Pair: TypeAlias = tuple[int, int]
Sides: TypeAlias = tuple[Pair, Pair]
"""((top, bottom), (left, right))."""

PaddingName: TypeAlias = Literal["same", "valid"]
IntOrPair: TypeAlias = Union[int, Pair]
PaddingLike: TypeAlias = Union[int, Pair, Sides, PaddingName]

Triple: TypeAlias = tuple[int, int, int]
Sides3d: TypeAlias = tuple[Pair, Pair, Pair]
"""((front, back), (top, bottom), (left, right)) of a volume."""

IntOrTriple: TypeAlias = Union[int, Triple]
Sides3dLike: TypeAlias = Union[int, Triple, Sides3d, PaddingName]

LARGEST_SIZE = 2**40
"""Sizes above this are refused: no tensor has them, and products of them would only cost time."""


def product(shape: Sequence[int]) -> int:
    """Return the number of elements of ``shape`` as an exact integer; 1 for an empty shape."""
    result = 1
    for size in shape:
        result *= size
    return result


def shape_text(shape: Sequence[int]) -> str:
    """Return ``64x112x112`` for ``(64, 112, 112)``, and ``scalar`` for an empty shape."""
    return "x".join(str(size) for size in shape) or "scalar"


def shown(value: object) -> str:
    """Return ``value`` as an error shows it: at most 80 characters, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list nested too deeply
        return "..."
    return text if len(text) <= 80 else f"{text[:77]}..."


def number(name: str, value: object) -> float:
    """Return ``value`` if it is a finite number. Raises OperatorError otherwise (booleans included)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e300 <= value <= 1e300:
        raise OperatorError(f"`{name}` (={shown(value)}) must be a finite number")
    return value


def wholes(name: str, value: object, minimum: int = 1) -> tuple[int, ...]:
    """Return a list of integers of at least ``minimum`` as a tuple. Raises OperatorError for anything else."""
    if not isinstance(value, (tuple, list)):
        raise OperatorError(f"`{name}` (={shown(value)}) must be a list of integers")
    return tuple([whole(name, item, minimum) for item in value])


def outer_axis(axis: object) -> None:
    """Raise OperatorError unless ``axis`` is the first or the last."""
    if isinstance(axis, bool) or not isinstance(axis, int) or axis not in (0, -1):
        raise OperatorError(f"`axis` (={shown(axis)}) must be 0 (channels of an image) or -1 (the last axis)")


def whole(name: str, value: object, minimum: int = 1) -> int:
    """Return ``value`` if it is an integer of at least ``minimum``.

    Raises:
        OperatorError: for another type (booleans included) or a value outside ``minimum``..2**40.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise OperatorError(f"`{name}` (={shown(value)}) must be an integer")
    if not minimum <= value <= LARGEST_SIZE:
        raise OperatorError(f"`{name}` (={shown(value)}) must be at least {minimum} and at most 2**40")
    return value


def pair(name: str, value: object, minimum: int = 1) -> Pair:
    """Return ``value`` as (rows, columns): an integer stands for both.

    Raises:
        OperatorError: if it is neither an integer nor two of them, or one is below ``minimum``.
    """
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise OperatorError(f"`{name}` (={shown(value)}) must be an integer or a pair (rows, columns)")
        return whole(name, value[0], minimum), whole(name, value[1], minimum)
    number = whole(name, value, minimum)
    return number, number


def triple(name: str, value: object, minimum: int = 1) -> Triple:
    """Return ``value`` as (depth, rows, columns): an integer stands for all three.

    Raises:
        OperatorError: if it is neither an integer nor three of them, or one is below ``minimum``.
    """
    if isinstance(value, (tuple, list)):
        if len(value) != 3:
            raise OperatorError(f"`{name}` (={shown(value)}) must be an integer or three (depth, rows, columns)")
        return whole(name, value[0], minimum), whole(name, value[1], minimum), whole(name, value[2], minimum)
    number = whole(name, value, minimum)
    return number, number, number


def sides(padding: object) -> Sides | PaddingName:
    """Return a padding in full, ``((top, bottom), (left, right))``; ``"same"`` stays (it needs the input size).

    Raises:
        OperatorError: if ``padding`` is none of the forms that the module lists.
    """
    if padding == "same":
        return "same"
    if padding == "valid":
        return (0, 0), (0, 0)
    if isinstance(padding, str):
        raise OperatorError(f"`padding` (={padding!r}) must be 'same', 'valid', an integer or integers")
    if isinstance(padding, (tuple, list)) and len(padding) == 2 and all(isinstance(p, (tuple, list)) for p in padding):
        return pair("padding", padding[0], 0), pair("padding", padding[1], 0)
    rows, columns = pair("padding", padding, 0)
    return (rows, rows), (columns, columns)


def sides_3d(padding: object) -> Sides3d | PaddingName:
    """Return the padding of a volume in full; ``"same"`` stays. Raises OperatorError as ``sides`` does."""
    if isinstance(padding, str):
        return "same" if sides(padding) == "same" else ((0, 0), (0, 0), (0, 0))
    if isinstance(padding, (tuple, list)) and len(padding) == 3 and all(isinstance(p, (tuple, list)) for p in padding):
        return pair("padding", padding[0], 0), pair("padding", padding[1], 0), pair("padding", padding[2], 0)
    depth, rows, columns = triple("padding", padding, 0)
    return (depth, depth), (rows, rows), (columns, columns)


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Return the padding that makes the output ``ceil(size / stride)`` long, the odd element at the end."""
    output = -(-size // stride)
    total = max(0, (output - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return total // 2, total - total // 2


def resolve(padding: Sides | PaddingName, size: Sequence[int], kernel: Pair, stride: Pair, dilation: Pair) -> Sides:
    """Return ``padding`` as numbers for an input of ``size`` (height, width)."""
    if not isinstance(padding, str):
        return padding
    top_bottom, left_right = (same_padding(size[axis], kernel[axis], stride[axis], dilation[axis]) for axis in (0, 1))
    return top_bottom, left_right


def window_output(
    size: int, kernel: int, stride: int, padding: Pair, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """Return how many windows fit on one axis: floor((size + padding - extent) / stride) + 1.

    With ``ceil_mode`` a last window may hang over the end, as long as it starts inside the input or its leading padding
    (the rule of Caffe and PyTorch).

    Raises:
        OperatorError: if not one window fits.
    """
    extent = (kernel - 1) * dilation + 1
    free = size + padding[0] + padding[1] - extent
    if free < 0 and not (ceil_mode and free > -stride):
        dilated = f" (extent {extent} with dilation {dilation})" if dilation > 1 else ""
        padded = f" plus padding {padding[0]}+{padding[1]}" if padding != (0, 0) else ""
        raise OperatorError(f"kernel {kernel}{dilated} is larger than the input size {size}{padded}")
    if not ceil_mode:
        return free // stride + 1
    output = -(-free // stride) + 1
    return output - 1 if (output - 1) * stride >= size + padding[0] else output


def transposed_output(size: int, kernel: int, stride: int, padding: Pair, dilation: int, output_padding: int) -> int:
    """Return the output length of a transposed convolution: the length that a convolution would map to ``size``.

    Raises:
        OperatorError: if the padding takes away the whole output.
    """
    output = (size - 1) * stride - padding[0] - padding[1] + (kernel - 1) * dilation + output_padding + 1
    if output < 1:
        raise OperatorError(f"padding {padding[0]}+{padding[1]} leaves no output of input size {size}")
    return output


def adaptive_window(index: int, size: int, output: int) -> Pair:
    """Return (first, end) of adaptive pooling window ``index``: floor(i*size/output), ceil((i+1)*size/output)."""
    return index * size // output, -(-(index + 1) * size // output)


def adaptive_taps(size: int, output: int) -> int:
    """Return the summed length of all adaptive windows of one axis: a cut inside an element counts it twice."""
    return size + output - gcd(size, output)


def make_divisible(value: float, divisor: int = 8, minimum: int | None = None) -> int:
    """Return ``value`` rounded to a multiple of ``divisor``, never more than 10 % below it.

    The channel rounding of the MobileNet V2 authors' code, used by MobileNet V2/V3, MNASNet and EfficientNet.
    """
    rounded = max(minimum or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded
