"""Inputs of few channels without idle lanes, and taps that lie side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.kernels.layout import Blocked
from archcost.kernels.narrow import entered, is_narrow
from archcost.kernels.passes import taps_in_line
from archcost.kernels.target import current


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("columns", [7, 16, 37])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_lie_side_by_side_inside_the_border(channels: int, columns: int, precision: Any) -> None:
    plain = np.random.default_rng(0).standard_normal((2, channels, 5, columns)).astype(precision)
    tensor = Blocked.make(2, (channels, 5, columns), ((1, 2), (3, 0)), channels, precision)
    Program([entered(tensor, plain, current(), precision)]).run(team(2))
    wanted = np.pad(plain.transpose(0, 2, 3, 1), ((0, 0), (1, 2), (3, 0), (0, 0)))
    np.testing.assert_array_equal(tensor.memory[:, 0], wanted)
    np.testing.assert_array_equal(tensor.read(), plain)


def test_what_is_narrow() -> None:
    assert is_narrow(3, 16)
    assert is_narrow(4, 16)
    assert not is_narrow(5, 16)
    assert not is_narrow(3, 8)


@pytest.mark.parametrize(
    ("offsets", "size", "times"),
    [
        ((0, 12, 24, 100, 112, 124), 12, 3),  # rows of three pixels
        ((0, 64), 64, 2),
        ((0, 24, 48), 12, 1),  # dilated
        ((0, 12, 24, 100, 112), 12, 1),  # rows of different lengths
        ((0,), 4, 1),
        ((), 4, 1),
    ],
)
def test_taps_that_lie_side_by_side_are_one(offsets: tuple[int, ...], size: int, times: int) -> None:
    assert taps_in_line(offsets, size) == times
