"""Classes of images: weights from a file, images by the network's recipe, probabilities from its logits."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError
from archcost.geometry import product, shown
from archcost.interop.images import check_input, image_input

if TYPE_CHECKING:
    from archcost.engine.network import Network
    from archcost.zoo.preprocessing import Preprocessing

LARGEST_LABELS = 2**24
"""Bytes of a labels file."""


def read_labels(path: Path, classes: int) -> list[str]:
    """Return the class names of a text file, one a line in the order of the classes; empty lines at its end are none.

    Raises:
        UsageError: if the file cannot be read, or holds another number of names than the network has classes.
    """
    try:
        if path.stat().st_size > LARGEST_LABELS:
            raise UsageError(f"cannot read {str(path)!r}: it is larger than {LARGEST_LABELS // 2**20} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read {str(path)!r}: it is no text in UTF-8") from None
    labels = [" ".join(line.split()) for line in text.rstrip().split("\n")] if text.strip() else []
    if len(labels) != classes:
        raise UsageError(
            f"{str(path)!r} has {len(labels):,} labels, one a line; the network tells {classes:,} classes apart"
        )
    return labels


def class_count(network: Network) -> int:
    """Return the number of classes that a network tells apart.

    Raises:
        UsageError: if its input is no image, or its first output no list of values.
    """
    graph = network.graph
    if len(graph.inputs) != 1:
        raise UsageError(f"{graph.name} has {len(graph.inputs)} inputs; images are for networks of one")
    check_input(graph.name, graph.shapes[graph.inputs[0].name])
    shape = graph.shapes[graph.outputs[0]]
    if max(shape) != product(shape):
        raise UsageError(f"{graph.name}: its output is a map of {shown(shape)}, not one value for each class")
    return product(shape)


def class_probabilities(
    network: Network, images: Iterable[Path], recipe: Preprocessing, *, crops: bool = False
) -> list[npt.NDArray[Any]]:
    """Return the probabilities of the classes for each image, float64 (classes,); of crops, their mean.

    Raises:
        UsageError: if an image cannot be read, or the network's values are not finite.
    """
    result = []
    for path in images:
        logits = network.logits(image_input(path, recipe, crops=crops)).astype(np.float64)
        if not np.isfinite(logits).all():
            raise UsageError(f"{network.graph.name} gives no finite values for {str(path)!r}: do the weights fit it?")
        values = logits.reshape(len(logits), -1)
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        result.append((powers / powers.sum(axis=1, keepdims=True)).mean(axis=0))
    return result
