"""Ten thousand random layers: what is executed is what is counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from archcost import ops
from archcost.cost import Cost
from archcost.errors import OperatorError
from archcost.geometry import PaddingLike, Shape, product
from archcost.ops import Op
from archcost.reference import Count, run

LAYERS = 10_000

Draw = random.Random


def two(draw: Draw, low: int, high: int) -> tuple[int, int]:
    return draw.randint(low, high), draw.randint(low, high)


def padding(draw: Draw) -> PaddingLike:
    either: list[PaddingLike] = [draw.randint(0, 3), two(draw, 0, 3), (two(draw, 0, 3), two(draw, 0, 3))]
    return draw.choice([*either, "same", "valid"])


def convolution(draw: Draw) -> tuple[Op, Shape]:
    groups = draw.choice([1, 1, 2, 3, 4])
    op = ops.Conv2d(
        groups * draw.randint(1, 3), two(draw, 1, 5), two(draw, 1, 3), padding(draw), two(draw, 1, 3), groups,
        draw.random() < 0.5,
    )  # fmt: skip
    return op, (groups * draw.randint(1, 3), *two(draw, 1, 12))


def transposed(draw: Draw) -> tuple[Op, Shape]:
    groups = draw.choice([1, 2, 3])
    op = ops.ConvTranspose2d(
        groups * draw.randint(1, 3), two(draw, 1, 4), two(draw, 1, 3), two(draw, 0, 2), two(draw, 1, 3), groups,
        output_padding=two(draw, 0, 2),
    )  # fmt: skip
    return op, (groups * draw.randint(1, 3), *two(draw, 1, 7))


def partial(draw: Draw) -> tuple[Op, Shape]:
    links = tuple(tuple(draw.sample(range(4), draw.randint(1, 4))) for _ in range(draw.randint(1, 5)))
    return ops.PartialConv2d(links, two(draw, 1, 4)), (4, *two(draw, 1, 8))


def dense(draw: Draw) -> tuple[Op, Shape]:
    shape = tuple(draw.randint(1, 6) for _ in range(draw.randint(1, 4)))
    return ops.Linear(draw.randint(1, 8), draw.random() < 0.5), shape


def pooling(draw: Draw) -> tuple[Op, Shape]:
    kind = draw.choice([ops.MaxPool2d, ops.AvgPool2d])
    return kind(two(draw, 1, 5), two(draw, 1, 4), padding(draw), draw.random() < 0.5), (2, *two(draw, 1, 12))


KINDS: list[Callable[[Draw], tuple[Op, Shape]]] = [
    convolution,
    convolution,
    convolution,
    transposed,
    partial,
    dense,
    pooling,
]


def test_executed_is_counted() -> None:
    draw, tried = random.Random(3), Counter[str]()
    while tried.total() < LAYERS:
        try:
            op, shape = draw.choice(KINDS)(draw)
            output = op.out_shape(shape)
        except OperatorError:
            continue
        parameters = {name: np.ones(size) for name, size in op.params(shape).items()}
        y, count = run(op, [np.ones((1, *shape))], parameters, {})
        assert y.shape == (1, *output), (op, shape)
        assert count == Count(op.cost(shape).mult_adds, product(output)), (op, shape)
        tried[type(op).__name__] += 1
    assert min(tried.values()) > 500
    assert len(tried) == 6


def test_a_wrong_count_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ops.Conv2d.cost
    monkeypatch.setattr(ops.Conv2d, "cost", lambda self, *inputs: right(self, *inputs) + Cost(1))
    with pytest.raises(AssertionError):
        test_executed_is_counted()
