"""What training computes together with a BatchNorm: which operators, and that results are those of each alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcost.build import Builder, Tensor
from archcost.engine.fusion import Chain
from archcost.engine.lowering import Lowered
from archcost.engine.network import Network
from archcost.engine.plan import GRADIENT, Plan
from archcost.engine.program import Program
from archcost.engine.training import Training
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.ops import (
    Add,
    BatchNorm2d,
    Conv2d,
    DropPath,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mul,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
)
from tests.engine.built import compile_nothing
from tests.engine.test_network import batch

CHANNELS, IMAGES = 10, 4


def residual_blocks() -> Graph:
    """Return a network with the blocks of ResNet, MobileNet V2 and EfficientNet, and sums that cannot be fused."""
    net = Builder("blocks")

    def conv(x: Tensor, name: str, kernel: int = 1) -> Tensor:
        return net(Conv2d(CHANNELS, kernel, padding=kernel // 2, bias=False), x, name=name)

    def norm(x: Tensor, name: str) -> Tensor:
        return net(BatchNorm2d(eps=1e-2), x, name=name)

    x = net(SiLU(), norm(conv(net.input((3, 5, 6)), "stem", 3), "stem_norm"), name="stem_silu")
    y = net(LeakyReLU(0.1), norm(conv(x, "first", 3), "first_norm"), name="first_leaky")
    y = norm(conv(y, "second"), "second_norm")
    x = net(ReLU(), net(Add(), y, x, name="identity_add"), name="identity_relu")
    y = norm(conv(x, "branch"), "branch_norm")
    x = net(Add(), y, norm(conv(x, "projection"), "projection_norm"), name="projected_add")
    x = net(ReLU6(), x, name="projected_relu")
    x = net(Add(), x, norm(conv(x, "bottleneck"), "bottleneck_norm"), name="linear_add")
    # The summand is the normalised map itself; an activation behind a sum that needs its input; a second reader.
    x = net(Add(), x, norm(x, "own_norm"), name="own_add")
    x = net(SiLU(), net(Add(), x, norm(conv(x, "late"), "late_norm"), name="late_add"), name="late_silu")
    y = norm(x, "shared_norm")
    x = net(Add(), net(Sigmoid(), y, name="gate"), y, name="shared_add")
    x = net(Flatten(), net(GlobalAvgPool(), x, name="pool"), name="flatten")
    return net.build(net(Linear(5), x, name="fc"))


def plan_of(graph: Graph, *frozen: str) -> Plan:
    trained = frozenset(node.name for node in graph if graph.params(node) and node.name not in frozen)
    return Plan(graph, training=True, trained=trained)


def found(chain: Chain) -> tuple[str | None, str, tuple[str, ...]]:
    return chain.residual, chain.activation, chain.members


def results(network: Network, images: Any, labels: Any) -> dict[str, Any]:
    """Return loss, gradients and statistics of a step."""
    loss, gradients = network.loss_and_gradients(images, labels)
    return {"loss": np.array(loss), **gradients, **{name: array.copy() for name, array in network.buffers.items()}}


def test_which_operators_go_together_with_a_batch_norm() -> None:
    graph = residual_blocks()
    chains = {chain.head.name: found(chain) for chain in plan_of(graph).whole.values()}
    assert chains == {
        "stem_norm": (None, "SiLU", ("stem_silu",)),
        "first_norm": (None, "LeakyReLU:0.1", ("first_leaky",)),
        "second_norm": ("stem_silu", "ReLU", ("identity_add", "identity_relu")),
        # The later of the two branches adds the other.
        "projection_norm": ("branch_norm", "ReLU6", ("projected_add", "projected_relu")),
        "bottleneck_norm": ("projected_relu", "Identity", ("linear_add",)),
        # SiLU's gradient would need the sum, which is not kept.
        "late_norm": ("own_add", "Identity", ("late_add",)),
    }


def test_a_frozen_batch_norm_and_the_one_that_feeds_an_output_stay_alone() -> None:
    assert "stem_silu" not in plan_of(residual_blocks(), "stem_norm").whole
    net = Builder("ends")
    x = net(BatchNorm2d(), net(Conv2d(4, 1), net.input((3, 2, 2)), name="conv"), name="norm")
    y = net(ReLU(), x, name="relu")
    assert not plan_of(net.build(x, y)).whole
    assert set(plan_of(net.build(y)).whole) == {"relu"}


def test_a_sum_below_which_nothing_is_trained_is_not_fused() -> None:
    graph = residual_blocks()
    below = ["stem", "stem_norm", "first", "first_norm", "second"]
    whole = plan_of(graph, *below).whole
    assert "identity_relu" not in whole
    assert "projected_relu" in whole


def test_inference_and_kept_tensors_do_without_such_chains() -> None:
    graph = residual_blocks()
    assert not Plan(graph, training=False).whole
    trained = frozenset(node.name for node in graph if graph.params(node))
    assert not Plan(graph, training=True, trained=trained, keep=True).whole


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_results_are_those_of_every_operator_alone(monkeypatch: pytest.MonkeyPatch, precision: Any) -> None:
    graph = residual_blocks()
    images, labels = batch(graph, IMAGES, precision)
    fused = Network(graph, precision=precision)
    together = results(fused, images, labels)
    monkeypatch.setenv("ARCHCOST_FUSED_NORM", "off")
    assert not plan_of(graph).whole
    alone = results(Network(graph, precision=precision), images, labels)
    tolerance = 1e-5 if precision == "float32" else 1e-13
    assert together.keys() == alone.keys()
    for name, wanted in alone.items():
        assert np.abs(together[name] - wanted).max() <= tolerance * np.abs(wanted).max(), name


def test_gradients_are_finite_differences_and_bits_do_not_depend_on_threads() -> None:
    graph = residual_blocks()
    images, labels = batch(graph, IMAGES)
    net = Network(graph, precision="float64", threads=1)
    _, gradients = net.loss_and_gradients(images, labels)
    for threads in (2, 3):
        _, others = Network(graph, precision="float64", threads=threads).loss_and_gradients(images, labels)
        for name, gradient in gradients.items():
            np.testing.assert_array_equal(gradient, others[name], err_msg=name)
    generator = np.random.default_rng(6)
    for name, gradient in gradients.items():
        flat = net.parameters[name].reshape(-1)
        for place in generator.choice(flat.size, 2, replace=False):
            before, step = flat[place], 1e-6
            losses = []
            for moved in (before + step, before - step):
                flat[place] = moved
                losses.append(net.loss_and_gradients(images, labels)[0])
            flat[place] = before
            slope = (losses[0] - losses[1]) / (2 * step)
            assert gradient.reshape(-1)[place] == pytest.approx(slope, rel=1e-5, abs=1e-8), name


def test_the_input_of_a_fused_activation_has_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_nothing(monkeypatch)
    graph = residual_blocks()
    net = Network(graph)
    training = Training(graph, 1, net.setting, net.trained, net.gradients.arrays)
    held = {name for _, name in training.lowered.memory.tensors}
    assert "stem_silu" in held
    assert not {"stem_norm", "second_norm", "late_norm"} & held


def test_a_gradient_takes_the_memory_of_the_one_that_it_follows_from() -> None:
    owners = plan_of(residual_blocks()).owners[GRADIENT]
    # A summand, whether behind an activation or not, and the gradient of a BatchNorm that stands alone before it.
    assert owners["stem_silu"] == "identity_add"
    assert owners["projected_relu"] == owners["branch_norm"] == owners["branch"] == "linear_add"
    # A 3x3 convolution reads its output's gradient with a border; what others have added to stays where it is.
    assert owners["first"] == "first"
    assert owners["identity_relu"] == "identity_add"


def test_a_switch_that_is_neither_on_nor_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHCOST_FUSED_NORM", "maybe")
    with pytest.raises(UsageError, match=r"ARCHCOST_FUSED_NORM \(='maybe'\) must be on or off"):
        plan_of(residual_blocks())


def gated(ends: str) -> Graph:
    """Return a squeeze-and-excitation block that ends in a shortcut and an activation, one of them, or neither."""
    net = Builder("gated")
    x = net(Conv2d(CHANNELS, 1), net.input((3, 4, 5)), name="stem")
    y = net(DropPath(0.2), net(Conv2d(CHANNELS, 1), x, name="branch"), name="drop")
    y = net(Add(), y, x, name="add") if "shortcut" in ends else y
    gate = net(Sigmoid(), net(Conv2d(CHANNELS, 1), net(GlobalAvgPool(), y, name="mean"), name="excite"), name="gate")
    z = net(Mul(), y, gate, name="scaled")
    z = net(Add(), z, x, name="sum") if "shortcut" in ends else z
    z = net(ReLU(), net(DropPath(0.1), z, name="drop2"), name="relu") if "activation" in ends else z
    return net.build(net(Conv2d(4, 1), z, name="head"))


@pytest.mark.parametrize("ends", ["shortcut activation", "shortcut", "activation", ""])
def test_inference_scales_adds_and_activates_at_once_past_what_does_nothing(ends: str) -> None:
    graph = gated(ends)
    network = Network(graph, threads=2)
    plan = Plan(graph, training=False)
    found = {work.node.name: work.nodes for work in plan.forward if work.chain}
    expected = ["sum"] if "shortcut" in ends else []
    expected += ["drop2", "relu"] if "activation" in ends else []
    assert found.get("scaled", ("scaled",)) == ("scaled", *expected)
    assert found["branch"] == (("branch", "drop", "add") if "shortcut" in ends else ("branch",))
    images, _ = batch(graph, 3, "float32")
    lowered = Lowered(graph, 3, network.setting, training=False, keep=True)
    lowered.inputs[graph.inputs[0].name][...] = images
    Program([*lowered.forward, *lowered.finish]).run(network.team)
    np.testing.assert_allclose(network(images), lowered.outputs["head"], rtol=1e-5, atol=1e-6)


def pooled() -> Graph:
    """Return a network with four ReLUs before max pools: one has another reader, one goes back with a BatchNorm."""
    net = Builder("pooled")
    x = net(ReLU(), net(Conv2d(3, 3), net.input((2, 12, 12)), name="conv1"), name="relu1")
    x = net(ReLU(), net(Conv2d(3, 3, padding=1), net(MaxPool2d(3, 2, 1), x, name="pool1"), name="conv2"), name="relu2")
    y = net(Add(), net(Conv2d(3, 1), x, name="conv3"), x, name="add")
    y = net(Add(), net(MaxPool2d(1), x, name="pool2"), y, name="sum")
    y = net(MaxPool2d(1), net(ReLU(), net(BatchNorm2d(), y, name="norm"), name="relu3"), name="pool3")
    y = net(MaxPool2d(2, ceil_mode=True), net(ReLU(), net(Conv2d(5, 2), y, name="conv4"), name="relu4"), name="pool4")
    return net.build(net(Linear(4), net(Flatten(), y), name="fc"))


def test_a_max_pool_takes_the_relu_before_it_back() -> None:
    graph = pooled()
    plan = plan_of(graph)
    assert plan.rectified == {"pool1": "relu1", "pool4": "relu4"}
    assert {node.name for node in plan.backward} & {"relu1", "relu2", "relu3", "relu4"} == {"relu2", "relu3"}
    images, labels = batch(graph, 3)
    net = Network(graph, precision="float64", threads=1)
    gradients = []
    for keep in (True, False):
        training = Training(graph, 3, net.setting, net.trained, net.gradients.arrays, keep=keep)
        training.lowered.inputs[graph.inputs[0].name][...] = images
        training.labels[:] = labels
        training.program.run(net.team)
        gradients.append({name: array.copy() for name, array in net.gradients.arrays.items()})
    for name, alone in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name], alone, rtol=1e-10, atol=1e-14, err_msg=name)
        assert alone.any(), name
