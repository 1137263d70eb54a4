"""Golden files: what a handful of commands print, kept to be read and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "golden"
OPTION = "--overwrite-golden"
HOW = f"read the difference; if it is meant, `pytest tests/report {OPTION}` writes it anew"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, action="store_true", help="write tests/golden/*.txt anew instead of comparing with them")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that compares a text with the golden file of a name."""
    overwrite = bool(request.config.getoption(OPTION, default=False))

    def check(name: str, text: str) -> None:
        path = FOLDER / f"{name}.txt"
        if overwrite:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"there is no tests/golden/{path.name}: `pytest tests/report {OPTION}` writes it"
        assert text == path.read_text(encoding="utf-8"), f"tests/golden/{path.name} differs: {HOW}"

    return check
