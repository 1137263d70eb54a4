"""A batch for the network against the definition of every augmentation, a pixel at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from archcost.kernels.augment import make_batch
from archcost.kernels.random_numbers import state_of, words
from archcost.train.augment import RULES, augment, augmentations, color_axes, settings_of
from tests.train import augmented
from tests.train.random_numbers import chained, mixed, uniform

SEED, EPOCH = 2**62 + 11, 3
NUMBERS = np.array([5, 0, 77_000], np.int64)


def smooth_images(channels: int, height: int, width: int, count: int = 3) -> npt.NDArray[np.float32]:
    """Return images without jumps, so that rounding a place does not matter."""
    generator = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    waves = generator.uniform(0.1, 0.5, (count, channels, 3))[..., np.newaxis, np.newaxis]
    angles = waves[:, :, 0] * y + waves[:, :, 1] * x + 9 * waves[:, :, 2]
    return np.asarray(0.5 + 0.5 * np.sin(angles), np.float32)


def made(
    images: npt.NDArray[Any],
    text: str = "",
    frame: tuple[int, int, int] | None = None,
    scales: npt.NDArray[np.float32] | None = None,
    *,
    resized: bool = False,
    numbers: npt.NDArray[np.int64] = NUMBERS,
) -> npt.NDArray[np.float32]:
    shape = images.shape[1:] if frame is None else frame
    target = np.full((len(images), *shape), np.nan, np.float32)
    unchanged = np.tile(np.array([1, 0], np.float32), (shape[0], 1))
    axes = color_axes(images) if "pca" in text else np.zeros((3, 3))
    numbers = numbers[: len(images)]
    settings = settings_of(augmentations(text))
    make_batch(
        images, target, numbers, SEED, EPOCH, settings, unchanged if scales is None else scales, axes, resized=resized
    )
    return target


def test_streams_are_splitmix64() -> None:
    state = state_of(SEED, EPOCH, -1)
    assert state % 2**64 == chained(SEED, EPOCH, -1)
    gamma = 0x9E3779B97F4A7C15
    assert words(state, 3).tolist() == [mixed((state + number * gamma) % 2**64) for number in range(3)]


@pytest.mark.parametrize(
    "text",
    [
        "mirror", "crop=3", "mirror,crop=9", "rotate=30", "shear=20", "scale=0.4", "warp=0.2",
        "mirror=1,crop=2,rotate=15,shear=10,scale=0.2,warp=0.1",
    ],
)  # fmt: skip
def test_geometry_is_one_interpolation(text: str) -> None:
    images = smooth_images(2, 11, 12)
    values = {one.name: one.value for one in augmentations(text)}
    for image, number, found in zip(images, NUMBERS, made(images, text)):
        expected = augmented.placed(image.astype(float), values, (SEED, EPOCH, int(number)), (11, 12))
        # At the border between image and black a rounding decides: such pixels are few.
        wrong = np.abs(found - expected) > 2e-4
        assert wrong.sum() <= 2
        assert not wrong[:, 4:7, 4:8].any()


@pytest.mark.parametrize("text", ["", "mirror", "crop=34", "mirror=1,crop=34", "mirror,crop=5"])
def test_copied_and_interpolated_pixels_are_the_same(text: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (80, 1, 28, 28), np.uint8)
    numbers = np.arange(80)
    copied = made(images, text, (3, 35, 35), numbers=numbers)
    interpolated = made(images.astype(np.float32), text, (3, 35, 35), numbers=numbers)
    np.testing.assert_array_equal(copied, interpolated)


def test_a_smaller_image_lies_in_the_middle_of_black() -> None:
    images = np.random.default_rng(0).integers(1, 256, (2, 1, 28, 28), np.uint8)
    scales = np.array([[0.5, -3], [0.25, 2]], np.float32)
    found = made(images, frame=(2, 33, 32), scales=scales)
    expected = np.pad(images[:, 0].astype(np.float32), ((0, 0), (2, 3), (2, 2)))
    np.testing.assert_array_equal(found, np.stack([expected * 0.5 - 3, expected * 0.25 + 2], axis=1))


@pytest.mark.parametrize(
    ("source", "frame"), [((8, 8), (20, 20)), ((20, 24), (8, 6)), ((6, 15), (9, 9))], ids=["up", "down", "stretched"]
)
def test_resizing_interpolates_and_averages(source: tuple[int, int], frame: tuple[int, int]) -> None:
    images = smooth_images(3, *source)
    for image, found in zip(images, made(images, frame=(3, *frame), resized=True)):
        expected = augmented.placed(image.astype(float), {}, (0, 0, 0), frame, resized=True)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_resizing_keeps_one_colour_to_the_border() -> None:
    images = np.full((1, 3, 5, 5), 200, np.uint8)
    np.testing.assert_allclose(made(images, frame=(3, 17, 11), resized=True), 200, rtol=1e-6)


def test_three_channels_become_grey() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 6, 6), np.uint8)
    expected = np.tensordot((0.299, 0.587, 0.114), images, (0, 1))
    np.testing.assert_allclose(made(images, frame=(1, 6, 6))[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("text", ["color=0.4", "brightness", "contrast=0.8", "pca=3", "noise=0.2"])
def test_colours_follow_their_definition(text: str) -> None:
    images = smooth_images(3, 6, 7)
    values = {one.name: one.value for one in augmentations(text)}
    axes = color_axes(images)
    for image, number, found in zip(images, NUMBERS, made(images, text)):
        expected = augmented.colored(image.astype(float), values, (SEED, EPOCH, int(number)), axes)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(made(images, text) - images).max() > 0.02


def test_erasing_sets_a_square_to_the_mean() -> None:
    images = smooth_images(2, 12, 20) + np.float32(1)
    for image, number, found in zip(images, NUMBERS, made(images, "erase=0.5")):
        state = augmented.stream("erase", SEED, EPOCH, int(number))
        row, column = int(uniform(state, 0) * 12), int(uniform(state, 1) * 20)
        expected = image.copy()
        expected[:, max(row - 3, 0) : row + 3, max(column - 3, 0) : column + 3] = 0
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", RULES)
def test_bytes_are_the_rounded_result_of_numbers(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 3, 9, 8)).astype(np.uint8)
    numbers = np.divide(pixels, 255, dtype=np.float32)
    found, expected = augment(pixels, name).astype(float), augment(numbers, name) * 255.0
    assert np.abs(found - expected).max() < 0.5001
    assert (found != pixels).any()


def test_an_image_does_not_depend_on_its_batch() -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 10, 9), np.uint8)
    text = "mirror,crop=3,rotate,shear,scale,warp,color,brightness,contrast,erase,noise"
    whole = augment(images, text, seed=4, epoch=2)
    order = np.array([8, 3, 5])
    np.testing.assert_array_equal(augment(images[order], text, seed=4, epoch=2, indices=order), whole[order])
    assert (augment(images, text, seed=4, epoch=3) != whole).any(axis=(1, 2, 3)).all()
    assert (augment(images, text, seed=5, epoch=2) != whole).any(axis=(1, 2, 3)).all()
    # Another augmentation leaves the random numbers of the first as they are.
    np.testing.assert_array_equal(
        augment(images, "mirror", seed=4), augment(augment(images, "mirror,brightness=1e-9", seed=4), "")
    )


def test_random_choices_have_their_shares() -> None:
    images = np.tile(np.arange(8, dtype=np.uint8), (4000, 1, 8, 1))
    mirrored = augment(images, "mirror=0.25")[:, 0, 0, 0] == 7
    assert abs(mirrored.mean() - 0.25) < 0.03
    lines = np.zeros((4000, 1, 9, 9), np.uint8)
    lines[:, :, 4, 4] = 1
    places = np.argwhere(augment(lines, "crop=2"))[:, 2:]
    assert len(places) == 4000
    counts = np.bincount(places[:, 0] * 9 + places[:, 1], minlength=81).reshape(9, 9)[2:7, 2:7]
    assert counts.sum() == 4000
    assert counts.min() > 110
