"""``archcost train``: what it prints and writes, how it goes on after a kill, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import archcost
from archcost.interop.weights import read_weights
from tests.conftest import Ended
from tests.train.small import stripes

Run = Callable[..., Ended]


def table_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


MODEL = """
from archcost import Sequential
from archcost.ops import BatchNorm2d, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, ReLU

def net(num_classes=10, input_size=(1, 8, 8), dropout=0.0):
    layers = {
        "conv": Conv2d(8, 3, padding=1), "bn": BatchNorm2d(), "relu": ReLU(), "pool": GlobalAvgPool(),
        "flatten": Flatten(), "drop": Dropout(dropout), "fc": Linear(num_classes),
    }
    return Sequential(layers, input_size)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a model and a data set, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHCOST_THREADS", "1")
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    data = stripes()
    np.savez(
        tmp_path / "stripes.npz",
        x_train=data.train.take(np.arange(90)), y_train=data.train.labels,
        x_test=data.test.take(np.arange(45)), y_test=data.test.labels,
    )  # fmt: skip
    return tmp_path


TRAIN = ("train", "model.py:net", "stripes.npz", "--batch-size", "16", "--lr", "0.02")


def test_a_run_prints_a_table_and_writes_its_files(run: Run, place: Path) -> None:
    ended = run(*TRAIN, "--epochs", "3", "--out", "out", "--l2", "0.001", "--dropout", "0.1")
    assert ended.code == 0
    lines = [line for line in ended.err.splitlines() if "epoch" in line]
    assert len(lines) == 3
    assert all(part in lines[0] for part in ("epoch 1/3: loss", "penalty", "accuracy", "images/s", "GFLOP/s", "ETA"))
    for text in ("parameters", "123", "test accuracy", "executed", "predicted", "of this machine's measured peak"):
        assert text in ended.out, text
    rows = table_of(place / "out" / "history.csv")
    metrics = json.loads((place / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert metrics["schema"] == "archcost.train/1"
    assert (metrics["model"], metrics["epochs"], metrics["parameters"]) == ("model.py:net", 3, 123)
    assert metrics["test_accuracy"] == float(rows[-1]["test_accuracy"])
    assert metrics["train_seconds"] > 0
    assert metrics["images_per_second"] > 0
    assert metrics["options"]["l2"] == 0.001
    assert set(read_weights(place / "out" / "weights.npz")) >= {"conv.weight", "bn.running_var", "fc.bias"}
    assert (place / "out" / "checkpoint.npz").exists()


@pytest.mark.usefixtures("place")
def test_json_is_the_metrics(run: Run) -> None:
    ended = run(*TRAIN, "--epochs", "1", "--json", "--augment", "mirror,crop", "--schedule", "cosine", "--warmup", "1")
    metrics = json.loads(ended.out)
    assert metrics["dataset"] == "stripes"
    assert metrics["flops_per_step"]["forward"]["predicted"] == metrics["flops_per_step"]["forward"]["executed"]


@pytest.mark.usefixtures("place")
def test_what_was_trained_is_evaluated_again(run: Run) -> None:
    first = json.loads(run(*TRAIN, "--epochs", "2", "--out", "out", "--json").out)
    for more in (("--out", "out"), ("--weights", "out/weights.npz")):
        again = json.loads(run(*TRAIN, "--eval-only", "--json", *more).out)
        assert again["test_accuracy"] == first["test_accuracy"]
        assert (again["epochs"], again["images_per_second"]) == (0, None)
    assert run("export", "model.py:net", "net.onnx", "--num-classes", "3", "--weights", "out/weights.npz").code == 0
    own = run("train", "net.onnx", "stripes.npz", "--eval-only", "--json")
    assert json.loads(own.out)["test_accuracy"] == first["test_accuracy"]
    assert "loaded" in own.err
    table = run(*TRAIN, "--eval-only", "--out", "out", "--crops", "10").out
    assert "test accuracy (mean of 10 crops)" in table


def test_recomputed_activations_change_no_result(run: Run, place: Path) -> None:
    words = (*TRAIN, "--epochs", "2", "--dropout", "0.1", "--json", "--out")
    plain, again = (json.loads(run(*words, *more).out) for more in (("a",), ("b", "--checkpoint-activations")))
    for key in ("test_loss", "test_accuracy"):
        assert again[key] == plain[key]
    assert again["activation_bytes"] < plain["activation_bytes"]
    # Of so small a network nothing is computed again that multiplies.
    assert again["flops_per_step"]["recomputation"] == {"predicted": 0, "executed": 0}
    assert "recomputation" not in plain["flops_per_step"]
    assert again["step_flops"] >= plain["step_flops"]
    weights = [read_weights(place / folder / "weights.npz") for folder in ("a", "b")]
    assert all((array == weights[1][name]).all() for name, array in weights[0].items())
    # Training may go on the other way.
    ended = run(*TRAIN, "--epochs", "3", "--dropout", "0.1", "--out", "a", "--resume", "--checkpoint-activations")
    assert ended.code == 0, ended.err
    assert "segments" in ended.out


@pytest.mark.usefixtures("place")
def test_an_ensemble_is_averaged(run: Run) -> None:
    found = json.loads(run(*TRAIN, "--epochs", "1", "--average", "2", "--out", "out", "--json").out)
    assert [one["seed"] for one in found["networks"]] == [0, 1]
    one = json.loads(run(*TRAIN, "--epochs", "1", "--seed", "1", "--json").out)
    assert found["networks"][1]["test_accuracy"] == one["test_accuracy"]
    again = json.loads(run(*TRAIN, "--eval-only", "--average", "2", "--out", "out", "--json").out)
    assert again["test_accuracy"] == found["test_accuracy"]


def test_transfer_trains_the_head_alone(run: Run, place: Path) -> None:
    run(*TRAIN, "--epochs", "1", "--out", "out")
    transfer = (*TRAIN, "--epochs", "1", "--weights", "out/weights.npz", "--transfer", "feature-extract", "--out", "b")
    ended = run(*transfer)
    assert ended.code == 0
    assert "27 parameters trained, 96 frozen" in ended.err
    before, after = read_weights("out/weights.npz"), read_weights("b/weights.npz")
    changed = {name for name, array in after.items() if not np.array_equal(array, before[name])}
    assert changed == {"fc.weight", "fc.bias"}
    assert "gradient to inputs, FLOPs of 16 images" in ended.out
    metrics = json.loads((place / "b" / "metrics.json").read_text(encoding="utf-8"))
    steps = metrics["flops_per_step"]
    assert steps["gradient_to_inputs"]["executed"] == 0
    assert steps["gradient_to_weights"]["executed"] == 2 * 16 * 8 * 3


def test_a_finished_folder_is_not_written_over(run: Run, place: Path) -> None:
    run(*TRAIN, "--epochs", "1", "--out", "out")
    before = {path: path.read_bytes() for path in (place / "out").iterdir()}
    ended = run(*TRAIN, "--epochs", "2", "--out", "out")
    assert ended.code == 2
    assert "'out' holds a checkpoint: go on with --resume, or choose another folder" in ended.err
    assert {path: path.read_bytes() for path in before if path.name != "options.json"} == {
        path: content for path, content in before.items() if path.name != "options.json"
    }
    refused = run(*TRAIN, "--epochs", "2", "--out", "out", "--resume", "--l1", "0.1")
    assert refused.code == 2
    assert "training began with `l1` 0.0, not 0.1" in refused.err
    went_on = run(*TRAIN, "--epochs", "2", "--out", "out", "--resume")
    assert went_on.code == 0
    assert "resumed after epoch 1" in went_on.err


def test_a_killed_run_is_resumed_bit_by_bit(place: Path, run: Run) -> None:
    more = ("--epochs", "8", "--augment", "crop", "--dropout", "0.2")
    assert run(*TRAIN, *more, "--out", "whole").code == 0
    words = [sys.executable, "-m", "archcost.train", *TRAIN[1:], *more, "--out", "cut"]
    environment = {**os.environ, "PYTHONPATH": str(Path(archcost.__file__).parent.parent)}
    for attempt in range(3):
        resume = ["--resume"] if attempt else []
        process = subprocess.Popen(
            [*words, *resume], env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        started = time.monotonic()
        history = place / "cut" / "history.csv"
        rows = len(history.read_text(encoding="utf-8").splitlines()) if history.exists() else 0
        while time.monotonic() - started < 60 and process.poll() is None:
            now = len(history.read_text(encoding="utf-8").splitlines()) if history.exists() else 0
            if now > max(rows, 1):
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        process.wait()
    assert run(*TRAIN, *more, "--out", "cut", "--resume").code == 0
    whole, cut = read_weights("whole/weights.npz"), read_weights("cut/weights.npz")
    for name, array in whole.items():
        np.testing.assert_array_equal(array, cut[name], err_msg=name)
    losses = [[row["test_loss"] for row in table_of(place / one / "history.csv")] for one in ("whole", "cut")]
    assert losses[0] == losses[1]
    assert not [path for path in (place / "cut").iterdir() if path.suffix == ".tmp"]


def test_without_mnist_digits_are_drawn_and_every_line_says_so(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archcost.train import datasets, known, synthetic
    from archcost.train.download import DownloadError

    def offline(*_: object, **__: object) -> None:
        raise DownloadError("no network")

    few = synthetic.synthetic_digits
    monkeypatch.setattr(known, "download", offline)
    monkeypatch.setattr(synthetic, "synthetic_digits", lambda: few(128, 64))
    monkeypatch.setenv("ARCHCOST_DATA", str(place))
    assert datasets.STAND_IN == "synthetic-digits"
    ended = run("train", "lenet", "mnist", "--epochs", "1", "--out", "out")
    assert ended.code == 0, ended.err
    assert "MNIST could not be had: no network; using synthetic-digits instead" in ended.err
    assert "synthetic-digits epoch 1/1" in ended.err
    assert "on synthetic-digits" in ended.out
    metrics = json.loads((place / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["dataset"] == "synthetic-digits"
    refused = run("train", "lenet", "mnist", "--require-real")
    assert refused.code == 2
    assert "MNIST could not be had" in refused.err


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epochs", "0"), "`--epochs` (=0) must be at least 1"),
        (("--batch-size", "0"), "`--batch-size` (=0) must be at least 1"),
        (("--lr", "0"), "`learning_rate` (=0.0) must be a finite number above 0"),
        (("--lr", "nan"), "learning_rate"),
        (("--optimizer", "adm"), "unknown optimizer 'adm' (did you mean 'adam'?)"),
        (("--optimizer", "sgd", "--beta1", "0.5"), "sgd has no `beta1`"),
        (("--schedule", "cosinus"), "cosinus"),
        (("--loss", "hinge"), "`loss` (='hinge') must be softmax, bce or mse"),
        (("--augment", "flip"), "flip"),
        (("--crops", "3"), "`crops` (=3) must be 1, 2, 5 or 10"),
        (("--average", "0"), "`--average` (=0) must be from 1 to 100"),
        (("--early-stopping", "0"), "`early_stopping` (=0) must be at least 1 epoch"),
        (("--freeze", "nothing"), "pattern 'nothing' matches no layer"),
        (("--transfer", "all", "--weights", "w.npz"), "`--transfer` (=all) must be"),
        (("--transfer", "fine-tune"), "`--transfer` needs the weights to begin with"),
        (("--resume",), "`--resume` needs the folder of the run"),
        (("--eval-only",), "`--eval-only` needs something to evaluate"),
        (("--weights", "none.npz"), "none.npz"),
        (("--weights", "model.pt"), "model.pt"),
        (("--seed", "-1"), "seed"),
        (("--threads", "0"), "threads"),
        (("--dropout", "1.5"), "rate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_options_are_one_line(run: Run, words: tuple[str, ...], message: str) -> None:
    ended = run("train", "model.py:net", "stripes.npz", "--epochs", "1", *words)
    assert ended.code == 2
    assert ended.out == ""
    errors = [line for line in ended.err.splitlines() if line.startswith("archcost: error: ")]
    assert len(errors) == 1
    assert message in errors[0]


@pytest.mark.usefixtures("place")
def test_training_that_breaks_down_is_one_line(run: Run) -> None:
    ended = run("train", "model.py:net", "stripes.npz", "--optimizer", "sgd", "--lr", "1e38", "--out", "out")
    assert ended.code == 2
    assert "training broke down at step" in ended.err
    assert "the first value that is not finite is in the" in ended.err


def test_data_sets_that_are_refused(run: Run, place: Path) -> None:
    assert "unknown data set 'mnst' (did you mean 'mnist'?)" in run("train", "lenet", "mnst").err
    (place / "broken.npz").write_bytes(b"PK no")
    ended = run("train", "lenet", "broken.npz")
    assert ended.code == 2
    assert "broken.npz" in ended.err


@pytest.mark.usefixtures("place")
def test_a_folder_that_cannot_be_made_is_one_line(run: Run) -> None:
    ended = run(*TRAIN, "--epochs", "1", "--out", "model.py/out")
    assert ended.code == 2
    assert "cannot make the folder 'model.py/out'" in ended.err
