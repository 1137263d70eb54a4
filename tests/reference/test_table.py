"""Every operator has a loop; every loop counts what its operator states, and writes the shape that it states."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archcost.reference
from archcost.build import Builder
from archcost.errors import GraphError, OperatorError
from archcost.geometry import Shape, product
from archcost.ops import COUNTED_ONLY, OPERATORS, Conv2d, Dequantize, Input, Op, Quantize, Split, Unknown
from archcost.reference import LOOPS, Count, allocated, execute, images, run
from tests.reference.arrays import done, inputs_of, tensors
from tests.samples import SAMPLES, Sample
from tests.strategies import operators

NO_LOOPS = {Input, Quantize, Dequantize, Unknown}


def test_every_operator_has_a_loop_or_is_counted_alone() -> None:
    assert set(LOOPS) == set(OPERATORS.values()) - NO_LOOPS


@pytest.mark.parametrize("op", [Quantize(), Dequantize(), Unknown("Einsum", (3,))], ids=repr)
def test_what_is_counted_alone_cannot_be_run(op: Op) -> None:
    with pytest.raises(OperatorError, match=f"^{type(op).__name__} is counted, but cannot be run$"):
        run(op, inputs_of(((3,),)), {}, {})
    net = Builder()
    graph = net.build(net(op, net.input((3,)), name="gap"))
    with pytest.raises(GraphError, match=f"^gap: {type(op).__name__} is counted, but cannot be run$"):
        execute(graph, *allocated(graph), images(graph))


def test_the_loops_import_no_report_and_no_kernels() -> None:
    allowed = ("reference", "ops", "geometry", "graph", "errors")
    for path in Path(archcost.reference.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("archcost."):
                assert node.module.split(".")[1] in allowed, f"{path.name} imports {node.module}"


def check(op: Op, shapes: tuple[Shape, ...], output: Shape, batch: int, dtype: str) -> None:
    y, count = done(op, shapes, batch, dtype)
    assert y.shape == (batch, *output)
    assert y.dtype == dtype
    assert count == Count(batch * op.cost(*shapes).mult_adds, batch * product(output) if op.makes_tensor else 0)


IN_EACH_TYPE = [
    pytest.param(sample, dtype, id=f"{index}-{type(sample.op).__name__}-{dtype}")
    for index, sample in enumerate(SAMPLES)
    if type(sample.op) not in NO_LOOPS
    for dtype in ("float64", "float32")
    if dtype == "float64" or type(sample.op).__name__ not in COUNTED_ONLY  # which no engine runs in float32
]


@pytest.mark.parametrize(("sample", "dtype"), IN_EACH_TYPE)
def test_samples(sample: Sample, dtype: str) -> None:
    check(sample.op, sample.inputs, sample.output, 2, dtype)


SHAPES: st.SearchStrategy[Shape] = st.sampled_from([(4, 6, 6), (6, 1, 7), (4, 9, 5), (6,), (4, 6), (4, 5, 6, 5)])


@settings(max_examples=1000)
@given(operators, st.lists(SHAPES, min_size=1, max_size=3), st.integers(1, 2))
def test_any_operator_on_any_shape_that_it_takes(op: Op, candidates: list[Shape], batch: int) -> None:
    shapes = tuple(candidates if op.arity is None else (candidates * 2)[: op.arity])
    if type(op) in NO_LOOPS:
        return
    try:
        output = op.out_shape(*shapes)
    except OperatorError:
        return
    check(op, shapes, output, batch, "float64")


def test_a_wrong_rule_would_show() -> None:
    op = Conv2d(4, 3, padding=1)
    shapes = ((3, 5, 5),)
    _, count = done(op, shapes, 1)
    inside_only = sum(
        12
        for i in range(5)
        for j in range(5)
        for r in (i - 1, i, i + 1)
        for c in (j - 1, j, j + 1)
        if 0 <= r < 5 and 0 <= c < 5
    )
    assert count.mult_adds == 12 * 9 * 25 > inside_only


def test_views_share_the_memory_of_their_input() -> None:
    x = inputs_of(((6, 4, 4),), 1)[0]
    for name in ("Identity", "Flatten", "Dropout", "DropPath"):
        y, count = run(OPERATORS[name](), [x], {}, {})
        assert np.shares_memory(x, y)
        assert count == Count(0, 0)
    y, _ = run(Split((2, 4), 1), [x], {}, {})
    assert np.shares_memory(x, y)


def test_inputs_with_gaps_are_read_as_they_look() -> None:
    op, x = Conv2d(2, 3), inputs_of(((4, 5, 6),))[0]
    parameters, buffers = tensors(op, ((2, 5, 6),))
    expected, _ = run(op, [x[:, 1:3].copy()], parameters, buffers)
    result, _ = run(op, [x[:, 1:3]], parameters, buffers)
    np.testing.assert_array_equal(result, expected)


def test_inputs_and_parameters_stay_as_they_are() -> None:
    op, shapes = Conv2d(4, 3, 2, 1, groups=2), ((4, 7, 6),)
    inputs, (parameters, buffers) = inputs_of(shapes), tensors(op, shapes)
    before = [x.copy() for x in (*inputs, *parameters.values())]
    run(op, inputs, parameters, buffers)
    for old, new in zip(before, (*inputs, *parameters.values())):
        np.testing.assert_array_equal(old, new)
