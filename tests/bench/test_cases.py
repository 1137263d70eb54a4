"""What is measured by default, and that every runtime can be given it."""

from __future__ import annotations

import pytest

from archcost import ops
from archcost.bench.cases import (
    MEMORY_MODELS,
    MODELS,
    QUICK_MODELS,
    TRAINING,
    Case,
    chosen_models,
    inference_cases,
    training_cases,
)
from archcost.bench.measuring import Measuring
from archcost.bench.run import Plan, memory_models
from archcost.bench.torch_module import RULES, module_name
from archcost.errors import UsageError
from archcost.zoo.catalogue import CATALOGUE
from tests.conftest import catalogue_graph


def test_the_lists_name_networks_of_the_catalogue() -> None:
    assert set(MODELS) <= set(CATALOGUE)
    assert {*QUICK_MODELS, *MEMORY_MODELS, *(case.model for case in TRAINING)} <= set(MODELS) | {"resnet18"}
    lecture = {name for name, entry in CATALOGUE.items() if entry.lecture}
    families = {name.rstrip("0123456789") for name in lecture}
    assert families <= {name.rstrip("0123456789") for name in MODELS}


@pytest.mark.parametrize("name", ["lenet", "alexnet", "googlenet", "inception_v3", "seresnet50", "efficientnet_b0"])
def test_torch_has_an_equivalent_of_every_operator(name: str) -> None:
    graph = catalogue_graph(name)
    assert {type(node.op) for node in graph} - {ops.Input} <= set(RULES)
    names = [module_name(node.name) for node in graph]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_patterns_choose_networks() -> None:
    assert chosen_models(["resnet50", "vgg1[69]", "vgg16"]) == ["resnet50", "vgg16", "vgg19"]
    with pytest.raises(UsageError, match=r"^`--models`: no network is called 'resnt50' \(did you mean 'resnet50'\?\)$"):
        chosen_models(["resnet50", "resnt50"])


def test_cases_come_network_by_network() -> None:
    assert inference_cases(["lenet", "alexnet"], (1, 8)) == [
        Case("lenet", 1), Case("lenet", 8), Case("alexnet", 1), Case("alexnet", 8),
    ]  # fmt: skip
    assert training_cases(None, quick=False) == list(TRAINING)
    assert training_cases(None, quick=True) == [TRAINING[0]]
    assert [case.batch for case in training_cases(["resnet18"], quick=True)] == [8, 128]
    assert training_cases(["vgg16"], quick=False) == []
    assert memory_models(["lenet"], quick=False) == ["lenet"]
    assert memory_models(None, quick=True) == ["resnet18"]


def test_training_has_no_dropout_and_inference_has_its_own() -> None:
    assert Case("alexnet", 8, optimizer="momentum").options == {"dropout": 0.0}
    assert Case("alexnet", 8).options == {}
    assert Case("resnet18", 128, 32, 10, "momentum").options == {"resolution": 32, "num_classes": 10}


def test_a_plan_holds_the_cases_of_its_sections() -> None:
    plan = Plan(["inference", "startup"], ["lenet"], TRAINING, (1, 2), ["lenet"], ["archcost"], 1, 1, 0.0)
    assert plan.cases() == [("inference", Case("lenet", 1)), ("inference", Case("lenet", 2)), ("startup", None)]
    every = Plan(["training", "memory"], [], TRAINING[:3], (1,), ["lenet"], ["archcost"], 1, 1, 0.0).cases()
    assert every == [
        *(("training", case) for case in TRAINING[:3]), ("memory", Case("lenet", 1)), ("memory", TRAINING[2]),
    ]  # fmt: skip


def test_nothing_is_started_before_it_is_needed() -> None:
    with Measuring(["archcost"], 1, 1, 0.0) as measuring:
        assert measuring._clients == {}
