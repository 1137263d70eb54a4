"""A network as Graphviz text: operators are boxes, arrows carry the shape of one image's tensor, scopes are frames."""

from __future__ import annotations

from archcost.geometry import shape_text
from archcost.graph import Graph, Node

COLOURS = {
    "input": "#e0e0e0",
    "conv": "#cfe2ff",
    "dense": "#d9d2ff",
    "pool": "#ffe5cc",
    "norm": "#e2f0d9",
    "activation": "#fff2cc",
    "merge": "#f8d7da",
}
"""Family -> fill of its boxes; the others are white."""


def to_dot(graph: Graph) -> str:
    """Return ``graph`` in the language of Graphviz: ``dot -Tsvg FILE`` draws it."""
    lines = [
        f"digraph {_quoted(graph.name)} {{",
        f"  label={_quoted(graph.title)}; labelloc=t; rankdir=TB;",
        '  node [shape=box, style="filled,rounded", fillcolor=white, fontname=Helvetica, fontsize=10];',
        "  edge [fontname=Helvetica, fontsize=9];",
    ]
    lines += _frames(graph)
    for node in graph:
        lines += [
            f"  {_quoted(name)} -> {_quoted(node.name)} [label={_quoted(shape_text(graph.shapes[name]))}];"
            for name in node.inputs
        ]
    for index, name in enumerate(graph.outputs):
        end = _quoted(f"output {index}: {name}")
        lines.append(f'  {end} [label=output, shape=plaintext, style=""];')
        lines.append(f"  {_quoted(name)} -> {end} [label={_quoted(shape_text(graph.shapes[name]))}];")
    return "\n".join([*lines, "}"]) + "\n"


def _frames(graph: Graph) -> list[str]:
    """Return the boxes of all operators, each in the frames of its scopes, in the order of execution.

    A scope whose operators do not follow each other is one frame all the same: Graphviz joins frames of one name.
    """
    lines: list[str] = []
    opened: tuple[str, ...] = ()
    for node in graph:
        scope = tuple(node.name.split(".")[:-1])
        common = 0
        while common < min(len(scope), len(opened)) and scope[common] == opened[common]:
            common += 1
        lines += [f"{'  ' * depth}}}" for depth in range(len(opened), common, -1)]
        for depth in range(common, len(scope)):
            path = ".".join(scope[: depth + 1])
            kind = graph.scopes.get(path)
            title = f"{path} ({kind})" if kind else path
            indent = "  " * (depth + 1)
            lines.append(f"{indent}subgraph {_quoted(f'cluster {path}')} {{")
            lines.append(f"{indent}  label={_quoted(title)}; color=gray; fontname=Helvetica; fontsize=9;")
        opened = scope
        lines.append(f"{'  ' * (len(scope) + 1)}{_box(graph, node)}")
    return [*lines, *(f"{'  ' * depth}}}" for depth in range(len(opened), 0, -1))]


def _box(graph: Graph, node: Node) -> str:
    label = f"{node.name.rpartition('.')[2]}\n{node.op.label(*graph.input_shapes(node))}"
    colour = COLOURS.get(node.op.family)
    fill = f", fillcolor={_quoted(colour)}" if colour else ""
    return f"{_quoted(node.name)} [label={_quoted(label)}{fill}];"


def _quoted(text: str) -> str:
    """Return a text as Graphviz quotes it; a line break is a centred line."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
