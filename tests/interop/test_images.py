"""Image files as inputs: sizes, crops and normalisation against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archcost.errors import UsageError
from archcost.interop.images import check_input, image_input
from archcost.zoo.preprocessing import Preprocessing

Image = pytest.importorskip("PIL.Image", reason="image files need Pillow")

UNIT = Preprocessing(8, 4, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Values as they are, from 0 to 1."""


def saved(path: Path, pixels: object, mode: str | None = None) -> Path:
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image if mode is None else image.convert(mode)).save(path)
    return path


def ramp(height: int, width: int) -> np.typing.NDArray[np.uint8]:
    """Return an image whose red is the row, green the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8)


def test_the_centre_is_cut_out_without_a_resize(tmp_path: Path) -> None:
    found = image_input(saved(tmp_path / "a.png", ramp(8, 13)), UNIT)
    assert found.shape == (1, 3, 4, 4)
    assert found.dtype == np.float32
    # (13 - 4) / 2 = 4.5, which rounds to 4, as torchvision's CenterCrop does.
    np.testing.assert_allclose(found[0, 0, :, 0] * 255, [2, 3, 4, 5], rtol=1e-6)
    np.testing.assert_allclose(found[0, 1, 0] * 255, [4, 5, 6, 7], rtol=1e-6)


@pytest.mark.parametrize(("size", "resized"), [((16, 24), (8, 12)), ((24, 17), (11, 8)), ((5, 4), (10, 8))])
def test_the_shorter_side_is_resized(size: tuple[int, int], resized: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    path = saved(tmp_path / "a.png", pixels)
    for method in ("bilinear", "bicubic"):
        whole = UNIT._replace(interpolation=method, crop=4)
        way = getattr(Image.Resampling, method.upper())
        wanted = np.asarray(Image.fromarray(pixels).resize(resized[::-1], way), np.float32) / 255
        top, left = (round((side - 4) / 2) for side in resized)
        found = image_input(path, whole)[0].transpose(1, 2, 0)
        np.testing.assert_allclose(found, wanted[top : top + 4, left : left + 4], rtol=1e-6)


def test_values_are_normalised_by_channel(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.full((8, 8, 3), (51, 102, 255)))
    recipe = Preprocessing(8, 2, "bilinear", (0.1, 0.2, 0.5), (0.5, 0.1, 0.25))
    np.testing.assert_allclose(image_input(path, recipe)[0, :, 0, 0], [0.2, 2.0, 2.0], rtol=1e-5)


def test_a_crop_beyond_the_image_is_black(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.full((4, 4), 255))
    found = image_input(path, Preprocessing(4, 6, "bilinear", (0.5,), (0.5,)))
    wanted = -np.ones((6, 6))
    wanted[1:5, 1:5] = 1
    np.testing.assert_allclose(found[0, 0], wanted)


def test_ten_crops(tmp_path: Path) -> None:
    found = image_input(saved(tmp_path / "a.png", ramp(8, 12)), UNIT, crops=True) * 255
    assert found.shape == (10, 3, 4, 4)
    corners = [(round(float(one[0, 0, 0])), round(float(one[1, 0, 0]))) for one in found[:5]]
    # The central square of an 8x12 image begins at column 2.
    assert corners == [(2, 4), (0, 2), (0, 6), (4, 2), (4, 6)]
    np.testing.assert_array_equal(found[5:], found[:5, :, :, ::-1])


def test_ten_crops_of_a_recipe_without_a_border_take_seven_eighths(tmp_path: Path) -> None:
    found = image_input(saved(tmp_path / "a.png", ramp(8, 8)), UNIT._replace(resize=7, crop=7), crops=True) * 255
    assert [round(float(one[0, 0, 0])) for one in found[:5]] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "png"), ("P", "png"), ("RGBA", "png"), ("1", "png"), ("CMYK", "jpg"), ("RGB", "bmp")]
)
def test_every_mode_is_converted(mode: str, suffix: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"a.{suffix}", np.full((8, 8, 3), 255), mode)
    np.testing.assert_allclose(image_input(path, UNIT), np.ones((1, 3, 4, 4)), atol=0.01)


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 32896, np.uint16)).save(tmp_path / "a.png")
    found = image_input(tmp_path / "a.png", UNIT)
    np.testing.assert_allclose(found, np.full((1, 3, 4, 4), 128 / 255), rtol=1e-6)


def test_the_orientation_of_a_camera_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # turned upside down
    Image.fromarray(ramp(8, 8)).save(tmp_path / "a.png", exif=exif)
    found = image_input(tmp_path / "a.png", UNIT) * 255
    np.testing.assert_allclose(found[0, 0, :, 0], [5, 4, 3, 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "it is no image"), (b"\x89PNG\r\n\x1a\n", "cannot read"), (b"GIF89a" + bytes(40), "cannot read")],
)
def test_what_is_no_image_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        image_input(path, UNIT)
    assert "bad.png" in str(caught.value)


def test_a_truncated_image_and_a_missing_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3)))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UsageError, match="truncated"):
        image_input(path, UNIT)
    with pytest.raises(UsageError, match=r"cannot read .*none\.png.: No such file"):
        image_input(tmp_path / "none.png", UNIT)


def test_a_strip_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"1000x2 \(width x height\) is no shape of a picture"):
        image_input(saved(tmp_path / "a.png", np.zeros((2, 1000, 3))), UNIT)


@pytest.mark.parametrize("shape", [(4, 8, 8), (3, 8, 9), (12,)])
def test_other_inputs_are_no_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"tiny: its input is \S+, not an image of 1 or 3 channels"):
        check_input("tiny", shape)
