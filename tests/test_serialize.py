"""Graphs as JSON: what is written reads back equal, and whatever else a file holds is refused in one line."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given, settings

from archcost.build import Builder
from archcost.graph import Graph
from archcost.ops import OPERATORS
from archcost.zoo.catalogue import CATALOGUE
from tests import strategies
from tests.conftest import catalogue_graph
from tests.samples import Sample, each_sample
from tests.strategies import graphs


def assert_round_trip(graph: Graph) -> None:
    text = graph.to_json()
    again = Graph.from_json(text)
    assert again == graph
    assert hash(again) == hash(graph)
    assert dict(again.shapes) == dict(graph.shapes)
    assert again.to_json() == text


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_network_of_the_catalogue_reads_back_equal(name: str) -> None:
    assert_round_trip(catalogue_graph(name))


@each_sample
def test_every_operator_reads_back_equal_with_every_hyper_parameter_written_out(sample: Sample) -> None:
    net = Builder()
    inputs = [net.input(shape, f"in{index}") for index, shape in enumerate(sample.inputs)]
    out = net(sample.op, *inputs, name="it", call="function")
    spare = net.input((1,), "spare")  # a graph needs an input, and an Input sample has none
    graph = net.build(out, spare)
    assert_round_trip(graph)
    written = next(node for node in json.loads(graph.to_json())["nodes"] if node["name"] == "it")
    assert set(written) == {"name", "op", "inputs", "call", *(field.name for field in fields(sample.op))}


@given(graphs())
@settings(max_examples=250)
def test_generated_graphs_read_back_equal(graph: Graph) -> None:
    assert_round_trip(graph)


def test_the_generated_operators_are_of_every_class() -> None:
    assert set(strategies.OPERATORS) == set(OPERATORS)
