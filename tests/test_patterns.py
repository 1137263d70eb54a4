"""Patterns that name layers."""

from __future__ import annotations

import pytest

from archcost.errors import UsageError
from archcost.patterns import frozen_nodes, matches
from tests.conftest import catalogue_graph


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("nothing", r"pattern 'nothing' matches no layer with parameters"),
        ("layer5", r"matches no layer with parameters \(did you mean 'layer\d"),
        ("relu", r"pattern 'relu' matches no layer with parameters"),
        ("", r"pattern '' matches no layer with parameters"),
        ("layer[5-9]", r"matches no layer with parameters"),
    ],
)
def test_pattern_that_freezes_nothing_is_an_error(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        frozen_nodes(catalogue_graph("resnet18"), ["fc", pattern])


@pytest.mark.parametrize(
    ("pattern", "layers"),
    [
        ("fc", 1),
        ("layer1", 8),  # two blocks of two convolutions and two normalisations
        ("layer1.0", 4),
        ("layer1.0.conv?", 2),
        ("*.bn1", 8),
        ("layer[12].*.conv1", 4),
        ("*downsample*", 6),
    ],
)
def test_patterns(pattern: str, layers: int) -> None:
    assert len(frozen_nodes(catalogue_graph("resnet18"), [pattern])) == layers


def test_pattern_is_a_whole_name() -> None:
    assert not matches("layer10.conv", "layer1")
    assert matches("layer1.0.conv", "layer1")
    assert not matches("layer1", "layer1.0")
