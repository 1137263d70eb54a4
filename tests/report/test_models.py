"""The catalogue as a table."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from archcost.errors import ModelError
from archcost.report.models import as_dict, listed, models_table
from archcost.zoo.catalogue import CATALOGUE
from tests.conftest import Ended


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("resnet50", ["resnet50"]),  # a name is itself, though others hold it
        ("lenet", ["lenet"]),
        ("LENET5", ["lenet5_1998"]),
        ("vgg1?", ["vgg11", "vgg13", "vgg16", "vgg19"]),
        ("vgg*_bn", ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]),
        ("plain", ["plain18", "plain34"]),
        ("xception[46]*", ["xception41", "xception65"]),
        ("_cifar_100_12", ["densenet_cifar_100_12", "densenet_bc_cifar_100_12"]),
    ],
)
def test_pattern(pattern: str, expected: list[str]) -> None:
    assert [model.name for model in listed(pattern)] == expected


@pytest.mark.parametrize("pattern", [None, "*"])
def test_everything_is_listed_in_the_order_of_the_catalogue(pattern: str | None) -> None:
    assert [model.name for model in listed(pattern)] == list(CATALOGUE)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("resnt50", r"no model matches 'resnt50' \(did you mean 'resnet50'\?\)"), ("qqq*", r"no model matches 'qqq\*'$")],
)
def test_nothing_matches(pattern: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        listed(pattern)


def test_what_is_known_of_a_model() -> None:
    (model,) = listed("resnet50")
    assert (model.params, model.mult_adds, model.input_size) == (25_557_032, 4_089_184_256, (3, 224, 224))
    assert (model.authors, model.year) == ("He et al.", 2016)
    assert "v1.5" in model.variant
    assert model.options["num_classes"] == 1000
    assert model.options["input_size"] == (3, 224, 224)
    assert "depth" not in model.options, "what makes it ResNet-50 is no option"


def test_table_counts_its_rows_and_lists_options_on_request() -> None:
    one, two = listed("lenet"), listed("plain")
    assert models_table(one, with_options=False).title == "1 network"
    assert models_table(two, with_options=False).title == "2 networks"
    assert models_table(two, with_options=False).notes == ""
    notes = models_table(one, with_options=True).notes
    assert notes.startswith("lenet: ")
    assert "input_size=1x32x32" in notes
    assert "num_classes=10" in notes
    table = models_table(two, with_options=True)
    assert len(table.headers) == len(table.rows[0]) == len(table.importance)
    assert len(table.notes.splitlines()) == 2


def test_as_dict_is_json_with_raw_integers() -> None:
    data = as_dict(listed("lenet"))
    assert json.loads(json.dumps(data)) == data
    assert data["schema"] == "archcost.models/1"
    assert data["models"] == [
        {
            "name": "lenet",
            "variant": "LeNet-5 as the lecture counts it: plain pooling",
            "input_size": [1, 32, 32],
            "params": 61_706,
            "mult_adds": 416_520,
            "paper": {
                "authors": "LeCun et al.",
                "year": 1998,
                "title": "Gradient-Based Learning Applied to Document Recognition",
                "where": "Proc. IEEE 86(11)",
            },
            "options": {"input_size": [1, 32, 32], "num_classes": 10, "pooling": "max", "activation": "relu"},
        }
    ]


def test_golden(run: Callable[..., Ended], golden: Callable[[str, str], None]) -> None:
    ended = run("models", "lenet")
    assert (ended.code, ended.err) == (0, "")
    golden("models_lenet", ended.out)
