"""Files that are written whole or not at all: text and bytes, what is on the disk when, and what can go wrong."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from archcost.errors import UsageError
from archcost.files import write_parts, write_whole


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("data", "written"),
    [
        ("two\nlines, a ½ and a \r\n", "two\nlines, a ½ and a \r\n".encode()),
        (b"\x00\xff\r\n", b"\x00\xff\r\n"),
        (memoryview(b"a view"), b"a view"),
        ("", b""),
    ],
    ids=["text", "bytes", "view", "nothing"],
)
def test_what_is_given_is_what_is_written(tmp_path: Path, data: str | bytes | memoryview, written: bytes) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"something that was there before, and longer than what follows")
    write_whole(path, data)
    assert path.read_bytes() == written
    assert names(tmp_path) == {"out"}


def test_all_bytes_are_on_the_disk_before_the_name_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    synced: list[tuple[int, bytes]] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, path.read_bytes()))
        sync(descriptor)

    monkeypatch.setattr("os.fsync", watched)
    write_whole(path, bytes(100_000))
    assert synced == [(100_000, b"old")]
    assert path.read_bytes() == bytes(100_000)


def test_the_permissions_of_a_replaced_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o600)
    write_whole(path, b"new")
    write_whole(tmp_path / "other", b"new")
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "other").stat().st_mode == (tmp_path / "plain").stat().st_mode


def refusing(number: int) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("tempfile.NamedTemporaryFile", errno.EACCES),
        ("os.fsync", errno.ENOSPC),
        ("pathlib.Path.replace", errno.EROFS),
    ],
    ids=["read-only folder", "disk full", "read-only file system"],
)
def test_a_refused_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, number: int
) -> None:
    path = tmp_path / "out.npz"
    path.write_bytes(b"old")
    monkeypatch.setattr(place, refusing(number))
    with pytest.raises(UsageError) as caught:
        write_whole(path, b"new")
    monkeypatch.undo()
    assert str(caught.value) == f"cannot write '{path}': {os.strerror(number)}"
    assert names(tmp_path) == {"out.npz"}
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(("target", "reason"), [("missing/out", "No such file or directory"), (".", "Is a directory")])
def test_a_place_that_is_none_is_named(tmp_path: Path, target: str, reason: str) -> None:
    with pytest.raises(UsageError, match=rf"^cannot write '.*': {reason}$"):
        write_whole(tmp_path / target, b"new")
    assert names(tmp_path) == set()


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^cannot write '.*nul.*': .*null (byte|character)") as caught:
        write_whole(tmp_path / "nul\0", b"new")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /dev/full")
def test_a_device_is_written_to_as_it_is() -> None:
    with pytest.raises(UsageError, match=r"^cannot write '/dev/full': No space left on device$"):
        write_whole(Path("/dev/full"), "text")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_text_that_no_encoding_holds_leaves_nothing(tmp_path: Path) -> None:
    """JSON may write half a letter: ``"\\ud800"``."""
    with pytest.raises(UsageError, match=r"^cannot write '.*out\.txt': .* surrogates not allowed$"):
        write_whole(tmp_path / "out.txt", "name \ud800")
    assert names(tmp_path) == set()


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "out.txt", "text")
    assert names(tmp_path) == set()


def test_parts_are_written_one_after_the_other_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"

    def parts() -> Iterator[bytes]:
        yield b"one"
        yield memoryview(b"two").tobytes()
        if path.exists():
            raise UsageError("no third part")

    write_parts(path, parts())
    assert path.read_bytes() == b"onetwo"
    with pytest.raises(UsageError, match="no third part"):
        write_parts(path, parts())
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]
    assert path.read_bytes() == b"onetwo"
