"""Graphs as Graphviz text."""

from __future__ import annotations

import re

from archcost import Builder, Graph
from archcost.ops import Add, Conv2d, ReLU
from archcost.report.dot import to_dot
from tests.conftest import catalogue_graph


def small() -> Graph:
    net = Builder("two", 'a "quoted" variant')
    x = net.input((3, 8, 8))
    with net.scope("block", "Residual"):
        y = net(Conv2d(3, 3, padding=1), x, name="conv")
        with net.scope("inner"):
            y = net(ReLU(), y, name="relu")
    return net.build(net(Add(), x, y, name="add"))


def test_a_small_graph_is_written_in_full() -> None:
    assert to_dot(small()) == (
        'digraph "two" {\n'
        '  label="two (a \\"quoted\\" variant)"; labelloc=t; rankdir=TB;\n'
        '  node [shape=box, style="filled,rounded", fillcolor=white, fontname=Helvetica, fontsize=10];\n'
        "  edge [fontname=Helvetica, fontsize=9];\n"
        '  "input" [label="input\\nInput", fillcolor="#e0e0e0"];\n'
        '  subgraph "cluster block" {\n'
        '    label="block (Residual)"; color=gray; fontname=Helvetica; fontsize=9;\n'
        '    "block.conv" [label="conv\\nconv 3x3", fillcolor="#cfe2ff"];\n'
        '    subgraph "cluster block.inner" {\n'
        '      label="block.inner"; color=gray; fontname=Helvetica; fontsize=9;\n'
        '      "block.inner.relu" [label="relu\\nReLU", fillcolor="#fff2cc"];\n'
        "    }\n"
        "  }\n"
        '  "add" [label="add\\nAdd", fillcolor="#f8d7da"];\n'
        '  "input" -> "block.conv" [label="3x8x8"];\n'
        '  "block.conv" -> "block.inner.relu" [label="3x8x8"];\n'
        '  "input" -> "add" [label="3x8x8"];\n'
        '  "block.inner.relu" -> "add" [label="3x8x8"];\n'
        '  "output 0: add" [label=output, shape=plaintext, style=""];\n'
        '  "add" -> "output 0: add" [label="3x8x8"];\n'
        "}\n"
    )


def test_every_operator_is_a_box_and_every_input_an_arrow_and_frames_are_closed() -> None:
    graph = catalogue_graph("googlenet_bn")
    text = to_dot(graph)
    unquoted = re.sub(r'"(\\.|[^"\\])*"', '""', text)
    assert unquoted.count("{") == unquoted.count("}")
    assert len(re.findall(r'^ *"[^"]+" \[label="', text, re.MULTILINE)) == len(graph)
    arrows = sum(len(node.inputs) for node in graph) + len(graph.outputs)
    assert unquoted.count("->") == arrows
