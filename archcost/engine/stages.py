"""Inference of a batch in two stages: the first layers image by image, the others for all images at once.

The maps of the first layers are the largest by far: those of a batch leave the caches between two layers, those of one
image stay. That matters where a layer does little with what it reads, as depthwise convolutions and pooling do. Further
on maps are small and weights large, which are better read once for many images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from archcost.geometry import Shape, product
from archcost.graph import Graph

if TYPE_CHECKING:
    from archcost.engine.plan import Work

LARGE_MAPS = 1152 * 1024
"""Bytes that a layer reads and writes for one image, from which on those of a batch leave the caches."""

PRODUCTS_FOR_A_BYTE = 32
"""Multiply-adds that lose as much by running for one image as a byte gains by staying in a cache."""

COPIES_FOR_A_BYTE = 3
"""What lies between the stages is spread over more memory, and written and read once more where it is collected."""

LARGEST_WEIGHTS = 2 * 1024 * 1024
"""Bytes of the weights of the first stage: each image reads them again, out of a cache."""


class Stage(NamedTuple):
    """The first stage.

    Attributes:
        works: pieces of work of the forward pass that belong to it; 0: there is none.
        nodes: the nodes that they compute.
        crossing: the tensors that the second stage reads, by the node that holds them.
    """

    works: int = 0
    nodes: frozenset[str] = frozenset()
    crossing: tuple[str, ...] = ()


StageRule = Callable[[Graph, "Sequence[Work]", Mapping[str, str], Mapping[str, Any]], Stage]
"""Graph, work in order, holders and shapes of tensors -> the first stage."""


def first_stage(
    graph: Graph,
    forward: Sequence[Work],
    holder: Mapping[str, str],
    shapes: Mapping[str, Shape],
    element: int,
    lanes: int,
) -> Stage:
    """Return the work that is done image by image.

    Args:
        graph: the network.
        forward: the work of inference, in order.
        holder: node -> the node whose tensor it uses.
        shapes: (C, H, W) of every node's tensor.
        element: bytes of an element.
        lanes: channels of a block.
    """

    def size(name: str) -> int:
        channels, height, width = shapes[name]
        return -(-channels // lanes) * lanes * height * width * element

    read_last = {holder[name]: index for index, work in enumerate(forward) for name in work.reads}
    read_last.update({holder[name]: len(forward) for name in graph.outputs})
    inputs = {node.name for node in graph.inputs}
    best, stage = 0, Stage()
    alive: dict[str, int] = {}
    nodes: list[str] = []
    gain, weights = 0, 0
    for cut, work in enumerate(forward, 1):
        members = [graph.node(name) for name in work.nodes]
        nodes += [node.name for node in members]
        weights += element * sum(product(shape) for node in members for shape in graph.params(node).values())
        if weights > LARGEST_WEIGHTS:
            break
        moved = sum(size(name) for name in {holder[name] for name in (*work.reads, work.writes)})
        products = sum(node.op.cost(*graph.input_shapes(node)).mult_adds for node in members)
        gain += (moved if moved >= LARGE_MAPS else 0) - products // PRODUCTS_FOR_A_BYTE
        alive[holder[work.writes]] = read_last.get(holder[work.writes], 0)
        alive = {name: last for name, last in alive.items() if last >= cut}
        crossing = tuple(alive)
        score = gain - COPIES_FOR_A_BYTE * sum(map(size, crossing))
        if score > best and not inputs & set(crossing):
            best, stage = score, Stage(cut, frozenset(nodes), crossing)
    return stage
