"""The catalogue as a whole: every entry builds, says what it is, and takes the options that it lists."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from archcost.errors import ArchcostError, ModelError
from archcost.interop.model import open_model
from archcost.report.rows import rows_of, total
from archcost.zoo.catalogue import CATALOGUE, entry, load, options, paper
from archcost.zoo.listing_classic import ENTRIES as CLASSIC
from archcost.zoo.listing_mobile import ENTRIES as MOBILE
from archcost.zoo.listing_residual import ENTRIES as RESIDUAL
from archcost.zoo.papers import PAPERS
from tests.conftest import catalogue_graph

LECTURE = {
    "lenet", "alexnet", "vgg16", "vgg19", "googlenet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "plain34", "mobilenet_v1", "mobilenet_v2", "seresnet50", *(f"efficientnet_b{number}" for number in range(8)),
}  # fmt: skip

DISTINCT = {(found.target, tuple(sorted(found.preset))): name for name, found in reversed(CATALOGUE.items())}
"""One entry for each function and set of options that it leaves open."""

HOSTILE = ("0", "-1", "nan", "inf", "x", "1e300", "true", "none", "", "1,2", "9" * 20, "0.001", "1.5", "[]", "\u0663")


@pytest.mark.parametrize("name", CATALOGUE)
def test_entry_builds_and_says_what_it_is(name: str) -> None:
    graph, found = catalogue_graph(name), entry(name)
    assert graph.name == name
    assert graph.variant == found.variant != ""
    assert [graph.shapes[node.name] for node in graph.inputs] == [found.input_size]
    assert all(graph.shapes[output] for output in graph.outputs)
    assert name == name.lower()
    assert name.replace("_", "").isalnum()


@pytest.mark.parametrize("name", CATALOGUE)
def test_entry_has_a_paper(name: str) -> None:
    source = paper(name)
    assert all((source.authors, source.title, source.where))
    assert 1989 < source.year < 2030
    assert source.authors in str(source)


@pytest.mark.parametrize("name", CATALOGUE)
def test_listed_options_are_accepted_with_their_defaults(name: str) -> None:
    listed = options(name)
    assert "input_size" in listed
    assert not set(listed) & set(entry(name).preset)
    assert load(name, **listed).nodes == catalogue_graph(name).nodes


@pytest.mark.parametrize("name", [name for name in CATALOGUE if "num_classes" in options(name)])
def test_ten_classes_change_only_the_heads(name: str) -> None:
    before, after = catalogue_graph(name), load(name, num_classes=7)
    assert [node.name for node in before] == [node.name for node in after]
    changed = [node.name for node, other in zip(before, after) if node.op != other.op]
    assert 1 <= len(changed) <= 3, "the classifier, and a partner of it at most"
    heads = {before.node(name).op.family for name in changed}
    assert heads <= {"dense", "conv"}
    assert {after.shapes[output][0] for output in after.outputs} == {7}
    assert after.title.endswith("num_classes=7)")


def test_almost_every_network_has_a_classifier() -> None:
    without = {name for name in CATALOGUE if "num_classes" not in options(name)}
    assert without == {"inception_module", "inception_module_naive", "se_gate"}


def test_names_are_unique_across_the_listings() -> None:
    assert len(CLASSIC) + len(RESIDUAL) + len(MOBILE) == len(CATALOGUE) == len({*CLASSIC, *RESIDUAL, *MOBILE})


def test_no_two_entries_are_the_same_network() -> None:
    seen: dict[tuple[object, ...], str] = {}
    for name in CATALOGUE:
        graph = catalogue_graph(name)
        twin = seen.setdefault((graph.nodes, graph.outputs), name)
        assert twin == name, f"{name} is {twin} under another name"


def test_lecture_flag() -> None:
    assert {name for name, found in CATALOGUE.items() if found.lecture} == LECTURE


def test_every_paper_is_used_and_every_target_exists() -> None:
    assert {found.paper for found in CATALOGUE.values()} == set(PAPERS)
    for found in CATALOGUE.values():
        module, _, function = found.target.partition(":")
        assert callable(getattr(import_module(f"archcost.zoo.{module}"), function))


def test_scope_of_the_issue() -> None:
    assert {
        "lenet", "lenet5_1998", "alexnet", "alexnet_owt", "vgg11", "vgg11_lrn", "vgg13", "vgg16_c", "vgg16", "vgg19",
        "vgg16_bn", "inception_module_naive", "inception_module", "googlenet", "googlenet_bn", "plain18", "plain34",
        "resnet18_v1", "resnet34_v1", "resnet50_v1", "resnet101_v1", "resnet152_v1", "resnet50", "mobilenet_v1",
        "mobilenet_v2", "seresnet18", "seresnet34", "seresnet50", "seresnet101", "seresnet152", "se_gate",
        "se_inception", "squeezenet1_0", "squeezenet1_1", "densenet121", "densenet161", "densenet169", "densenet201",
        "resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2", "inception_v3", "xception",
        "shufflenet_v2_x1_0", "mobilenet_v3_small", "mobilenet_v3_large", "mnasnet1_0", "efficientnet_v2_s",
        "efficientnet_v2_m", "efficientnet_v2_l", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny",
        "convnext_small", "convnext_base", "convnext_large", *(f"efficientnet_b{number}" for number in range(8)),
    } <= set(CATALOGUE)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt50", r"unknown model 'resnt50' \(did you mean 'resnet50'\?\)"),
        ("ResNet50", r"unknown model 'ResNet50'"),
        ("resnet50 ", r"unknown model 'resnet50 ' \(did you mean 'resnet50'\?\)"),
        ("", r"unknown model ''$"),
        ("zzzzzz", r"unknown model 'zzzzzz'$"),
    ],
)
def test_unknown_name(name: str, message: str) -> None:
    for function in (load, entry, options, paper):
        with pytest.raises(ModelError, match=message):
            function(name)


def test_unknown_option_lists_the_allowed() -> None:
    with pytest.raises(
        ModelError, match=r"lenet has no option 'num_class' \(did you mean 'num_classes'\?\); it has"
    ) as error:
        load("lenet", num_class=3)
    assert all(option in str(error.value) for option in options("lenet"))


def test_preset_of_an_entry_is_no_option() -> None:
    assert "depth" in entry("resnet50").preset
    with pytest.raises(ModelError, match="resnet50 has no option 'depth'"):
        load("resnet50", depth=34)


def test_resolution_is_short_for_a_square_input() -> None:
    assert load("lenet", resolution=64).shapes["input"] == (1, 64, 64)
    assert load("resnet18", resolution=64) == load("resnet18", input_size=(3, 64, 64))


def test_resolution_and_input_size_conflict() -> None:
    with pytest.raises(ModelError, match="resnet18: give `resolution` or `input_size`, not both"):
        load("resnet18", resolution=64, input_size=(3, 64, 64))


@pytest.mark.parametrize(
    "size",
    [(3, 0, 0), (3, -1, 5), (3, 224), (3,), (), (3.0, 64, 64), (True, 64, 64), (3, 2**41, 3), (3, 1, 1), (0, 64, 64),
     224, None, "3x64x64", (3, 64, 64, 64), (3, None, 4)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ["alexnet", "densenet_bc_cifar_100_12", "inception_v3", "lenet", "convnext_tiny"])
def test_impossible_input_size(name: str, size: Any) -> None:
    possible = size == (3, 1, 1) and name == "densenet_bc_cifar_100_12"
    if possible:
        size = (3, 1)
    with pytest.raises(ArchcostError, match=rf"^{name}: ") as error:
        load(name, input_size=size)
    assert "\n" not in str(error.value)


def answer(name: str, option: str, value: str) -> str:
    """Return the title of the network, or the error."""
    try:
        return open_model(name, {option: value}).title
    except ArchcostError as error:
        return str(error)


@pytest.mark.parametrize("name", DISTINCT.values())
def test_any_value_of_any_option_is_a_network_or_one_line(name: str) -> None:
    """Nothing that a user types may end in a traceback, or take for ever."""
    for option in options(name):
        for value in HOSTILE:
            line = answer(name, option, value)
            assert "\n" not in line
            assert len(line) < 1000


def test_title_states_only_what_was_changed() -> None:
    assert load("vgg16", num_classes=1000).title == "vgg16 (configuration D)"
    assert load("vgg16", num_classes=5, input_size=(3, 64, 64)).title == "vgg16 (configuration D, num_classes=5)"


def test_loading_twice_gives_equal_graphs() -> None:
    assert load("googlenet", aux=True) == load("googlenet", aux=True)
    assert load("googlenet", aux=True) != load("googlenet")


def test_whole_catalogue_is_about_60_thousand_operators() -> None:
    """No entry is absurdly large: the whole catalogue is compared in one command."""
    sizes = {name: len(catalogue_graph(name)) for name in CATALOGUE}
    assert 40_000 < sum(sizes.values()) < 100_000
    assert max(sizes.values()) == sizes["resnet1202_cifar"] < 5000
    assert total(rows_of(catalogue_graph("resnet1202_cifar")))["operators"] == sizes["resnet1202_cifar"] - 1
