"""The arithmetic of windows against loops that slide them, and the parsing of sizes and paddings."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archcost.errors import OperatorError
from archcost.geometry import (
    adaptive_taps,
    adaptive_window,
    make_divisible,
    pair,
    product,
    resolve,
    same_padding,
    shape_text,
    sides,
    sides_3d,
    transposed_output,
    triple,
    whole,
    window_output,
)
from tests.naive import adaptive, spread, windows

edge = st.integers(0, 5)


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 6), edge, edge, st.integers(1, 4))
@settings(max_examples=400)
def test_output_size_is_the_number_of_positions(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int
) -> None:
    found = windows(size, kernel, stride, (before, after), dilation)
    if found:
        assert window_output(size, kernel, stride, (before, after), dilation) == len(found)
    else:
        with pytest.raises(OperatorError, match=f"^kernel {kernel}.* is larger than the input size {size}"):
            window_output(size, kernel, stride, (before, after), dilation)


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 9), st.integers(1, 2), st.data())
@settings(max_examples=400)
def test_output_size_with_ceil_mode(size: int, kernel: int, stride: int, dilation: int, data: st.DataObject) -> None:
    padding = data.draw(st.tuples(st.integers(0, kernel // 2), st.integers(0, kernel // 2)))
    found = windows(size, kernel, stride, padding, dilation, ceil_mode=True)
    if found:
        assert window_output(size, kernel, stride, padding, dilation, ceil_mode=True) == len(found)
    else:
        with pytest.raises(OperatorError, match="is larger than the input size"):
            window_output(size, kernel, stride, padding, dilation, ceil_mode=True)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_same_padding_is_the_least_that_gives_ceil_of_size_over_stride(
    size: int, kernel: int, stride: int, dilation: int
) -> None:
    before, after = same_padding(size, kernel, stride, dilation)
    assert 0 <= after - before <= 1, "the odd element is at the end"
    assert len(windows(size, kernel, stride, (before, after), dilation)) == math.ceil(Fraction(size, stride))
    if after > 0:
        fewer = (before, after - 1)
        assert len(windows(size, kernel, stride, fewer, dilation)) < math.ceil(Fraction(size, stride))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding"),
    [
        (224, 3, 2, 1, (0, 1)),  # TensorFlow pads 224 asymmetrically
        (225, 3, 2, 1, (1, 1)),
        (7, 2, 1, 1, (0, 1)),  # an even kernel
        (5, 4, 1, 1, (1, 2)),
        (1, 1, 3, 1, (0, 0)),
        (4, 1, 9, 5, (0, 0)),
        (10, 2, 5, 1, (0, 0)),  # gaps between windows: nothing to pad
        (8, 3, 1, 4, (4, 4)),
    ],
)
def test_same_padding_by_hand(size: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride, dilation) == padding


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 5), edge, edge, st.integers(1, 4), st.integers(0, 4))
@settings(max_examples=300)
def test_transposed_output_is_where_the_taps_write(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int, extra: int
) -> None:
    length = spread(size, kernel, stride, (before, after), dilation, extra)
    if length >= 1:
        assert transposed_output(size, kernel, stride, (before, after), dilation, extra) == length
    else:
        with pytest.raises(OperatorError, match=rf"padding {before}\+{after} leaves no output of input size {size}"):
            transposed_output(size, kernel, stride, (before, after), dilation, extra)


@given(st.integers(1, 40), st.integers(1, 50))
@settings(max_examples=300)
def test_adaptive_windows_hold_what_overlaps_their_part_of_the_axis(size: int, output: int) -> None:
    expected = adaptive(size, output)
    found = [list(range(*adaptive_window(index, size, output))) for index in range(output)]
    assert found == expected
    assert adaptive_taps(size, output) == sum(map(len, expected))


def test_giant_sizes_stay_exact() -> None:
    size = 2**40
    assert window_output(size, 3, 1, (0, 0)) == size - 2
    assert window_output(size, size, size, (0, 0), 1) == 1
    assert transposed_output(size, 1, size, (0, 0), 1, 0) == (size - 1) * size + 1
    assert product((size,) * 4) == 2**160
    assert adaptive_taps(size - 1, size) == 2 * size - 2  # neighbours: each of the size - 2 inner cuts counts twice


def test_product_and_text_of_a_shape() -> None:
    assert product(()) == 1
    assert product([2, 0, 5]) == 0
    assert product((64, 112, 112)) == 802_816
    assert shape_text((64, 112, 112)) == "64x112x112"
    assert shape_text([7]) == "7"
    assert shape_text(()) == "scalar"


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        ("^kernel 7 is larger than the input size 5$", (5, 7, 1, (0, 0))),
        (r"^kernel 9 is larger than the input size 5 plus padding 1\+2$", (5, 9, 1, (1, 2))),
        (r"^kernel 3 \(extent 7 with dilation 3\) is larger than the input size 5$", (5, 3, 1, (0, 0), 3)),
        (r"^kernel 3 \(extent 9 with dilation 4\) is larger than the input size 5 plus padding 0\+3$",
         (5, 3, 1, (0, 3), 4)),
        ("^kernel 4 is larger than the input size 1$", (1, 4, 3, (0, 0), 1, True)),
    ],
)  # fmt: skip
def test_a_window_that_does_not_fit_says_why(error: str, arguments: Any) -> None:
    with pytest.raises(OperatorError, match=error):
        window_output(*arguments)


@pytest.mark.parametrize("value", [1, 5, 2**40])
def test_whole_returns_an_integer_as_it_is(value: int) -> None:
    assert whole("width", value) is value
    assert whole("width", -3, -3) == -3


@pytest.mark.parametrize(
    ("value", "minimum", "message"),
    [
        (True, 0, r"`width` \(=True\) must be an integer"),
        (False, 0, r"`width` \(=False\) must be an integer"),
        (1.0, 0, r"`width` \(=1.0\) must be an integer"),
        ("1", 0, r"`width` \(='1'\) must be an integer"),
        (None, 0, r"`width` \(=None\) must be an integer"),
        ([1], 0, r"`width` \(=\[1\]\) must be an integer"),
        (math.nan, 0, r"`width` \(=nan\) must be an integer"),
        (0, 1, r"`width` \(=0\) must be at least 1 and at most 2\*\*40"),
        (-1, 0, r"`width` \(=-1\) must be at least 0 and at most"),
        (2**40 + 1, 0, r"`width` \(=1099511627777\) must be at least 0 and at most 2\*\*40"),
        (10**5000, 0, "`width` .* must be at least 0 and at most"),  # Python refuses to print so many digits
    ],
    ids=lambda value: "giant" if value == 10**5000 else repr(value),
)
def test_whole_refuses(value: object, minimum: int, message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        whole("width", value, minimum)


@pytest.mark.parametrize(("value", "expected"), [(3, (3, 3)), ((3, 5), (3, 5)), ([3, 5], (3, 5))], ids=str)
def test_pair(value: object, expected: tuple[int, int]) -> None:
    assert pair("stride", value) == expected


@pytest.mark.parametrize("value", [(), (1,), (1, 2, 3), [[1, 2], 3], {1: 2}, "12", 1.5, (1, 0), True], ids=str)
def test_pair_refuses(value: object) -> None:
    with pytest.raises(OperatorError, match=r"^`stride` .* must be"):
        pair("stride", value)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (0, ((0, 0), (0, 0))),
        (3, ((3, 3), (3, 3))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ([[1, 2], [3, 4]], ((1, 2), (3, 4))),
        ("valid", ((0, 0), (0, 0))),
        ("same", "same"),
    ],
    ids=str,
)
def test_padding_is_written_in_full(padding: object, expected: object) -> None:
    assert sides(padding) == expected
    assert sides(sides(padding)) == expected


@pytest.mark.parametrize(
    "padding",
    ["SAME", "", -1, 1.0, True, None, (1,), (1, 2, 3), (1, 2, 3, 4), ((1, 2),), ((1, 2), (3,)), ((1, 2), (3, -4)),
     (1, (2, 3)), ((2, 3), 1), ((1, 2), (3, 4), (5, 6)), {}],
    ids=str,
)  # fmt: skip
def test_other_paddings_are_refused(padding: object) -> None:
    with pytest.raises(OperatorError, match=r"^`padding` .* must be"):
        sides(padding)


def test_resolve_works_on_each_axis() -> None:
    assert resolve("same", (224, 7), (3, 2), (2, 1), (1, 1)) == ((0, 1), (0, 1))
    assert resolve("same", (5, 9), (3, 3), (1, 1), (1, 3)) == ((1, 1), (3, 3))
    assert resolve(((9, 8), (7, 6)), (1, 1), (1, 1), (1, 1), (1, 1)) == ((9, 8), (7, 6))


@given(st.floats(0.01, 5000), st.sampled_from([1, 2, 4, 8, 16]), st.none() | st.sampled_from([8, 16]))
@settings(max_examples=300)
def test_make_divisible_takes_the_nearest_multiple_not_far_below(
    value: float, divisor: int, minimum: int | None
) -> None:
    result = make_divisible(value, divisor, minimum)
    least = minimum or divisor
    assume(least % divisor == 0)
    assert result % divisor == 0
    assert result >= max(least, 0.9 * value)
    allowed = [number for number in range(least, 6000, divisor) if number >= 0.9 * value]
    distance = min(abs(number - value) for number in allowed)
    assert abs(result - value) <= distance + divisor * 1e-9 or result == allowed[0]


@pytest.mark.parametrize(
    ("value", "arguments", "expected"),
    [(24 * 0.35, (), 8), (32 * 0.75, (), 24), (12, (), 16), (11.9, (), 16), (37, (), 40), (3, (), 8), (1, (8, 16), 16),
     (16 * 1.4, (), 24), (1280 * 1.4, (), 1792), (20, (8,), 24), (19.9, (8,), 24)],
)  # fmt: skip
def test_make_divisible_by_hand(value: float, arguments: tuple[int, ...], expected: int) -> None:
    assert make_divisible(value, *arguments) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(3, (3, 3, 3)), ((1, 2, 3), (1, 2, 3)), ([4, 5, 6], (4, 5, 6))], ids=str
)
def test_triple(value: object, expected: tuple[int, int, int]) -> None:
    assert triple("size", value) == expected


@pytest.mark.parametrize("value", [(1, 2), (1, 2, 3, 4), (), (1, 2, 0), 0, True, "3", None, (1, 2, 3.0)], ids=repr)
def test_triple_refuses(value: object) -> None:
    with pytest.raises(OperatorError, match=r"^`size` \(="):
        triple("size", value)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (0, ((0, 0), (0, 0), (0, 0))),
        (2, ((2, 2), (2, 2), (2, 2))),
        ((1, 0, 3), ((1, 1), (0, 0), (3, 3))),
        ([[1, 2], [3, 4], [5, 6]], ((1, 2), (3, 4), (5, 6))),
        ("valid", ((0, 0), (0, 0), (0, 0))),
        ("same", "same"),
    ],
    ids=str,
)
def test_the_padding_of_a_volume_is_written_in_full(padding: object, expected: object) -> None:
    assert sides_3d(padding) == expected


@pytest.mark.parametrize(
    "padding", [-1, (1, 2), ((1, 1), (1, 1)), ((1, 1), (1, 1), (1,)), ((1, 1), (1, 1), 1), "full", None, True], ids=repr
)
def test_other_paddings_of_a_volume_are_refused(padding: object) -> None:
    with pytest.raises(OperatorError, match=r"^`padding` \(="):
        sides_3d(padding)
