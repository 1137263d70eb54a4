"""Folders of images: which files are found, what is made of them, and what is refused by name."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from archcost.errors import UsageError
from archcost.train import image_folder
from archcost.train.image_folder import read_image_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray


def picture(seed: int, height: int = 4, width: int = 6, channels: int = 3) -> NDArray[np.uint8]:
    """Return the pixels of one image, shape (height, width, channels), or (height, width) for one channel."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: NDArray[np.uint8], mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path)


def saved(root: Path, counts: dict[str, int], **size: int) -> Path:
    """Save ``counts`` images in the class folders below ``root``; image i of a class has the seed i."""
    for name, count in counts.items():
        for number in range(count):
            save(root / name / f"{number:02}.png", picture(number, **size))
    return root


def seeds(root: Path, **options: Any) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return the seeds and labels of the training images, and of the test images, as they are read."""
    found = read_image_folder(root, **options)
    result = []
    for split in (found.train, found.test):
        known = {picture(seed).transpose(2, 0, 1).tobytes(): seed for seed in range(40)}
        result.append([known[image.tobytes()] for image in split.take(np.arange(len(split)))])
        result.append(split.labels.tolist())
    return result[0], result[1], result[2], result[3]


def test_without_a_test_part_the_last_tenth_by_name_is_kept(tmp_path: Path) -> None:
    root = saved(tmp_path / "pets", {"yak": 20, "emu": 3})
    found = read_image_folder(root)
    assert (found.name, found.classes, found.shape) == ("pets", ("emu", "yak"), (3, 4, 6))
    assert found.note == "no test part: the last tenth of every class, by sorted names, is kept for the test"
    assert seeds(root) == ([0, 1, *range(18)], [0, 0] + [1] * 18, [2, 18, 19], [0, 1, 1])


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_test_part_is_taken_as_it_is(tmp_path: Path, part: str) -> None:
    saved(tmp_path / "train", {"yak": 3, "emu": 2})
    saved(tmp_path / part, {"emu": 1, "yak": 2})
    assert read_image_folder(tmp_path).note == ""
    assert seeds(tmp_path) == ([0, 1, 0, 1, 2], [0, 0, 1, 1, 1], [0, 0, 1], [0, 1, 1])


def test_train_may_be_the_name_of_a_class(tmp_path: Path) -> None:
    assert read_image_folder(saved(tmp_path, {"car": 2, "train": 2})).classes == ("car", "train")


def test_hidden_files_are_not_seen_and_other_files_are_counted(tmp_path: Path) -> None:
    root = saved(tmp_path / "pets", {"yak": 2, "emu": 2, "yak/nested": 2})
    (root / ".git").mkdir()
    for name in ("yak/.hidden.png", "yak/read.txt", "emu/LICENSE", "emu/more.TXT", "list.csv"):
        (root / name).write_text("words")
    (root / "emu" / "00.png").rename(root / "emu" / "00.PNG")
    found = read_image_folder(root)
    assert found.classes == ("emu", "yak")
    assert len(found.train) + len(found.test) == 4
    assert "not read: 2 .txt files, 1 folders inside class folders, 1 suffixless files" in found.note


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    saved(tmp_path, {"a": 2, "b": 2}, channels=1)
    found = read_image_folder(tmp_path)
    assert found.shape == (1, 4, 6)
    assert np.array_equal(found.train.take(np.array([1]))[0, 0], picture(0, channels=1))


def test_jpeg_is_decoded_as_pillow_does(tmp_path: Path) -> None:
    for name in ("a/0.jpg", "a/1.jpeg", "b/0.JPG", "b/1.jpg"):
        save(tmp_path / name, picture(3, 16, 16))
    with Image.open(tmp_path / "b" / "1.jpg") as image:
        expected = np.asarray(image)
    found = read_image_folder(tmp_path)
    assert np.array_equal(found.test.take(np.array([1]))[0], expected.transpose(2, 0, 1))


def test_mixed_sizes_are_refused_unless_a_size_is_asked_for(tmp_path: Path) -> None:
    saved(tmp_path, {"a": 2, "b": 2})
    save(tmp_path / "b" / "large.png", picture(1, 9, 8))
    message = (
        r"^images differ in size: '.*00\.png' is 6x4 \(width x height\), but '.*large\.png' 8x9 .*; `image_size` re"
    )
    with pytest.raises(UsageError, match=message):
        read_image_folder(tmp_path)
    found = read_image_folder(tmp_path, image_size=5)
    assert found.shape == (3, 5, 5)
    assert found.note.startswith("shorter side resized to 5, centre cut out; ")


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path: Path) -> None:
    stripes = np.zeros((8, 24), np.uint8)
    stripes[:, 8:16] = 200  # the middle third is what is left of it
    for name in ("a/0.png", "a/1.png"):
        save(tmp_path / name, stripes)
    for name in ("b/0.png", "b/1.png"):
        save(tmp_path / name, stripes.T.copy())
    found = read_image_folder(tmp_path, image_size=4)
    images = found.train.take(np.arange(2))
    assert images.shape == (2, 1, 4, 4)
    assert (images[:, :, 1:3, 1:3] == 200).all()  # bilinear resizing touches the edge alone
    assert np.array_equal(images[0], images[1].transpose(0, 2, 1))
    same = read_image_folder(tmp_path, image_size=8).train.take(np.arange(1))
    assert (same == 200).all()


def test_mixed_modes_are_refused_unless_channels_are_asked_for(tmp_path: Path) -> None:
    saved(tmp_path, {"a": 2, "b": 1})
    save(tmp_path / "b" / "grey.png", picture(1, channels=1))
    message = r"^images differ in mode: '.*00\.png' has mode RGB, but '.*grey\.png' L; `channels` \(1 or 3\) converts$"
    with pytest.raises(UsageError, match=message):
        read_image_folder(tmp_path)
    colour = read_image_folder(tmp_path, channels=3)
    assert colour.shape == (3, 4, 6)
    assert colour.note.startswith("converted to RGB; ")
    assert (colour.test.take(np.array([1]))[0] == picture(1, channels=1)).all()
    grey = read_image_folder(tmp_path, channels=1)
    assert grey.shape == (1, 4, 6)
    weights = np.array([299, 587, 114]) / 1000  # ITU-R 601, as Pillow states it
    assert np.abs(grey.train.take(np.array([0]))[0, 0] - picture(0) @ weights).max() < 1


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "LA", "1"])
def test_other_modes_are_converted_only_on_request(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    for name in ("a/0", "a/1", "b/0", "b/1"):
        save(tmp_path / f"{name}.{suffix}", picture(0), mode)
    with pytest.raises(
        UsageError, match=rf"its mode is {mode}, neither L \(grey\) nor RGB; `channels` \(1 or 3\) converts"
    ):
        read_image_folder(tmp_path)
    assert read_image_folder(tmp_path, channels=3).train.take(np.arange(2)).shape == (2, 3, 4, 6)
    assert read_image_folder(tmp_path, channels=1).train.take(np.arange(2)).shape == (2, 1, 4, 6)


def test_a_palette_with_transparency_is_converted_without_a_warning(tmp_path: Path) -> None:
    image = Image.fromarray(picture(0)).convert("P")
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image.save(tmp_path / name, transparency=bytes(range(256)))
    with Image.open(tmp_path / "a" / "0.png") as written:
        expected = np.asarray(written.convert("RGBA"))[..., :3]
    found = read_image_folder(tmp_path, channels=3)
    assert np.array_equal(found.train.take(np.array([0]))[0], expected.transpose(2, 0, 1))


def test_sixteen_bits_a_channel_are_not_squeezed_into_eight(tmp_path: Path) -> None:
    saved(tmp_path, {"a": 2, "b": 1})
    Image.fromarray(np.full((4, 6), 60_000, np.uint16)).save(tmp_path / "b" / "deep.png")
    with pytest.raises(UsageError, match=r"deep\.png': its mode is I;16; images have 8 bits a channel"):
        read_image_folder(tmp_path, channels=1)


def test_a_truncated_image_is_named_when_it_is_decoded(tmp_path: Path) -> None:
    for suffix in ("png", "jpg"):
        root = tmp_path / suffix
        for number in range(4):
            save(root / f"{number % 2}" / f"{number}.{suffix}", picture(0, 40, 40))
        broken = root / "0" / f"0.{suffix}"
        broken.write_bytes(broken.read_bytes()[:-400])
        found = read_image_folder(root)
        assert found.train.take(np.array([1])).shape == (1, 3, 40, 40)
        with pytest.raises(UsageError, match=rf"^cannot read '.*0\.{suffix}': it is truncated or corrupt") as caught:
            found.train.take(np.array([0]))
        assert "\n" not in str(caught.value)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    saved(tmp_path, {"a": 2, "b": 2})
    for content in (b"", b"GIF87 no picture", b"\x89PNG\r\n\x1a\n" + bytes(30)):
        (tmp_path / "b" / "wrong.png").write_bytes(content)
        with pytest.raises(
            UsageError, match=r"^cannot read '.*wrong\.png': it is (no image that Pillow knows|corrupt)"
        ):
            read_image_folder(tmp_path)


def test_an_image_of_too_many_pixels_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, {"a": 2, "b": 2})
    for limit in (20, 5):  # 24 pixels: above the limit Pillow warns, above twice the limit it raises
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UsageError, match=r"00\.png': it has too many pixels$"):
            read_image_folder(tmp_path)


def test_a_file_that_changed_or_went_after_opening_is_named(tmp_path: Path) -> None:
    found = read_image_folder(saved(tmp_path, {"a": 3, "b": 2}))
    save(tmp_path / "a" / "00.png", picture(0, 7, 7))
    (tmp_path / "a" / "01.png").unlink()
    with pytest.raises(UsageError, match=r"00\.png': it is no longer 6x4 \(width x height\): it has changed"):
        found.train.take(np.array([0]))
    with pytest.raises(UsageError, match=r"01\.png': No such file"):
        found.train.take(np.array([1]))


def test_decoded_images_are_kept_if_they_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = saved(tmp_path, {"a": 2, "b": 2})
    kept = read_image_folder(root)
    monkeypatch.setattr(image_folder, "KEPT_BYTES", 100)
    fresh = read_image_folder(root)
    first = kept.train.take(np.array([1, 0, 1]))
    assert np.array_equal(first, fresh.train.take(np.array([1, 0, 1])))
    first[:] = 0
    (root / "a" / "00.png").unlink()
    assert np.array_equal(kept.train.take(np.array([0]))[0], picture(0).transpose(2, 0, 1))
    with pytest.raises(UsageError, match=r"00\.png': No such file"):
        fresh.train.take(np.array([0]))


def test_folders_that_are_no_data_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"should hold a folder of images for each of at least two classes; it has none$"
    ):
        read_image_folder(tmp_path)
    saved(tmp_path, {"a": 2})
    with pytest.raises(UsageError, match=r"at least two classes; it has only 'a'$"):
        read_image_folder(tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match=r"^the class folder '.*b' has no images \(\.png, \.jpg, \.jpeg\)$"):
        read_image_folder(tmp_path)
    saved(tmp_path, {"b": 1})
    with pytest.raises(UsageError, match=r"b' has one image only; a class needs one to train and one to test"):
        read_image_folder(tmp_path)


def test_both_parts_must_have_the_same_classes(tmp_path: Path) -> None:
    saved(tmp_path / "train", {"a": 2, "b": 2})
    saved(tmp_path / "test", {"a": 2, "b": 2, "c": 1})
    with pytest.raises(UsageError, match=r"^'.*test' has a class folder 'c', but '.*train' has none$"):
        read_image_folder(tmp_path)
    saved(tmp_path / "train", {"c": 1, "d": 1})
    with pytest.raises(UsageError, match=r"^'.*train' has a class folder 'd', but '.*test' has none$"):
        read_image_folder(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, r"^`image_size` \(=0\) must be at least 1$"),
        ({"channels": 2}, r"^`channels` \(=2\) must be 1 \(grey\) or 3 \(RGB\)$"),
    ],
)
def test_impossible_options_are_refused(tmp_path: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_image_folder(saved(tmp_path, {"a": 2, "b": 2}), **options)


def test_without_pillow_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, {"a": 2, "b": 2})
    usual = builtins.__import__

    def no_pillow(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "PIL":
            raise ImportError(name)
        return usual(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", no_pillow)
    with pytest.raises(UsageError, match=r'reading image files needs Pillow: pip install "archcost\[images\]"$'):
        read_image_folder(tmp_path)
