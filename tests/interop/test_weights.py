"""Weights in files of both kinds: what is written is read, and what is refused."""

from __future__ import annotations

import builtins
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from archcost.errors import UsageError
from archcost.interop.weights import read_weights, write_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".npz", ".safetensors")

ARRAYS: dict[str, NDArray[Any]] = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 7,
    "half": np.array([1.5, -0.25, 65504.0], np.float16),
    "double": np.array([[1e300, np.pi]]),
    "bn.num_batches_tracked": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "file": np.array([True, False]),
    "across": np.arange(6, dtype=np.int32).reshape(2, 3).T,
    "folder/name": np.arange(3, dtype=np.uint8),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    write_weights(path, ARRAYS)
    found = read_weights(str(path))
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_arrays_give_equal_bytes(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for path in paths:
        write_weights(path, ARRAYS)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ".PTH"])
def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"not even looked at")
    with pytest.raises(UsageError, match="a pickle may run any code, so it is never opened") as caught:
        read_weights(path)
    text = str(caught.value)
    assert text.startswith(f"cannot read '{path}'")
    assert f"torch.load('{path}', map_location='cpu', weights_only=True)" in text
    assert f"}}, '{tmp_path / 'model.safetensors'}')" in text
    assert "\n" not in text
    compile(text.partition("convert it: ")[2], "recipe", "exec")


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read 'x\.h5': weights are read from \.npz, \.safetensors and \.onnx"):
        read_weights("x.h5")
    with pytest.raises(UsageError, match=r"x\.pth': weights are written as \.npz or \.safetensors"):
        write_weights(tmp_path / "x.pth", ARRAYS)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "array", [np.array(["text"]), np.array([1j]), np.array([None]), np.zeros(1, np.longdouble)], ids=lambda a: a.dtype
)
def test_only_numbers_are_written(tmp_path: Path, suffix: str, array: NDArray[Any]) -> None:
    with pytest.raises(UsageError, match=r"cannot write '.*': 'odd' is of type .*; weights are numbers"):
        write_weights(tmp_path / f"w{suffix}", {"odd": array})
    assert not list(tmp_path.iterdir())


def test_without_the_library_the_way_to_get_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("safetensors"):
            raise ImportError(name)
        return load(name, *rest)

    path = tmp_path / "w.safetensors"
    write_weights(path, ARRAYS)
    monkeypatch.setattr("builtins.__import__", without)
    with pytest.raises(UsageError, match=r'pip install "archcost\[weights\]"$'):
        read_weights(path)
    with pytest.raises(UsageError, match=r'pip install "archcost\[weights\]"$'):
        write_weights(tmp_path / "other.safetensors", ARRAYS)
    write_weights(tmp_path / "w.npz", ARRAYS)
    assert len(read_weights(tmp_path / "w.npz")) == len(ARRAYS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_file_is_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match=rf"^cannot read '.*none{suffix}': No such file or directory"):
        read_weights(tmp_path / f"none{suffix}")
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    with pytest.raises(UsageError, match=rf"^cannot read '.*folder{suffix}': .*(?i:is a (directory|folder))"):
        read_weights(folder)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_end_in_one_line_or_are_read(tmp_path: Path, suffix: str) -> None:
    """Bytes changed, cut out and cut off at random places; whatever is not noticed has the shapes that were written."""
    path = tmp_path / f"w{suffix}"
    write_weights(path, ARRAYS)
    whole = path.read_bytes()
    generator = random.Random(4)
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        kind = generator.randrange(3)
        place = generator.randrange(len(content))
        if kind == 0:
            for _ in range(generator.randint(1, 4)):
                content[generator.randrange(len(content))] = generator.randrange(256)
        elif kind == 1:
            del content[place : place + generator.randint(1, 50)]
        else:
            del content[place:]
        path.write_bytes(content)
        message = ""
        try:
            found = read_weights(path)
        except UsageError as error:
            message = str(error)
            found = {}
        assert not message or message.startswith(f"cannot read '{path}': ")
        assert "\n" not in message
        assert sum(array.nbytes for array in found.values()) <= len(whole)
        refused += bool(message)
    assert refused >= 250
