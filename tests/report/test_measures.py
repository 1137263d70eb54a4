"""The language of the figures: measures, expressions, stacks of operators."""

from __future__ import annotations

from fractions import Fraction

import pytest

from archcost.errors import ArchcostError, UsageError
from archcost.report.expressions import Term, evaluate
from archcost.report.hyperparameters import HYPERPARAMETERS
from archcost.report.measures import MEASURES, Measured
from archcost.report.printed import Value
from archcost.report.rows import rows_of, total
from archcost.report.stacks import STACKS, build
from archcost.zoo.catalogue import CATALOGUE
from tests.conftest import catalogue_graph


def measure(spec: str, name: str, argument: str = "") -> tuple[int | float, ...]:
    value = MEASURES[name](Measured(build(spec)), argument)
    return tuple(int(one) if one.denominator == 1 else float(one) for one in value)


@pytest.mark.parametrize(
    ("spec", "name", "argument", "expected"),
    [
        # LeNet-5 of 1998, counted by hand in section II.B of its paper.
        ("lenet5_1998", "connections", "C1", (28 * 28 * 6 * 26,)),
        ("lenet5_1998", "connections", "S2", (14 * 14 * 6 * 5,)),
        ("lenet5_1998", "connections", "output", (84 * 10,)),
        ("lenet5_1998", "params", "C1|S2", (156 + 12,)),
        ("lenet", "mult_adds", "fc1|fc2", (400 * 120 + 120 * 84,)),
        ("lenet", "mult_adds_without_dense", "", (28 * 28 * 6 * 25 + 10 * 10 * 16 * 150,)),
        ("lenet", "weights", "conv1", (150,)),
        ("lenet", "layers", "", (5,)),
        ("lenet", "nodes", "", (14,)),
        ("lenet", "operators", "ReLU", (4,)),
        ("lenet", "elements", "conv1", (6 * 28 * 28,)),
        ("lenet", "elements_of", "MaxPool2d", (6 * 14 * 14 + 16 * 5 * 5,)),
        ("lenet", "conv_elements", "", (6 * 28 * 28 + 16 * 10 * 10,)),
        ("lenet", "layer_elements", "", (6 * 28 * 28 + 16 * 10 * 10 + 120 + 84 + 10,)),
        ("lenet", "input_elements", "", (32 * 32,)),
        ("lenet", "shape", "pool2", (16, 5, 5)),
        ("lenet", "map", "pool2", (5, 5, 16)),
        ("lenet", "size", "input", (32, 32)),
        ("lenet", "shape", "", (10,)),
        ("lenet", "stride", "pool1", (2,)),
        ("lenet", "bytes", "float32", (4 * 61_706,)),
        ("lenet", "unfrozen", "conv1|conv2", (48_120 + 10_164 + 850,)),
        ("vgg16", "drop_rate", "classifier.2", (0.5,)),
        ("vgg16_c", "convolutions", "1x1", (3,)),
        ("mobilenet_v1", "mult_adds_of", "conv", (112 * 112 * 32 * 27,)),
        ("mobilenet_v1", "weights_of", "dense", (1024 * 1000,)),
        ("mobilenet_v1", "params_of", "dense", (1024 * 1000 + 1000,)),
        ("mobilenet_v1", "element_ops_of", "pool", (7 * 7 * 1024,)),
        ("efficientnet_b0", "stage", "features.0", (224, 32, 1)),
        ("efficientnet_b0", "stage", "features.3", (56, 40, 2)),
        ("convolution channels=8 size=20 filters=8 kernel=3 layers=3", "receptive_field", "", (7, 7)),
        ("global_average channels=512 size=16", "batch_map", "24", (24, 512)),
        ("global_average channels=512 size=16", "element_ops", "", (512 * 16 * 16,)),
        ("convolution channels=3 size=227x199 filters=96 kernel=11 stride=4 padding=valid", "size", "", (55, 48)),
        ("separable channels=3 size=6 filters=5 kernel=3 padding=valid", "mult_adds", "depthwise", (432,)),
        ("bottleneck channels=192 size=28 reduced=16 filters=32 kernel=5", "weights", "", (192 * 16 + 16 * 25 * 32,)),
        ("branches channels=4 size=5 filters=1,2,3", "shape", "", (6, 5, 5)),
        ("flattened channels=512 size=16 outputs=1000", "weights", "", (512 * 16 * 16 * 1000,)),
        ("dense inputs=7 outputs=3 bias=true", "params", "", (24,)),
    ],
)
def test_measures_by_hand(spec: str, name: str, argument: str, expected: tuple[int | float, ...]) -> None:
    assert measure(spec, name, argument) == expected


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "googlenet", "convnext_tiny"])
def test_sums_equal_the_totals_of_the_summary(name: str) -> None:
    measured, totals = Measured(catalogue_graph(name)), total(rows_of(catalogue_graph(name)))
    assert MEASURES["params"](measured, "")[0] == totals["params"]
    assert MEASURES["mult_adds"](measured, "")[0] == totals["mult_adds"]
    flops = 2 * MEASURES["mult_adds"](measured, "")[0] + MEASURES["element_ops"](measured, "")[0]
    assert flops == totals["flops"]


def test_normalisation_is_told_apart() -> None:
    measured = Measured(catalogue_graph("resnet50"))
    params, without, weights = (
        MEASURES[name](measured, "")[0] for name in ("params", "params_without_norm", "weights")
    )
    scales, statistics = (MEASURES[name](measured, "")[0] for name in ("norm_scales", "statistics"))
    assert params - without == 2 * scales == statistics == 53_120
    assert without - weights == 1000


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("params", "layer9", "no layer of resnet50 matches 'layer9'"),
        ("params", "layer1|layer9", "no layer of resnet50 matches 'layer9'"),
        ("mult_adds_of", "transposed", "no layer of resnet50 is of kind transposed"),
        ("elements_of", "Mul", "no layer of resnet50 is of kind Mul"),
        ("shape", "layer9", "no node 'layer9'"),
    ],
)
def test_an_argument_that_names_nothing_is_an_error(name: str, argument: str, message: str) -> None:
    with pytest.raises(ArchcostError, match=message):
        MEASURES[name](Measured(catalogue_graph("resnet50")), argument)


def lookup(term: Term) -> Value:
    if term.measure == "list":
        return Fraction(1), Fraction(2)
    return (Fraction(len(term.model) + (int(term.argument) if term.argument else 1)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two:2", (2,)),
        ("1 + 2 * 3 - 4 / 8", (6.5,)),
        ("(1 + 2) * 3", (9,)),
        ("10 - 3 - 2", (5,)),
        ("8 / 4 / 2", (1,)),
        ("a @ {xyz}", (4,)),
        ("a:10 @ { xyz } / a:2", (6.5,)),
        ("a:1, a:2 * 2, 0.5", (1, 4, 0.5)),
        ("list", (1, 2)),
    ],
)
def test_expressions(text: str, expected: tuple[float, ...]) -> None:
    assert evaluate(text, lookup) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a measure or a number is missing"),
        ("a +", "a measure or a number is missing"),
        ("(a", "missing '\\)'"),
        ("a b", "unexpected 'b'"),
        ("a $ b", "cannot read '\\$ b'"),
        ("A", "cannot read 'A'"),
        ("a / (1 - 1)", "division by zero"),
        ("list + 1", "computes with a list"),
        ("__import__('os')", "cannot read"),
    ],
)
def test_what_is_no_expression_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(text, lookup)


def test_hyperparameters() -> None:
    assert HYPERPARAMETERS["scaling"]("b3") == (Fraction(6, 5), Fraction(7, 5), Fraction(300))
    assert HYPERPARAMETERS["optimizer_state"]("adam") == (Fraction(2),)
    assert HYPERPARAMETERS["scaling_dropout"]("b7") == (Fraction(1, 2),)
    width, depth, resolution = HYPERPARAMETERS["powers"]("2")
    assert float(width) == pytest.approx(1.21)
    assert float(depth) == pytest.approx(1.44)
    assert float(resolution) == pytest.approx(224 * 1.3225)
    with pytest.raises(UsageError, match="no coefficients of 'b99'"):
        HYPERPARAMETERS["scaling"]("b99")
    with pytest.raises(UsageError, match="unknown optimizer 'adamm'"):
        HYPERPARAMETERS["optimizer_state"]("adamm")


def test_no_stack_hides_a_network() -> None:
    assert not set(STACKS) & set(CATALOGUE)
    assert not set(MEASURES) & set(HYPERPARAMETERS)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnt50", "unknown model 'resnt50'"),
        ("resnet50 width", "'width' must be NAME=VALUE"),
        ("convolution channels=3 size=6 filters=5 kernel=3 kernels=3", "convolution has no option 'kernels'"),
        ("convolution channels=3", "convolution needs size, filters, kernel"),
    ],
)
def test_a_wrong_specification_is_an_error(spec: str, message: str) -> None:
    with pytest.raises(ArchcostError, match=message):
        build(spec)


def test_values_of_a_specification() -> None:
    only_stage_3 = build("seresnet50_v1 stages=3, bias=false")
    assert {node.name.split(".")[0] for node in only_stage_3 if "se_module" in node.name} == {"layer2"}
    assert build("lenet input_size=1x64x64 num_classes=3").shapes["input"] == (1, 64, 64)
