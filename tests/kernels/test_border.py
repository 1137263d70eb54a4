"""Clearing borders: all of the border and nothing else, also where a pixel is no whole vector."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.kernels.border import cleared
from archcost.kernels.layout import Blocked


@pytest.mark.parametrize(("lanes", "dtype"), [(16, "float32"), (3, "float32"), (1, "float32"), (3, "float64")], ids=str)
def test_the_border_is_cleared_and_the_inside_is_kept(lanes: int, dtype: str) -> None:
    tensor = Blocked.make(2, (2 * lanes, 5, 4), ((2, 1), (3, 0)), lanes, dtype)
    tensor.memory[...] = 7
    Program([cleared(tensor)]).run(team(1))
    expected = np.zeros((2, 2, 8, 7, lanes))
    expected[:, :, 2:7, 3:] = 7
    np.testing.assert_array_equal(tensor.memory, expected)
