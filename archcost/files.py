"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from archcost.errors import UsageError


def write_whole(path: Path, data: str | bytes | memoryview) -> None:
    """Write ``data`` to a file beside ``path`` and rename it; a device or pipe is written to as it is.

    The bytes are on the disk before the rename, so that whoever finds the file finds all of it, even after a crash.

    Args:
        path: the file; a link stays a link to the file that is written.
        data: bytes, or text that is written in UTF-8 with its line ends as they are.

    Raises:
        UsageError: if that cannot be done; the old file is as it was, and nothing of the new one is left.
    """
    try:
        content = data.encode("utf-8") if isinstance(data, str) else data
    except UnicodeError as error:  # half a letter
        raise UsageError(f"cannot write {str(path)!r}: {error}") from None
    write_parts(path, [content])


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file that need not fit into the memory, one part after the other; else as ``write_whole``."""
    from tempfile import NamedTemporaryFile

    beside = None
    try:
        target = path.resolve()
        if target.exists() and not target.is_file() and not target.is_dir():
            with target.open("wb") as device:
                device.writelines(parts)
            return
        with NamedTemporaryFile("wb", dir=target.parent, prefix=f".{target.name[:100]}.", delete=False) as file:
            beside = Path(file.name)
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        _inherit_mode(beside, target)
        beside.replace(target)
        beside = None
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, RuntimeError) as error:  # a path that holds NUL, a link to itself
        raise UsageError(f"cannot write {str(path)!r}: {error}") from None
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def _inherit_mode(beside: Path, path: Path) -> None:
    """Give the new file the permissions of the one that it replaces, or those of any new file."""
    if path.exists():
        beside.chmod(path.stat().st_mode & 0o777)
    else:
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(0o666 & ~mask)
