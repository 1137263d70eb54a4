"""Tables of places against the tensors' own reading and writing; moves and weighted sums against NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.geometry import product
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.moves import Matrix, brought_back, moved, weighted
from archcost.kernels.places import groups_of, groups_of_all, line_width, lined, offsets_of, spare_lanes
from archcost.kernels.rows import rows_of, to_rows
from archcost.kernels.target import TARGETS

HALO = ((1, 2), (2, 1))
LANES = 8


def numbered(shape: tuple[int, ...], *, channels_last: bool = False, halo: bool = False) -> Blocked:
    """Return a tensor of two images that holds 1, 2, 3, ... in the order of the graph's axes."""
    around = HALO if halo else ((0, 0), (0, 0))
    values = np.arange(1, 1 + 2 * product(shape), dtype=np.float64).reshape(2, *shape)
    if len(shape) != 3:
        tensor = Blocked.make(2, (product(shape),), around, LANES, np.float64)
        tensor.write(values.reshape(2, -1, 1, 1))
        return tensor
    values = values.transpose(0, 3, 1, 2) if channels_last else values
    tensor = Blocked.make(2, values.shape[1:], around, LANES, np.float64)
    tensor.write(values)
    return replace(tensor, channels_last=channels_last)


def elements(tensor: Blocked) -> Array:
    """Return the memory of a tensor from its first inside element on."""
    flat = tensor.memory.reshape(-1)
    return flat[(tensor.address() - tensor.memory.ctypes.data) // 8 :]


@settings(max_examples=60)
@given(shape=st.lists(st.integers(1, 10), min_size=1, max_size=4).map(tuple), halo=st.booleans(), last=st.booleans())
def test_offsets_find_every_element(shape: tuple[int, ...], *, halo: bool, last: bool) -> None:
    tensor = numbered(shape, channels_last=last and len(shape) == 3, halo=halo)
    offsets = offsets_of(tensor, shape)
    np.testing.assert_array_equal(elements(tensor)[offsets], 1 + np.arange(product(shape)).reshape(shape))
    places = lined(tensor, offsets, line_width(shape))
    lines = np.arange(len(places.outer))[:, None] % places.period * places.width + np.arange(places.width)
    found = elements(tensor)[places.outer[:, None] + places.inner[lines]]
    np.testing.assert_array_equal(found.ravel(), 1 + np.arange(2 * product(shape)))
    spare = elements(tensor)[spare_lanes(tensor)]
    assert not spare.any()
    assert spare.size == -tensor.shape[0] % LANES * tensor.shape[1] * tensor.shape[2]


def test_groups_are_lines_along_axes() -> None:
    shape = (3, 4, 5)
    values = 1 + np.arange(120).reshape(2, *shape)
    for last in (False, True):
        tensor = numbered(shape, channels_last=last, halo=True)
        for axes in ((0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2), ()):
            kept = [axis for axis in range(3) if axis not in axes]
            order = (0, *(1 + axis for axis in (*kept, *axes)))
            size = product([shape[axis] for axis in axes])
            places = groups_of(tensor, shape, axes)
            found = elements(tensor)[places.outer[:, None] + places.inner]
            np.testing.assert_array_equal(found, values.transpose(order).reshape(-1, size))
            places = groups_of_all(tensor, shape, axes)
            found = elements(tensor)[places.outer[:, None] + places.inner]
            order = (*(1 + axis for axis in kept), 0, *(1 + axis for axis in axes))
            np.testing.assert_array_equal(found, values.transpose(order).reshape(-1, 2 * size))


def test_a_table_without_a_common_line_is_kept_whole() -> None:
    tensor = numbered((4, 5))
    generator = np.random.default_rng(0)
    indices = generator.permutation(20).reshape(4, 5)
    indices[1, 2] = -1
    places = lined(tensor, indices, 5)
    assert places.period == 4
    target = numbered((4, 5))
    Program(moved((target, (4, 5)), (tensor, (4, 5)), indices, "float64", fill=-7.0)).run(team(2))
    wanted = 1 + np.stack([indices, indices + 20]).astype(float)
    wanted[:, 1, 2] = -7
    np.testing.assert_array_equal(target.read().reshape(2, 4, 5), wanted)


@pytest.mark.parametrize("adds", [False, True])
def test_gradients_of_copies_add_up(adds: bool) -> None:
    shape, indices = (3, 4), np.random.default_rng(1).integers(-1, 12, (5, 7))
    target, gradient = numbered(shape), numbered((5, 7))
    before = target.read().reshape(2, 12)
    target.memory[:, -1, :, :, 4:] = 5.5  # what lies in spare lanes is cleared
    Program(brought_back((target, shape), (gradient, (5, 7)), indices, "float64", adds=adds)).run(team(3))
    wanted = before * adds
    for image in range(2):
        np.add.at(wanted[image], indices[indices >= 0], (1 + np.arange(35) + 35 * image).reshape(5, 7)[indices >= 0])
    np.testing.assert_array_equal(target.read().reshape(2, 12), wanted)
    assert adds or not target.memory[:, -1, :, :, 4:].any()


def test_weighted_sums_and_their_transposition() -> None:
    generator = np.random.default_rng(2)
    dense = np.where(generator.random((6, 4)) < 0.5, generator.normal(size=(6, 4)), 0)
    outputs, inputs = np.nonzero(dense)
    matrix = Matrix.of(outputs, inputs, dense[outputs, inputs], 6)
    source, target = numbered((10, 2, 2), halo=True), numbered((10, 3, 2), halo=True)
    Program(weighted((target, (10, 3, 2)), (source, (10, 2, 2)), matrix, "float64", split=1)).run(team(2))
    values = source.read().reshape(20, 4)
    np.testing.assert_allclose(target.read().reshape(20, 6), values @ dense.T, rtol=1e-14)
    back = numbered((10, 2, 2))
    transposed = matrix.transposed(4)
    Program(weighted((back, (10, 2, 2)), (target, (10, 3, 2)), transposed, "float64", split=1)).run(team(2))
    np.testing.assert_allclose(back.read().reshape(20, 4), values @ dense.T @ dense, rtol=1e-13)


def test_rows_that_fill_vectors_are_no_copy() -> None:
    tensor = numbered((3, 2, LANES))
    rows = rows_of(tensor, (3, 2, LANES))
    assert rows is None  # a map is held by channels
    tensor = numbered((3, 1, 2, LANES))
    rows = rows_of(tensor, (3, 1, 2, LANES))
    assert rows is not None
    assert np.shares_memory(rows.memory, tensor.memory)
    np.testing.assert_array_equal(rows.read()[..., 0].transpose(0, 2, 1).ravel(), 1 + np.arange(12 * LANES))
    assert rows_of(numbered((3, 2, LANES + 1, 1)), (3, 2, LANES + 1, 1)) is None
    steps, copy = to_rows(numbered((4, 3)), (4, 3), TARGETS["avx512"], "float64")
    Program(steps).run(team(2))
    np.testing.assert_array_equal(copy.read()[..., 0].transpose(0, 2, 1).ravel(), 1 + np.arange(24))
