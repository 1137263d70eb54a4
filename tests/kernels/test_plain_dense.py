"""Dense layers on their plain weights: values and gradients against NumPy, bits, memory, and the switch."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.build import Builder
from archcost.engine.network import Network
from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.errors import UsageError
from archcost.kernels import plain_gradient
from archcost.kernels.conv import Fusion
from archcost.kernels.dense import forward_parts, linear_backward
from archcost.kernels.layout import Blocked, aligned
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.plain_dense import suits, suits_backward
from archcost.kernels.target import TARGETS, Precision
from archcost.ops import Conv2d, Flatten, Linear, ReLU
from tests.kernels.convolving import Array, error
from tests.kernels.running import JUNK, tensor

TOLERANCE = {"float32": 3e-6, "float64": 1e-13}
KINDS = [("avx512", "float32"), ("avx2", "float64")]


class Dense:
    """A dense layer on vectors or flattened maps (C, H, W), with random numbers; the weight lies between NaN."""

    def __init__(
        self,
        images: int,
        shape: tuple[int, int, int],
        outputs: int,
        *,
        target: str = "avx512",
        precision: str = "float32",
        threads: int = 2,
        bias: bool = True,
    ) -> None:
        self.target, self.threads = target, threads
        inputs = int(np.prod(shape))
        generator = np.random.default_rng(outputs)
        self.x = generator.normal(size=(images, *shape)).astype(precision)
        self.residual = generator.normal(size=(images, outputs, 1, 1)).astype(precision)
        self.above = generator.normal(size=(images, outputs, 1, 1)).astype(precision)
        around = np.full(outputs * inputs + 128, np.nan, precision)
        self.weight = around[64:-64].reshape(outputs, inputs)
        self.weight[...] = generator.normal(size=(outputs, inputs))
        self.parameters = {"weight": self.weight}
        if bias:
            self.parameters["bias"] = generator.normal(size=outputs).astype(precision)
        self.operation = Operation(
            Linear(outputs, bias), (tensor(self.x, target),), tensor(np.full_like(self.above, JUNK), target),
            ((inputs,),), (outputs,), self.parameters, {}, TARGETS[target], cast("Precision", precision), training=True,
        )  # fmt: skip

    def forward(self, activation: str = "Identity", *, adds: bool = False) -> Array:
        """Return the output (N, outputs)."""
        residual = tensor(self.residual, self.target) if adds else None
        parts = forward_parts(self.operation, Fusion(activation, residual))
        Program([*parts.pack, *parts.compute]).run(team(self.threads))
        assert np.isfinite(self.operation.output.memory).all()
        return self.operation.output.read()[:, :, 0, 0]

    def asked(self, *, adds: bool = False) -> Gradient:
        """Return what the backward pass is asked for; a gradient that is added to begins with 2."""
        target = tensor(np.full_like(self.x, 2), self.target)
        parameters = {name: np.full_like(values, np.nan) for name, values in self.parameters.items()}
        return Gradient(self.operation, tensor(self.above, self.target), (target,), (adds,), parameters)

    def backward(self, *, adds: bool = False) -> tuple[Array, dict[str, Array]]:
        """Return the gradients of the input (N, C, H, W) and of the parameters."""
        gradient = self.asked(adds=adds)
        Program(linear_backward(gradient)).run(team(self.threads))
        target = cast("Blocked", gradient.inputs[0])
        return target.read() - (2 if adds else 0), dict(gradient.parameters)

    def expected(self) -> Array:
        """Return the output without what is fused, in float64."""
        bias = self.parameters.get("bias", 0)
        return np.asarray(self.x.reshape(len(self.x), -1).astype(np.float64) @ self.weight.T + bias)


@pytest.mark.parametrize(("target", "precision"), KINDS)
@given(images=st.integers(1, 9), inputs=st.sampled_from([37, 48, 1040]), outputs=st.sampled_from([1, 8, 10, 40]))
@settings(max_examples=15)
def test_outputs(target: str, precision: str, images: int, inputs: int, outputs: int) -> None:
    layer = Dense(images, (inputs, 1, 1), outputs, target=target, precision=precision, bias=outputs > 1)
    assert suits(layer.operation)
    wanted = layer.expected()
    assert error(layer.forward(), wanted) <= TOLERANCE[precision]
    fused = np.maximum(wanted + layer.residual[:, :, 0, 0], 0)
    assert error(layer.forward("ReLU", adds=True), fused) <= TOLERANCE[precision]


@pytest.mark.parametrize("target", ["neon", "portable"])
def test_other_vectors(target: str) -> None:
    layer = Dense(5, (6, 3, 2), 9, target=target)
    assert error(layer.forward(), layer.expected()) <= TOLERANCE["float32"]
    above, (to_input, parameters) = layer.above[:, :, 0, 0].astype(np.float64), layer.backward()
    assert error(to_input, (above @ layer.weight).reshape(layer.x.shape)) <= TOLERANCE["float32"]
    assert error(parameters["weight"], above.T @ layer.x.reshape(5, -1)) <= TOLERANCE["float32"]


@pytest.mark.parametrize(("target", "precision"), KINDS)
@pytest.mark.parametrize("shape", [(48, 1, 1), (20, 2, 2), (64, 3, 3)], ids=str)
@pytest.mark.parametrize("images", [1, 3, 8])
def test_gradients(target: str, precision: str, shape: tuple[int, int, int], images: int) -> None:
    layer = Dense(images, shape, 24, target=target, precision=precision)
    above, plain = layer.above[:, :, 0, 0].astype(np.float64), layer.x.reshape(images, -1).astype(np.float64)
    for adds in (False, True):
        assert suits_backward(layer.asked(adds=adds))
        to_input, parameters = layer.backward(adds=adds)
        assert error(to_input, (above @ layer.weight).reshape(layer.x.shape)) <= TOLERANCE[precision]
        assert error(parameters["weight"], above.T @ plain) <= TOLERANCE[precision]
        assert error(parameters["bias"], above.sum(0)) <= TOLERANCE[precision]


def test_inputs_that_fill_no_whole_vectors_are_taken_back_through_packed_weights() -> None:
    layer = Dense(3, (37, 1, 1), 10)
    assert suits(layer.operation)
    assert not suits_backward(layer.asked())
    to_input, _ = layer.backward()
    assert error(to_input[:, :, 0, 0], layer.above[:, :, 0, 0] @ layer.weight) <= TOLERANCE["float32"]


def test_neither_batch_nor_threads_change_a_bit() -> None:
    layers = [Dense(9, (64, 3, 3), 40, threads=threads) for threads in (1, 2, 3)]
    outputs = [layer.forward() for layer in layers]
    gradients = [layer.backward() for layer in layers]
    for output, (to_input, parameters) in zip(outputs[1:], gradients[1:]):
        assert np.array_equal(output, outputs[0])
        assert np.array_equal(to_input, gradients[0][0])
        assert np.array_equal(parameters["weight"], gradients[0][1]["weight"])
    alone = Dense(1, (64, 3, 3), 40)
    for name, values in layers[0].parameters.items():
        alone.parameters[name][...] = values
    for image, x in enumerate(layers[0].x):
        alone.operation.inputs[0].write(x[None])
        assert np.array_equal(alone.forward()[0], outputs[0][image])


def test_a_large_gradient_is_written_past_the_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Dense(3, (64, 3, 3), 40)
    _, usual = layer.backward()
    monkeypatch.setattr(plain_gradient, "STREAMED_BYTES", 1)
    memory = aligned(layer.weight.size + 1, "float32")
    results = [memory[start:][: layer.weight.size].reshape(layer.weight.shape) for start in (0, 1)]
    for values in results:  # the second one lies at no multiple of a vector
        values[...] = np.nan
        steps = linear_backward(replace(layer.asked(), inputs=(None,), parameters={"weight": values}))
        Program(steps).run(team(2))
        assert np.array_equal(values, usual["weight"])


def test_many_images_go_in_groups() -> None:
    layer = Dense(101, (1040, 1, 1), 16)
    assert error(layer.forward(), layer.expected()) <= TOLERANCE["float32"]


def test_nothing_as_large_as_the_weight_is_made_and_work_is_counted() -> None:
    layer = Dense(3, (64, 3, 3), 40)
    parts, gradient = forward_parts(layer.operation), layer.asked()
    backward = linear_backward(gradient)
    steps = [*parts.pack, *parts.compute, *backward]
    own = layer.weight, gradient.parameters["weight"]
    kept = [array for step in steps for array in step.keep if isinstance(array, np.ndarray)]
    assert all(any(array is one for one in own) for array in kept if array.size >= layer.weight.size)
    assert any(array is layer.weight for array in kept)
    for some in (parts.compute, [s for s in backward if s.for_weights], [s for s in backward if not s.for_weights]):
        assert sum(step.mult_adds for step in some) == 3 * layer.weight.size


def test_layers_of_many_rows_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = Dense(2, (32, 1, 1), 16).operation
    rows = replace(operation, output=Blocked.make(2, (16, 5, 1), ((0, 0), (0, 0)), 16, "float32"))
    assert not suits(rows)
    assert not suits(Dense(2, (8, 1, 1), 16).operation)  # no whole vector of inputs
    monkeypatch.setenv("ARCHCOST_PLAIN_DENSE", "off")
    assert not suits(operation)
    monkeypatch.setenv("ARCHCOST_PLAIN_DENSE", "maybe")
    with pytest.raises(UsageError, match=r"ARCHCOST_PLAIN_DENSE \(='maybe'\) must be on or off"):
        suits(operation)


def test_a_network_computes_the_same_with_packed_weights() -> None:
    net = Builder("small")
    x = net(Flatten(), net(Conv2d(16, 3, padding=1), net.input((3, 4, 5)), name="conv"), name="flat")
    graph = net.build(net(Linear(10), net(ReLU(), net(Linear(40), x, name="hidden"), name="relu"), name="logits"))
    images, labels = np.random.default_rng(4).standard_normal((3, 3, 4, 5)), np.arange(3)
    found = {}
    for switch in ("on", "off"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ARCHCOST_PLAIN_DENSE", switch)
            network = Network(graph, precision="float64", threads=2)
            found[switch] = network(images), network.loss_and_gradients(images, labels)
    alone = Network(graph, precision="float64", threads=2, inference_only=True)
    (plain, (loss, gradients)), (packed, (other_loss, others)) = found["on"], found["off"]
    assert isinstance(plain, np.ndarray)
    assert isinstance(packed, np.ndarray)
    assert error(plain, packed) <= 1e-14
    for _ in range(2):  # the steps keep the weights that they read, though the network has given them back
        assert np.array_equal(plain, alone(images))
    assert loss == pytest.approx(other_loss, abs=1e-14)
    for name, values in gradients.items():
        assert error(values, others[name]) <= 1e-13, name
