"""The catalogue: every network that archcost knows by name, and how to build it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module

from archcost.errors import ArchcostError, ModelError, did_you_mean
from archcost.geometry import Shape, whole
from archcost.graph import Graph
from archcost.zoo.entry import Entry
from archcost.zoo.listing_classic import ENTRIES as CLASSIC
from archcost.zoo.listing_mobile import ENTRIES as MOBILE
from archcost.zoo.listing_residual import ENTRIES as RESIDUAL
from archcost.zoo.papers import PAPERS, Paper

CATALOGUE: dict[str, Entry] = {**CLASSIC, **RESIDUAL, **MOBILE}
"""Name -> entry, in the order in which ``archcost models`` lists them."""


def entry(name: str) -> Entry:
    """Return the entry called ``name``. Raises ModelError, with the nearest name, if there is none."""
    if name not in CATALOGUE:
        raise ModelError(f"unknown model {name!r}{did_you_mean(name, CATALOGUE)}")
    return CATALOGUE[name]


def paper(name: str) -> Paper:
    """Return the paper that the network called ``name`` comes from."""
    return PAPERS[entry(name).paper]


def options(name: str) -> dict[str, object]:
    """Return the options of the network called ``name`` with their defaults."""
    found = entry(name)
    parameters = inspect.signature(_function(found)).parameters
    known = {key: parameter.default for key, parameter in parameters.items() if key not in found.preset}
    return {**known, "input_size": found.input_size}


def load(name: str, **options: object) -> Graph:
    """Return the graph of the catalogue's network ``name``.

    Args:
        name: a name that ``archcost models`` lists.
        options: the architecture's options, such as ``num_classes``, ``input_size=(3, 192, 192)``, ``width``,
            ``dropout``; ``resolution=192`` is short for a square input of the default's channels.

    Raises:
        ModelError: unknown name or option, or an option value that the architecture does not allow.
        GraphError: an input size that the architecture cannot process.
    """
    found = entry(name)
    merged: dict[str, object] = {"input_size": found.input_size, **found.preset}
    if "resolution" in options:
        if "input_size" in options:
            raise ModelError(f"{name}: give `resolution` or `input_size`, not both")
        size = options.pop("resolution")
        merged["input_size"] = (found.input_size[0], size, size)
    function = _function(found)
    parameters = inspect.signature(function).parameters
    allowed = {key: parameter.default for key, parameter in parameters.items() if key not in found.preset}
    for key in options:
        if key not in allowed:
            raise ModelError(
                f"{name} has no option {key!r}{did_you_mean(key, allowed)}; it has {', '.join(sorted(allowed))}"
            )
    try:
        merged["input_size"] = _checked_size(options.get("input_size", merged["input_size"]))
        if "num_classes" in options:
            whole("num_classes", options["num_classes"])
        graph = function(**{**options, **merged})
    except ArchcostError as error:
        raise type(error)(f"{name}: {error}") from None
    except (TypeError, ValueError) as error:  # a value of a type that the architecture did not expect
        given = ", ".join(f"`{key}` (={value!r})" for key, value in options.items())
        raise ModelError(f"{name}: cannot be built with {given}: {error}") from None
    changed = [f"{key}={value}" for key, value in options.items() if key != "input_size" and value != allowed[key]]
    return graph.named(name, ", ".join([found.variant, *changed]))


def load_with_texts(name: str, texts: Mapping[str, object]) -> Graph:
    """Return the graph of ``name`` with options whose values may be texts, as a command line or a table gives them.

    Raises:
        ModelError, GraphError: as ``load`` does.
    """
    if not texts:
        return load(name)
    defaults = options(name)
    return load(name, **{key: converted(key, value, defaults.get(key)) for key, value in texts.items()})


def converted(name: str, value: object, default: object) -> object:
    """Return an option's value that may be a text as a value of the default's type; ``a,b`` is a list.

    Raises:
        ModelError: if the default is a number and the text is none.
    """
    if not isinstance(value, str) or isinstance(default, str):
        return value
    words: dict[str, object] = {"true": True, "yes": True, "false": False, "no": False, "none": None}
    if value.lower() in words:
        return words[value.lower()]
    try:
        number = float(value)
    except ValueError:
        if isinstance(default, (int, float)):
            kind = "true or false" if isinstance(default, bool) else "a number"
            raise ModelError(f"`{name}` (={value}) must be {kind}") from None
        return tuple(converted(name, word, None) for word in value.split(",")) if "," in value else value
    is_whole = value.lstrip("+-").isdigit() and len(value) < 300
    return int(value) if is_whole and not isinstance(default, float) else number


def _checked_size(size: object) -> Shape:
    """Return an input size as a tuple. Raises ModelError if it is not a shape."""
    if not isinstance(size, (tuple, list)) or not size:
        raise ModelError(f"`input_size` (={size!r}) must be (channels, height, width)")
    return tuple(whole("input_size", extent) for extent in size)


def _function(found: Entry) -> Callable[..., Graph]:
    module, _, function = found.target.partition(":")
    built: Callable[..., Graph] = getattr(import_module(f"archcost.zoo.{module}"), function)
    return built
