"""What tuning has found for a network, kept in the cache folder for later runs on the same machine.

A file belongs to one list of convolutions and one size of the batch, since only that has been compared with the
defaults as a whole. Its folder is that of the compiled kernels, whose name changes with their source, and it says for
which processor, vectors and version it was written.

The methods (direct, Winograd with either tile) hold for any number of threads, since they decide the last bits of
results, which do not depend on threads; how the work is cut is kept for each number of threads. So a tuned machine may
give other last bits than an untuned one, as another machine may.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import archcost
from archcost.engine.lowering import Setting
from archcost.errors import UsageError
from archcost.files import write_whole
from archcost.graph import Graph
from archcost.kernels.compiled import folder
from archcost.kernels.layers import NO_CHOICES, Choice, Choices, Layer, Place, convolution_layer
from archcost.kernels.panels import Filters
from archcost.kernels.passes import Window
from archcost.kernels.switches import switched_on
from archcost.ops import Conv2d
from archcost.processor import processor

SCHEMA = "archcost.tuning/1"

_refused: set[Path] = set()


def allowed() -> bool:
    """Return whether ``ARCHCOST_TUNING`` lets inference use what tuning has stored, as it does by default.

    Raises:
        UsageError: if the variable is neither "on" nor "off".
    """
    return switched_on("ARCHCOST_TUNING")


def file_of(graph: Graph, images: int, setting: Setting) -> Path:
    """Return the file for the convolutions of a graph and a size of the batch.

    Raises:
        UsageError: if there is no cache folder.
    """
    cache = folder()
    if cache is None:
        raise UsageError("there is no home folder for what tuning finds: set ARCHCOST_CACHE to a folder")
    layers = [
        (convolution_layer(node.op, graph.input_shapes(node)[0], graph.shapes[node.name]), graph.shapes[node.name])
        for node in graph
        if isinstance(node.op, Conv2d)
    ]
    identity = repr((setting.machine.name, setting.precision, images, layers))
    return cache / "tuning" / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"


def stored(graph: Graph, images: int, setting: Setting) -> Choices:
    """Return what tuning has stored for a network; nothing if it is switched off, or the file is of no use here.

    Args:
        graph: the network.
        images: size of the batch.
        setting: machine and precision.

    Raises:
        UsageError: if ``ARCHCOST_TUNING`` is neither "on" nor "off".
    """
    cache = folder()
    if not allowed() or setting.precision != "float32" or cache is None or not (cache / "tuning").is_dir():
        return NO_CHOICES
    path = file_of(graph, images, setting)
    try:
        return _choices(json.loads(path.read_text(encoding="utf-8")), setting)
    except FileNotFoundError:
        return NO_CHOICES
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        if path not in _refused:
            _refused.add(path)
            sys.stderr.write(f"archcost: {path} is damaged or from elsewhere: the defaults are used\n")
        return NO_CHOICES


def store(choices: Choices, graph: Graph, images: int, setting: Setting) -> None:
    """Keep what tuning has found for later runs; without any choice, what was kept is removed.

    Args:
        choices: how convolutions are computed.
        graph: the network.
        images: size of the batch.
        setting: machine and precision.

    Raises:
        UsageError: if the file cannot be written.
    """
    path = file_of(graph, images, setting)
    try:
        if not choices:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    layers = [_entry(place, choice) for place, choice in choices.items()]
    data = {**_head(setting), "network": graph.name, "images": images, "layers": layers}
    write_whole(path, json.dumps(data, indent=1) + "\n")
    _refused.discard(path)


def _head(setting: Setting) -> dict[str, str]:
    """Return what a file must say to be of use here."""
    target = setting.machine.name
    return {"schema": SCHEMA, "version": archcost.__version__, "processor": processor(), "target": target}


def _entry(place: Place, choice: Choice) -> dict[str, Any]:
    filters, window = place.layer.filters, place.layer.window
    return {
        "channels": [filters.inputs, filters.outputs],
        "padding": window.padding,
        "size": place.size,
        "images": place.images,
        "tile": choice.outputs,
        "cuts": {str(threads): cut for threads, cut in choice.cuts},
    }


def _choices(data: Mapping[str, Any], setting: Setting) -> Choices:
    """Return what a file says. Raises ValueError, KeyError or TypeError where it is not as ``store`` writes it."""
    head = _head(setting)
    if {name: data[name] for name in head} != head:
        raise ValueError("from elsewhere")
    result = {}
    for entry in data["layers"]:
        (inputs, outputs), (rows, columns) = map(_integers, (entry["channels"], entry["size"]))
        (top, bottom), (left, right) = map(_integers, entry["padding"])
        images, tile = _integers([entry["images"], entry["tile"]])
        if tile not in (0, 2, 4):
            raise ValueError("no such tile")
        cuts = []
        for threads, cut in entry["cuts"].items():
            tiles, groups = _integers(cut)
            if min(tiles, groups) < 1:
                raise ValueError("no such cut")
            cuts.append((int(threads), (tiles, groups)))
        window = Window((3, 3), (1, 1), ((top, bottom), (left, right)))
        layer = Layer(Filters(outputs, inputs, (3, 3)), window)
        result[Place(layer, (rows, columns), images)] = Choice(tile, tuple(cuts))
    return result


def _integers(values: Any) -> list[int]:
    """Return the list if it holds small integers that are not negative."""
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value < 2**31 for value in values):
        raise TypeError("not integers")
    return values
