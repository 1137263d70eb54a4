"""``archcost compare``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest

from archcost.zoo.catalogue import CATALOGUE
from tests.cli.test_main import failed
from tests.conftest import Ended

Run = Callable[..., Ended]


def names(ended: Ended) -> list[str]:
    assert (ended.code, ended.err) == (0, "")
    return [line["model"] for line in csv.DictReader(io.StringIO(ended.out))]


def test_named_models_in_the_order_given(run: Run) -> None:
    assert names(run("compare", "vgg16", "lenet", "resnet50", "--format", "csv")) == ["vgg16", "lenet", "resnet50"]


def test_without_models_it_shows_the_lecture(run: Run) -> None:
    found = names(run("compare", "--format", "csv"))
    assert found == [name for name, entry in CATALOGUE.items() if entry.lecture]
    assert {"lenet", "alexnet", "vgg16", "googlenet", "resnet50", "mobilenet_v1", "efficientnet_b0"} <= set(found)


def test_all_is_the_whole_catalogue(run: Run) -> None:
    assert names(run("compare", "--all", "--format", "csv")) == list(CATALOGUE)


@pytest.mark.parametrize("key", ["params", "mult_adds", "flops", "activations"])
def test_sort_is_largest_first(run: Run, key: str) -> None:
    models = ("lenet", "vgg16", "mobilenet_v1", "resnet50", "alexnet")
    data = json.loads(run("compare", *models, "--sort", key, "--format", "json").out)
    values = [model["totals"][key] for model in data["models"]]
    assert len(values) == 5
    assert values == sorted(values, reverse=True)


def test_options_hold_for_all_models(run: Run) -> None:
    arguments = ("--input-size", "3x96x96", "--num-classes", "10", "--dtype", "float16", "--format", "json")
    data = json.loads(run("compare", "resnet18", "mobilenet_v2", *arguments).out)
    assert [model["input"] for model in data["models"]] == ["3x96x96", "3x96x96"]
    # 1,000 classes fewer 10, of 512 and 1,280 features each with a bias
    assert [model["totals"]["params"] for model in data["models"]] == [
        11_689_512 - 990 * 513,
        3_504_872 - 990 * 1281,
    ]
    assert data["models"][0]["totals"]["weight_bytes"] == 2 * (11_689_512 - 990 * 513)


def test_ops_splits_and_shows_the_identities(run: Run) -> None:
    ended = run("compare", "resnet50", "mobilenet_v1", "--ops")
    assert (ended.code, ended.err) == (0, "")
    for text in ("17,385,984", "94.9%", "432 + 240 = 672", "120,422,400", "12,443,648", "118,784", "(81% more)"):
        assert text in ended.out
    assert ended.out.index("Mult-adds by kind") < ended.out.index("Operator identities")


def test_ops_as_json_holds_both(run: Run) -> None:
    data = json.loads(run("compare", "lenet", "--ops", "--format", "json").out)
    assert data["models"][0]["mult_adds_by_kind"]["dense"] == 58_920
    assert len(data["identities"]) == 6
    assert "identities" not in json.loads(run("compare", "lenet", "--format", "json").out)


def test_ops_in_a_file_has_all_tables(run: Run) -> None:
    for form in ("md", "latex", "html"):
        out = run("compare", "lenet", "--ops", "--format", form).out
        assert "Mult-adds by kind of operator" in out
        assert "Operator identities" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lenet", "resnt50"), ("unknown model 'resnt50' (did you mean 'resnet50'?)",)),
        (("lenet", "--dtype", "double"), ("unknown dtype 'double'",)),
        (("lenet", "--num-classes", "0"), ("lenet", "(=0) must be at least 1")),
        (("lenet", "se_gate", "--num-classes", "5"), ("se_gate has no option 'num_classes'",)),
        (("lenet", "vgg16", "--input-size", "3x16x16"), ("vgg16: ", "(input ")),
        (("lenet", "-o", "/nonexistent-directory/out.csv"), ("cannot write", "No such file")),
    ],
)
def test_errors(run: Run, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    failed(run("compare", *arguments), *words)
