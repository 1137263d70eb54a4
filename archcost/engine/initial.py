"""First values of parameters and buffers, drawn by the recipe of the architecture (``engine.recipes``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import numpy as np

from archcost.engine.recipes import RECIPES, Layer, Recipe, Rule
from archcost.errors import UsageError, did_you_mean
from archcost.geometry import Shape, pair, product
from archcost.graph import Graph, Node
from archcost.kernels.layout import Array, aligned
from archcost.ops import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    InstanceNorm,
    LayerNorm,
    Parameter,
    PartialConv2d,
    PReLU,
    RadialBasis,
    Scale,
    SubsamplingPool2d,
)
from archcost.ops.conv import Multiplying
from archcost.zoo.catalogue import CATALOGUE
from archcost.zoo.entry import RecipeName

LAYER_SCALE = 1e-6
"""Liu et al. 2022, Table 5."""

PRELU_SLOPE = 0.25
"""He et al. 2015, section 2.1."""

STORED, NO_LAYER = Rule("normal", lambda _: 0.02), Layer(1, 1, 0, head=False)
"""A Parameter is a position embedding or the like: Dosovitskiy et al. 2021 draw them from a normal distribution of 0.02
(the authors' code); graphs from files bring their values along."""

ZEROS = "zeros"
"""In place of a recipe: nothing is drawn, for a caller who sets all parameters himself, as from a file."""

LARGEST_SEED = 2**63 - 1

CHUNK = 2**18
"""Values that are drawn at once, from a stream of their own: which thread draws them, and when, changes nothing."""

TAIL = 2.0
"""Standard deviations beyond which a truncated normal distribution has nothing."""

Map = Callable[[Callable[[int], None], range], Iterable[None]]
"""``map``, or that of a pool of threads."""


def initial_tensors(
    graph: Graph,
    seed: int,
    dtype: str,
    initial: str | None = None,
    threads: int = 1,
    into: Mapping[str, Array] | None = None,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return parameters and buffers by name (``layer1.0.conv1.weight``), those of sharing nodes once.

    The values depend on the seed, the recipe and the node's place and shape alone: the same network starts alike in
    every precision and with any number of threads.

    Args:
        graph: the network.
        seed: of all values, from 0.
        dtype: "float32" or "float64"; the values are drawn in float32.
        initial: name of a recipe; None for the one of the catalogue's network of the graph's name, or else "he";
            "zeros": no parameter is drawn.
        threads: how many draw.
        into: zeroed arrays by name that parameters are put into; for other names there are new ones, each from a cache
            line on.

    Returns:
        Parameters and buffers, in the graph's shapes.

    Raises:
        UsageError: for a recipe that does not exist, or a seed that is none.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"`seed` (={seed!r}) must be an integer from 0 to 2**63 - 1")
    recipe = None if initial == ZEROS else RECIPES[recipe_name(graph, initial)]
    into = into or {}
    parameters: dict[str, Array] = {}
    buffers: dict[str, Array] = {}
    layers = _layers(graph)
    with ThreadPoolExecutor(threads) as pool:
        for number, node in enumerate(graph):
            if node.shares is not None:
                continue
            draw = _Drawing((int(seed), number), pool.map if threads > 1 else map)
            for name, shape in graph.params(node).items():
                full = f"{node.name}.{name}"
                place = into.get(full)
                if place is None:
                    place = aligned(product(shape), dtype).reshape(shape)
                parameters[full] = draw.place = place
                if recipe is None:
                    continue
                # Drawn where it belongs if the precision lets it: large networks have no room for a second copy.
                value = _parameter(node, name, shape, recipe, layers.get(node.name), draw)
                if value is not place:
                    place[...] = value
            draw.place = None
            for name, shape in graph.buffers(node).items():
                buffers[f"{node.name}.{name}"] = _buffer(node, name, shape, draw, dtype)
    return parameters, buffers


def recipe_name(graph: Graph, initial: str | None = None) -> RecipeName:
    """Return the name of the recipe by which ``graph`` starts.

    A graph has no field for it: it would have to stand in every file, and two networks that compute the same would
    differ. So the name decides, which options and files keep.

    Args:
        graph: the network.
        initial: the name, if it has been chosen.

    Raises:
        UsageError: if there is no such recipe.
    """
    if initial is None:
        return CATALOGUE[graph.name].initial if graph.name in CATALOGUE else "he"
    for name in get_args(RecipeName):
        if name == initial:
            found: RecipeName = name
            return found
    names = ", ".join(map(repr, (*RECIPES, ZEROS)))
    raise UsageError(f"`initial` (={initial!r}) must be one of {names}{did_you_mean(str(initial), RECIPES)}")


class _Drawing:
    """Random numbers for one node.

    Args:
        key: seed and number of the node.
        each: maps a function over the chunks.

    Attributes:
        place: array for what is drawn next, if it is float32; None for a new one.
    """

    def __init__(self, key: tuple[int, int], each: Map) -> None:
        self.key = key
        self.each = each
        self.place: Array | None = None

    def generator(self, chunk: int = 0) -> np.random.Generator:
        return np.random.default_rng([*self.key, chunk])

    def __call__(self, rule: Rule, layer: Layer, shape: Shape) -> Array:
        """Return weights of ``shape`` drawn by ``rule``, float32."""
        place = self.place
        values = np.empty(shape, np.float32) if place is None or place.dtype != np.float32 else place
        flat = values.reshape(-1)

        def fill(start: int) -> None:
            part = flat[start : start + CHUNK]
            generator = self.generator(start // CHUNK)
            if rule.distribution == "uniform":
                generator.random(dtype=np.float32, out=part)
                part -= np.float32(0.5)
                part *= np.float32(np.sqrt(12))
                return
            generator.standard_normal(dtype=np.float32, out=part)
            if rule.distribution == "truncated":
                _redraw_tails(part, generator)

        starts = range(0, flat.size, CHUNK)
        each = self.each if len(starts) > 1 else map
        list(each(fill, starts))  # waits for the threads, and raises here what one of them has raised
        values *= np.asarray(rule.deviation(layer), np.float32)
        return values


def _redraw_tails(values: Array, generator: np.random.Generator) -> None:
    """Draw standard normal values anew, in place, until none lies beyond ``TAIL``."""
    outside = np.flatnonzero(np.abs(values) > TAIL)
    while outside.size:
        again = generator.standard_normal(outside.size, np.float32)
        values[outside] = again
        outside = outside[np.abs(again) > TAIL]


def _parameter(node: Node, name: str, shape: Shape, recipe: Recipe, layer: Layer | None, draw: _Drawing) -> Array:
    op = node.op
    if isinstance(op, Scale):
        return np.full(shape, LAYER_SCALE)
    if isinstance(op, Parameter):
        return draw(STORED, NO_LAYER, shape)
    if isinstance(op, PReLU):
        return np.full(shape, PRELU_SLOPE)
    if isinstance(op, (BatchNorm2d, InstanceNorm, LayerNorm)):
        return np.full(shape, 1.0 if name == "weight" else 0.0)
    if isinstance(op, SubsamplingPool2d) and name == "weight":
        taps = product(pair("kernel_size", op.kernel_size))
        return (
            draw(recipe.subsampling, Layer(taps, 1, 0, head=False), shape)
            if recipe.subsampling
            else np.full(shape, 1 / taps)
        )
    if layer is None:
        return np.zeros(shape)
    return draw(recipe.weight(layer), layer, shape) if name == "weight" else np.full(shape, recipe.bias(layer))


def _layers(graph: Graph) -> dict[str, Layer]:
    """Return what the recipes need to know of each node with weights."""
    heads = _heads(graph)
    layers: dict[str, Layer] = {}
    convolutions = 0
    for node in graph:
        if not isinstance(node.op, Multiplying) or node.shares is not None:
            continue
        is_convolution = node.op.family == "conv"
        convolutions += is_convolution
        fans = _fans(node, graph.params(node)["weight"])
        layers[node.name] = Layer(*fans, convolution=convolutions if is_convolution else 0, head=node.name in heads)
    return layers


def _heads(graph: Graph) -> set[str]:
    """Return the layers with weights that no other one reads, directly or not, if the graph's outputs are vectors."""
    if any(len(graph.shapes[name]) != 1 for name in graph.outputs):
        return set()
    heads: set[str] = set()
    read: set[str] = set()
    for node in reversed(graph.nodes):
        multiplies = isinstance(node.op, Multiplying)
        if multiplies and node.name not in read:
            heads.add(node.name)
        if multiplies or node.name in read:
            read.update(node.inputs)
    return heads


def _fans(node: Node, weight: Shape) -> tuple[float | Array, float | Array]:
    """Return the products that make an output element, and those that an input element takes part in.

    An output of a grouped convolution sees its group alone. One of a strided transposed convolution meets a share of
    the taps only, on average one in (row stride x column stride), and at least one tap where there is any.
    """
    op = node.op
    if isinstance(op, PartialConv2d):
        taps = product(weight[1:])
        inputs = [len(seen) for seen in op.connections for _ in seen]
        readers = [channel for seen in op.connections for channel in seen]
        read_by = np.bincount(readers)[readers]
        return float(taps) * np.reshape(inputs, (-1, 1, 1)), float(taps) * read_by.reshape(-1, 1, 1)
    taps = product(weight[2:])
    if isinstance(op, ConvTranspose2d):
        met = max(1.0, taps / product(pair("stride", op.stride)))
        return weight[0] // op.groups * met, weight[1] * taps
    groups = op.groups if isinstance(op, Conv2d) else 1
    return weight[1] * taps, weight[0] // groups * taps


def _buffer(node: Node, name: str, shape: Shape, draw: _Drawing, dtype: str) -> Array:
    if name == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if isinstance(node.op, RadialBasis):
        return np.ascontiguousarray(draw.generator().choice([-1.0, 1.0], shape), dtype)
    # A Constant whose value nobody has given changes nothing where it is a factor, divisor or exponent.
    return np.full(shape, 1.0 if name in ("running_var", "value") else 0.0, dtype)
