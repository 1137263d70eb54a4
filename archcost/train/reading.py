"""What can be wrong with a file, said in one line that names it."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

from archcost.errors import UsageError

DEFLATE_RATIO = 1032
"""Bytes that one compressed byte can stand for at most (RFC 1951: 258 bytes in two bits)."""


class ChecksumError(UsageError):
    """A file is whole, but does not hold what was published under its name."""


def refused(path: Path, reason: str) -> UsageError:
    """Return the error that says why a file cannot be read."""
    return UsageError(f"cannot read {str(path)!r}: {reason}")


def other_content(path: Path, found: str, published: str) -> ChecksumError:
    """Return the error over a file with the MD5 ``found`` instead of the published one."""
    return ChecksumError(f"{str(path)!r} is not the published file: its content has MD5 {found}, not {published}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what the standard library raises over a missing or damaged file into one line that names it."""
    try:
        yield
    except EOFError:
        raise refused(path, "it is truncated: the compressed data end too early") from None
    except (zlib.error, BadZipFile, tarfile.TarError) as error:
        raise refused(path, f"it is corrupt ({error})") from None
    except OSError as error:  # gzip.BadGzipFile is one without a number
        raise refused(path, error.strerror or f"it is corrupt ({error})") from None
