"""What MODEL may be: a name of the catalogue, an ONNX file, a graph file, or a function in a Python file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archcost.errors import ArchcostError, ModelError
from archcost.geometry import shape_text, wholes
from archcost.graph import Graph

if TYPE_CHECKING:
    from archcost.interop.npz import Arrays
    from archcost.interop.onnx.convert import Imported

LARGEST_FILE = 2**30
"""Bytes; a graph file above this is refused before it is read."""


def open_model(model: str, options: Mapping[str, object] | None = None, *, allow_unknown: bool = False) -> Graph:
    """Return the graph that ``model`` names.

    Args:
        model: ``resnet50``, ``model.onnx``, ``graph.json``, or ``file.py:function``.
        options: the architecture's options; texts are converted to the type of the option's default. An ONNX file has
            ``input_size`` alone, which binds the axes that it leaves open.
        allow_unknown: make a counted gap of an operator of an ONNX file that is not known, instead of an error.

    Raises:
        ArchcostError: naming what cannot be had, and why.
    """
    options = dict(options or {})
    path, _, function = model.rpartition(":")
    if path.endswith(".py"):
        return _from_function(Path(path), function, options)
    if model.endswith(".py"):
        raise ModelError(f"{model}: name the function that returns the graph, {model}:FUNCTION")
    if model.endswith(".json"):
        return _from_json(Path(model), options)
    if model.endswith(".onnx"):
        return _from_onnx(model, options, allow_unknown=allow_unknown).graph

    from archcost.zoo.catalogue import load_with_texts

    return load_with_texts(model, options)


def open_weights(model: str, options: Mapping[str, object] | None = None) -> Arrays | None:
    """Return the weights that come with ``model``, by the names of its graph; None if it is a description alone.

    Args:
        model: as for ``open_model``; an ONNX file has weights.
        options: as for ``open_model``.

    Raises:
        ArchcostError: naming what cannot be had, and why.
    """
    return _from_onnx(model, dict(options or {}), allow_unknown=True).state() if model.endswith(".onnx") else None


def _from_onnx(model: str, options: Mapping[str, object], *, allow_unknown: bool) -> Imported:
    from archcost.interop.onnx.opening import read_onnx

    others = [name for name in options if name != "input_size"]
    if others:
        raise ModelError(
            f"{model}: an ONNX file has no options but the input size; {', '.join(others)} cannot be changed"
        )
    size = options.get("input_size")
    if isinstance(size, str):  # --option input_size=3,224,224
        size = tuple(int(word) for word in size.replace("x", ",").split(",") if word.isdecimal() and len(word) < 12)
    if size is not None:
        size = wholes("input_size", size)
        if len(size) != 3:
            raise ModelError(f"`input_size` (={size}) must be (channels, height, width)")
    return read_onnx(model, input_size=size, allow_unknown=allow_unknown)


def _from_json(path: Path, options: Mapping[str, object]) -> Graph:
    if options:
        raise ModelError(f"{path}: a graph file has no options; {', '.join(options)} cannot be changed")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ModelError(f"{path}: larger than {LARGEST_FILE // 2**20} MiB")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ModelError(f"{path}: not a text file in UTF-8") from None
    try:
        return Graph.from_json(text)
    except ArchcostError as error:
        raise type(error)(f"{path}: {error}") from None


def _from_function(path: Path, name: str, options: Mapping[str, object]) -> Graph:
    """Run the user's file and call its function; whatever goes wrong in there is reported in one line."""
    import runpy

    try:
        if not path.is_file():
            raise ModelError(f"cannot read {str(path)!r}: no such file")
    except OSError as error:
        raise ModelError(f"cannot read {str(path)[:80]!r}: {error.strerror or error}") from None
    where = str(path.resolve().parent)
    sys.path.insert(0, where)
    try:
        namespace: dict[str, Any] = runpy.run_path(str(path))
        function, defaults = _function_in(namespace, path, name)
        graph = function(**_arguments(f"{path}:{name}", options, defaults))
    except ArchcostError as error:
        raise type(error)(str(error) if str(path) in str(error) else f"{path}:{name}: {error}") from None
    except Exception as error:  # noqa: BLE001  (the file is the user's: any exception of it is bad input)
        raise ModelError(f"{path}:{name} raised {type(error).__name__}: {error}{_line(error, path)}") from None
    except SystemExit as error:
        raise ModelError(f"{path}:{name} called exit({error.code})") from None
    finally:
        if where in sys.path:  # the file may have changed it
            sys.path.remove(where)
    if not isinstance(graph, Graph):
        raise ModelError(f"{path}:{name} returned {type(graph).__name__}, not a Graph{_hint(graph)}")
    return graph if graph.name != "network" else graph.named(name, graph.variant)


def _function_in(namespace: dict[str, Any], path: Path, name: str) -> tuple[Any, dict[str, object]]:
    """Return the function called ``name`` and its parameters with their defaults."""
    import inspect

    function = namespace.get(name)
    if not callable(function):
        found = sorted(key for key, value in namespace.items() if inspect.isfunction(value))
        raise ModelError(f"{path} has no function {name!r}; it has {', '.join(found) or 'none'}")
    return function, {key: parameter.default for key, parameter in inspect.signature(function).parameters.items()}


def _arguments(where: str, options: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """Return the options as arguments of the function whose parameters have ``defaults``."""
    from archcost.zoo.catalogue import converted

    for key in options:
        if key not in defaults:
            raise ModelError(f"{where} has no option {key!r}; it has {', '.join(defaults) or 'none'}")
    return {key: converted(key, value, defaults[key]) for key, value in options.items()}


def _hint(value: object) -> str:
    from archcost.build import Tensor

    return f" (end with `return net.build(x)`; x is {shape_text(value.shape)})" if isinstance(value, Tensor) else ""


def _line(error: BaseException, path: Path) -> str:
    """Return where in the user's file the exception came from."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == path.name:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""
