"""Augmentations as text, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.errors import UsageError
from archcost.train.augment import RULES, Augmentation, augment, augmentations, check_fits, color_axes, settings_of


def test_text_gives_names_with_their_numbers_or_defaults() -> None:
    found = augmentations(" mirror, crop ,rotate=12.5,color=.2")
    assert found == [
        Augmentation("mirror", 0.5), Augmentation("crop", 4), Augmentation("rotate", 12.5), Augmentation("color", 0.2)
    ]  # fmt: skip
    assert augmentations("") == augmentations("none") == []
    assert [one.value for one in augmentations(",".join(RULES))] == [rule.default for rule in RULES.values()]


@given(st.sets(st.sampled_from(sorted(RULES)), min_size=1), st.data())
def test_text_of_augmentations_is_read_back(names: set[str], data: st.DataObject) -> None:
    chosen = []
    for name in sorted(names):
        rule = RULES[name]
        steps = data.draw(st.integers(1, 100))
        chosen.append(Augmentation(name, steps if rule.whole else float(f"{rule.most * steps / 100:g}")))
    assert augmentations(",".join(map(str, chosen))) == chosen
    settings = settings_of(chosen)
    assert {name for name, rule in RULES.items() if settings[rule.place]} == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "miror",
            r"unknown augmentation 'miror' \(did you mean 'mirror'\?\); there are mirror, crop, rotate, shear, scale",
        ),
        ("zoom=2", r"unknown augmentation 'zoom'.*; there are mirror, crop"),
        ("mirror,", r"unknown augmentation ''"),
        ("rotate=ten", r"augmentation `rotate` \(='ten'\) must be above 0 and at most 180"),
        ("rotate=", r"augmentation `rotate` \(=''\) must be above 0 and at most 180"),
        ("rotate=200", r"augmentation `rotate` \(=200\) must be above 0 and at most 180"),
        ("shear=0", r"augmentation `shear` \(=0\) must be above 0 and at most 60"),
        ("noise=nan", r"augmentation `noise` \(=nan\) must be above 0 and at most 1"),
        ("warp=-0.1", r"augmentation `warp` \(=-0.1\) must be above 0 and at most 0.5"),
        ("crop=1.5", r"augmentation `crop` \(=1.5\) must be a whole number from 1 to 1024"),
        ("crop=0", r"augmentation `crop` \(=0\) must be a whole number from 1 to 1024"),
        ("crop=inf", r"augmentation `crop` \(=inf\) must be a whole number from 1 to 1024"),
        ("mirror,crop,mirror=1", "augmentation `mirror` is given twice"),
    ],
)
def test_wrong_text_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        augmentations(text)
    assert "\n" not in str(caught.value)


def test_an_augmentation_that_comes_twice_in_a_list_is_refused() -> None:
    with pytest.raises(UsageError, match="augmentation `noise` is given twice"):
        settings_of([Augmentation("noise"), Augmentation("noise", 0.1)])


def test_augmentations_must_fit_the_images() -> None:
    check_fits(augmentations("crop=27,pca"), (3, 28, 30))
    with pytest.raises(UsageError, match=r"`crop` \(=28\) must be less than the image's 28x30 pixels"):
        check_fits(augmentations("crop=28"), (3, 28, 30))
    with pytest.raises(UsageError, match="`pca` needs images of 3 channels, not 1"):
        check_fits(augmentations("pca"), (1, 28, 30))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_keep_type_and_shape_and_the_argument_is_not_changed(dtype: Any) -> None:
    values = np.random.default_rng(0).uniform(0, 1, (4, 3, 9, 8))
    images: Any = (values * (255 if dtype == np.uint8 else 1)).astype(dtype)
    before = images.copy()
    found = augment(images, "mirror,crop=2,rotate,color,pca,noise")
    assert found.dtype == dtype
    assert found.shape == images.shape
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(augment(images, ""), images)
    # Arrays that are not contiguous are copied first.
    turned = np.ascontiguousarray(images.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
    np.testing.assert_array_equal(augment(turned, "mirror,crop=2,rotate,color,pca,noise"), found)
    assert augment(images[:0], "mirror,pca").shape == (0, 3, 9, 8)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (
            np.zeros((2, 8, 8), np.uint8),
            {},
            r"images must be uint8 or float32 of shape \(N, C, H, W\), not uint8 \(2, 8, 8\)",
        ),
        (np.zeros((2, 1, 8, 8)), {}, "images must be uint8 or float32"),
        (np.zeros((2, 1, 8, 8), np.uint8), {"indices": np.arange(3)}, "one for each of the 2 images"),
        (np.zeros((2, 1, 8, 8), np.uint8), {"seed": 2**63}, "`seed`"),
    ],
)
def test_other_arrays_are_refused(images: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        augment(images, "mirror", **options)


def test_colour_axes_are_those_of_a_singular_value_decomposition() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 7, 6)).astype(np.uint8)
    images[:, 1] = images[:, 0] // 2 + images[:, 1] // 4
    pixels = images.transpose(0, 2, 3, 1).reshape(-1, 3) / 255
    _, values, axes = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)
    expected = axes.T * values**2 / len(pixels)
    found = color_axes(images)[:, ::-1]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-12)
    assert (found[np.abs(found).argmax(axis=0), np.arange(3)] > 0).all()
