"""MODEL on the command line, and the options that go with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from archcost.errors import UsageError
from archcost.geometry import Shape

Function = TypeVar("Function", bound=Callable[..., Any])


def model_options(function: Function) -> Function:
    """Add the options that change a network: input size, classes, and the architecture's own."""
    function = click.option(
        "--option",
        "pairs",
        multiple=True,
        metavar="NAME=VALUE",
        help="Option of the architecture, such as width=0.5; repeat it for more.",
    )(function)
    function = click.option("--num-classes", type=int, help="Outputs of the classifier.")(function)
    return click.option("--input-size", metavar="CxHxW", help="Shape of one image, such as 3x224x224.")(function)


def allow_unknown_option(function: Function) -> Function:
    """Add the option that counts what is known of an ONNX file."""
    return click.option(
        "--allow-unknown", is_flag=True, help="Count an ONNX file that has unknown operators, and list those."
    )(function)


def parse_size(text: str) -> Shape:
    """Return (3, 224, 224) for ``3x224x224``; ``224`` is short for three channels of 224x224.

    Raises:
        UsageError: if ``text`` is neither.
    """
    words = text.lower().replace(",", "x").split("x")
    if not all(word.strip().isascii() and word.strip().isdigit() for word in words) or len(words) not in (1, 3):
        raise UsageError(f"`--input-size` (={text}) must be channels x height x width, such as 3x224x224")
    if any(len(word) > 12 for word in words):
        raise UsageError(f"`--input-size` (={text}) is too large")
    sizes = tuple(int(word) for word in words)
    return sizes if len(sizes) == 3 else (3, sizes[0], sizes[0])


def parse_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return ``{"width": "0.5"}`` for ``("width=0.5",)``. Raises UsageError for anything else than NAME=VALUE."""
    result = {}
    for text in pairs:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise UsageError(f"`--option` (={text}) must be NAME=VALUE")
        result[name.strip().replace("-", "_")] = value.strip()
    return result


def requested(input_size: str | None, num_classes: int | None, pairs: tuple[str, ...]) -> dict[str, object]:
    """Return the options of an architecture as the command line gave them."""
    options: dict[str, object] = dict(parse_pairs(pairs))
    if input_size is not None:
        options["input_size"] = parse_size(input_size)
    if num_classes is not None:
        options["num_classes"] = num_classes
    return options
