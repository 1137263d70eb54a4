"""Checkpoints: what goes on from one ends as if it had never stopped, and nothing else is taken for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archcost.engine.network import Network
from archcost.errors import UsageError
from archcost.train import EarlyStopping, Trainer
from archcost.train.checkpoint import META, restore, save
from archcost.train.optimizers import Adam, Momentum
from archcost.train.schedules import Plateau
from tests.train.small import network, stripes

SETTINGS = {"model": "stripes_net", "lr": 0.01, "freeze": ()}


def trainer(epochs: int, **options: Any) -> Trainer:
    net = Network(network(dropout=0.2), seed=5, threads=1)
    return Trainer(
        net, stripes(), epochs=epochs, batch_size=32, optimizer=Adam(0.02), schedule=Plateau(0.02, patience=1),
        seed=5, validation=True, augment="crop", callbacks=[EarlyStopping(3)], **options,
    )  # fmt: skip


def same(one: Trainer, other: Trainer) -> None:
    for name, array in one.tensors().items():
        np.testing.assert_array_equal(array, other.tensors()[name], err_msg=name)
    for name, array in one.updater.checkpoint().items():
        np.testing.assert_array_equal(array, other.updater.checkpoint()[name], err_msg=name)
    assert [row[:9] for row in one.history] == [row[:9] for row in other.history]
    assert one.schedule.state() == other.schedule.state()


@pytest.mark.parametrize("stop", [1, 4])
def test_resumed_training_ends_bit_identical(tmp_path: Path, stop: int) -> None:
    whole = trainer(7)
    whole.fit()
    first = trainer(stop)
    first.fit()
    save(tmp_path / "c.npz", first, SETTINGS)
    second = trainer(7)
    restore(tmp_path / "c.npz", second, SETTINGS)
    assert len(second.history) == stop
    second.fit()
    same(whole, second)
    assert whole.best_epoch == second.best_epoch
    assert whole.stop == second.stop


def saved(folder: Path) -> Path:
    done = trainer(1)
    done.fit()
    save(folder / "c.npz", done, SETTINGS)
    return folder / "c.npz"


def test_a_checkpoint_holds_arrays_only(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with np.load(path, allow_pickle=False) as file:
        names = set(file.files)
        meta = json.loads(file[META].tobytes())
    assert {"network/conv1.weight", "network/bn1.running_var", "optimizer/mean", "callback/0/numbers"} <= names
    assert meta["schema"] == "archcost.checkpoint/1"
    assert meta["history"][0]["epoch"] == 1
    assert [one.name for one in tmp_path.iterdir()] == ["c.npz"]


def test_a_damaged_checkpoint_is_refused_whole(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = path.read_bytes()
    fresh = trainer(3)
    before = fresh.tensors()
    for damaged in (content[:-100], content[: len(content) // 2], b"", b"no archive", _flipped(content)):
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match=r"c\.npz"):
            restore(path, fresh, SETTINGS)
    for name, array in before.items():
        np.testing.assert_array_equal(array, fresh.tensors()[name])
    with pytest.raises(UsageError, match="cannot read the checkpoint"):
        restore(tmp_path / "none.npz", fresh, SETTINGS)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(UsageError, match="no checkpoint of archcost"):
        restore(tmp_path / "other.npz", fresh, SETTINGS)


def _flipped(content: bytes) -> bytes:
    """Return the file with one bit of a weight turned."""
    place = content.index(b"network/conv2.weight.npy") + 300
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def test_other_options_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(UsageError, match=r"training began with `lr` 0\.01, not 0\.1; resume it with the same options"):
        restore(path, trainer(2), {**SETTINGS, "lr": 0.1})
    net = Network(network(), seed=5, threads=1)
    with pytest.raises(UsageError, match="the state of momentum is velocity, iteration"):
        restore(path, Trainer(net, stripes(), optimizer=Momentum()), SETTINGS)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    done = trainer(1)
    with pytest.raises(UsageError, match=r"cannot write .*no.*c\.npz"):
        save(tmp_path / "no" / "c.npz", done, SETTINGS)
