"""What a data set is: counts, types, shapes, labels in range, subsets, and the split of data without a test part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.errors import UsageError
from archcost.train.dataset import Dataset, Split, last_tenth

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES = np.arange(5 * 1 * 2 * 3, dtype=np.uint8).reshape(5, 1, 2, 3)
LABELS = np.array([0, 1, 2, 0, 1])


class Counted:
    """A source of images that notes what was asked of it."""

    shape = (1, 2, 3)

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __len__(self) -> int:
        return 5

    def take(self, indices: NDArray[np.intp], /) -> NDArray[np.uint8]:
        self.asked.append(indices.tolist())
        return IMAGES[indices]


def test_an_array_and_a_source_give_the_same_images() -> None:
    source = Counted()
    for split in (Split(IMAGES, LABELS), Split(source, LABELS)):
        assert len(split) == 5
        assert split.shape == (1, 2, 3)
        assert np.array_equal(split.take(np.array([4, 0, 4])), IMAGES[[4, 0, 4]])
    assert source.asked == [[4, 0, 4]]


def test_a_taken_batch_is_a_copy() -> None:
    split = Split(IMAGES.copy(), LABELS)
    split.take(np.arange(2))[:] = 99
    assert np.array_equal(split.take(np.arange(5)), IMAGES)


def test_a_subset_takes_nothing_until_it_is_asked() -> None:
    source = Counted()
    chosen = Split(source, LABELS).subset(np.array([3, 1, 4]))
    assert source.asked == []
    assert chosen.labels.tolist() == [0, 1, 1]
    assert chosen.shape == (1, 2, 3)
    assert np.array_equal(chosen.take(np.array([2, 0])), IMAGES[[4, 3]])
    again = chosen.subset(np.array([1]))
    assert np.array_equal(again.take(np.array([0])), IMAGES[[1]])
    plain = Split(IMAGES, LABELS).subset(np.array([3, 1]))
    assert np.array_equal(plain.take(np.arange(2)), IMAGES[[3, 1]])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:, 0], LABELS, r"images must be uint8 of shape \(N, C, H, W\), not uint8 of shape \(5, 2, 3\)"),
        (IMAGES.astype(np.float32), LABELS, "images must be uint8 .* not float32"),
        (IMAGES, LABELS.astype(np.uint8), r"labels must be int64 of shape \(N,\), not uint8 of shape \(5,\)"),
        (IMAGES, LABELS[:, None], r"labels must be int64 .* of shape \(5, 1\)"),
        (IMAGES[:4], LABELS, "4 images, but 5 labels"),
        (Counted(), LABELS[:2], "5 images, but 2 labels"),
    ],
)
def test_a_split_refuses_what_does_not_fit(images: NDArray[np.uint8], labels: NDArray[np.int64], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Split(images, labels)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (Split(IMAGES, LABELS), Split(IMAGES[:0], LABELS[:0]), "^toys: no test images$"),
        (Split(IMAGES[:0], LABELS[:0]), Split(IMAGES, LABELS), "^toys: no training images$"),
        (Split(IMAGES, LABELS + 1), Split(IMAGES, LABELS), "^toys: a training label is 3; 3 classes have 0 to 2$"),
        (Split(IMAGES, LABELS), Split(IMAGES, LABELS - 1), "^toys: a test label is -1; 3 classes have 0 to 2$"),
        (
            Split(IMAGES, LABELS),
            Split(IMAGES.transpose(0, 1, 3, 2), LABELS),
            "^toys: training images are 1x2x3, but test images 1x3x2$",
        ),
    ],
)
def test_a_data_set_refuses_parts_that_do_not_fit(train: Split, test: Split, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Dataset("toys", ("a", "b", "c"), train, test)


def test_a_data_set_has_the_shape_of_its_images() -> None:
    assert Dataset("toys", ("a", "b", "c"), Split(IMAGES, LABELS), Split(IMAGES, LABELS)).shape == (1, 2, 3)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_the_last_tenth_of_every_class_is_kept(labels: list[int]) -> None:
    values = np.array(labels + [0, 1, 2, 3, 4] * 2)
    training, test = last_tenth(values)
    assert sorted([*training, *test]) == list(range(len(values)))
    for label in range(5):
        members = [place for place, value in enumerate(values) if value == label]
        count = max(1, len(members) // 10)
        assert [place for place in test if values[place] == label] == members[-count:]


def test_a_class_of_one_image_cannot_be_split() -> None:
    with pytest.raises(UsageError, match="class 7 has one image only"):
        last_tenth(np.array([1, 1, 7]))
