"""One function for each ONNX operator: its keywords and their defaults are the operator's attributes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Union

from archcost.errors import ModelError
from archcost.interop.onnx.values import Value

if TYPE_CHECKING:
    from archcost.interop.onnx.importer import Importer

Result = Union[Value, Sequence[Value]]
Converter = Callable[..., Result]
Function = TypeVar("Function", bound=Callable[..., Any])

CONVERTERS: dict[str, Converter] = {}
"""ONNX operator -> function (importer, inputs, attributes) -> outputs. An omitted input is None."""

INPUTS: dict[str, tuple[int, int | None]] = {}
"""ONNX operator -> how many inputs it needs, and how many it may have (None: any number)."""

ATTRIBUTES: dict[str, frozenset[str]] = {}
"""ONNX operator -> names of its attributes, of all versions."""

IGNORED = frozenset({"consumed_inputs"})
"""Attributes of the first versions that never meant anything for the result."""


def converts(*kinds: str) -> Callable[[Function], Function]:
    """Register a function as the converter of the ONNX operators ``kinds``."""

    def register(function: Function) -> Function:
        parameters = list(inspect.signature(function).parameters.values())
        names = frozenset(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)
        places = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD][1:]
        any_number = any(one.kind is one.VAR_POSITIONAL for one in parameters)
        least = sum(one.default is one.empty for one in places) + any_number
        for kind in kinds:
            INPUTS[kind] = least, None if any_number else len(places)
            CONVERTERS[kind] = function
            ATTRIBUTES[kind] = names
        return function

    return register


def apply(net: Importer, kind: str, inputs: Sequence[Value | None], attributes: dict[str, Any]) -> Result:
    """Return the outputs of the operator ``kind``. Raises ModelError for a number of inputs that it does not take."""
    least, most = INPUTS[kind]
    needed = inputs if most is None else inputs[:least]
    if len(inputs) < least or None in needed or (most is not None and len(inputs) > most):
        allowed = f"at least {least}" if most is None else f"{least} to {most}" if most > least else f"{least}"
        raise ModelError(f"it needs {allowed} inputs")
    given = {name: value for name, value in attributes.items() if name not in IGNORED}
    return CONVERTERS[kind](net, *inputs, **given)
