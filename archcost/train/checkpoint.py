"""Checkpoints: everything that training needs to go on, bit by bit, in one file without pickle.

An ``.npz`` archive of plain arrays (its checksums tell a damaged file), written beside the old one and renamed: a
process that is killed leaves the last complete checkpoint.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError
from archcost.files import write_whole
from archcost.train.history import Epoch
from archcost.train.trainer import Trainer

SCHEMA = "archcost.checkpoint/1"
FILE = "checkpoint.npz"
META = "meta"


def save(path: Path, trainer: Trainer, settings: Mapping[str, Any]) -> None:
    """Write a checkpoint at the end of an epoch.

    Args:
        path: the file.
        trainer: what is trained.
        settings: plain values that must be the same when training is resumed.

    Raises:
        UsageError: if it cannot be written; the old one is still there then.
    """
    meta = {
        "schema": SCHEMA,
        "settings": dict(settings),
        "history": [row._asdict() for row in trainer.history],
        "schedule": trainer.schedule.state(),
        "stop": trainer.stop,
    }
    arrays: dict[str, npt.NDArray[Any]] = {META: np.frombuffer(json.dumps(meta).encode(), np.uint8)}
    arrays.update((f"network/{name}", array) for name, array in trainer.tensors().items())
    arrays.update((f"optimizer/{name}", array) for name, array in trainer.updater.checkpoint().items())
    for index, callback in enumerate(trainer.callbacks):
        arrays.update((f"callback/{index}/{name}", array) for name, array in callback.state().items())
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_whole(path, content.getvalue())


def restore(path: Path, trainer: Trainer, settings: Mapping[str, Any]) -> None:
    """Set a trainer to where a checkpoint was written.

    Args:
        path: the file.
        trainer: made with the same options as the one that was saved.
        settings: what was given to ``save``.

    Raises:
        UsageError: if the file cannot be read, is damaged, or belongs to training with other options.
    """
    arrays = _read(path)
    try:
        meta = json.loads(arrays.pop(META).tobytes().decode())
        schema, saved = meta["schema"], meta["settings"]
    except (KeyError, ValueError, TypeError):
        raise UsageError(f"{path}: this is no checkpoint of archcost") from None
    if schema != SCHEMA:
        raise UsageError(f"{path}: the checkpoint is of {schema!r}; this version reads {SCHEMA!r}")
    now = json.loads(json.dumps(dict(settings)))
    for name in sorted({*saved, *now}):
        if saved.get(name) != now.get(name):
            raise UsageError(
                f"{path}: training began with `{name}` {saved.get(name)!r}, not {now.get(name)!r}; resume it with the "
                "same options, or begin in another folder"
            )
    parts = _parts(arrays)
    own = trainer.tensors()
    network = parts.get("network", {})
    if {name: array.shape for name, array in network.items()} != {name: array.shape for name, array in own.items()}:
        raise UsageError(f"{path}: the checkpoint is of another network than {trainer.network.graph.name}")
    trainer.updater.restore(parts.get("optimizer", {}))
    trainer.set_tensors(network)
    trainer.schedule.restore(meta["schedule"])
    trainer.history = [Epoch(**row) for row in meta["history"]]
    trainer.stop = meta["stop"]
    for index, callback in enumerate(trainer.callbacks):
        state = parts.get(f"callback/{index}", {})
        if state:
            callback.restore(state)


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return all arrays of a file; every checksum is checked."""
    try:
        # NumPy leaves a file open that it cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise UsageError(f"cannot read the checkpoint {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise UsageError(f"{path}: the checkpoint is damaged ({error})") from None


def _parts(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Return the arrays by what they belong to: ``network``, ``optimizer``, ``callback/0``."""
    parts: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for key, array in arrays.items():
        words = key.split("/", 2 if key.startswith("callback/") else 1)
        parts.setdefault("/".join(words[:-1]), {})[words[-1]] = array
    return parts
