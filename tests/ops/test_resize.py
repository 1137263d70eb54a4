"""Resizing: places by ONNX's formulas in exact fractions, costs by the taps of each output."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product as combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.cost import NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import Resize
from archcost.ops.resize import Source

HALF = Fraction(1, 2)
sizes = st.integers(1, 9)


def place(x: int, size: int, output: int, coordinates: str) -> Fraction:
    """Return where output ``x`` lies on the input, the scale being the quotient of the sizes."""
    scale = Fraction(output, size)
    if coordinates == "align_corners":
        return Fraction(x * (size - 1), output - 1) if output > 1 else Fraction(0)
    if coordinates == "asymmetric":
        return x / scale
    if coordinates == "pytorch_half_pixel" and output == 1:
        return Fraction(0)
    return (x + HALF) / scale - HALF  # half_pixel_symmetric too: nothing is cut off


ROUNDED = {
    "round_prefer_floor": lambda at: math.floor(at) + (at - math.floor(at) > HALF),
    "round_prefer_ceil": lambda at: math.floor(at) + (at - math.floor(at) >= HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}


@pytest.mark.parametrize("coordinates", Resize.COORDINATES)
@given(size=sizes, output=sizes)
def test_sources_are_the_neighbours_of_the_place(coordinates: Any, size: int, output: int) -> None:
    for rounding, rounded in ROUNDED.items():
        found = Resize((output,), "nearest", coordinates, rounding).sources((3, size), 1)  # type: ignore[arg-type]
        for x, source in enumerate(found):
            taken = min(max(rounded(place(x, size, output, coordinates)), 0), size - 1)
            assert source == Source(taken, taken, 0.0)
    for x, source in enumerate(Resize((output,), "linear", coordinates).sources((3, size), 1)):
        at = place(x, size, output, coordinates)
        inside = min(max(at, Fraction(0)), Fraction(size - 1))  # beyond the ends the end itself is read
        assert 0 <= source.low <= source.high < size
        assert 0 <= source.share < 1
        assert math.isclose(source.low * (1 - source.share) + source.high * source.share, inside, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("coordinates", "places"),
    [
        # four elements by 0.6, to two: the examples of ONNX's operator
        ("half_pixel", [0.5 / 0.6 - 0.5, 1.5 / 0.6 - 0.5]),
        ("asymmetric", [0, 1 / 0.6]),
        ("align_corners", [0, 3 / (0.6 * 4 - 1)]),
        ("half_pixel_symmetric", [2 * (1 - 2 / 2.4) + 0.5 / 0.6 - 0.5, 2 * (1 - 2 / 2.4) + 1.5 / 0.6 - 0.5]),
    ],
)
def test_a_scale_that_is_not_the_quotient_of_the_sizes(coordinates: Any, places: list[float]) -> None:
    found = Resize((2,), "linear", coordinates, scales=(0.6,)).sources((4,), 0)
    assert [source.low + source.share for source in found] == pytest.approx(places)


def test_a_scale_of_32_bits_means_the_decimal_number() -> None:
    """4 / 0.8 is 5, though 4 / 0.800000011920929, as a file holds it, is a little less."""
    found = Resize((6,), "nearest", "asymmetric", "floor", (0.800000011920929,)).sources((8,), 0)
    assert [source.low for source in found] == [0, 1, 2, 3, 5, 6]


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=3), st.integers(1, 3))
def test_each_output_weights_two_neighbours_on_each_resized_axis(axes: list[tuple[int, int]], channels: int) -> None:
    shape: Shape = (channels, *(size for size, _ in axes))
    target = tuple(output for _, output in axes)
    linear, nearest = Resize(target, "linear"), Resize(target)
    resized = [axis for axis, (size, output) in enumerate(axes, 1) if size != output]
    forward, backward, moved = 0, 0, 0
    for _output in combinations(range(channels), *map(range, target)):
        taps = len(list(combinations((0, 1), repeat=len(resized))))
        if resized:
            forward += taps + taps - 1  # products, and the additions between them
            backward += 2 * taps  # a product for each tap, added to what the others gave
            moved += 1
    assert linear.out_shape(shape) == nearest.out_shape(shape) == (channels, *target)
    assert list(linear.resized(shape)) == resized
    assert linear.cost(shape) == Cost(0, forward)
    assert nearest.cost(shape) == NO_COST
    assert linear.backward_cost(shape).inputs == (Cost(0, backward),)
    assert nearest.backward_cost(shape).inputs == (Cost(0, moved),)


def test_an_axis_with_a_scale_of_its_own_is_resized() -> None:
    assert Resize((4, 4), "linear", scales=(1.2, 1)).resized((4, 4)) == (0,)
    assert Resize([8, 8], scales=[2, 2]) == Resize((8, 8), scales=(2, 2))  # type: ignore[arg-type]
    op = Resize((448, 448), "linear")
    assert (op.kind((3, 224, 224)), op.label((3, 224, 224)), op.makes_tensor) == (
        "reshape", "linear resize to 448x448", True,
    )  # fmt: skip


def test_the_cost_of_an_absurd_size_is_known_at_once() -> None:
    op = Resize((2**40, 2**40))
    assert op.backward_cost((1, 2, 2)).inputs == (Cost(0, 2**80),)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "`sizes` must name at least one axis"),
        (((0,),), r"`sizes` \(=0\) must be at least 1"),
        ((7,), r"`sizes` \(=7\) must be a list"),
        (((4, 4, 4, 4),), r"`sizes` \(=\(4, 4, 4, 4\)\) must be at most the 3 axes of 3x4x4"),
        (((4,), "cubic"), r"`mode` \(='cubic'\) must be one of nearest, linear"),
        (((4,), "linear", "tf_crop_and_resize"), r"`coordinates` .* must be one of half_pixel, "),
        (((4,), "linear", "asymmetric", "up"), r"`rounding` \(='up'\) must be one of round_prefer_floor"),
        (((4,), "linear", "asymmetric", "floor", (1, 2)), r"`scales` .* must hold a number for each of `sizes`"),
        (((4,), "linear", "asymmetric", "floor", 2.0), r"`scales` \(=2.0\) must hold a number"),
        (((4,), "linear", "asymmetric", "floor", (0,)), r"`scales` \(=\(0,\)\) must be above 0"),
        (((4,), "linear", "asymmetric", "floor", ("2",)), r"`scales` \(='2'\) must be a finite number"),
    ],
    ids=str,
)
def test_impossible_sizes_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        Resize(*arguments).out_shape((3, 4, 4))
