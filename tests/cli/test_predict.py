"""``archcost predict``: classes of images, against the network called by hand; and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from archcost import Network
from archcost.interop.state import State
from archcost.interop.weights import write_weights
from archcost.zoo.catalogue import load
from tests.conftest import Ended

Image = pytest.importorskip("PIL.Image", reason="image files need Pillow")
Run = Callable[..., Ended]


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with weights of LeNet, two digits of noise and a file of labels."""
    monkeypatch.chdir(tmp_path)
    write_weights(tmp_path / "w.npz", State(load("lenet"), seed=1).arrays)
    generator = np.random.default_rng(0)
    for name in ("one.png", "two.png"):
        Image.fromarray(generator.integers(0, 256, (28, 28), np.uint8)).save(tmp_path / name)
    (tmp_path / "labels.txt").write_text("".join(f"digit {index}\n" for index in range(10)), encoding="utf-8")
    return tmp_path


def probabilities(path: Path) -> np.typing.NDArray[np.float64]:
    """Return what LeNet makes of a digit in a frame of two pixels, by MNIST's mean and deviation."""
    image = np.pad(np.asarray(Image.open(path), np.float64), 2) / 255
    network = Network(load("lenet"), seed=1)
    values = network.logits(((image - 0.1307) / 0.3081)[np.newaxis, np.newaxis])[0].astype(np.float64)
    powers = np.exp(values)
    return np.asarray(powers / powers.sum())


@pytest.mark.usefixtures("folder")
def test_the_most_probable_classes_as_json(run: Run, folder: Path) -> None:
    ended = run("predict", "lenet", "one.png", "two.png", "--weights", "w.npz", "--json", "--top", "3")
    assert ended.code == 0, ended.err
    data = json.loads(ended.out)
    assert data["schema"] == "archcost.predict/1"
    assert data["model"] == "lenet"
    assert data["preprocessing"]["resize"] == 28
    assert [one["image"] for one in data["images"]] == ["one.png", "two.png"]
    for one in data["images"]:
        wanted = probabilities(folder / one["image"])
        order = np.argsort(-wanted)[:3]
        assert [guess["number"] for guess in one["classes"]] == order.tolist()
        assert [guess["probability"] for guess in one["classes"]] == pytest.approx(wanted[order], rel=1e-4)
        assert {guess["label"] for guess in one["classes"]} == {""}


@pytest.mark.usefixtures("folder")
def test_a_table_with_labels(run: Run, folder: Path) -> None:
    out = run("predict", "lenet", "one.png", "--weights", "w.npz", "--labels", "labels.txt", "--top", "2").out
    wanted = probabilities(folder / "one.png")
    best = int(wanted.argmax())
    assert re.search(rf"^one\.png +{best}  digit {best} +{100 * wanted[best]:.2f}%$", out, re.MULTILINE), out
    assert out.count("digit ") == 2


@pytest.mark.usefixtures("folder")
def test_labels_are_left_out_of_a_table_without_them_and_crops_change_it(run: Run) -> None:
    plain = run("predict", "lenet", "one.png", "--weights", "w.npz", "--format", "csv")
    assert plain.out.splitlines()[0] == "image,class,probability"
    assert len(plain.out.splitlines()) == 6
    crops = run("predict", "lenet", "one.png", "--weights", "w.npz", "--format", "csv", "--crops")
    assert crops.code == 0
    assert crops.out != plain.out


@pytest.mark.usefixtures("folder")
def test_options_change_the_recipe(run: Run) -> None:
    words = ("--resize", "40", "--interpolation", "bicubic", "--mean", "0", "--std", "0.5")
    data = json.loads(run("predict", "lenet", "one.png", "--weights", "w.npz", "--json", *words).out)
    recipe = {"resize": 40, "crop": 32, "interpolation": "bicubic", "mean": [0.0], "std": [0.5]}
    assert data["preprocessing"] == recipe


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet", "one.png"), "lenet has no weights of its own: give `--weights FILE`"),
        (("lenet", "--weights", "w.npz"), "Missing argument 'IMAGE..."),
        (("lenet", "none.png", "--weights", "w.npz"), r"cannot read 'none\.png': No such file"),
        (("lenet", "labels.txt", "--weights", "w.npz"), r"cannot read 'labels\.txt': it is no image"),
        (("lenet", "one.png", "--weights", "w.npz", "--labels", "none.txt"), r"cannot read 'none\.txt': No such file"),
        (("lenet", "one.png", "--weights", "w.npz", "--labels", "one.png"), "it is no text in UTF-8"),
        (("lenet", "one.png", "--weights", "w.npz", "--labels", "short.txt"), "has 2 labels, .* 10 classes"),
        (("lenet", "one.png", "--weights", "w.npz", "--num-classes", "7"), "cannot be loaded into lenet"),
        (("lenet", "one.png", "--weights", "w.npz", "--mean", "0,0"), r"`--mean` \(=0,0\) must be 1 numbers"),
        (("lenet", "one.png", "--weights", "w.npz", "--std", "0"), r"`--std` \(=0\) must be"),
        (("se_gate", "one.png", "--weights", "w.npz"), "se_gate: its input is 512x16x16, not an image"),
    ],
)  # fmt: skip
def test_what_is_refused(run: Run, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "short.txt").write_text("a\nb\n", encoding="utf-8")
    ended = run("predict", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert re.search(message, ended.err), ended.err


def test_values_that_are_not_finite_are_an_error(run: Run, folder: Path) -> None:
    arrays = State(load("lenet"), seed=1).arrays
    write_weights(folder / "w.npz", {name: np.full_like(array, np.inf) for name, array in arrays.items()})
    ended = run("predict", "lenet", "one.png", "--weights", "w.npz")
    assert ended.code == 2
    assert "lenet gives no finite values for 'one.png'" in ended.err
