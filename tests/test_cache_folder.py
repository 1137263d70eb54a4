"""The cache folder of each platform."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from archcost.cache_folder import platform_cache


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, Path.home() / ".cache"),
        ("linux", {"XDG_CACHE_HOME": "elsewhere"}, Path("elsewhere")),
        ("linux", {"XDG_CACHE_HOME": ""}, Path.home() / ".cache"),
        ("darwin", {"XDG_CACHE_HOME": "elsewhere"}, Path.home() / "Library" / "Caches"),
        ("win32", {"LOCALAPPDATA": "local"}, Path("local")),
        ("win32", {}, Path.home() / "AppData" / "Local"),
    ],
)
def test_every_platform_has_its_own_place(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: Path
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert platform_cache() == expected
