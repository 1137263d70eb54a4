"""What all tests share: running the command line, and the graphs of the catalogue."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from typing import NamedTuple

import pytest
from hypothesis import settings

from archcost.cli.main import main
from archcost.graph import Graph
from archcost.zoo.catalogue import load

if "PYTEST_XDIST_WORKER" in os.environ:
    # One process for each core already runs tests: networks that ask for no number of threads get one.
    os.environ.setdefault("ARCHCOST_THREADS", "1")

# What somebody tuned on this machine must not decide what is tested.
os.environ.setdefault("ARCHCOST_TUNING", "off")

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run() -> Callable[..., Ended]:
    """Return a function that runs ``archcost`` with arguments, in this process."""

    def call(*arguments: str) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as exit_info:
            main(arguments)
        sys.stdout.flush()
        code = exit_info.value.code
        return Ended(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

    return call


@cache
def catalogue_graph(name: str) -> Graph:
    """Return the graph of a catalogue entry with its default options, built once for all tests."""
    return load(name)
