"""Networks that a stated number may belong to: the one that was named, and those that are easily taken for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias, get_args, get_origin

from archcost.errors import ArchcostError
from archcost.geometry import shape_text
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

NUMBERS: dict[str, tuple[float, ...]] = {
    "num_classes": (10, 100, 1000, 1001, 21841),
    "width": (0.25, 0.35, 0.5, 0.75, 1.0, 1.25, 1.4, 2.0),
}
"""Numeric options -> what people use: classes of CIFAR, ImageNet (with background) and ImageNet-22K; usual widths."""

SAME_NETWORK, SAME_FAMILY, OTHER_OPTIONS = 1, 2, 2
"""How far from the named network its variants, its relatives and itself with other options are."""

Rebuild: TypeAlias = Callable[[Mapping[str, object]], Graph]


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


def places(graph: Graph, model: str, given: Mapping[str, object], rebuild: Rebuild) -> Iterator[Place]:
    """Yield ``graph``, then the networks near it, nearest first.

    Args:
        graph: the network that was named.
        model: its name; only the catalogue's have relatives.
        given: the options that it was built with; they stay as they are.
        rebuild: builds it again, with further options.
    """
    yield Place(graph, graph.name, 0, {})
    from archcost.zoo.catalogue import CATALOGUE, load

    if model not in CATALOGUE:
        return
    target = CATALOGUE[model].target
    relatives = [name for name, found in CATALOGUE.items() if found.target == target or _same_network(model, name)]
    for changes in (SAME_NETWORK, SAME_FAMILY):
        for name in relatives:
            if name != model and (SAME_NETWORK if _same_network(model, name) else SAME_FAMILY) == changes:
                other = load(name)
                yield Place(other, other.title, changes, {})
    for options in _changed_options(model, graph, given):
        try:
            other = rebuild(options)
        except ArchcostError:  # these options do not go together
            continue
        yield Place(other, f"{model} with {_option_text(options)}", OTHER_OPTIONS, options)


def _same_network(one: str, other: str) -> bool:
    """resnet50 and resnet50_v1, alexnet and alexnet_owt."""
    return one.startswith(f"{other}_") or other.startswith(f"{one}_")


def _changed_options(model: str, graph: Graph, given: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Yield switches and choices, then sizes, each as options."""
    from archcost.zoo.catalogue import options as known_options

    choices = _choices(model)
    for name, value in known_options(model).items():
        if name in given:
            continue
        if isinstance(value, bool):
            yield {name: not value}
        for choice in choices.get(name, ()):
            if choice != value:
                yield {name: choice}
        for number in NUMBERS.get(name, ()):
            if number != value:
                yield {name: number}
    shape = graph.shapes[graph.inputs[0].name]
    for size in INPUT_SIZES if len(shape) == 3 else ():
        if shape != (shape[0], size, size):
            yield {"input_size": (shape[0], size, size)}


def _choices(model: str) -> dict[str, tuple[object, ...]]:
    """Return the words that the options of ``model`` may have, by option."""
    from importlib import import_module
    from typing import get_type_hints

    from archcost.zoo.catalogue import entry

    module, _, function = entry(model).target.partition(":")
    hints = get_type_hints(getattr(import_module(f"archcost.zoo.{module}"), function))
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def _option_text(options: Mapping[str, object]) -> str:
    return ", ".join(
        f"input {shape_text(value)}" if name == "input_size" and isinstance(value, tuple) else f"{name}={value}"
        for name, value in options.items()
    )
