"""Where a platform keeps what a program can make or fetch again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def platform_cache() -> Path:
    """Return the user's cache folder: the platform's, or ``XDG_CACHE_HOME`` where that is the habit.

    Raises:
        RuntimeError: the user has no home folder.
    """
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
