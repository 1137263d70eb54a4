"""Oracles: loops that walk windows, taps and elements one by one, and scalars that count their own arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product as combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

Pair = tuple[int, int]


def windows(
    size: int, kernel: int, stride: int, padding: Pair, dilation: int = 1, ceil_mode: bool = False
) -> list[list[int]]:
    """Slide a window over one axis; return the input index of each tap of each position (outside 0..size: padding).

    A window that hangs over the padded end is allowed with ``ceil_mode``, if something is left for it to cover that the
    window before did not reach, and if it does not start in the padding behind the input.
    """
    assert size > 0
    found: list[list[int]] = []
    start = -padding[0]
    while True:
        taps = [start + tap * dilation for tap in range(kernel)]
        over = taps[-1] - (size + padding[1] - 1)
        if over > 0 and not (ceil_mode and over < stride and start < size):
            return found
        found.append(taps)
        start += stride


def adaptive(size: int, output: int) -> list[list[int]]:
    """Return the elements of each adaptive window: all that overlap the i-th of ``output`` equal parts of the axis."""
    assert size > 0
    return [
        [x for x in range(size) if (x + 1) * output > i * size and x * output < (i + 1) * size] for i in range(output)
    ]


def spread(size: int, kernel: int, stride: int, padding: Pair, dilation: int, extra: int) -> int:
    """Return the output length of a transposed convolution: where it writes, cropped by the padding, plus ``extra``."""
    written = {i * stride + tap * dilation for i in range(size) for tap in range(kernel)}
    return max(written) + 1 + extra - padding[0] - padding[1]


def conv_products(channels: int, filters: int, groups: int, rows: list[list[int]], columns: list[list[int]]) -> int:
    """Count every (output element, weight tap) pair of a convolution, taps on padding included."""
    count = 0
    for out, row, column in combinations(range(filters), rows, columns):
        group = out * groups // filters
        for into in range(channels):
            if into * groups // channels == group:
                for _tap in combinations(row, column):
                    count += 1
    assert count > 0
    return count


def weight_gradient_products(
    channels: int, filters: int, groups: int, rows: list[list[int]], columns: list[list[int]]
) -> int:
    """Count the products dW[o, i, r, c] += dY[o, y, x] * X[i, ...] weight by weight, zeros of the padding included."""
    count = 0
    for out, into in combinations(range(filters), range(channels)):
        if out * groups // filters == into * groups // channels:
            for _weight in combinations(range(len(rows[0])), range(len(columns[0]))):
                count += sum(1 for _output in combinations(rows, columns))
    assert count > 0
    return count


def spread_products(channels: int, filters: int, groups: int, size: Pair, kernel: Pair) -> int:
    """Count every (input element, weight tap) pair of a transposed convolution."""
    count = 0
    for into, _row, _column in combinations(range(channels), range(size[0]), range(size[1])):
        for out in range(filters):
            if out * groups // filters == into * groups // channels:
                for _tap in combinations(range(kernel[0]), range(kernel[1])):
                    count += 1
    assert count > 0
    return count


class Counted:
    """A number that counts the arithmetic done with it: one for each operation, comparison or elementary function."""

    operations = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def _after(self, value: float) -> Counted:
        Counted.operations += 1
        return Counted(value)

    def __add__(self, other: Counted | float) -> Counted:
        return self._after(self.value + _plain(other))

    def __sub__(self, other: Counted | float) -> Counted:
        return self._after(self.value - _plain(other))

    def __rsub__(self, other: float) -> Counted:
        return self._after(other - self.value)

    def __mul__(self, other: Counted | float) -> Counted:
        return self._after(self.value * _plain(other))

    def __truediv__(self, other: Counted | float) -> Counted:
        return self._after(self.value / _plain(other))

    def __rtruediv__(self, other: float) -> Counted:
        return self._after(other / self.value)

    def __neg__(self) -> Counted:
        return self._after(-self.value)

    def __pow__(self, exponent: float) -> Counted:
        return self._after(self.value**exponent)

    def clip(self, low: float = -math.inf, high: float = math.inf) -> Counted:
        """Compare with each finite bound."""
        sides = (low > -math.inf) + (high < math.inf)
        assert sides > 0
        Counted.operations += sides
        return Counted(min(max(self.value, low), high))

    def at_least(self, other: Counted) -> Counted:
        """Return the larger of two numbers: one comparison."""
        return self._after(max(self.value, other.value))

    def where(self, *conditions: bool) -> Counted:
        """Keep the number where all conditions hold, else zero: one selection for each."""
        assert conditions
        Counted.operations += len(conditions)
        return self if all(conditions) else Counted(0.0)

    def exp(self) -> Counted:
        return self._after(math.exp(self.value))

    def erf(self) -> Counted:
        return self._after(math.erf(self.value))

    def tanh(self) -> Counted:
        return self._after(math.tanh(self.value))


def _plain(number: Counted | float) -> float:
    return number.value if isinstance(number, Counted) else number


class Tally:
    """How many operations a ``with`` block has done with ``Counted`` numbers."""

    operations = 0

    def __enter__(self) -> Self:
        self._before = Counted.operations
        return self

    def __exit__(self, *_: object) -> None:
        self.operations = Counted.operations - self._before


def tensor(shape: tuple[int, ...]) -> Iterator[float]:
    """Yield different positive values, one for each element of ``shape``."""
    for index, _ in enumerate(combinations(*map(range, shape))):
        yield 0.25 + index / 7
