"""Transfer learning: heads, first layers, what is frozen, and weights that were made for other classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from archcost.build import Builder, Sequential
from archcost.engine.network import Network
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.interop.weights import read_weights, state_of, write_weights
from archcost.ops import BatchNorm2d, Conv2d, Flatten, GlobalAvgPool, Linear, MaxPool2d, ReLU, Softmax
from archcost.train.transfer import (
    FINE_TUNE_FACTOR,
    PRESETS,
    first_layers,
    head_nodes,
    load_pretrained,
    parameter_counts,
    transfer,
)
from archcost.zoo.catalogue import load

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.mark.parametrize(
    ("name", "options", "head"),
    [
        ("lenet", {}, ("fc3",)),
        ("vgg16", {}, ("classifier.6",)),
        ("resnet50", {}, ("fc",)),
        ("squeezenet1_1", {}, ("classifier.1",)),
        ("mobilenet_v3_small", {}, ("classifier.3",)),
        ("googlenet", {"aux": True}, ("aux1.fc2", "aux2.fc2", "fc")),
        ("lenet5_1998", {}, ("F6", "output")),
    ],
)
def test_the_head_is_what_makes_the_classes(name: str, options: dict[str, Any], head: tuple[str, ...]) -> None:
    assert head_nodes(load(name, **options)) == head


@pytest.mark.parametrize("graph", [load("inception_module"), Sequential([ReLU(), Flatten()], (1, 2, 2))])
def test_a_network_without_classifier_is_refused(graph: Graph) -> None:
    with pytest.raises(UsageError, match="has no classifier: its outputs are no vectors of classes made by a layer"):
        transfer(graph, "fine-tune")


@pytest.mark.parametrize(
    ("name", "last", "beyond", "scalars"),
    [
        # VGG-16: two convolutions each at 224 and 112: 1,792 + 36,928 + 73,856 + 147,584 parameters
        ("vgg16", "features.7", "features.10", 260_160),
        # conv1 9,408, its bn 128, layer1 215,808
        ("resnet50_v1", "layer1.2.bn3", "layer2.0.conv1", 225_344),
        # 3*6*25 + 6 at 28; the second convolution's 10 is below the mean of 32 and 10
        ("lenet", "conv1", "conv2", 156),
        # 16*27 + 32, and six convolutions of 16*16*9 + 32 each
        ("resnet20_cifar", "layer1.2.bn2", "layer2.0.conv1", 464 + 6 * 2336),
        ("alexnet", "conv1", "conv2", 34_944),
        # gates of 1x1 maps, and maps with the channels last
        ("seresnet18", "layer1.1.se.fc2", "layer2.0.conv1", None),
        ("convnext_tiny", "features.2.0", "features.2.1", None),
    ],
)
def test_first_layers_are_the_stem_and_the_first_stage(name: str, last: str, beyond: str, scalars: int | None) -> None:
    graph = load(name)
    plan = transfer(graph, "first-layers")
    own = [node.name for node in graph if graph.params(node)]
    assert first_layers(graph)[-1] == last
    assert own[own.index(last) + 1] == beyond
    assert plan.frozen == set(own[: own.index(last) + 1])
    if scalars is not None:
        assert plan.frozen_params == scalars


def test_where_no_map_shrinks_the_first_layer_is_taken_with_its_normalisation() -> None:
    layers = [Conv2d(4, 3, padding=1), BatchNorm2d(), ReLU(), Conv2d(4, 3, padding=1), Flatten(), Linear(2)]
    assert first_layers(Sequential(layers, (3, 8, 8))) == ("0", "1")
    assert first_layers(Sequential([Linear(8), Linear(4), Linear(2)], (5,))) == ("0",)
    assert first_layers(Sequential([Linear(2)], (5,))) == ()


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "googlenet"])
def test_presets_freeze_all_but_the_head_or_nothing(name: str) -> None:
    graph = load(name, num_classes=7)
    total = sum(int(np.prod(shape)) for node in graph for shape in graph.params(node).values())
    head = sum(int(np.prod(shape)) for shape in graph.params(graph.node(head_nodes(graph)[-1])).values())
    extract, tune = transfer(graph, "feature-extract"), transfer(graph, "fine-tune")
    assert (extract.trainable_params, extract.frozen_params) == (head, total - head)
    assert (tune.trainable_params, tune.frozen_params, tune.freeze) == (total, 0, ())
    assert (extract.learning_rate_factor, tune.learning_rate_factor) == (1.0, FINE_TUNE_FACTOR)
    assert str(extract) == f"feature-extract: {head:,} parameters trained, {total - head:,} frozen"


def test_names_with_signs_of_patterns_are_frozen_as_they_are() -> None:
    layers = {"conv[1]": Conv2d(2, 1), "conv*": Conv2d(2, 1), "conv2": Conv2d(2, 1), "flat": Flatten(), "fc": Linear(2)}
    plan = transfer(Sequential(layers, (1, 2, 2)), "feature-extract")
    assert plan.frozen == {"conv[1]", "conv*", "conv2"}
    assert transfer(Sequential(layers, (1, 2, 2)), "first-layers").frozen == {"conv[1]"}


def test_shared_parameters_count_once() -> None:
    net = Builder()
    x = net.input((4,))
    first = net(Linear(4), x, name="one")
    x = net(Linear(4), first, name="two", shares=first)
    graph = net.build(net(Linear(3), x, name="fc"))
    assert parameter_counts(graph, {"one", "two"}) == (15, 20)
    assert transfer(graph, "feature-extract").frozen == {"one", "two"}


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"`transfer` \(='fine_tune'\) must be one of .* \(did you mean 'fine-tune'\?\)"
    ):
        transfer(load("lenet"), "fine_tune")
    assert PRESETS == ("feature-extract", "fine-tune", "first-layers")


def small(classes: int) -> Graph:
    layers = {
        "conv1": Conv2d(4, 3, padding=1, bias=False),
        "bn1": BatchNorm2d(),
        "relu1": ReLU(),
        "pool1": MaxPool2d(2, stride=2),
        "conv2": Conv2d(8, 3, padding=1),
        "pool2": GlobalAvgPool(),
        "flatten": Flatten(),
        "fc": Linear(classes),
        "softmax": Softmax(),
    }
    return Sequential(layers, (3, 8, 8), "small")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_weights_for_other_classes_load_with_a_new_head(tmp_path: Path, suffix: str) -> None:
    old, new = Network(small(7), seed=1), Network(small(3), seed=2)
    before, path = state_of(new), tmp_path / f"seven{suffix}"
    write_weights(path, state_of(old))
    found = load_pretrained(new, read_weights(path))
    assert found.fresh == ("fc",)
    assert found.lines(1) == [
        "loaded 8 tensors",
        "new head: fc keeps its first values",
        "2 left out (fc.weight, ...)",
    ]
    for name, array in state_of(new).items():
        np.testing.assert_array_equal(array, before[name] if name.startswith("fc.") else state_of(old)[name])


def test_weights_for_as_many_classes_bring_their_head() -> None:
    old, new = Network(small(3), seed=1), Network(small(3), seed=2)
    found = load_pretrained(new, state_of(old))
    assert (found.fresh, found.lines()) == ((), ["loaded 10 tensors"])
    np.testing.assert_array_equal(new.parameters["fc.weight"], old.parameters["fc.weight"])


def test_a_head_without_weights_is_new_as_a_whole() -> None:
    net = Network(small(3), seed=2)
    arrays = state_of(Network(small(3), seed=1))
    bias = arrays["fc.bias"] + 5
    del arrays["fc.weight"]
    assert load_pretrained(net, {**arrays, "fc.bias": bias}).fresh == ("fc",)
    np.testing.assert_array_equal(net.parameters["fc.bias"], state_of(Network(small(3), seed=2))["fc.bias"])


def without(arrays: dict[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    return {other: array for other, array in arrays.items() if other != name}


def test_only_the_head_may_differ() -> None:
    net = Network(small(3), seed=2)
    arrays = without(state_of(Network(small(7), seed=1)), "conv2.bias")
    with pytest.raises(UsageError, match=r"^w\.npz cannot be loaded into small: 1 missing \(conv2\.bias\)"):
        load_pretrained(net, arrays, source="w.npz")
    np.testing.assert_array_equal(net.parameters["conv2.weight"], state_of(Network(small(3), seed=2))["conv2.weight"])
    found = load_pretrained(net, arrays, partial=True)
    assert (found.fresh, found.report.missing) == (("fc",), ("conv2.bias",))
    np.testing.assert_array_equal(net.parameters["conv2.weight"], arrays["conv2.weight"])


def test_frozen_layers_get_no_gradient_and_their_statistics_stay() -> None:
    graph = small(3)
    generator = np.random.default_rng(4)
    images, labels = generator.standard_normal((4, 3, 8, 8)).astype(np.float32), np.array([0, 1, 2, 1])
    trained = {}
    for preset in PRESETS:
        net = Network(graph, freeze=transfer(graph, preset).freeze)
        load_pretrained(net, state_of(Network(small(7), seed=1)))
        before = state_of(net)
        _, gradients = net.loss_and_gradients(images, labels)
        trained[preset] = set(gradients)
        assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())
        stays = "bn1.weight" not in gradients
        assert stays == np.array_equal(net.buffers["bn1.running_mean"], before["bn1.running_mean"])
        assert all(sum(array.size for array in part) == count for part, count in _counted(net, gradients, preset))
    assert trained["feature-extract"] == {"fc.weight", "fc.bias"}
    assert trained["first-layers"] == {"fc.weight", "fc.bias", "conv2.weight", "conv2.bias"}
    assert trained["fine-tune"] == {*trained["first-layers"], "conv1.weight", "bn1.weight", "bn1.bias"}


def _counted(net: Network, gradients: dict[str, NDArray[Any]], preset: str) -> list[tuple[list[NDArray[Any]], int]]:
    """Return the trained and the frozen arrays of a network with the counts that the preset promises."""
    plan = transfer(net.graph, preset)
    others = [array for name, array in net.parameters.items() if name not in gradients]
    return [(list(gradients.values()), plan.trainable_params), (others, plan.frozen_params)]
