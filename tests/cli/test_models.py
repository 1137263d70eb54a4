"""``archcost models``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

from archcost.zoo.catalogue import CATALOGUE
from tests.cli.test_main import failed
from tests.conftest import Ended

Run = Callable[..., Ended]


def test_whole_catalogue(run: Run) -> None:
    ended = run("models")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == f"{len(CATALOGUE)} networks"
    assert [line.split()[0] for line in lines[4 : 4 + len(CATALOGUE)]] == list(CATALOGUE)


def test_single_match_is_listed_with_its_options(run: Run) -> None:
    assert "mobilenet_v1: input_size=3x224x224, num_classes=1000, width=1.0" in run("models", "mobilenet_v1").out
    assert "num_classes" not in run("models", "mobilenet").out
    assert run("models", "mobilenet", "--options").out.count("num_classes=1000") >= 5


def test_pattern_with_stars(run: Run) -> None:
    ended = run("models", "vgg1?", "--format", "csv")
    rows = {line["model"]: line for line in csv.DictReader(io.StringIO(ended.out))}
    assert list(rows) == ["vgg11", "vgg13", "vgg16", "vgg19"]
    assert rows["vgg16"]["params"] == "138357544"
    assert rows["vgg16"]["mult_adds"] == "15470264320"
    assert rows["vgg16"]["authors"] == "Simonyan & Zisserman"


def test_json(run: Run) -> None:
    data = json.loads(run("models", "plain", "--format", "json").out)
    assert data["schema"] == "archcost.models/1"
    assert [(model["name"], model["params"]) for model in data["models"]] == [
        ("plain18", 11_515_688),  # no projections: what ResNet-18 with shortcut A has
        ("plain34", 21_623_848),
    ]


def test_nothing_matches(run: Run) -> None:
    failed(run("models", "resnt50"), "no model matches 'resnt50' (did you mean 'resnet50'?)")
    failed(run("models", "zz[*"), "no model matches 'zz[*'")
