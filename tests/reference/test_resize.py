"""The loop of resizing: the examples of ONNX's operator, and NumPy's interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcost.ops import Resize
from tests.reference.arrays import Array, drawn, run_on

FOUR = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
SIXTEEN = np.arange(1.0, 17).reshape(1, 1, 4, 4)


def separable(rows: list[float], columns: list[float]) -> Array:
    """Return sums of a number for each row and one for each column: what a linear map makes of row + column."""
    return np.array([[[[row + column for column in columns] for row in rows]]])


# The outputs are those that the operator's documentation prints (ONNX, operator Resize, its examples).
EXAMPLES: list[tuple[Resize, Array, Array]] = [
    (Resize((4, 6), "nearest", scales=(2, 3)), FOUR, np.kron(FOUR, np.ones((2, 3)))),
    (Resize((1, 2), "nearest", scales=(0.6, 0.6)), SIXTEEN[:, :, :2], np.array([[[[1.0, 3.0]]]])),
    (Resize((4, 4), "linear", scales=(2, 2)), FOUR, separable([1.0, 1.5, 2.5, 3.0], [0.0, 0.25, 0.75, 1.0])),
    (
        Resize((4, 4), "linear", "align_corners", scales=(2, 2)),
        FOUR,
        separable([1.0, 5 / 3, 7 / 3, 3.0], [0.0, 1 / 3, 2 / 3, 1.0]),
    ),
    (Resize((1, 2), "linear", scales=(0.6, 0.6)), SIXTEEN[:, :, :2], np.array([[[[2.6666665, 4.3333331]]]])),
    (
        Resize((1, 2), "linear", "align_corners", scales=(0.6, 0.6)),
        SIXTEEN[:, :, :2],
        np.array([[[[1.0, 3.142857]]]]),
    ),
    (Resize((3, 1), "linear", "pytorch_half_pixel"), SIXTEEN, np.array([[[[1.6666666], [7.0], [12.333333]]]])),
    (
        Resize((8, 8), "nearest", "half_pixel", "ceil"),
        SIXTEEN,
        SIXTEEN[:, :, [0, 1, 1, 2, 2, 3, 3, 3]][..., [0, 1, 1, 2, 2, 3, 3, 3]],
    ),
    (
        Resize((8, 8), "nearest", "align_corners", "floor"),
        SIXTEEN,
        SIXTEEN[:, :, [0, 0, 0, 1, 1, 2, 2, 3]][..., [0, 0, 0, 1, 1, 2, 2, 3]],
    ),
    (
        Resize((8, 8), "nearest", "asymmetric", "round_prefer_ceil"),
        SIXTEEN,
        SIXTEEN[:, :, [0, 1, 1, 2, 2, 3, 3, 3]][..., [0, 1, 1, 2, 2, 3, 3, 3]],
    ),
    (
        Resize((2,), "linear", "half_pixel_symmetric", scales=(0.6,)),
        SIXTEEN[0, 0, 0].reshape(1, 1, 4),
        np.array([[[1.6666667, 3.3333333]]]),
    ),
]


@pytest.mark.parametrize(("op", "x", "expected"), EXAMPLES, ids=[repr(op) for op, _, _ in EXAMPLES])
def test_the_documented_examples(op: Resize, x: Array, expected: Array) -> None:
    np.testing.assert_allclose(run_on(op, x), expected, 1e-6)


@pytest.mark.parametrize(("size", "output"), [(5, 13), (7, 3), (4, 4), (1, 6), (6, 1)])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_linear_is_interpolation_between_the_elements(size: int, output: int, coordinates: Any) -> None:
    x = drawn((2, 3, size))
    steps = np.arange(output)
    places = {
        "half_pixel": (steps + 0.5) * size / output - 0.5,
        "align_corners": steps * (size - 1) / max(output - 1, 1),
        "asymmetric": steps * size / output,
    }[coordinates]
    expected = np.array([[np.interp(places, np.arange(size), line) for line in image] for image in x])
    np.testing.assert_allclose(run_on(Resize((output,), "linear", coordinates), x), expected, 1e-9, 1e-12)


def test_axes_are_resized_one_after_the_other() -> None:
    x = drawn((2, 3, 4, 5))
    both = run_on(Resize((7, 3), "linear"), x)
    rows = run_on(Resize((7, 5), "linear"), x)
    np.testing.assert_allclose(run_on(Resize((7, 3), "linear"), rows), both, 1e-12, 1e-14)
    np.testing.assert_array_equal(run_on(Resize((4, 5), "linear"), x), x)
    np.testing.assert_array_equal(run_on(Resize((3, 8, 10)), x), x.repeat(2, 2).repeat(2, 3))
