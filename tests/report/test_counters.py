"""Operators of imported models: what the tools print for a model of one of them, batch 1, as tests/report's others."""

from __future__ import annotations

import pytest

from archcost.build import Builder
from archcost.geometry import Shape
from archcost.ops import (
    CELU,
    ELU,
    OPERATORS,
    AvgPool3d,
    Conv3d,
    DepthToSpace,
    GlobalMaxPool,
    HardSigmoid,
    InstanceNorm,
    LeakyReLU,
    LogSoftmax,
    LpPool2d,
    MatMul,
    MaxPool3d,
    Mish,
    Op,
    PReLU,
    Resize,
    Softplus,
)
from archcost.report.conventions import CONVENTIONS, counted_nodes, reported_params
from tests.samples import Sample, each_sample

TOOLS = ("flop_counter", "fvcore", "thop", "ptflops_pytorch", "ptflops_aten", "torchinfo")
IMAGE, VOLUME = (4, 8, 8), (4, 8, 8, 8)


def printed(op: Op, *shapes: Shape) -> tuple[int, ...]:
    net = Builder()
    graph = net.build(net(op, *[net.input(shape, f"in{index}") for index, shape in enumerate(shapes)]))
    return tuple(sum(counted_nodes(graph, tool)) for tool in TOOLS)


@pytest.mark.parametrize(
    ("op", "shape", "expected"),
    [
        (LeakyReLU(), IMAGE, (0, 0, 0, 256, 0, 0)),
        (PReLU(), IMAGE, (0, 0, 256, 512, 0, 4)),
        (ELU(), IMAGE, (0, 0, 0, 512, 0, 0)),
        (InstanceNorm(), IMAGE, (0, 1280, 1024, 512, 0, 8)),
        (Conv3d(8, 3), VOLUME, (373248, 186624, 186624, 188352, 188352, 188352)),
        (MaxPool3d(2), VOLUME, (0, 0, 0, 4096, 0, 0)),
        (AvgPool3d(2), VOLUME, (0, 0, 256, 4096, 0, 0)),
        (LpPool2d(2), IMAGE, (0, 0, 0, 384, 0, 0)),
        (GlobalMaxPool(), IMAGE, (0, 0, 0, 512, 0, 0)),
        (Resize((16, 16), "linear"), IMAGE, (0, 4096, 11264, 2048, 0, 0)),
        (Resize((16, 16)), IMAGE, (0, 1024, 1024, 2048, 0, 0)),
        *[(op, IMAGE, (0,) * 6) for op in (DepthToSpace(2), HardSigmoid(), LogSoftmax(0), Softplus(), Mish(), CELU())],
    ],
    ids=lambda value: repr(value) if isinstance(value, Op) else "",
)
def test_one_operator(op: Op, shape: Shape, expected: tuple[int, ...]) -> None:
    assert printed(op, shape) == expected


def test_a_product_of_two_tensors() -> None:
    """x @ x.mT: four products of 8x8 matrices."""
    assert printed(MatMul(), IMAGE, IMAGE) == (4096, 2048, 0, 0, 2048, 0)


@each_sample
def test_every_convention_counts_every_operator(sample: Sample) -> None:
    """Whatever a tool does not know, it counts as nothing, and reports no parameters of it or all of them."""
    net = Builder()
    inputs = [net.input(shape, f"in{index}") for index, shape in enumerate(sample.inputs)]
    graph = net.build(net(sample.op, *inputs, name="it"), net.input((1,), "spare"))
    for name in CONVENTIONS:
        assert all(count >= 0 for count in counted_nodes(graph, name))
        assert (reported_params(graph, name) or 0) >= 0
    assert type(sample.op).__name__ in OPERATORS
