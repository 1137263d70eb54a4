"""Receptive fields by hand, of whole networks as published, and of what looks at all positions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from archcost.build import Builder, Sequential
from archcost.graph import Graph
from archcost.ops import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    Expand,
    Flatten,
    Gather,
    GlobalAvgPool,
    GlobalMaxPool,
    Identity,
    InstanceNorm,
    LayerNorm,
    Linear,
    LogSoftmax,
    LpPool2d,
    MatMul,
    MaxPool2d,
    Mul,
    Op,
    Parameter,
    PReLU,
    ReduceMax,
    ReduceMean,
    ReLU,
    Reshape,
    Resize,
    Sigmoid,
    Slice,
    Softmax,
    SpaceToDepth,
    Split,
    Transpose,
    Unknown,
)
from archcost.receptive_field import ReceptiveField, receptive_fields
from tests.conftest import catalogue_graph


def both(value: Fraction | float) -> tuple[Fraction, Fraction]:
    """Return a number for rows and columns."""
    return Fraction(value), Fraction(value)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_upsampling_without_overlap_sees_one_position(stride: int) -> None:
    field = receptive_fields(Sequential([ConvTranspose2d(2, stride, stride)], (2, 8, 8)))["0"]
    assert (field.size, field.stride) == ((1, 1), (Fraction(1, stride), Fraction(1, stride)))


@pytest.mark.parametrize(("rows", "columns"), [(6, 4), (12, 8), (3, 2), (2, 1)])
def test_adaptive_pooling_to_a_divisor_is_plain_pooling(rows: int, columns: int) -> None:
    graph = Sequential([Conv2d(2, 3, padding=1), AdaptiveAvgPool2d((rows, columns))], (2, 12, 8))
    plain = Sequential([Conv2d(2, 3, padding=1), AvgPool2d((12 // rows, 8 // columns))], (2, 12, 8))
    found, expected = receptive_fields(graph)["1"], receptive_fields(plain)["1"]
    for axis, output in ((0, rows), (1, columns)):
        if output > 1:  # one output sees everything, by name
            assert (found.size[axis], found.stride[axis]) == (expected.size[axis], expected.stride[axis])
            assert found.offset[axis] == expected.offset[axis]


def field_of(layers: list[Op], shape: tuple[int, int, int] = (4, 32, 32)) -> ReceptiveField:
    return receptive_fields(Sequential(layers, shape))[str(len(layers) - 1)]


@pytest.mark.parametrize(
    ("layers", "size", "stride", "offset"),
    [
        ([Conv2d(4, 3, padding=1)] * 3, 7, 1, 0),  # three 3x3 see what one 7x7 does
        ([Conv2d(4, 7, padding=3)], 7, 1, 0),
        ([Conv2d(4, 3)] * 2, 5, 1, 2),
        ([Conv2d(4, 3, dilation=1), Conv2d(4, 3, dilation=2), Conv2d(4, 3, dilation=4)], 15, 1, 7),
        ([Conv2d(4, 1)], 1, 1, 0),
        ([Conv2d(4, 3, 2, "same")], 3, 2, 1),  # 32 pads 0 before and 1 behind
        ([Conv2d(4, 2, 1, "same")], 2, 1, Fraction(1, 2)),
        ([MaxPool2d(2), MaxPool2d(2), MaxPool2d(2)], 8, 8, Fraction(7, 2)),
        ([Conv2d(4, 3, padding=((2, 0), (2, 0)))], 3, 1, -1),  # causal
        ([Slice(1, 3), Slice(2, 3)], 1, 1, 3),
        ([Slice(1, -3), Slice(2, -3, None, 2), Slice(1, 0, 3, 2)], 1, 2, 29),
        ([LpPool2d(2)], 2, 2, Fraction(1, 2)),
        ([PReLU(), Expand((4, 32, 32))], 1, 1, 0),
        ([SpaceToDepth(2)], 2, 2, Fraction(1, 2)),
        ([DepthToSpace(2)], 1, Fraction(1, 2), 0),
        ([SpaceToDepth(2), Conv2d(8, 3, padding=1), DepthToSpace(2)], 6, 1, Fraction(1, 2)),
        ([Resize((64, 64))], 1, Fraction(1, 2), 0),
        ([Resize((32, 32), "linear")], 1, 1, 0),
        ([Resize((64, 64), "linear"), Conv2d(4, 1)], 2, Fraction(1, 2), Fraction(1, 2)),
        ([Resize((16, 16), "linear", "asymmetric", scales=(0.5, 0.5))], 2, 2, Fraction(1, 2)),
        ([ReLU()], 1, 1, 0),
    ],
    ids=repr,
)
def test_chains_by_hand(layers: list[Op], size: int, stride: int, offset: Any) -> None:
    assert field_of(layers) == ReceptiveField((size, size), both(stride), both(offset), everything=False)


# Araujo, Norris & Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", the table of networks
# (their Inception v2 is the network with BatchNorm); ResNet-50 with the stride in the 3x3 and GoogLeNet by hand:
# 7/2 -> 7, pool -> 11, 3x3 -> 19, pool -> 27, two 5x5 -> 91, pool -> 107, five -> 427, pool -> 459, two at 32 -> 715.
@pytest.mark.parametrize(
    ("model", "node", "size", "stride"),
    [
        ("alexnet", "pool5", 195, 32),
        ("alexnet_owt", "features.12", 195, 32),
        ("vgg16", "features.30", 212, 32),
        ("mobilenet_v1", None, 315, 32),
        ("resnet50_v1", "layer4.2.relu", 483, 32),
        ("resnet101_v1", "layer4.2.relu", 1027, 32),
        ("resnet152_v1", "layer4.2.relu", 1507, 32),
        ("resnet50", "layer4.2.relu", 427, 32),  # 483 - 8 - 16 - 32: three 3x3 read the larger map
        ("resnet18", "layer4.1.relu", 435, 32),
        ("googlenet", "inception5b.concat", 715, 32),
        ("bn_inception", "inception5b.concat", 699, 32),
        ("inception_v3", "Mixed_7c.concat", 1311, 32),
        ("inception_v4", None, 2071, 32),
        ("inception_resnet_v2", None, 3039, 32),
    ],
)  # fmt: skip
def test_published_receptive_fields(model: str, node: str | None, size: int, stride: int) -> None:
    fields = receptive_fields(catalogue_graph(model))
    last = node or [name for name, field in fields.items() if not field.everything][-1]
    assert fields[last].size == (size, size)
    assert fields[last].stride == both(stride)
    assert not fields[last].everything


def test_a_squeeze_and_excitation_network_sees_everything_after_its_first_gate() -> None:
    graph = catalogue_graph("seresnet50")
    fields = receptive_fields(graph)
    names = [node.name for node in graph if node.inputs]
    assert list(fields) == [graph.nodes[0].name, *names]
    first = next(node.name for node in graph if isinstance(node.op, GlobalAvgPool))
    reached = {first}
    for node in graph:
        if reached.intersection(node.inputs):
            reached.add(node.name)
    assert {name for name, field in fields.items() if field.everything} == reached
    assert all(fields[name].size == (224, 224) for name in reached)
    assert fields[next(node.name for node in graph if isinstance(node.op, MaxPool2d))].size == (11, 11)


def gate(pool: Op) -> Graph:
    net = Builder()
    x = net(Conv2d(4, 3, padding=1), net.input((3, 8, 8)))
    y = net(Sigmoid(), net(Conv2d(4, 1), net(pool, x)))
    return net.build(net(Mul(), x, y, name="gated"))


@pytest.mark.parametrize("pool", [GlobalAvgPool(), AdaptiveAvgPool2d(1), AvgPool2d(8)], ids=repr)
def test_a_gate_lets_every_element_see_everything_however_it_is_written(pool: Op) -> None:
    field = receptive_fields(gate(pool))["gated"]
    assert field.everything
    assert field.size == (8, 8)


@pytest.mark.parametrize(
    "layers",
    [
        [GlobalAvgPool()], [GlobalAvgPool(keep_axes=False), Linear(3)], [Flatten()], [Flatten(), Linear(3), ReLU()],
        [AdaptiveAvgPool2d(1)], [GlobalAvgPool(), Conv2d(4, 1)], [Flatten(), Reshape((4, 32, 32)), Conv2d(2, 3)],
        [Conv2d(2, 3, 2), GlobalAvgPool(), Sigmoid()], [GlobalMaxPool()], [InstanceNorm()], [ReduceMax((1, 2))],
        [ReduceMean((-1, 1), keep_axes=False), Linear(3)], [LayerNorm(normalized_axes=2)],
        [Unknown("Whirl", (4, 32, 32)), Conv2d(2, 3)], [Gather(1, (0,)), ReLU()],
        [Slice(1, -1, None, -1), Slice(2, -1, None, -1)], [Slice(1, 0, 1), Slice(2, 0, 1), Expand((4, 5, 5))],
    ],
    ids=repr,
)  # fmt: skip
def test_what_looks_at_all_positions_sees_everything(layers: list[Op]) -> None:
    assert field_of(layers) == ReceptiveField((32, 32), both(1), both(Fraction(31, 2)), everything=True)


@pytest.mark.parametrize(
    "op",
    [LayerNorm(0), Softmax(0), LayerNorm(0, affine=False), LogSoftmax(0), ReduceMean((0,)), Gather(0, (2, 1), (2,))],
    ids=repr,
)
def test_mixing_channels_is_not_mixing_positions(op: Op) -> None:
    assert field_of([Conv2d(4, 3), op]).size == (3, 3)


@pytest.mark.parametrize(
    "op", [LayerNorm(-1), Softmax(-1), Linear(32), LogSoftmax(2), ReduceMax((2,)), Gather(-1, (1, 2), (2,))], ids=repr
)
def test_mixing_the_columns_is_not_mixing_the_rows(op: Op) -> None:
    field = field_of([Conv2d(4, 3, padding=1), op])
    assert field.size == (3, 32)
    assert not field.everything


def test_a_matrix_product_mixes_all_positions_and_a_stored_tensor_sees_none() -> None:
    net = Builder()
    x = net(Conv2d(4, 3, padding=1), net.input((3, 8, 8)))
    stored = net(Parameter((4, 8, 8)), name="stored")
    added = net(Add(), x, stored, name="added")
    fields = receptive_fields(net.build(net(MatMul(), added, added, name="product")))
    assert "stored" not in fields
    assert (fields["added"].size, fields["product"].everything) == ((3, 3), True)


def test_positions_are_followed_through_transposed_axes() -> None:
    """ConvNeXt's block: channels last for the dense layers, and back."""
    last, first = Transpose((1, 2, 0)), Transpose((2, 0, 1))
    layers: list[Op] = [Conv2d(4, (7, 3)), last, LayerNorm(), Linear(8), first, Conv2d(4, (1, 5))]
    assert [receptive_fields(Sequential(layers, (4, 32, 32)))[str(n)].size for n in range(6)] == [(7, 3)] * 5 + [(7, 7)]
    swapped = field_of([Transpose((0, 2, 1)), Conv2d(4, (1, 5), (1, 2))])  # a window along the image's rows
    assert (swapped.size, swapped.stride) == ((5, 1), (Fraction(2), Fraction(1)))
    assert field_of([Transpose((0, 2, 1)), AdaptiveAvgPool2d((32, 4))]).size == (8, 1)


def test_a_cut_along_rows_starts_where_it_is_cut() -> None:
    parts = [field_of([Split((10, 12, 10), index, 1)]) for index in range(3)]
    assert [(int(part.offset[0]), int(part.offset[1])) for part in parts] == [(0, 0), (10, 0), (22, 0)]
    assert [part.size for part in parts] == [(1, 1)] * 3


def one_merge(op: Op, left: Op, right: Op) -> ReceptiveField:
    net = Builder()
    x = net.input((2, 8, 8))
    return receptive_fields(net.build(net(op, net(left, x), net(right, x), name="merged")))["merged"]


@pytest.mark.parametrize(
    ("op", "left", "right"),
    [
        (Concat(1), Identity(), Identity()),  # output 8 sees row 0 again
        (Add(), Conv2d(2, (5, 1)), Conv2d(2, (1, 1), (2, 1))),  # of 8 rows each makes 4, one by one and in twos
        (Add(), Identity(), AvgPool2d((8, 1))),  # a row that is read by all
    ],
    ids=["concat along rows", "unequal strides", "broadcast"],
)
def test_branches_that_move_apart_are_never_claimed_to_see_less_than_they_do(op: Op, left: Op, right: Op) -> None:
    """No interval that moves evenly covers both branches but the whole axis; the columns are not concerned."""
    field = one_merge(op, left, right)
    assert field.size == (8, 1)
    assert (field.stride[1], field.offset[1]) == (Fraction(1), Fraction(0))


def test_only_what_depends_on_the_image_has_a_field() -> None:
    net = Builder()
    row, x, other = net.input((4,), "row"), net.input((4, 8, 8), "x"), net.input((4, 8, 8), "other")
    y = net(Conv2d(4, 3, padding=1), other, name="apart")
    net(Linear(3), row, name="row_only")
    z = net(Add(), net(Conv2d(4, 3, padding=1), x, name="seen"), y, name="both")
    fields = receptive_fields(net.build(z))
    assert list(fields) == ["x", "seen", "both"]
    assert fields["both"] == fields["seen"]
    assert receptive_fields(Sequential([Linear(3)], (4,))) == {}


def test_a_window_is_never_smaller_further_down() -> None:
    for name in ("resnet50", "googlenet", "densenet121"):
        graph = catalogue_graph(name)
        fields = receptive_fields(graph)
        for node in graph:
            for source in node.inputs:
                assert fields[node.name].everything or fields[node.name].size >= fields[source].size
