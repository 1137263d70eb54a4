"""The stand-in for MNIST: its format, its determinism, and that it is neither too easy nor too hard."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.errors import UsageError
from archcost.train.digit_shapes import FORMS
from archcost.train.synthetic import skeletons, synthetic_digits


def test_it_has_the_format_of_mnist_and_says_what_it_is() -> None:
    data = synthetic_digits(500, 200, seed=3)
    assert data.name == "synthetic-digits"
    assert "not MNIST" in data.note
    assert data.classes == tuple("0123456789")
    assert data.shape == (1, 28, 28)
    assert (len(data.train), len(data.test)) == (500, 200)
    images = data.train.take(np.arange(500))
    assert images.dtype == np.uint8
    assert data.train.take(np.array([], np.intp)).shape == (0, 1, 28, 28)
    for other in (data, synthetic_digits(500, 200, seed=3)):  # already drawn, or not
        np.testing.assert_array_equal(other.train.take(np.array([-1, 7])), images[[-1, 7]])
    assert set(data.train.labels.tolist()) == set(range(10))


def test_a_smaller_one_is_the_beginning_of_a_larger_one() -> None:
    small, large = synthetic_digits(20, 10, seed=5), synthetic_digits(40, 30, seed=5)
    for part in ("train", "test"):
        first, second = getattr(small, part), getattr(large, part)
        indices = np.arange(len(first))
        np.testing.assert_array_equal(first.take(indices), second.take(indices))
        np.testing.assert_array_equal(first.labels, second.labels[: len(first)])


def test_digits_are_white_strokes_on_black_within_the_image() -> None:
    images = synthetic_digits(1000, 1).train.take(np.arange(1000))[:, 0]
    ink = (images > 100).mean(axis=(1, 2))
    assert ink.min() > 0.01
    assert ink.max() < 0.45
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    assert (border > 100).mean() < 0.01
    assert np.percentile(images.max(axis=(1, 2)), 1) > 120


def test_classes_are_about_equally_frequent() -> None:
    counts = np.bincount(synthetic_digits(20_000, 1).train.labels)
    assert np.abs(counts - 2000).max() < 200


def test_class_means_tell_digits_apart_but_not_well() -> None:
    data = synthetic_digits(3000, 1000)
    train, test = (part.take(np.arange(len(part))).reshape(len(part), -1) / 255 for part in (data.train, data.test))
    means = np.stack([train[data.train.labels == digit].mean(axis=0) for digit in range(10)])
    nearest = np.square(test[:, np.newaxis] - means).sum(axis=2).argmin(axis=1)
    assert 0.45 < (nearest == data.test.labels).mean() < 0.85


def test_the_forms_are_tables_of_points_in_the_box() -> None:
    points, of_stroke, of_form, of_class = skeletons()
    assert np.diff(of_class).tolist() == [len(forms) for forms in FORMS]
    assert all(len(forms) >= 4 for forms in FORMS)
    assert of_form[-1] == len(of_stroke) - 1
    assert of_stroke[-1] == len(points)
    assert np.diff(of_stroke).min() >= 2
    # The random numbers of points, distortion, spots and pixels must not overlap.
    assert np.diff(of_stroke[of_form]).max() * 4 + 64 <= 512
    assert points[:, :2].min() >= 0
    assert points[:, :2].max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0}, r"`train` \(=0\) must be a number of images from 1 to 10000000"),
        ({"test": 10**9}, r"`test` \(=1000000000\) must be a number of images"),
        ({"seed": -1}, r"`seed` \(=-1\) must lie between 0 and 2\^63 - 1"),
    ],
)
def test_impossible_numbers_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        synthetic_digits(**options)
