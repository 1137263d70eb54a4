"""Networks that a stated number may belong to: the one that was named, and those that are easily taken for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, get_args, get_origin

from archcost.errors import ArchcostError
from archcost.geometry import Shape, shape_text
from archcost.graph import Graph

INPUT_SIZES = (
    32,
    64,
    96,
    112,
    128,
    160,
    192,
    224,
    227,
    240,
    256,
    288,
    299,
    300,
    320,
    331,
    380,
    384,
    448,
    480,
    512,
    600,
)
"""Heights and widths of square images that people use."""

CLASSES = (10, 100, 1000, 1001, 21841)
"""Of CIFAR, ImageNet, ImageNet with a background class, ImageNet-22K."""

WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.25, 1.4, 2.0)
"""Width multipliers of the papers."""


class Place(NamedTuple):
    """A network, and how far it is from the one that was named.

    Attributes:
        graph: the network.
        words: what it is, in words.
        changes: 0 for the network itself; more for what is less easily taken for it.
        options: what was changed of the named network.
    """

    graph: Graph
    words: str
    changes: int
    options: Mapping[str, object]


def places(graph: Graph, model: str, options: Mapping[str, object]) -> Iterator[Place]:
    """Yield ``graph``, then the networks near it, nearest first.

    Args:
        graph: the network that was named.
        model: its name; only the catalogue's have relatives.
        options: the options that it was built with.
    """
    yield Place(graph, graph.name, 0, {})
    from archcost.zoo.catalogue import CATALOGUE, load

    if model not in CATALOGUE:
        return
    own = CATALOGUE[model]
    relatives = [
        (1 if _same_network(model, name) else 2, name)
        for name, found in CATALOGUE.items()
        if name != model and (found.target == own.target or _same_network(model, name))
    ]
    changed = list(_changed_options(model, graph, options))
    for changes in (1, 2):
        for _, name in (relative for relative in relatives if relative[0] == changes):
            try:
                other = load(name)
            except ArchcostError:
                continue
            yield Place(other, other.title, changes, {})
        for _, change in (option for option in changed if option[0] == changes):
            try:
                other = load(model, **{**options, **change})
            except ArchcostError:
                continue
            yield Place(other, f"{model} with {_option_text(change)}", changes, change)


def _same_network(one: str, other: str) -> bool:
    """resnet50 and resnet50_v1, alexnet and alexnet_owt."""
    return one.startswith(f"{other}_") or other.startswith(f"{one}_")


def _changed_options(model: str, graph: Graph, given: Mapping[str, object]) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield (changes, options): switches and choices first, then sizes."""
    from typing import get_type_hints

    from archcost.zoo.catalogue import builder
    from archcost.zoo.catalogue import options as known_options

    known = {**known_options(model), **given}
    hints = get_type_hints(builder(model))
    for name, value in known.items():
        if isinstance(value, bool):
            yield 1, {name: not value}
        elif get_origin(hints.get(name)) is Literal:
            for choice in get_args(hints[name]):
                if choice != value:
                    yield 1, {name: choice}
        elif name in ("num_classes", "width"):
            for number in CLASSES if name == "num_classes" else WIDTHS:
                if number != value:
                    yield 2, {name: number}
    shape = graph.shapes[graph.inputs[0].name]
    for size in INPUT_SIZES if len(shape) == 3 else ():
        if shape != (shape[0], size, size):
            yield 2, {"input_size": (shape[0], size, size)}


def _option_text(options: Mapping[str, object]) -> str:
    texts = []
    for name, value in options.items():
        is_shape = name == "input_size" and isinstance(value, tuple)
        texts.append(f"input {_shape_text(value)}" if is_shape else f"{name}={value}")
    return ", ".join(texts)


def _shape_text(value: object) -> str:
    shape: Shape = value if isinstance(value, tuple) else ()
    return shape_text(shape)
