"""Stated numbers, what explains them, and the table of all counters."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.build import Sequential
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.ops import Conv2d, ReLU
from archcost.report.conventions import CONVENTIONS
from archcost.report.explain import Answer, explain, joined, sum_text
from archcost.report.places import places
from archcost.report.reconcile import SCHEMA, answer_table, reconcile
from archcost.report.stated import LONGEST, Match, parse
from archcost.zoo.catalogue import load
from tests.conftest import catalogue_graph
from tests.report.generated import graphs

FVCORE_LINE = (
    "4.11G is what fvcore and timm print for resnet50: 4,111,512,576 = 4,089,184,256 (conv+dense MACs) + "
    "22,227,968 (2 x BatchNorm elements) + 100,352 (adaptive pool inputs); rounded"
)
PAPER_LINE = (
    "3.8G is the conv+dense mult-adds of resnet50_v1 (paper, stride in the first 1x1, shortcut B), as "
    "torchvision's weights table counts: 3,857,973,248; cut off, not rounded (so are "
)


def answer(model: str, number: str) -> Answer:
    graph = catalogue_graph(model)
    return explain(parse(number), places(graph, model, {}, lambda options: load(model, **options)))


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("4.11G", 4_110_000_000, 10_000_000),
        ("4.11 GFLOPs", 4_110_000_000, 10_000_000),
        ("4.12 GMac", 4_120_000_000, 10_000_000),
        ("3.8 billion", 3_800_000_000, 100_000_000),
        ("0.72 B", 720_000_000, 10_000_000),
        ("25.6M params", 25_600_000, 100_000),
        ("25.6 million parameters", 25_600_000, 100_000),
        ("4.1e9", 4_100_000_000, 100_000_000),
        ("41E8", 4_100_000_000, 100_000_000),
        ("4089184256", 4_089_184_256, 1),
        ("4,089,184,256", 4_089_184_256, 1),
        ("4_089_184_256 flops", 4_089_184_256, 1),
        ("25600000", 25_600_000, 100_000),
        ("1200", 1200, 1),
        ("138M", 138_000_000, 1_000_000),
        (".5k", 500, 100),
        ("12.", 12, 1),
    ],
)
def test_a_number_is_read_with_its_precision(text: str, value: int, unit: int) -> None:
    assert parse(text) == (text, Fraction(value), Fraction(unit))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "G",
        "-4G",
        "4.1.1G",
        "4.1Q",
        "1e",
        "1e9999",
        "4 apples",
        "0",
        "0.0G",
        "nan",
        "inf",
        "9" * (LONGEST + 1),
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="NUMBER"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "count", "match"),
    [
        ("3.86G", 3_857_973_248, "rounded"),
        ("3.8G", 3_857_973_248, "truncated"),
        ("3.9G", 3_857_973_248, "rounded"),
        ("4G", 3_857_973_248, "rounded"),
        ("3.7G", 3_857_973_248, None),
        ("3.85G", 3_857_973_248, "truncated"),
        ("3857973248", 3_857_973_248, "exact"),
        ("3857973249", 3_857_973_248, None),
        ("3.857973248G", 3_857_973_248, "exact"),
    ],
)
def test_a_count_matches_a_number_exactly_or_as_it_was_rounded(text: str, count: int, match: Match | None) -> None:
    assert parse(text).match(count) == match


@given(st.integers(1, 10**13), st.integers(0, 9))
def test_every_count_matches_itself_written_with_fewer_digits(count: int, decimals: int) -> None:
    text = f"{count / 10**9:.{decimals}f}G"
    if float(text[:-1]) > 0:
        assert parse(text).match(Fraction(count)) in ("exact", "rounded")


@pytest.mark.parametrize(
    ("model", "number", "first"),
    [
        ("resnet50", "4.11G", FVCORE_LINE),
        ("resnet50", "3.8G", PAPER_LINE),
        ("resnet50", "4.12G", "4.12G is what older releases of ptflops print for resnet50: 4,121,925,096 = "),
        (
            "resnet50",
            "4.111514624G",
            "4.111514624G is what older releases of thop print for resnet50: 4,111,514,624 = ",
        ),
        ("resnet50", "4.09G", "4.09G is the conv+dense mult-adds of resnet50, as "),
        ("resnet50", "8.18G", "8.18G is what torch's flop_counter prints for resnet50: 8,178,368,512; rounded"),
        ("resnet50", "4089184256", "4089184256 is the conv+dense mult-adds of resnet50, as torchvision's"),
        ("resnet50", "2044592128", "2044592128 is half of the conv+dense mult-adds of resnet50"),
        (
            "resnet50",
            "8223025152",
            "8223025152 is twice what fvcore and timm print for resnet50: 8,223,025,152 = 2 x (4",
        ),
        ("resnet50", "32713907008", "32713907008 is 8 times (batch size 8) what torchinfo prints for resnet50: 32,713"),
        ("resnet50", "25.6M", "25.6M is the parameters of resnet50: 25,557,032; rounded"),
        ("resnet50", "24.37M", "24.37M is the parameters in units of 2^20 of resnet50: 24,373,085; rounded"),
        (
            "resnet50",
            "23508032",
            "23508032 is the parameters without the dense layers of resnet50: 23,508,032; exactly",
        ),
        ("resnet50", "23528522", "23528522 is the parameters of resnet50 with num_classes=10: 23,528,522; exactly"),
        ("resnet50", "5.37G", "5.37G is what fvcore and timm print for resnet50 with input 3x256x256"),
        (
            "vgg16",
            "15.3 billion FLOPs",
            "15.3 billion FLOPs is the mult-adds without the dense layers of vgg16: 15,346,",
        ),
        ("alexnet", "0.72 B", "0.72 B is the conv+dense mult-adds of alexnet, as "),
        ("alexnet", "714M", "714M is the conv+dense mult-adds of alexnet_owt (2014, one tower; torchvision's alexnet)"),
        ("googlenet_bn", "13004888", "13004888 is the parameters of googlenet_bn with aux=True: 13,004,888; exactly"),
        ("convnext_tiny", "0.32G", "0.32G is what torchinfo prints for convnext_tiny: 322,371,592 = 4,455,531,264 "),
    ],
)
def test_a_stated_number_is_explained(model: str, number: str, first: str) -> None:
    result = answer(model, number)
    assert result.text.splitlines()[0].startswith(first)
    assert result.nearest is None


def test_what_nothing_gives_is_answered_with_the_nearest() -> None:
    result = answer("resnet50", "4.14G")
    assert result.explanations == ()
    assert result.text.startswith(
        "4.14G: no counter, variant or rule gives it; nearest is what thop prints for resnet50: 4,133,742,592 = "
    )
    assert result.text.endswith("; 0.15% less")
    assert answer("resnet50", "1").text.endswith("% more")


def test_many_explanations_by_one_network_share_a_line() -> None:
    lines = answer("resnet50", "4.1G").text.splitlines()
    assert len(lines) == 1
    assert "(so are fvcore and timm 4,111,512,576, thop 4,133,742,592, " in lines[0]


def test_explanations_are_few() -> None:
    assert 1 <= len(answer("resnet50", "4G").explanations) <= 5


def test_a_network_outside_the_catalogue_has_no_relatives() -> None:
    graph = Sequential([Conv2d(8, 3)], (3, 8, 8))
    found = list(places(graph, "mine.json", {}, lambda _: pytest.fail("not to be rebuilt")))
    assert [place.graph for place in found] == [graph]
    assert explain(parse("15.6k"), found).text == (
        "15.6k is what torch's flop_counter prints for network: 15,552; rounded"
    )


def test_options_that_were_given_stay() -> None:
    seen = []

    def rebuild(options: object) -> Graph:
        seen.append(options)
        return load("resnet50", num_classes=10, **options)  # type: ignore[arg-type]

    list(places(load("resnet50", num_classes=10), "resnet50", {"num_classes": "10"}, rebuild))
    assert {"stride_in_1x1": True} in seen
    assert {"input_size": (3, 256, 256)} in seen
    assert not any("num_classes" in options for options in seen)  # type: ignore[operator]


def test_the_table_names_every_counter_and_its_terms() -> None:
    result = reconcile(catalogue_graph("resnet50"))
    assert [count.cost for count in result.counts] == [
        4_089_184_256, 4_089_184_256, 8_178_368_512, 4_111_512_576, 4_111_512_576, 4_133_742_592, 4_132_436_968,
        4_089_185_256, 4_089_238_376,
    ]  # fmt: skip
    text = result.table.render("table")
    assert "2 x BatchNorm elements" in text
    assert "25,557,032; reported alike" in text
    assert "8 images give 32,713,907,008" in " ".join(text.split())


def test_parameters_that_a_counter_does_not_see_are_said() -> None:
    notes = reconcile(catalogue_graph("convnext_tiny")).notes
    assert "28,589,128; thop reports 28,579,432" in notes


def test_a_network_without_work_is_reconciled() -> None:
    table = reconcile(Sequential([ReLU()], (3, 8, 8))).table
    assert "nothing that it counts" in table.render("table")


@given(graphs())
def test_terms_of_any_network_make_what_is_printed(graph: Graph) -> None:
    result = reconcile(graph)
    data = json.loads(result.to_json())
    assert data["schema"] == SCHEMA
    assert data["number"] is None
    assert [counter["name"] for counter in data["counters"]] == [
        name for name, convention in CONVENTIONS.items() if convention.current
    ]
    for counter in data["counters"]:
        assert counter["cost"] == sum(counter["terms"].values())
        assert counter["params"] is None or counter["params"] <= data["params"]


def test_json_holds_the_answer() -> None:
    result = reconcile(catalogue_graph("resnet50"))
    number = json.loads(result.to_json(answer("resnet50", "5.37G")))["number"]
    assert number["text"] == "5.37G"
    assert number["nearest"] is None
    first = number["explanations"][0]
    assert (first["model"], first["rules"], first["value"], first["match"]) == (
        "resnet50",
        ["fvcore", "timm"],
        5_369_511_936,
        "rounded",
    )
    assert first["options"] == {"input_size": [3, 256, 256]}
    nothing = json.loads(result.to_json(answer("resnet50", "4.14G")))["number"]
    assert nothing["explanations"] == []
    assert nothing["nearest"]["rules"] == ["thop"]


def test_the_answer_is_a_table_too() -> None:
    assert "| resnet50_v1" in answer_table(answer("resnet50", "3.8G")).render("md")
    assert "thop" in answer_table(answer("resnet50", "4.14G")).render("csv")


def test_sums_and_lists_read_well() -> None:
    assert sum_text({"a": 1000, "b": -2}) == "1,000 (a) - 2 (b)"
    assert sum_text({"b": -2, "a": 3}) == "-2 (b) + 3 (a)"
    assert [joined(list("abc"[:count])) for count in range(4)] == ["", "a", "a and b", "a, b and c"]
