"""Panels of weights: blocks of the depth that leave out idle lanes."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.kernels.panels import Filters, Panels, shortened


@pytest.mark.parametrize(
    ("channels", "longest", "length"),
    [(16, 16, 16), (24, 16, 8), (40, 16, 8), (20, 16, 4), (200, 16, 16), (32, 16, 16), (3, 3, 3), (12, 8, 4)],
)
def test_blocks_are_shortened_where_that_leaves_out_idle_lanes(channels: int, longest: int, length: int) -> None:
    assert shortened(channels, longest) == length


@pytest.mark.parametrize("transposed", [False, True])
def test_each_weight_has_one_place_in_short_blocks(transposed: bool) -> None:
    filters = Filters(outputs=24, inputs=40, kernel=(1, 3))
    panels = Panels.make(filters, filters.taps, 2, 16, np.float32, transposed=transposed, may_be_short=True)
    assert panels.depth == 8
    assert {len(blocks) for blocks in panels.blocks} == ({3} if transposed else {5})
    here, there, _ = panels.pairs()
    assert len(set(here)) == len(set(there)) == len(here) == 24 * 40 * 3
    assert sum(panels.products) == 24 * 40 * 3
    assert here.max() < panels.memory.size


def test_blocks_of_groups_are_whole_vectors() -> None:
    filters = Filters(outputs=48, inputs=48, kernel=(1, 1), groups=2)
    assert Panels.make(filters, filters.taps, 2, 16, np.float32, may_be_short=True).depth == 16
