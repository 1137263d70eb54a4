"""From a name and a data set to a network that fits: classes, channels and size follow the data."""

from __future__ import annotations

import inspect
import runpy
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from archcost.engine.training import LossName
from archcost.errors import ArchcostError, UsageError
from archcost.geometry import Shape, shape_text
from archcost.graph import Graph
from archcost.interop.model import open_model, open_weights
from archcost.train.dataset import Dataset
from archcost.train.fitting import LARGEST_FRAME
from archcost.zoo import catalogue


def fitted_graph(
    model: str, dataset: Dataset, options: Mapping[str, object] | None = None, loss: LossName = "softmax"
) -> Graph:
    """Return the graph of a model for a data set.

    The head has an output for each class (one in all for two classes and binary cross-entropy), the input the channels
    of the images. Its size is the architecture's own where the images only need a frame (28 pixels for LeNet's 32);
    else the images' size, if the architecture can take it; else the architecture's own, to which images are resized.

    Args:
        model: a name of the catalogue, a graph file, an ONNX file, or ``file.py:function``.
        dataset: images and classes.
        options: the architecture's options; ``input_size`` and ``num_classes`` win over the data's.
        loss: what is trained for.

    Raises:
        ArchcostError: if there is no such model, or it cannot take the data.
    """
    options = dict(options or {})
    if model.endswith(".json"):
        return open_model(model, options)
    if model.endswith(".onnx"):
        try:
            return open_model(model, options)
        except ArchcostError:
            if "input_size" in options:
                raise
            return open_model(model, {**options, "input_size": dataset.shape})  # open axes follow the data
    known = _known_options(model)
    outputs = 1 if loss == "bce" and len(dataset.classes) == 2 else len(dataset.classes)
    wanted = {**({"num_classes": outputs} if "num_classes" in known else {}), **options}
    if "input_size" in options or "resolution" in options or "input_size" not in known:
        return open_model(model, wanted)
    own = _input_of(open_model(model, wanted))
    channels = dataset.shape[0]
    framed = all(side <= size <= LARGEST_FRAME * side for side, size in zip(dataset.shape[1:], own[1:]))
    sizes: list[Shape] = [(channels, *own[1:]), dataset.shape] if framed else [dataset.shape, (channels, *own[1:])]
    with suppress(ArchcostError):
        return open_model(model, {**wanted, "input_size": sizes[0]})
    try:
        return open_model(model, {**wanted, "input_size": sizes[1]})
    except ArchcostError as error:
        raise UsageError(f"{model} cannot take images of {shape_text(dataset.shape)}: {error}") from None


def stored_weights(model: str, graph: Graph) -> Mapping[str, Any] | None:
    """Return the weights that come with a model, by the names of its ``graph``; None if it is a description alone."""
    return open_weights(model, {"input_size": _input_of(graph)} if model.endswith(".onnx") else None)


def _input_of(graph: Graph) -> Shape:
    return graph.shapes[graph.inputs[0].name]


def _known_options(model: str) -> Collection[str]:
    """Return the options that a model has; none where ``open_model`` will say what is wrong."""
    if ".py:" not in model:
        return catalogue.options(model)
    path, _, name = model.rpartition(":")
    try:
        return inspect.signature(runpy.run_path(path)[name]).parameters
    except Exception:  # noqa: BLE001  (the file is the user's)
        return ()
