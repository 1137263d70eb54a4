"""First values: each recipe against its formula, who starts by which recipe, and what the signal does then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import sqrt
from typing import Any, get_args

import numpy as np
import pytest

from archcost.build import Builder, Sequential
from archcost.engine.initial import CHUNK, initial_tensors, recipe_name
from archcost.engine.network import Network
from archcost.engine.recipes import RECIPES
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.ops import BatchNorm2d, Conv2d, ConvTranspose2d, Flatten, LayerNorm, Linear, ReLU, Scale
from archcost.zoo.catalogue import CATALOGUE, load
from archcost.zoo.entry import RecipeName

Values = dict[str, np.ndarray[Any, Any]]
Formula = Callable[[float, float], float]

KURTOSIS = {"normal": 3.0, "uniform": 1.8, "truncated": 2.3656}
"""Fourth moment over squared second one; the third is that of a normal distribution cut at two deviations."""

KEPT = 0.87962
"""Standard deviation of a normal distribution cut at two deviations, in units of the whole one's."""

FAR = {"normal": 6.0, "uniform": sqrt(3), "truncated": 2 / KEPT}
"""Standard deviations that no value lies beyond (a normal one: but once in 500 million)."""


def fixed(value: float) -> Formula:
    return lambda _fan_in, _fan_out: value


def he_in(fan_in: float, _fan_out: float) -> float:
    return sqrt(2 / fan_in)


def he_out(_fan_in: float, fan_out: float) -> float:
    return sqrt(2 / fan_out)


def glorot(fan_in: float, fan_out: float) -> float:
    return sqrt(2 / (fan_in + fan_out))


def unit(fan_in: float, _fan_out: float) -> float:
    return sqrt(1 / fan_in)


def lecun(fan_in: float, _fan_out: float) -> float:
    return 2.4 / fan_in / sqrt(3)


def efficientnet_dense(_fan_in: float, fan_out: float) -> float:
    return sqrt(1 / fan_out / 3)


FORMULAS: dict[RecipeName, tuple[tuple[str, Formula], tuple[str, Formula], tuple[str, Formula]]] = {
    # recipe: convolutions, hidden dense layers, the layer that makes the logits
    "he": (("normal", he_in), ("uniform", glorot), ("uniform", glorot)),
    "glorot": (("uniform", glorot), ("uniform", glorot), ("uniform", glorot)),
    "he_mobile": (("normal", he_out), ("normal", fixed(0.01)), ("normal", fixed(0.01))),
    "variance_scaling": (("truncated", he_in), ("uniform", glorot), ("uniform", glorot)),
    "nasnet": (("truncated", he_out), ("truncated", he_out), ("truncated", he_out)),
    "lenet": (("uniform", lecun), ("uniform", lecun), ("uniform", lecun)),
    "alexnet": (("normal", fixed(0.01)), ("normal", fixed(0.01)), ("normal", fixed(0.01))),
    "googlenet": (("uniform", unit), ("uniform", unit), ("uniform", unit)),
    "googlenet_bn": (("normal", fixed(0.01)), ("normal", fixed(0.01)), ("normal", fixed(0.01))),
    "squeezenet": (("uniform", unit), ("uniform", unit), ("normal", fixed(0.01))),
    "efficientnet": (("normal", he_out), ("uniform", efficientnet_dense), ("uniform", efficientnet_dense)),
    "convnext": (("normal", fixed(0.02)), ("normal", fixed(0.02)), ("normal", fixed(0.02))),
    "deeplab": (("truncated", fixed(0.09 * KEPT)), ("uniform", glorot), ("uniform", glorot)),
}

FANS: dict[str, tuple[int, float, float]] = {
    # layer: which of the three formulas, products in an output, products with an input
    "standard": (0, 16 * 9, 128 * 9),
    "grouped": (0, 32 * 9, 64 * 9),
    "depthwise": (0, 25, 25),
    "pointwise": (0, 256, 96),
    "transposed": (0, 96 * 16 / 4, 64 * 16),  # at stride 2 a 4x4 kernel puts 4 of its 16 taps on each output
    "hidden": (1, 64 * 4, 400),
    "logits": (2, 400, 300),
}


@cache
def every_kind() -> Graph:
    """Return a network with every kind of layer, each of some ten thousand weights or more."""
    net = Builder("every kind")
    x = net.input((16, 2, 2))
    x = net(Conv2d(128, 3, padding=1), x, name="standard")
    x = net(Conv2d(256, 3, padding=1, groups=4), x, name="grouped")
    x = net(Conv2d(256, 5, padding=2, groups=256), x, name="depthwise")
    x = net(Conv2d(96, 1), x, name="pointwise")
    x = net(ConvTranspose2d(64, 4, stride=2, padding=1), x, name="transposed")
    x = net(Conv2d(64, 2, stride=2, groups=64), x, name="narrowing")
    x = net(Scale(), net(LayerNorm(axis=0), net(BatchNorm2d(), x, name="bn"), name="ln"), name="scale")
    x = net(ReLU(), net(Linear(400), net(Flatten(), x, name="flatten"), name="hidden"), name="relu")
    return net.build(net(Linear(300), x, name="logits"))


def parameters(graph: Graph, initial: str | None = None, seed: int = 0) -> Values:
    return initial_tensors(graph, seed, "float32", initial)[0]


def check(values: np.ndarray[Any, Any], distribution: str, deviation: float) -> None:
    """Compare mean, deviation, kurtosis and extremes with those of a distribution, at five standard errors."""
    exact = values.astype(np.float64).ravel()
    count = exact.size
    assert abs(exact.mean()) < 5 * deviation / sqrt(count)
    kurtosis = KURTOSIS[distribution]
    # 0.5 %: TensorFlow's 1.3 makes up for slightly more than what is cut.
    assert exact.std() == pytest.approx(deviation, rel=0.005 + 2.5 * sqrt((kurtosis - 1) / count))
    assert (exact**4).mean() / exact.var() ** 2 == pytest.approx(kurtosis, abs=5 * sqrt(24 / count))
    assert 0.9 * FAR[distribution] * deviation * (distribution != "normal") < np.abs(exact).max()
    assert np.abs(exact).max() <= FAR[distribution] * deviation * 1.004


@pytest.mark.parametrize("recipe", FORMULAS)
def test_weights_follow_the_formula_of_the_recipe(recipe: RecipeName) -> None:
    values = parameters(every_kind(), recipe)
    for layer, (role, fan_in, fan_out) in FANS.items():
        distribution, formula = FORMULAS[recipe][role]
        check(values[f"{layer}.weight"], distribution, formula(fan_in, fan_out))


def test_every_recipe_has_a_formula_here_and_every_network_a_recipe() -> None:
    assert set(RECIPES) == set(FORMULAS) == set(get_args(RecipeName))
    assert set(RECIPES) == {entry.initial for entry in CATALOGUE.values()}


@pytest.mark.parametrize(
    ("name", "recipe"),
    {
        "lenet": "he", "lenet5_1998": "lenet", "alexnet": "alexnet", "alexnet_owt": "alexnet",
        "vgg19": "glorot", "vgg16_c": "glorot", "vgg16_bn": "he_mobile", "googlenet": "googlenet",
        "inception_module": "googlenet", "googlenet_bn": "googlenet_bn", "se_inception": "he",
        "inception_v4": "variance_scaling", "xception": "glorot", "xception65": "deeplab",
        "squeezenet1_1": "squeezenet", "resnet50_v1": "he", "plain34": "he", "resnet110_cifar": "he",
        "wrn_28_10": "he", "resnext50_32x4d": "he", "seresnet50": "he", "densenet121": "he",
        "shufflenet_v2_x1_0": "he", "regnety_080": "he_mobile", "regnet_x_8gf": "he_mobile",
        "convnext_tiny": "convnext", "mobilenet_v1": "he_mobile", "se_mobilenet_v1": "he",
        "mobilenet_v3_small": "he_mobile", "mnasnet1_0": "efficientnet", "efficientnet_b7": "efficientnet",
        "efficientnet_v2_s": "efficientnet", "ghostnet_100": "he_mobile", "nasnetalarge": "nasnet",
        "pnasnet5large": "nasnet",
    }.items(),
)  # fmt: skip
def test_families_start_as_their_papers_or_authors_do(name: str, recipe: str) -> None:
    assert CATALOGUE[name].initial == recipe


def test_constants() -> None:
    graph = every_kind()
    values, buffers = initial_tensors(graph, 0, "float32", "convnext")
    assert set(values) | set(buffers) == set(graph.tensors())
    for name, value in values.items():
        if name.endswith("bias"):
            assert not value.any(), name
    assert (values["bn.weight"] == 1).all()
    assert (values["ln.weight"] == 1).all()
    assert (values["scale.weight"] == np.float32(1e-6)).all()
    assert not buffers["bn.running_mean"].any()
    assert (buffers["bn.running_var"] == 1).all()
    assert buffers["bn.num_batches_tracked"] == 0


def test_alexnet_starts_some_biases_at_one() -> None:
    values = parameters(load("alexnet", resolution=67, num_classes=10))
    ones = {name for name, value in values.items() if name.endswith("bias") and (value == 1).all()}
    zeros = {name for name, value in values.items() if name.endswith("bias") and not value.any()}
    assert ones == {"conv2.bias", "conv4.bias", "conv5.bias", "fc6.bias", "fc7.bias"}
    assert zeros == {"conv1.bias", "conv3.bias", "fc8.bias"}
    check(values["conv2.weight"], "normal", 0.01)


def test_googlenet_starts_biases_at_a_fifth_but_for_its_classifiers() -> None:
    graph = load("googlenet", aux=True, num_classes=7)
    values = parameters(graph)
    classifiers = {name for name, value in values.items() if name.endswith("bias") and value.shape == (7,)}
    assert len(classifiers) == 3
    for name, value in values.items():
        if name.endswith("bias"):
            assert (value == np.float32(0 if name in classifiers else 0.2)).all(), name
    module = parameters(load("inception_module"))  # its outputs are maps, not logits
    assert all((value == np.float32(0.2)).all() for name, value in module.items() if name.endswith("bias"))


def test_lenet5_divides_by_the_inputs_of_each_unit() -> None:
    graph = load("lenet5_1998")
    values = parameters(graph)
    limits = {"C1": 2.4 / 25, "S2": 2.4 / 4, "S4": 2.4 / 4, "C5": 2.4 / (16 * 25), "F6": 2.4 / 120}
    for name, limit in limits.items():
        largest = np.abs(values[f"{name}.weight"]).max()
        assert 0.5 * limit < largest <= limit * 1.000001, name
    # Table I: 6 maps see 3 maps, 9 see 4, the last sees all 6.
    weight, start = values["C3.weight"], 0
    for maps in (*[3] * 6, *[4] * 9, 6):
        limit = 2.4 / (25 * maps)
        assert 0.9 * limit < np.abs(weight[start : start + maps]).max() <= limit * 1.000001
        start += maps
    assert start == len(weight)
    assert set(np.unique(initial_tensors(graph, 0, "float32")[1]["output.prototypes"])) == {-1, 1}


def test_subsampling_elsewhere_starts_as_the_mean() -> None:
    assert (parameters(load("lenet5_1998"), "he")["S2.weight"] == 0.25).all()


def test_the_last_convolution_of_squeezenet_has_its_own_rule_and_efficientnet_follows_the_classes() -> None:
    check(parameters(load("squeezenet1_1"))["classifier.1.weight"], "normal", 0.01)
    classifier = parameters(load("efficientnet_b0", num_classes=20))["classifier.1.weight"]
    check(classifier, "uniform", sqrt(1 / 20 / 3))


def test_values_depend_on_seed_and_place_alone() -> None:
    graph = Sequential([Flatten(), Linear(600), Linear(600)], (5, 10, 10))
    first = graph.nodes[2].name
    one, _ = initial_tensors(graph, 7, "float32", "deeplab")
    for other in (
        initial_tensors(graph, 7, "float32", "deeplab")[0],
        initial_tensors(graph, 7, "float32", "deeplab", threads=3)[0],
        initial_tensors(graph, 7, "float64", "deeplab")[0],
    ):
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)
    for dtype in ("float32", "float64"):
        into = {name: np.full_like(value, np.nan, dtype) for name, value in list(one.items())[1:]}
        placed, _ = initial_tensors(graph, 7, dtype, "deeplab", into=into)
        for name, value in one.items():
            assert placed[name] is into.get(name, placed[name])
            np.testing.assert_array_equal(value, placed[name], err_msg=name)
    again, _ = initial_tensors(graph, 8, "float32", "deeplab")
    weight = one[f"{first}.weight"]
    assert (weight != again[f"{first}.weight"]).mean() > 0.99
    flat = weight.ravel()
    assert flat.size > CHUNK
    beyond = flat.size - CHUNK
    assert (flat[:beyond] != flat[CHUNK:]).mean() > 0.99  # each chunk has a stream of its own
    second = one[f"{graph.nodes[3].name}.weight"].ravel()
    assert (flat != second[: flat.size]).mean() > 0.99


def test_the_recipe_follows_the_name_and_is_no_part_of_the_graph() -> None:
    graph = load("efficientnet_b0", num_classes=10, resolution=64)
    assert recipe_name(graph) == "efficientnet"
    assert recipe_name(Graph.from_json(graph.to_json())) == "efficientnet"
    assert recipe_name(graph.named("mine")) == "he"
    assert recipe_name(graph, "glorot") == "glorot"
    assert "initial" not in graph.to_json()


def test_a_network_takes_the_recipe_by_name() -> None:
    graph = load("lenet")
    chosen = Network(graph, initial="squeezenet").parameters
    for name, value in parameters(graph, "squeezenet").items():
        np.testing.assert_array_equal(chosen[name], value, err_msg=name)
    with pytest.raises(UsageError, match=r"`initial` \(='glorrot'\) must be one of 'he', .*did you mean 'glorot'\?"):
        Network(graph, initial="glorrot")


def test_parameters_that_are_set_anyway_need_not_be_drawn() -> None:
    graph = load("lenet5_1998")
    network = Network(graph, initial="zeros")
    assert not any(value.any() for value in network.parameters.values())
    drawn = Network(graph)
    assert network.parameters.keys() == drawn.parameters.keys()
    for name, value in drawn.buffers.items():
        np.testing.assert_array_equal(network.buffers[name], value, err_msg=name)


@pytest.mark.parametrize("recipe", [None, "zeros"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_arrays_begin_at_cache_lines(precision: str, recipe: str | None) -> None:
    parameters, _ = initial_tensors(load("lenet"), 0, precision, recipe)
    assert not any(array.ctypes.data % 64 for array in parameters.values())


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "0"])
def test_a_seed_is_a_number_from_zero(seed: Any) -> None:
    with pytest.raises(UsageError, match=r"`seed` \(=.*\) must be an integer from 0 to 2\*\*63 - 1"):
        initial_tensors(load("lenet"), seed, "float32")


def with_narrow_dense_layers(graph: Graph) -> Graph:
    """Return ``graph`` with 256 features for 4096: VGG as deep as ever, with a tenth of its 138 million parameters."""
    nodes = [replace(node, op=Linear(256)) if node.op == Linear(4096) else node for node in graph]
    return Graph(tuple(nodes), graph.outputs, graph.name)


@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2", "googlenet"])
def test_the_signal_neither_vanishes_nor_explodes_in_a_deep_network(name: str) -> None:
    network = Network(with_narrow_dense_layers(load(name, resolution=64)))
    images = np.random.default_rng(0).standard_normal((2, 3, 64, 64)).astype(np.float32)
    logits = network(images)
    assert isinstance(logits, np.ndarray)
    assert np.isfinite(logits).all()
    # Glorot's rule halves the mean square in each of VGG's 15 layers of ReLU, down to 2**-7.5 = 0.006 of the deviation,
    # and the padding of small maps takes its share.
    assert 1e-3 < logits.std() < 100
    # What differs between the images must arrive, if only by a hundredth beside what GoogLeNet's biases add.
    assert np.std(logits[0] - logits[1]) > 0.005 * logits.std()
