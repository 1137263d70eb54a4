"""The summary: what is shown adds up to what is stated, in every format and view."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from archcost.errors import UsageError
from archcost.report.rows import ADDITIVE
from archcost.report.summary import SCHEMA, Summary, summarize
from archcost.zoo.catalogue import CATALOGUE
from tests.conftest import Ended, catalogue_graph
from tests.report.generated import plain_network
from tests.report.test_formats import parsed

COUNTS = ("params", "params_trainable", "buffers", "mult_adds", "flops", "activations")
TRAINED = (*COUNTS, "train_flops", *(column for column in ADDITIVE if "gradient" in column))


def columns_of(table: str) -> tuple[list[str], list[list[str]]]:
    """Return names and cells of a printed table, cut where its rule of dashes says."""
    lines = table.splitlines()
    rule = next(index for index, line in enumerate(lines) if re.fullmatch(r"-+(  -+)*", line))
    spans = [match.span() for match in re.finditer("-+", lines[rule])]
    body = lines[rule + 1 : lines.index("", rule)]
    cells = [[line[first:end] for first, end in spans] for line in body]
    return [lines[rule - 1][first:end].strip() for first, end in spans], cells


def check_printed_sums(summary: Summary) -> list[list[str]]:
    """Add up the printed numbers of every column, and compare with the printed total."""
    headers, cells = columns_of(str(summary))
    assert cells[-1][0].strip() == "total"
    assert len(headers) == 1 + len(summary.columns)
    for index, name in enumerate(summary.columns, 1):
        numbers = [row[index].strip().replace(",", "") for row in cells]
        if name in ADDITIVE:
            assert sum(int(number) for number in numbers[:-1] if number) == int(numbers[-1]), name
        elif name.endswith("_share") and numbers[-1]:
            assert numbers[-1] == "100.0%"
    return cells


@pytest.mark.parametrize("name", ["lenet", "resnet50", "googlenet", "mobilenet_v1", "convnext_tiny", "se_gate"])
@pytest.mark.parametrize("depth", [-1, 0, 1, 2, 3])
def test_printed_numbers_add_up(name: str, depth: int) -> None:
    check_printed_sums(summarize(catalogue_graph(name), depth=depth, columns=COUNTS))


@pytest.mark.parametrize(
    "view",
    [
        {"sort": "params"},
        {"sort": "mult_adds_share", "depth": -1},
        {"top": 1},
        {"top": 3, "sort": "flops"},
        {"top": 10**6},
        {"only": ["layer3"]},
        {"only": ["conv*"], "depth": -1},
        {"only": ["batchnorm2d", "pointwise"], "depth": -1, "sort": "params", "top": 4},
        {"only": ["fc"], "top": 1},
        {"depth": 0, "sort": "params", "top": 1},
    ],
    ids=str,
)
def test_printed_numbers_add_up_in_every_view(view: dict[str, Any]) -> None:
    graph = catalogue_graph("resnet18")
    check_printed_sums(summarize(graph, columns=COUNTS, **view))
    check_printed_sums(summarize(graph, columns=TRAINED, train=True, freeze=["conv1", "layer2"], **view))


@pytest.mark.parametrize("name", CATALOGUE)
def test_layers_of_json_and_csv_add_up_to_the_totals(name: str) -> None:
    summary = summarize(catalogue_graph(name))
    data = json.loads(summary.to_json())
    lines = list(csv.DictReader(io.StringIO(summary.to_csv())))
    assert len(lines) == len(data["layers"])
    for column in COUNTS:
        assert sum(layer[column] for layer in data["layers"]) == data["totals"][column]
        assert sum(int(line[column]) for line in lines) == data["totals"][column]


def test_layers_of_training_add_up() -> None:
    data = json.loads(summarize(catalogue_graph("resnet18"), train=True, freeze=["layer1"], depth=1).to_json())
    assert len(data["layers"]) == 11
    for column in (name for name in TRAINED if "gradient" in name):
        assert sum(layer[column] for layer in data["layers"]) == data["training"][column]
    assert sum(layer["train_flops"] for layer in data["layers"]) == data["training"]["forward_flops"]


def test_dict_is_the_documented_schema() -> None:
    data: Any = summarize(plain_network(), batch_size=3).to_dict()
    assert data["schema"] == SCHEMA == "archcost.summary/1"
    assert data["model"] == {
        "name": "plain", "variant": "by hand", "inputs": {"input": [3, 8, 8]}, "outputs": {"head.fc": [10]},
    }  # fmt: skip
    assert {
        "params", "params_trainable", "buffers", "mult_adds", "flops", "activations", "weight_bytes",
        "peak_activation_bytes",
    } <= set(data["totals"])  # fmt: skip
    assert {"name", "op", "output_shape", "params", "mult_adds", "flops"} <= set(data["layers"][0])
    assert data["layers"][0]["output_shape"] == [4, 8, 8]
    assert not any("gradient" in key or key in ("train_flops", "counted") for key in data["layers"][0])
    assert data["batch"]["size"] == 3
    assert data["batch"]["mult_adds"] == 3 * 7552
    assert data["batch"]["input_bytes"] == 3 * 4 * 192
    assert "training" not in data


def test_batch_changes_no_count_of_an_image() -> None:
    one, many = (summarize(plain_network(), batch_size=size).to_dict() for size in (1, 64))
    assert one["totals"] == many["totals"]
    assert one["layers"] == many["layers"]


def test_default_depth_is_2_in_tables_and_everything_in_data() -> None:
    summary = summarize(catalogue_graph("resnet18"))
    assert len(summary.shown(2)) == 15
    assert len(json.loads(summary.to_json())["layers"]) == len(catalogue_graph("resnet18")) - 1
    folded = summarize(catalogue_graph("resnet18"), depth=1)
    assert len(json.loads(folded.to_json())["layers"]) == len(folded.to_csv().splitlines()) - 1 == 11


def test_csv_columns_are_those_asked_for() -> None:
    summary = summarize(plain_network(), columns=("kind", "params_share", "mult_adds"), depth=1)
    assert summary.to_csv().splitlines() == [
        "layer,kind,params_share,mult_adds",
        "features,scope,15.6%,6912",
        "head,scope,84.4%,640",
    ]


def test_sort_is_largest_first_and_top_sums_up_the_rest() -> None:
    cells = check_printed_sums(summarize(plain_network(), sort="params", top=2, columns=("params",)))
    assert [[cell.strip() for cell in row] for row in cells] == [
        ["head.fc", "650"],
        ["features.conv", "112"],
        ["(5 operators not shown)", "8"],
        ["total", "770"],
    ]


def test_only_matches_names_operators_and_kinds() -> None:
    def names(*only: str) -> list[str]:
        return [row.name for row in summarize(plain_network(), only=only, depth=-1).shown(-1)]

    assert names("head") == ["head.flatten", "head.drop", "head.fc"]
    assert names("LINEAR") == names("dense") == names("head.fc") == ["head.fc"]
    assert names("norm", "conv*") == ["features.conv", "features.norm"]


def test_nothing_but_patterns_that_match_nothing_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"no row matches 'lstm,x' \(`--depth -1` shows every operator\)"):
        str(summarize(plain_network(), only=["lstm", "x"]))


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "2"])
def test_impossible_batch(batch_size: Any) -> None:
    with pytest.raises(UsageError, match=r"`batch_size` \(=.*\) must be an integer of at least 1"):
        summarize(plain_network(), batch_size=batch_size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top": 0}, r"`top` \(=0\) must be at least 1"),
        ({"top": -3}, r"`top` \(=-3\) must be at least 1"),
        ({"sort": "operator"}, r"cannot sort by 'operator'"),
        ({"columns": ["flop"]}, r"unknown column 'flop' \(did you mean 'flops'\?\)"),
        ({"dtype": "half"}, r"unknown dtype 'half'"),
        ({"train": True, "optimizer": "lion"}, r"unknown optimizer 'lion'"),
        ({"train": True, "dtype": "int8"}, r"'int8' cannot be trained in"),
        ({"freeze": ["body"]}, r"pattern 'body' matches no layer with parameters"),
    ],
    ids=str,
)
def test_wrong_requests(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        summarize(plain_network(), **arguments)


def test_title_states_variant_input_and_type() -> None:
    title = summarize(catalogue_graph("resnet50"), dtype="float16").title
    assert title == "resnet50 (v1.5, stride in the 3x3, shortcut B), input 3x224x224, float16"


def test_every_text_format_holds_the_total() -> None:
    summary = summarize(plain_network())
    assert "7,552" in str(summary)
    assert "7,552" in summary.to_markdown()
    assert "7,552" in summary.to_latex()
    assert "features.conv,conv 3x3,conv,4x8x8,112,112,0,6912,13824,256" in summary.to_csv()
    assert "7,552" in "".join(parsed(summary.to_html()).cells)
    assert str(summary) == summary.render("table")


def test_notebook_shows_a_table_that_is_closed_and_escaped() -> None:
    graph = plain_network().named("<i>evil", "a & b")
    text = summarize(graph)._repr_html_()
    checker = parsed(text)
    assert "i" not in checker.seen
    assert "&lt;i&gt;evil (a &amp; b)" in text
    assert "  conv" in checker.cells or "features.conv" in checker.cells


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("summary_lenet", ("lenet",)),
        ("summary_resnet50_depth_1", ("resnet50", "--depth", "1")),
        (
            "summary_resnet18_train",
            ("resnet18", "--depth", "1", "--train", "--optimizer", "adam", "--freeze", "layer1"),
        ),
        ("summary_vgg16_markdown", ("vgg16", "--sort", "params", "--top", "3", "--format", "md")),
    ],
)
def test_golden(
    run: Callable[..., Ended], golden: Callable[[str, str], None], name: str, arguments: tuple[str]
) -> None:
    ended = run("summary", *arguments)
    assert (ended.code, ended.err) == (0, "")
    golden(name, ended.out)
