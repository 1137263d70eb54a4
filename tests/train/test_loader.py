"""Batches: their order, their bits for any number of threads, and how threads and errors end."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from archcost.errors import UsageError
from archcost.train.augment import augment
from archcost.train.dataset import Split
from archcost.train.fitting import fitting
from archcost.train.loader import Batch, Loader
from archcost.train.normalisation import normalisation
from tests.train.random_numbers import chained, mixed

GAMMA = 0x9E3779B97F4A7C15


def split_of(count: int, shape: tuple[int, int, int] = (1, 8, 8)) -> Split:
    """Return random images; the first pixel of each tells its number."""
    images = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return Split(images, np.arange(count, dtype=np.int64) % 7)


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("archcost-loader")]


class Failing:
    """A source that cannot give one of its images."""

    shape = (1, 8, 8)

    def __init__(self, count: int, bad: int, error: BaseException) -> None:
        self.count, self.bad, self.error = count, bad, error

    def __len__(self) -> int:
        return self.count

    def take(self, indices: npt.NDArray[np.intp], /) -> npt.NDArray[np.uint8]:
        if self.bad in indices:
            raise self.error
        return np.zeros((len(indices), *self.shape), np.uint8)


def equal(first: list[Batch], second: list[Batch]) -> bool:
    assert len(first) == len(second)
    return all(
        np.array_equal(images, others) and np.array_equal(labels, other_labels)
        for (images, labels), (others, other_labels) in zip(first, second)
    )


def test_batches_in_the_order_of_the_split() -> None:
    split = split_of(10)
    loader = Loader(split, 4, mean=0.25, std=0.5)
    batches = list(loader.epoch())
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert len(loader) == 3
    images, labels = (np.concatenate(parts) for parts in zip(*batches))
    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, split.labels)
    np.testing.assert_allclose(images, (split.take(np.arange(10)) / 255 - 0.25) / 0.5, atol=1e-6)
    assert loader.note == ""


def test_shuffling_sorts_random_numbers_of_seed_and_epoch() -> None:
    loader = Loader(split_of(50), 50, shuffle=True, seed=6)
    for epoch in range(2):
        state = chained(6, epoch, -1)
        numbers = [mixed((state + index * GAMMA) % 2**64) for index in range(50)]
        expected = sorted(range(50), key=numbers.__getitem__)
        assert loader.order(epoch).tolist() == expected
        ((images, labels),) = loader.epoch(epoch)
        assert np.rint(images[:, 0, 0, 0] * 255).astype(int).tolist() == expected
        assert labels.tolist() == [index % 7 for index in expected]


@pytest.mark.parametrize("augmented", ["", "mirror,crop=2,rotate,warp,noise"])
def test_the_same_bits_for_any_number_of_threads(augmented: str) -> None:
    split = split_of(90, (3, 8, 8))
    runs = []
    for workers, ahead in ((0, 2), (1, 1), (1, 5), (3, 2), (4, 40)):
        loader = Loader(split, 8, shuffle=True, seed=1, augment=augmented, size=(3, 9, 9), workers=workers, ahead=ahead)
        runs.append(list(loader.epoch(2)))
        # An epoch that is continued goes on with the batches that were left.
        assert equal(list(loader.epoch(2, first=7)), runs[-1][7:])
        assert not equal(list(loader.epoch(3)), runs[-1])
    assert all(equal(run, runs[0]) for run in runs[1:])
    assert not loader_threads()


def test_augmentation_depends_on_the_index_and_not_on_the_batch() -> None:
    split = split_of(30)
    loader = Loader(split, 7, shuffle=True, seed=9, augment="mirror,rotate,noise")
    pixels = np.divide(split.take(np.arange(30)), 255, dtype=np.float32)
    expected = augment(pixels, "mirror,rotate,noise", seed=9, epoch=4)
    images = np.concatenate([images for images, _ in loader.epoch(4)])
    np.testing.assert_allclose(images, expected[loader.order(4)], atol=1e-5)


def test_the_last_batch_can_be_left_out() -> None:
    loader = Loader(split_of(10), 4, drop_last=True)
    assert [len(labels) for _, labels in loader.epoch()] == [4, 4]
    assert len(loader) == 2


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("error", [OSError("image 13 is torn"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_error_is_raised_at_its_batch(workers: int, error: BaseException) -> None:
    split = Split(Failing(40, 13, error), np.zeros(40, np.int64))
    epoch = Loader(split, 4, workers=workers, ahead=6).epoch()
    for _ in range(3):
        assert len(next(epoch)[1]) == 4
    with pytest.raises(type(error)) as caught:
        next(epoch)
    assert caught.value is error
    assert not loader_threads()


@pytest.mark.parametrize("workers", [1, 3])
def test_no_thread_is_left_when_the_consumer_stops_early(workers: int) -> None:
    loader = Loader(split_of(60), 4, workers=workers, ahead=3)
    for _ in loader.epoch():
        assert loader_threads()
        break
    assert not loader_threads()
    epoch = loader.epoch()
    next(epoch)
    epoch.close()
    assert not loader_threads()

    def interrupted() -> None:
        for _ in loader.epoch():
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        interrupted()
    assert not loader_threads()
    loader.epoch()  # nothing starts before the first batch is asked for
    assert not loader_threads()
    assert list(loader.epoch(first=len(loader))) == []


def test_no_more_is_prepared_than_asked_for() -> None:
    begun = threading.Semaphore(0)
    taken: list[int] = []

    class Counting(Failing):
        def take(self, indices: npt.NDArray[np.intp], /) -> npt.NDArray[np.uint8]:
            taken.append(len(indices))
            begun.release()
            return super().take(indices)

    split = Split(Counting(100, -1, OSError()), np.zeros(100, np.int64))
    epoch = Loader(split, 10, workers=2, ahead=3).epoch()
    next(epoch)
    for _ in range(4):
        assert begun.acquire(timeout=10)
    assert not begun.acquire(timeout=0.05)
    assert len(taken) == 4
    epoch.close()


@pytest.mark.parametrize(
    ("source", "target", "note"),
    [
        ((1, 28, 28), (1, 28, 28), ""),
        ((1, 28, 28), (1, 32, 32), "input 1x28x28 padded to 1x32x32"),
        ((3, 32, 32), (3, 224, 224), "input 3x32x32 resized to 3x224x224"),
        ((1, 28, 28), (3, 32, 32), "input 1x28x28 padded and repeated in 3 channels to 3x32x32"),
        ((3, 32, 32), (1, 28, 28), "input 3x32x32 resized and made grey to 1x28x28"),
        ((3, 40, 60), (3, 32, 32), "input 3x40x60 resized and stretched to 3x32x32"),
        ((1, 32, 32), (3, 32, 32), "input 1x32x32 repeated in 3 channels to 3x32x32"),
    ],
)
def test_the_note_says_how_images_are_fitted(
    source: tuple[int, int, int], target: tuple[int, int, int], note: str
) -> None:
    assert fitting(source, target).note == note
    loader = Loader(split_of(3, source), 3, size=target)
    assert loader.note == note
    ((images, _),) = loader.epoch()
    assert images.shape == (3, *target)
    assert np.isfinite(images).all()
    assert images.std() > 0.05


def test_means_and_deviations_of_channels() -> None:
    split = split_of(250, (3, 8, 8))
    pixels = split.take(np.arange(250)) / 255
    found = normalisation(split)
    np.testing.assert_allclose(found.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)
    grey = np.tensordot((0.299, 0.587, 0.114), pixels, (0, 1))
    np.testing.assert_allclose(np.ravel(normalisation(split, 1)), (grey.mean(), grey.std()), rtol=1e-9)
    repeated = normalisation(split_of(30), 3)
    assert len(repeated.mean) == len(repeated.std) == 3
    assert len(set(repeated.mean)) == 1
    some = split.take(np.array([0, 62, 124, 186, 249])) / 255
    np.testing.assert_allclose(normalisation(split, sample=5).mean, some.mean(axis=(0, 2, 3)), rtol=1e-12)
    images, _ = next(Loader(split, 250, mean=found.mean, std=found.std).epoch())
    np.testing.assert_allclose(images.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(images.std(axis=(0, 2, 3)), 1, atol=1e-5)


def test_a_channel_of_one_value_is_not_divided_by_zero() -> None:
    split = Split(np.full((4, 1, 8, 8), 51, np.uint8), np.zeros(4, np.int64))
    np.testing.assert_allclose(np.ravel(normalisation(split)), (0.2, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, r"`batch_size` \(=0\) must be at least 1"),
        ({"workers": -1}, r"`workers` \(=-1\) must be at least 0"),
        ({"ahead": 0}, r"`ahead` \(=0\) must be at least 1"),
        ({"seed": -1}, r"`seed` \(=-1\) must lie between 0 and 2\^63 - 1"),
        ({"batch_size": 11, "drop_last": True}, r"leaves no batch: 10 images are less than `batch_size` \(=11\)"),
        ({"augment": "twist"}, "unknown augmentation 'twist'"),
        ({"augment": "crop=8"}, r"`crop` \(=8\) must be less than the image's 8x8 pixels"),
        ({"augment": "pca"}, "`pca` needs images of 3 channels, not 1"),
        ({"mean": (0.1, 0.2)}, r"`mean` \(=\(0.1, 0.2\)\) must be one number, or one for each of 1 channels"),
        ({"std": 0}, r"`std` \(=0\) must be above 0"),
        ({"std": float("nan")}, r"`std` \(=nan\) must be one number"),
        ({"size": (2, 0, 8)}, r"`size` \(=2x0x8\) must be channels, height and width, all above 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Loader(split_of(10), **{"batch_size": 4, **options})


def test_images_that_cannot_be_fed_to_the_network_are_refused() -> None:
    with pytest.raises(UsageError, match="images of 3 channels cannot be fed to an input of 2 channels"):
        Loader(split_of(2, (3, 8, 8)), 2, size=(2, 8, 8))
    with pytest.raises(UsageError, match="images of 2 channels cannot be made grey"):
        Loader(split_of(2, (2, 8, 8)), 2, size=(1, 8, 8))
    with pytest.raises(UsageError, match="`pca` needs an input of 3 channels, not 1"):
        Loader(split_of(2, (3, 8, 8)), 2, size=(1, 8, 8), augment="pca")
    with pytest.raises(UsageError, match="there are no images to load"):
        Loader(split_of(0), 2)
    with pytest.raises(UsageError, match=r"`first` \(=6\) must be a batch from 0 to 5"):
        next(Loader(split_of(10), 2).epoch(first=6))
    with pytest.raises(UsageError, match=r"`epoch` \(=-1\) must not be negative"):
        next(Loader(split_of(10), 2).epoch(-1))


def test_a_source_that_gives_other_images_than_it_says_is_refused() -> None:
    class Wrong(Failing):
        def take(self, indices: npt.NDArray[np.intp], /) -> npt.NDArray[np.uint8]:
            return super().take(indices)[:, :, 1:]

    split = Split(Wrong(10, -1, OSError()), np.zeros(10, np.int64))
    message = r"must give uint8 images of shape \(5, 1, 8, 8\), not uint8 of shape \(5, 1, 7, 8\)"
    with pytest.raises(UsageError, match=message):
        next(Loader(split, 5).epoch())
