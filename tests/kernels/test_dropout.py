"""Masks: reproducible whatever the threads, target and precision; scaled; the same forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcost.kernels.target import TARGETS
from archcost.ops import Dropout, DropPath
from tests.kernels.running import Array, Case

GAMMA = 0x9E3779B97F4A7C15
SHAPE = (21, 5, 7)


def mixed(values: Any) -> Any:
    """Return the mixing function of SplitMix64, of the next state."""
    z = np.asarray(values, np.uint64) + np.uint64(GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def kept(rate: float, random: tuple[int, int, int], images: int, count: int) -> Array:
    """Return which of the elements of each image stay, by the definition."""
    with np.errstate(over="ignore"):
        masks = []
        for image in range(images):
            state: Any = np.uint64(0)
            for number in (*random, image):
                state = mixed(state + np.uint64(number % 2**64))[()]
            numbers = mixed(state + np.arange(count, dtype=np.uint64) * np.uint64(GAMMA))
            masks.append(numbers >> np.uint64(1) >= np.uint64(round(rate * 2**63)))
    return np.array(masks)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.5, 0.1, 0.875])
def test_mask_follows_from_its_definition(rate: float, dtype: str, target: str) -> None:
    random = (2**62 + 5, 17, 3)
    x = np.random.default_rng(0).uniform(1, 2, (2, *SHAPE)).astype(dtype)
    mask = kept(rate, random, 2, 21 * 5 * 7).reshape(x.shape)
    for threads in (1, 2, 3):
        for in_place in (False, True):
            case = Case(Dropout(rate), [x], target=target, threads=threads, random=random, in_place=in_place)
            found = case.forward()
            np.testing.assert_array_equal(found != 0, mask)
            np.testing.assert_allclose(found[mask], x[mask] / (1 - rate), rtol=1e-6)
    for adds in (False, True):
        to_input = case.backward(x, adds=adds)[0][0]
        np.testing.assert_allclose(to_input, np.where(mask, x / (1 - rate), 0), rtol=1e-5, atol=1e-6)


def test_mask_counts_in_the_order_of_the_graph() -> None:
    random = (1, 2, 3)
    x = np.ones((2, 5, 7, 21))
    mask = kept(0.3, random, 2, 21 * 5 * 7).reshape(x.shape)
    np.testing.assert_array_equal(Case(Dropout(0.3), [x], random=random, channels_last=True).forward() != 0, mask)
    x = np.ones((2, 735))
    np.testing.assert_array_equal(Case(Dropout(0.3), [x], random=random).forward() != 0, mask.reshape(2, 735))


@pytest.mark.parametrize("change", range(3))
def test_seed_iteration_and_node_all_matter(change: int) -> None:
    x = np.ones((1, 1000))
    random = [5, 6, 7]
    first = Case(Dropout(0.5), [x], random=(5, 6, 7)).forward()
    random[change] += 1
    other = Case(Dropout(0.5), [x], random=(random[0], random[1], random[2])).forward()
    assert 400 < int((first != other).sum()) < 600


def test_iteration_is_read_when_the_program_runs() -> None:
    case = Case(Dropout(0.5), [np.ones((1, 1000))], random=(5, 6, 7))
    first = case.forward()
    np.testing.assert_array_equal(case.forward(), first)
    case.random[1] += 1
    assert not np.array_equal(case.forward(), first)


def test_rate_is_met_and_neighbours_are_independent() -> None:
    x = np.ones((2, 50, 64, 64), "float32")
    stays = Case(Dropout(0.2), [x], random=(0, 0, 0)).forward() != 0
    assert abs(stays.mean() - 0.8) < 0.003
    centred = stays - 0.8
    for pairs in (centred[:, 1:] * centred[:, :-1], centred[..., 1:] * centred[..., :-1], centred[0] * centred[1]):
        assert abs(pairs.mean()) < 0.002


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_drop_path(dtype: str, target: str) -> None:
    random, images = (3, 1, 4), 40
    x = np.random.default_rng(0).uniform(1, 2, (images, 5, 2, 3)).astype(dtype)
    mask = kept(0.25, random, images, 1)
    case = Case(DropPath(0.25), [x], target=target, random=random)
    wanted = np.where(mask.reshape(-1, 1, 1, 1), x / 0.75, 0)
    np.testing.assert_allclose(case.forward(), wanted, rtol=1e-6)
    np.testing.assert_allclose(case.backward(x)[0][0], wanted, rtol=1e-6)
    np.testing.assert_allclose(case.backward(x, adds=True)[0][0], wanted, atol=1e-6)
    assert 20 < mask.sum() < 38


@pytest.mark.parametrize("op", [Dropout(0.5), DropPath(0.5), Dropout(0), DropPath(0)], ids=repr)
def test_inference_and_rate_zero_change_nothing(op: Dropout | DropPath) -> None:
    x = np.random.default_rng(0).normal(size=(3, *SHAPE))
    for in_place in (False, True):
        case = Case(op, [x], training=op.rate == 0, in_place=in_place)
        np.testing.assert_array_equal(case.forward(), x)
    np.testing.assert_array_equal(case.backward(x)[0][0], x)
    np.testing.assert_allclose(case.backward(x, adds=True)[0][0], x, rtol=1e-12)
