"""Receptive fields of generated networks against sets of input positions, pushed through them tap by tap."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any, NamedTuple, cast

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archcost.build import Builder, Sequential
from archcost.graph import Graph
from archcost.ops import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Identity,
    MaxPool2d,
    Mul,
    Op,
    Pad,
    PartialConv2d,
    ReLU,
    Slice,
)
from archcost.receptive_field import receptive_fields
from tests.naive import adaptive, windows


class Seen(NamedTuple):
    """What one element of an axis sees: positions of the image, and whether padding was among them."""

    positions: frozenset[int]
    padded: bool


def gather(before: list[Seen], taps: list[int]) -> Seen:
    inside = [before[tap] for tap in taps if 0 <= tap < len(before)]
    positions = frozenset(position for seen in inside for position in seen.positions)
    return Seen(positions, len(inside) < len(taps) or any(seen.padded for seen in inside))


def push(op: Op, axis: int, inputs: list[list[Seen]]) -> list[Seen]:
    """Return what each output element of one axis (0: rows, 1: columns) sees, given that of the inputs."""
    before, full = inputs[0], cast("Any", op)  # construction has put every size in full
    if isinstance(op, (Add, Mul, Concat)):
        return [
            Seen(frozenset().union(*(seen.positions for seen in column)), any(seen.padded for seen in column))
            for column in zip(*inputs)
        ]
    if isinstance(op, (Conv2d, MaxPool2d, AvgPool2d)):
        dilation = full.dilation[axis] if isinstance(op, Conv2d) else 1
        ceil_mode = not isinstance(op, Conv2d) and op.ceil_mode
        kernel, stride, padding = (part[axis] for part in full.window[:3])
        return [gather(before, taps) for taps in windows(len(before), kernel, stride, padding, dilation, ceil_mode)]
    if isinstance(op, PartialConv2d):
        return [gather(before, taps) for taps in windows(len(before), full.kernel_size[axis], 1, (0, 0))]
    if isinstance(op, ConvTranspose2d):
        kernel, stride, padding, dilation = (part[axis] for part in full.window)
        length = op.out_shape((1, len(before), len(before)))[1 + axis]
        writers: list[list[int]] = [[] for _ in range(length)]
        for source in range(-length, 2 * length):
            for tap in range(kernel):
                target = source * stride + tap * dilation - padding[0]
                if 0 <= target < length:
                    writers[target].append(source)
        return [gather(before, taps) for taps in writers]
    if isinstance(op, AdaptiveAvgPool2d):
        return [gather(before, taps) for taps in adaptive(len(before), full.output_size[axis])]
    if isinstance(op, Pad):
        start, end = op.pads[1 + axis]
        return [gather(before, [place]) for place in range(-start, len(before) + end)]
    if isinstance(op, Slice):
        if op.axis % 3 != 1 + axis:
            return before
        return before[op.start : op.stop : op.step]
    assert isinstance(op, (ReLU, BatchNorm2d, Identity))
    return before


def assert_sees(graph: Graph, *, exact: bool = True) -> None:
    """Check every node: what no padding touched sees just what is claimed, the rest nothing outside of it."""
    fields = receptive_fields(graph)
    size = graph.shapes[graph.nodes[0].name][1:]
    seen: dict[str, list[list[Seen]]] = {}
    for node in graph:
        if node.inputs:
            seen[node.name] = [push(node.op, axis, [seen[name][axis] for name in node.inputs]) for axis in (0, 1)]
        else:
            image = [[Seen(frozenset([place]), padded=False) for place in range(length)] for length in size]
            seen[node.name] = image
        field = fields[node.name]
        assert not field.everything
        for axis in (0, 1):
            elements = seen[node.name][axis]
            assert len(elements) == graph.shapes[node.name][1 + axis]
            first = field.offset[axis] - Fraction(field.size[axis] - 1, 2)
            assume(not all(element.padded for element in elements))
            for index, element in enumerate(elements):
                low = first + index * field.stride[axis]
                high = low + field.size[axis] - 1
                assert all(floor(low) <= position <= ceil(high) for position in element.positions)
                if element.positions and not element.padded:
                    assert max(element.positions) - min(element.positions) < field.size[axis]
                    assert not exact or (low == min(element.positions) and high == max(element.positions))


two = st.tuples(st.integers(1, 3), st.integers(1, 3))
edges = st.tuples(st.integers(0, 2), st.integers(0, 2))
sides = st.tuples(edges, edges)


@st.composite
def keeping(draw: st.DrawFn) -> Op:
    """Return a layer of stride 1 that keeps the size, its padding split between the sides at will."""
    kernel, dilation = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(two)
    padding = []
    for axis in (0, 1):
        total = (kernel[axis] - 1) * dilation[axis]
        before = draw(st.integers(0, total))
        padding.append((before, total - before))
    conv = Conv2d(2, kernel, 1, (padding[0], padding[1]), dilation)
    pool = MaxPool2d(3, 1, 1)
    return draw(st.sampled_from([conv, conv, pool, ReLU(), BatchNorm2d(), Identity()]))


changing: st.SearchStrategy[Op] = st.one_of(
    st.builds(Conv2d, st.just(2), two, two, sides, two),
    st.builds(lambda k, s, p, c: MaxPool2d(k, s, (min(p[0], k[0] // 2), min(p[1], k[1] // 2)), c), two, two, edges,
              st.booleans()),
    st.builds(AvgPool2d, two, st.none() | two),
    st.builds(lambda rows, columns: Pad(((0, 0), rows, columns)), edges, edges),
    st.builds(lambda rows, columns: Pad(((0, 0), (-rows[0], -rows[1]), columns)), edges, edges),
    st.builds(Slice, st.sampled_from([1, 2, -1, -2]), st.integers(0, 3), st.none(), st.integers(1, 3)),
    st.builds(ConvTranspose2d, st.just(2), two, st.just(1), st.just(0), two),
    st.builds(PartialConv2d, st.just(((0, 1), (1,))), two),
)  # fmt: skip


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Return a chain of layers and of blocks whose branches see different neighbourhoods."""
    net = Builder()
    x = net.input((2, draw(st.integers(36, 60)), draw(st.integers(36, 60))))
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            x = net(draw(changing), x)
            continue
        shared, ends = draw(changing), []
        for _branch in range(draw(st.integers(1, 3))):
            y = x
            for op in draw(st.lists(keeping(), max_size=2)):
                y = net(op, y)
            y = net(shared, y)
            for op in draw(st.lists(keeping(), max_size=2)):
                y = net(op, y)
            ends.append(y)
        x = net(draw(st.sampled_from([Add(), Mul()])), *ends)
        x = net(Slice(0, 0, 2), net(Concat(), x, x))
    return net.build(x)


@given(networks())
@settings(max_examples=200)
def test_networks_see_what_their_taps_reach(graph: Graph) -> None:
    assert_sees(graph)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 2), st.lists(keeping(), max_size=2))
@settings(max_examples=100)
def test_after_upsampling_nothing_is_seen_that_is_not_claimed(
    kernel: int, stride: int, padding: int, more: list[Op]
) -> None:
    """Neighbouring outputs of a strided transposed convolution see unequal intervals: the claim covers them all."""
    up = ConvTranspose2d(2, kernel, stride, min(padding, kernel - 1))
    assert_sees(Sequential([up, *more], (2, 24, 24)), exact=False)
