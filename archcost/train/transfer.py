"""Transfer learning: a network starts from weights that were learned for other classes.

The presets are the lecture's three cases. Little data of a similar task: the network extracts features, and only its
classifier is trained. Much data: everything is trained on, with a small learning rate. Little data of another kind of
task: only what the first layers have learned (edges, colours, textures) is of use; they stay as they are, and the rest
is trained for the new task, from the old weights.

A frozen BatchNorm uses its running statistics, which stay as they were loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from glob import escape
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from archcost.errors import UsageError, did_you_mean
from archcost.geometry import product
from archcost.graph import Graph, Node
from archcost.interop.weights import LoadReport, load_into, mismatched
from archcost.ops import Input, LayerNorm, Linear, Scale
from archcost.ops.conv import Multiplying
from archcost.patterns import frozen_nodes

if TYPE_CHECKING:
    import numpy.typing as npt

    from archcost.engine.network import Network

Preset: TypeAlias = Literal["feature-extract", "fine-tune", "first-layers"]
PRESETS: tuple[Preset, ...] = get_args(Preset)

FINE_TUNE_FACTOR = 0.1
"""The lecture fine-tunes with a "small learning rate" and gives no number; a tenth of the usual one is common."""


@dataclass(frozen=True)
class Transfer:
    """What a preset means for a network.

    Attributes:
        preset: its name.
        head: nodes that make the classes' values.
        freeze: patterns for ``Network(freeze=...)``; empty where everything is trained.
        frozen: nodes whose parameters are not trained.
        learning_rate_factor: what to multiply the learning rate of training from scratch by, unless one is given.
        trainable_params, frozen_params: learnable scalars that are trained, and those that are not.
    """

    preset: Preset
    head: tuple[str, ...]
    freeze: tuple[str, ...]
    frozen: frozenset[str]
    learning_rate_factor: float
    trainable_params: int
    frozen_params: int

    def __str__(self) -> str:
        return f"{self.preset}: {self.trainable_params:,} parameters trained, {self.frozen_params:,} frozen"


@dataclass(frozen=True)
class Transferred:
    """What came over into a network, and what starts anew.

    Attributes:
        fresh: nodes of the head that keep their first values, because the weights have other shapes or none for them.
        report: what was loaded.
    """

    fresh: tuple[str, ...]
    report: LoadReport

    def lines(self, names: int | None = None) -> list[str]:
        """Return what a person should read; ``names`` limits how many of each kind are named."""
        if not self.fresh:
            return self.report.lines(names)
        first, *rest = self.report.lines(names)
        return [first, f"new head: {', '.join(self.fresh)} keeps its first values", *rest]


def transfer(graph: Graph, preset: str) -> Transfer:
    """Return what a preset freezes in ``graph``, and how fast the rest is to learn.

    Args:
        graph: the network, built for the new classes.
        preset: ``feature-extract`` (all but the head is frozen), ``fine-tune`` (nothing), or ``first-layers`` (see
            ``first_layers``).

    Raises:
        UsageError: for another preset, or a network without a classifier.
    """
    head = head_nodes(graph)
    own = [node.name for node in graph if node.shares is None and graph.params(node)]
    if preset == "feature-extract":
        name: Preset = "feature-extract"
        freeze = tuple(escape(one) for one in own if one not in head)
    elif preset == "first-layers":
        name, freeze = "first-layers", tuple(map(escape, first_layers(graph)))
    elif preset == "fine-tune":
        name, freeze = "fine-tune", ()
    else:
        allowed = ", ".join(map(repr, PRESETS))
        raise UsageError(f"`transfer` (={preset!r}) must be one of {allowed}{did_you_mean(str(preset), PRESETS)}")
    frozen = frozen_nodes(graph, freeze)
    factor = FINE_TUNE_FACTOR if name == "fine-tune" else 1.0
    return Transfer(name, head, freeze, frozen, factor, *parameter_counts(graph, frozen))


def parameter_counts(graph: Graph, frozen: Iterable[str]) -> tuple[int, int]:
    """Return how many parameters of ``graph`` are trained and how many are not, shared ones counted once."""
    names = frozenset(frozen)
    counts = [0, 0]
    for node in graph:
        if node.shares is None:
            counts[node.name in names] += sum(map(product, graph.params(node).values()))
    return counts[0], counts[1]


def head_nodes(graph: Graph) -> tuple[str, ...]:
    """Return the nodes that make the classes' values, in order.

    They are the layers with stored tensors that no further convolution or dense layer reads: the last dense layer, or
    the last 1x1 convolution where the classes are averaged maps (SqueezeNet), and those of auxiliary classifiers.

    Raises:
        UsageError: if an output is no vector, or no such layer is there.
    """
    heads: list[str] = []
    read: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name not in read and (graph.params(node) or graph.buffers(node)):
            heads.append(node.name)
        if node.name in read or isinstance(node.op, Multiplying):
            read.update(node.inputs)
    if not heads or any(len(graph.shapes[name]) != 1 for name in graph.outputs):
        raise UsageError(f"{graph.name} has no classifier: its outputs are no vectors of classes made by a layer")
    return tuple(reversed(heads))


def first_layers(graph: Graph) -> tuple[str, ...]:
    """Return the nodes with parameters of the stem and the first stage, in order.

    They are the layers that work on maps larger than the geometric mean of the input and the smallest map, which is to
    say, before half of the halvings are done. Of 224 and 7 that mean is 39.6: everything down to 56 is taken, ResNet's
    stem and ``layer1``; of 32 and 8 it is 16: everything at 32. A gate belongs to the maps that it scales. If no map
    shrinks, it is the first layer alone, with its normalisation.

    Raises:
        UsageError: if the network has no classifier.
    """
    head = set(head_nodes(graph))
    layers = [node for node in graph if graph.params(node) and node.name not in head]
    maps = _maps(graph)
    sizes = [maps[node.name] for node in layers if maps[node.name] > 1]
    mean_squared = min(sizes, default=0) * max(maps[node.name] for node in graph.inputs)
    found = [node for node in layers if sizes and maps[node.name] ** 2 > mean_squared]
    if not found:
        second = [number for number, node in enumerate(layers) if isinstance(node.op, Multiplying)][1:2]
        found = layers[: second[0]] if second else layers
    return tuple(node.name for node in found if node.shares is None)


def _maps(graph: Graph) -> dict[str, int]:
    """Return the pixels of the largest map that each node makes, or has a part in further on.

    Looking further on, a gate has the map that it scales, and what a frozen layer reads is made by frozen layers.
    """
    pixels: dict[str, int] = {}
    for node in graph:
        pixels[node.name] = _pixels(graph, node, pixels)
    for node in reversed(graph.nodes):
        for name in node.inputs:
            pixels[name] = max(pixels[name], pixels[node.name])
    return pixels


def _pixels(graph: Graph, node: Node, before: Mapping[str, int]) -> int:
    """Return the places of a layer's output that share its parameters: pixels of a map, 1 for a vector.

    What has no parameters makes maps like those that it reads, unless it makes them smaller: then it is left to the
    next layer to tell.
    """
    shape = graph.shapes[node.name]
    if graph.params(node) or isinstance(node.op, Input):
        axis = -1 if isinstance(node.op, Linear) else node.op.axis if isinstance(node.op, (LayerNorm, Scale)) else 0
        return product(shape) // shape[axis]
    shrinks = product(shape) < max(map(product, graph.input_shapes(node)))
    return 0 if shrinks else max(before[name] for name in node.inputs)


def load_pretrained(
    network: Network,
    arrays: Mapping[str, npt.NDArray[Any]],
    *,
    partial: bool = False,
    source: str = "the weights",
) -> Transferred:
    """Load weights by name; a head that was made for other classes is left as it is.

    A layer of the head keeps its first values as a whole if the weights have another shape for one of its tensors, or
    lack one. Weights for the same number of classes bring their head along.

    Args:
        network: what is written to.
        arrays: name -> array, as ``read_weights`` returns them.
        partial: also load what fits where other layers differ.
        source: what the arrays are called in an error (the file's name).

    Raises:
        UsageError: as ``load_into`` does; nothing is written then.
    """
    differing = mismatched(network, arrays)
    fresh = tuple(
        node for node in head_nodes(network.graph) if any(name.rpartition(".")[0] == node for name in differing)
    )
    patterns = [f"{escape(node)}.*" for node in fresh]
    return Transferred(fresh, load_into(network, arrays, partial=partial, ignore=patterns, source=source))
