"""Data sets by name and path: where they are looked for, what is checked where, downloads, and the stand-in."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archcost.errors import UsageError
from archcost.train.cifar import TEST, TRAINING, UNPACKED
from archcost.train.dataset import Dataset, Split
from archcost.train.datasets import DATASETS, STAND_IN, open_dataset
from archcost.train.sources import CIFAR10_ARCHIVE, IDX_NAMES, SOURCES
from tests.train.files import archive_bytes, digit_files, md5, remote, write_digits
from tests.train.server import Answer, Served, serving

DIGITS = digit_files()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    """Serve a tiny MNIST at the second of two mirrors; ``ARCHCOST_DATA`` is a folder that is not there yet."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("ARCHCOST_DATA", str(tmp_path / "data"))
    files = {f"{name}.gz": (gzip.compress(content, mtime=0), content) for name, content in DIGITS.items()}
    with serving() as server:
        server.answers |= {f"/b/{name}": [Answer(zipped)] for name, (zipped, _) in files.items()}
        source = replace(
            SOURCES["mnist"],
            mirrors=(f"{server.address}a/", f"{server.address}b/"),
            files=tuple(remote(name, *contents) for name, contents in files.items()),
        )
        monkeypatch.setitem(SOURCES, "mnist", source)
        yield server


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Put a tiny data set in the place of the drawn digits."""
    synthetic = pytest.importorskip("archcost.train.synthetic", reason="the digits are drawn in a module of its own")
    split = Split(np.zeros((4, 1, 6, 5), np.uint8), np.arange(4))
    drawn = Dataset(STAND_IN, tuple("0123456789"), split, split, "drawn")
    monkeypatch.setattr(synthetic, "synthetic_digits", lambda: drawn)
    return drawn


def assert_digits(found: Dataset, name: str = "mnist") -> None:
    assert (found.name, found.shape, len(found.classes)) == (name, (1, 6, 5), 10)
    for split, images, labels in ((found.train, 0, 1), (found.test, 2, 3)):
        pixels = DIGITS[IDX_NAMES[images]][16:]
        assert split.take(np.arange(len(split))).tobytes() == pixels
        assert bytes(split.labels.tolist()) == DIGITS[IDX_NAMES[labels]][8:]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw", "."])
def test_mnist_is_found_below_the_root_or_in_it(tmp_path: Path, zipped: bool, folder: str) -> None:
    write_digits(tmp_path / folder, zipped=zipped)
    assert_digits(open_dataset("mnist", tmp_path, require_real=True, fetch=False))


def test_the_environment_names_the_root_and_then_checksums_must_hold(served: Served, tmp_path: Path) -> None:
    folder = write_digits(tmp_path / "data" / "mnist")  # other gzip headers than those served: the content counts
    assert_digits(open_dataset("mnist", require_real=True, fetch=False))
    path = folder / f"{IDX_NAMES[0]}.gz"
    changed = bytearray(DIGITS[IDX_NAMES[0]])
    changed[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(changed)))
    message = rf"^'.*{IDX_NAMES[0]}\.gz' is not the published file: .* not .*; delete it to have it downloaded, or pass"
    with pytest.raises(UsageError, match=message) as caught:
        open_dataset("mnist")
    assert "\n" not in str(caught.value)
    assert served.requests == []
    assert open_dataset("mnist", tmp_path / "data").name == "mnist"  # as a folder of the user's own: structure alone


@pytest.mark.usefixtures("stand_in")
def test_without_the_environment_the_platform_has_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ARCHCOST_DATA", raising=False)
    monkeypatch.setattr("archcost.train.datasets.platform_cache", lambda: tmp_path)
    open_dataset("mnist", fetch=False)
    assert repr(str(tmp_path / "archcost" / "data" / "mnist")) in capfd.readouterr().err

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("archcost.train.datasets.platform_cache", homeless)
    with pytest.raises(UsageError, match="there is no home folder for data sets: set ARCHCOST_DATA to a folder"):
        open_dataset("mnist", fetch=False)


def test_mnist_is_downloaded_once(served: Served, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert_digits(open_dataset("mnist", require_real=True))
    folder = tmp_path / "data" / "mnist"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.gz" for name in IDX_NAMES)
    assert len(served.requests) == 8
    assert f"archcost: downloading MNIST (0.0 MB) to {folder}\n" in capfd.readouterr().err
    assert_digits(open_dataset("mnist", require_real=True))
    assert len(served.requests) == 8


def test_only_what_is_missing_is_downloaded_to_where_the_rest_is(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "own"
    write_digits(root, zipped=False)
    (root / IDX_NAMES[3]).unlink()
    assert_digits(open_dataset("mnist", root))
    assert served.requests == [f"/a/{IDX_NAMES[3]}.gz", f"/b/{IDX_NAMES[3]}.gz"]
    assert (root / f"{IDX_NAMES[3]}.gz").exists()


@pytest.mark.usefixtures("served")
def test_a_damaged_file_is_an_error_and_no_reason_for_a_stand_in(tmp_path: Path) -> None:
    folder = write_digits(tmp_path / "own" / "mnist")
    (folder / f"{IDX_NAMES[2]}.gz").write_bytes(b"damaged")
    with pytest.raises(UsageError, match=rf"^cannot read '.*{IDX_NAMES[2]}\.gz': it is not an IDX file"):
        open_dataset("mnist", tmp_path / "own")


def test_no_mnist_gives_the_stand_in_and_one_line(
    served: Served, tmp_path: Path, stand_in: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    served.answers.clear()
    found = open_dataset("mnist")
    assert (found.name, found.note) == ("synthetic-digits", "stand-in for MNIST; drawn")
    assert found.train is stand_in.train
    text = capfd.readouterr().err
    assert text.startswith("archcost: MNIST could not be had: train-images-idx3-ubyte.gz could not be downloaded (127.")
    assert text.count("HTTP 404 Not Found") == 2
    files = ", ".join(f"{name}.gz" for name in IDX_NAMES)
    folder = str(tmp_path / "data" / "mnist")
    assert text.endswith(
        "; using synthetic-digits instead, drawn by archcost itself; "
        f"for MNIST put the 4 files {files} into {folder!r}, or pass the folder that has them with --data\n"
    )
    assert text.count("\n") == 1


def test_the_stand_in_can_be_refused(served: Served) -> None:
    served.answers.clear()
    message = r"^MNIST could not be had: .*HTTP 404.*; put the 4 files .* into '.*mnist', or pass .* with --data$"
    with pytest.raises(UsageError, match=message):
        open_dataset("mnist", require_real=True)
    with pytest.raises(UsageError, match=r"^MNIST could not be had: '.*mnist' lacks train-images-idx3-ubyte\.gz, "):
        open_dataset("mnist", require_real=True, fetch=False)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_other_data_sets_have_no_stand_in(tmp_path: Path, name: str) -> None:
    title = SOURCES[name].title
    with pytest.raises(UsageError, match=rf"^{title} could not be had: '.*{name}' lacks .*; put .* into '.*{name}'"):
        open_dataset(name, tmp_path, fetch=False)


def test_the_stand_in_has_the_name_of_the_real_generator() -> None:
    synthetic = pytest.importorskip("archcost.train.synthetic", reason="the digits are drawn in a module of its own")
    assert synthetic.NAME == STAND_IN == DATASETS[-1]


def test_the_stand_in_can_be_asked_for(stand_in: Dataset) -> None:
    assert open_dataset("synthetic-digits", require_real=True) is stand_in


def test_fashion_mnist_has_its_own_folder_and_classes(tmp_path: Path) -> None:
    write_digits(tmp_path / "FashionMNIST" / "raw")
    found = open_dataset("fashion-mnist", tmp_path, fetch=False)
    assert_digits(found, "fashion-mnist")
    assert found.classes[-1] == "Ankle boot"


def test_the_folder_of_another_data_set_is_refused(tmp_path: Path) -> None:
    write_digits(tmp_path / "mnist")
    with pytest.raises(UsageError, match=r"^the data folder '.*mnist' is that of mnist, not of fashion-mnist$"):
        open_dataset("fashion-mnist", tmp_path / "mnist")


def batches() -> dict[str, bytes]:
    return {name: bytes([place]) + bytes([40 * place]) * 3072 for place, name in enumerate((*TRAINING, TEST))}


@pytest.mark.parametrize("form", ["archive", "unpacked", "bare"])
def test_cifar10_is_read_in_every_form(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "cifar10"
    (folder / UNPACKED).mkdir(parents=True)
    for name, content in batches().items():
        if form != "archive":
            (folder / (UNPACKED if form == "unpacked" else ".") / name).write_bytes(content)
    if form == "archive":
        content = archive_bytes([(f"{UNPACKED}/{name}", batch) for name, batch in batches().items()])
        (folder / CIFAR10_ARCHIVE).write_bytes(content)
    for root in (tmp_path, folder):
        found = open_dataset("cifar10", root, fetch=False)
        assert (found.name, found.shape, found.classes[4], found.note) == ("cifar10", (3, 32, 32), "deer", "")
        assert found.train.labels.tolist() == [0, 1, 2, 3, 4]
        assert (found.test.take(np.arange(1)) == 200).all()
    with pytest.raises(UsageError, match=r"^`image_size` \(=8\) is for folders of images; cifar10 is none$"):
        open_dataset("cifar10", tmp_path, image_size=8)


@pytest.mark.usefixtures("served")
def test_the_archive_of_cifar10_in_the_cache_must_be_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "data" / "cifar10").mkdir(parents=True)
    content = archive_bytes(list(batches().items()))
    (tmp_path / "data" / "cifar10" / CIFAR10_ARCHIVE).write_bytes(content)
    with pytest.raises(UsageError, match=f"is not the published file: its content has MD5 {md5(content)}, not c32a1d"):
        open_dataset("cifar10")


def images(root: Path, names: tuple[str, ...]) -> Path:
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for place in range(2):
            Image.fromarray(np.full((4, 4, 3), 10 * number + place, np.uint8)).save(root / name / f"{place}.png")
    return root


def test_cifar10_as_image_files_says_how_many_there_are(tmp_path: Path) -> None:
    images(tmp_path / "cifar10" / "train", ("cat", "airplane"))
    images(tmp_path / "cifar10" / "test", ("cat", "airplane"))
    found = open_dataset("cifar10", tmp_path)
    assert found.classes == ("airplane", "cat")
    assert found.note == "image files: 4 training and 4 test images of 2 classes"
    assert open_dataset("cifar10", tmp_path, image_size=2).shape == (3, 2, 2)
    images(tmp_path / "cifar10" / "train", ("yak",))
    images(tmp_path / "cifar10" / "test", ("yak",))
    with pytest.raises(UsageError, match=r"train' has 'yak', no class of CIFAR-10: airplane, automobile, "):
        open_dataset("cifar10", tmp_path)


def test_paths_are_opened_by_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = images(tmp_path / "pets", ("yak", "emu"))
    assert open_dataset(folder).classes == ("emu", "yak")
    assert open_dataset("pets", tmp_path, channels=1).shape == (1, 4, 4)
    np.savez(tmp_path / "toys.npz", images=np.zeros((4, 3, 3), np.uint8), labels=np.array([0, 1, 0, 1]))
    assert open_dataset(tmp_path / "toys.npz").name == "toys"
    assert_digits(open_dataset(write_digits(tmp_path / "letters")), "letters")
    monkeypatch.chdir(tmp_path)
    write_digits(tmp_path / "mnist")
    assert_digits(open_dataset("./mnist"))


@pytest.mark.usefixtures("stand_in")
def test_options_of_image_folders_are_refused_elsewhere(tmp_path: Path) -> None:
    np.savez(tmp_path / "toys.npz", images=np.zeros((4, 3, 3), np.uint8), labels=np.array([0, 1, 0, 1]))
    write_digits(tmp_path / "mnist")
    for name in (str(tmp_path / "toys.npz"), str(tmp_path / "mnist"), "mnist", STAND_IN):
        with pytest.raises(UsageError, match=r"^`channels` \(=3\) is for folders of images; .* is none$"):
            open_dataset(name, tmp_path, channels=3)


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    message = (
        r"^unknown data set 'minst' \(did you mean 'mnist'\?\): it must be mnist, fashion-mnist, cifar10, synthetic"
    )
    with pytest.raises(UsageError, match=message):
        open_dataset("minst", tmp_path)
    with pytest.raises(
        UsageError, match=r"^no such data folder: '.*nowhere' \(make it to have data downloaded into it\)$"
    ):
        open_dataset("mnist", tmp_path / "nowhere")
    (tmp_path / "table.csv").write_text("1,2")
    with pytest.raises(UsageError, match=r"table\.csv': a data set is a folder or an \.npz file$"):
        open_dataset(tmp_path / "table.csv")
    folder = write_digits(tmp_path / "letters")
    (folder / f"{IDX_NAMES[1]}.gz").unlink()
    with pytest.raises(UsageError, match=rf"letters' lacks {IDX_NAMES[1]} \(or the same with \.gz\)$"):
        open_dataset(folder)


def test_parts_of_different_sizes_are_refused(tmp_path: Path) -> None:
    folder = write_digits(tmp_path / "letters", zipped=False)
    other = bytearray(DIGITS[IDX_NAMES[2]])
    other[11], other[15] = other[15], other[11]  # height and width
    (folder / IDX_NAMES[2]).write_bytes(other)
    with pytest.raises(
        UsageError, match=r"t10k-images-idx3-ubyte': its images have 5x6 pixels, but those of train-.* 6x5$"
    ):
        open_dataset(folder)


REAL = Path(os.environ.get("ARCHCOST_DATA") or "no such folder", "mnist")


@pytest.mark.skipif(not REAL.is_dir(), reason="ARCHCOST_DATA names no folder of data sets with MNIST in it")
def test_the_real_mnist_is_what_was_published() -> None:
    found = open_dataset("mnist", require_real=True, fetch=False)
    assert (len(found.train), len(found.test), found.shape) == (60_000, 10_000, (1, 28, 28))
    # The first ten labels, and how often each digit occurs, as LeCun's page and every tutorial show them.
    assert found.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(found.train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(found.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    pixels = found.train.take(np.arange(60_000))
    assert pixels.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std() / 255 == pytest.approx(0.3081, abs=5e-5)
