"""Convolutions of every kind, forward and backward, against sums in NumPy and finite differences."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.errors import OperatorError
from archcost.kernels import conv
from archcost.kernels.layout import Blocked, aligned
from archcost.kernels.operation import Gradient
from archcost.kernels.target import Precision
from archcost.ops import Conv2d, ConvTranspose2d, Op, PartialConv2d
from tests.kernels.convolving import Layer, check, correlated, error, plan_of
from tests.kernels.running import TARGETS_AND_PRECISIONS

TOLERANCE = {"float32": 3e-6, "float64": 1e-13}

CASES: dict[str, tuple[Op, tuple[int, int, int]]] = {
    "3x3": (Conv2d(20, 3, padding=1), (40, 7, 7)),
    "few channels": (Conv2d(8, 3, padding=1), (3, 6, 6)),
    "stride 2": (Conv2d(33, 3, 2, 1), (17, 9, 8)),
    "1x1 stride 2": (Conv2d(16, 1, 2), (32, 6, 5)),
    "1x1": (Conv2d(24, 1, bias=False), (24, 7, 7)),
    "1x1 on one pixel": (Conv2d(24, 1), (40, 1, 1)),
    "dilated": (Conv2d(16, 5, 3, 2, 2), (8, 20, 17)),
    "same": (Conv2d(8, 4, 3, "same"), (3, 7, 8)),
    "asymmetric padding": (Conv2d(8, 3, 1, ((2, 0), (1, 3))), (3, 4, 4)),
    "narrower than the padding": (Conv2d(8, 7, 1, 5), (3, 3, 3)),
    "stride beyond the kernel": (Conv2d(18, 2, 4), (5, 11, 12)),
    "kernel of the map's size": (Conv2d(10, 5), (6, 5, 5)),
    "one output, padded": (Conv2d(10, 3, 4, 1), (6, 4, 2)),
    "one column": (Conv2d(16, (3, 1), padding=(1, 0)), (8, 9, 1)),
    "wide": (Conv2d(5, 3, padding=1), (4, 3, 31)),
    "groups in blocks": (Conv2d(64, 3, 1, 1, 1, 2), (64, 4, 5)),
    "groups that share blocks": (Conv2d(12, 3, 2, 1, 1, 3), (24, 5, 5)),
    "many groups": (Conv2d(40, 3, 1, 1, 1, 20), (40, 4, 4)),
    "depthwise": (Conv2d(20, 3, 1, 1, 1, 20), (20, 6, 6)),
    "depthwise stride 2": (Conv2d(20, 5, 2, 2, 1, 20), (20, 9, 8)),
    "depthwise to one pixel": (Conv2d(20, 3, 2, 1, 1, 20), (20, 2, 2)),
    "depthwise 7x7 dilated": (Conv2d(17, 7, 1, 6, 2, 17, bias=False), (17, 8, 5)),
    "depthwise of one column": (Conv2d(17, 3, (3, 1), 1, 1, 17), (17, 8, 1)),
    "depthwise with multiplier": (Conv2d(32, 3, 1, 1, 1, 16), (16, 5, 5)),
    "transposed": (ConvTranspose2d(8, 3, 2, 1, output_padding=1), (20, 4, 3)),
    "transposed, gaps": (ConvTranspose2d(8, 2, 3), (5, 4, 3)),
    "transposed from one pixel": (ConvTranspose2d(8, 4), (20, 1, 1)),
    "transposed in groups": (ConvTranspose2d(12, 3, 2, 1, 1, 4), (8, 4, 5)),
    "transposed depthwise": (ConvTranspose2d(18, 3, 2, 1, 1, 18), (18, 4, 5)),
    "listed connections": (PartialConv2d(((0, 1), (2, 0, 5), (3,), (1, 2, 3, 4, 5)), 3), (6, 5, 6)),
}


@pytest.mark.parametrize(("target", "precision"), TARGETS_AND_PRECISIONS)
@pytest.mark.parametrize("name", CASES)
def test_every_kind_on_every_target(name: str, target: str, precision: Precision) -> None:
    op, shape = CASES[name]
    check(Layer(op, shape, target=target, precision=precision), TOLERANCE[precision], adds=target == "neon")


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_tensors_without_borders_are_copied(name: str, adds: bool) -> None:
    op, shape = CASES[name]
    check(Layer(op, shape, target="portable", halo=False), 1e-13, adds=adds)


@st.composite
def convolutions(draw: Any) -> tuple[Op, tuple[int, int, int]]:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = (groups * draw(st.integers(1, 7)) for _ in range(2))
    kind = draw(st.sampled_from(["conv", "depthwise", "transposed"]))
    groups, filters = (channels, channels) if kind == "depthwise" else (groups, filters)
    kernel, stride, dilation = (draw(st.tuples(*[st.integers(1, most)] * 2)) for most in (4, 3, 2))
    padding = tuple(draw(st.tuples(*[st.integers(0, 3)] * 2)) for _ in range(2))
    shape = (channels, draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    made = ConvTranspose2d if kind == "transposed" else Conv2d
    return made(filters, kernel, stride, padding, dilation, groups, draw(st.booleans())), shape


@given(convolutions(), st.integers(1, 3), st.booleans())
@settings(max_examples=80)
def test_generated_convolutions(case: tuple[Op, tuple[int, int, int]], images: int, adds: bool) -> None:
    op, shape = case
    try:
        op.out_shape(shape)
    except OperatorError:
        return
    check(Layer(op, shape, target="portable", images=images, halo=not adds), 1e-13, adds=adds)


@pytest.mark.parametrize("name", ["stride 2", "dilated", "many groups", "depthwise stride 2", "transposed"])
def test_gradients_are_finite_differences(name: str) -> None:
    op, (channels, height, width) = CASES[name]
    layer = Layer(op, (channels, height, width), images=1)
    found = layer.run()
    generator = np.random.default_rng(1)
    inside = layer.input.inside()[:, :, :, :, :]
    for _ in range(10):
        place = [int(generator.integers(size)) for size in inside.shape[:-1]]
        lane = int(generator.integers(min(channels - place[1] * layer.lanes, layer.lanes)))
        slope = _slope(layer, inside, (*place, lane))
        channel = place[1] * layer.lanes + lane
        assert error(np.array(found.to_input[place[0], channel, place[2], place[3]]), slope) < 1e-6
    for name_of, values in layer.parameters.items():
        for _ in range(10):
            spot = tuple(int(generator.integers(size)) for size in values.shape)
            assert error(np.array(found.parameters[name_of][spot]), _slope(layer, values, spot)) < 1e-6


def _slope(layer: Layer, array: Any, place: tuple[int, ...], step: float = 1e-3) -> Any:
    """Return the derivative of the sum of output times gradient; it is linear in every number."""
    old, sums = array[place], []
    for sign in (1, -1):
        array[place] = old + sign * step
        sums.append(float((layer.forward() * layer.gradient).sum()))
    array[place] = old
    return np.array((sums[0] - sums[1]) / (2 * step))


@pytest.mark.parametrize("name", CASES)
def test_the_number_of_threads_changes_no_bit(name: str) -> None:
    op, shape = CASES[name]
    results = [Layer(op, shape, precision="float32", threads=threads, images=3).run() for threads in (1, 2, 3, 2)]
    for other in results[1:]:
        assert np.array_equal(results[0].output, other.output)
        assert np.array_equal(results[0].to_input, other.to_input)
        for key, values in other.parameters.items():
            assert np.array_equal(results[0].parameters[key], values)


@pytest.mark.parametrize("shape", [(16, 40, 40), (3, 64, 64)])
def test_many_positions_are_summed_in_parts(shape: tuple[int, int, int]) -> None:
    for op in (Conv2d(16, 3, padding=1), Conv2d(shape[0], 3, padding=1, groups=shape[0])):
        results = [Layer(op, shape, precision="float32", threads=threads, images=4) for threads in (1, 2, 3)]
        gradients = [layer.run().parameters["weight"] for layer in results]
        assert all(np.array_equal(gradients[0], other) for other in gradients)
        assert error(gradients[0], results[0].expected().parameters["weight"]) < 2e-6


FUSED = [
    "3x3",
    "1x1 on one pixel",
    "one column",
    "groups that share blocks",
    "groups in blocks",
    "depthwise",
    "depthwise of one column",
    "transposed",
]


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_inference_fuses_scale_residual_and_activation(name: str, precision: Precision) -> None:
    op, shape = CASES[name]
    layer = Layer(op, shape, precision=precision)
    generator = np.random.default_rng(3)
    channels = layer.gradient.shape[1]
    scale, shift = (aligned(-(-channels // layer.lanes) * layer.lanes, precision) for _ in range(2))
    scale[:channels], shift[:channels] = generator.normal(size=(2, channels))
    residual = Blocked.make(2, layer.gradient.shape[1:], ((2, 1), (1, 0)), layer.lanes, precision)
    residual.write(layer.gradient)
    parts = conv.forward_parts(layer.operation, conv.Fusion("ReLU", residual, scale, shift))
    Program(parts.pack).run(team(2))
    wanted = layer.expected().output * scale[:channels, None, None] + shift[:channels, None, None] + layer.gradient
    for _ in range(2):
        Program(parts.compute).run(team(2))
        assert error(layer.output.read(), np.maximum(wanted, 0)) <= TOLERANCE[precision]


def test_changed_weights_take_effect_when_they_are_packed_again() -> None:
    layer = Layer(Conv2d(20, 3, padding=1), (18, 5, 5))
    steps = conv.forward_parts(layer.operation)
    Program(steps.pack + steps.compute).run(team(2))
    layer.parameters["weight"] *= -2
    plan = plan_of(layer.op, layer.parameters["weight"], (18, 5, 5))
    Program(steps.pack + steps.compute).run(team(2))
    wanted = correlated(plan, layer.x, layer.gradient) + layer.parameters["bias"][:, None, None]
    assert error(layer.output.read(), wanted) < 1e-13


def test_nothing_is_asked_of_a_frozen_first_layer() -> None:
    layer = Layer(Conv2d(8, 3), (3, 5, 5))
    output = cast("Any", layer.output)
    assert conv.backward(Gradient(layer.operation, output, (None,), (False,), {})) == []
