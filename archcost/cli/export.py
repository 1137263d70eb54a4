"""``archcost export MODEL FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from archcost.cli.model import model_options, requested
from archcost.cli.output import warn
from archcost.errors import UsageError

SUFFIXES = (".onnx", ".json", ".dot")


@click.command(short_help="Write a network as ONNX, as our own graph or as Graphviz text.")
@click.argument("model")
@click.argument("file", type=click.Path(dir_okay=False))
@model_options
@click.option("--weights", metavar="FILE", help="Values of the parameters (.npz, .safetensors), by name; .onnx only.")
@click.option("--partial", is_flag=True, help="Let weights be missing, unexpected or of another shape.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the values that no weights give.")
@click.option("--opset", type=int, help="Version of the ONNX operators (default: 20).")
def command(
    model: str,
    file: str,
    input_size: str | None,
    num_classes: int | None,
    pairs: tuple[str, ...],
    weights: str | None,
    partial: bool,
    seed: int,
    opset: int | None,
) -> None:
    """Write MODEL to FILE, whose suffix says how.

    .onnx: with its weights, for any runtime; the size of the batch is open. Without `--weights` the values are those
    that training from scratch starts with. .json: our own graph, which every command reads. .dot: for Graphviz.

    \b
    Examples:
      archcost export resnet50 resnet50.onnx --weights resnet50.safetensors
      archcost export mobilenet_v2 small.onnx --option width=0.5 --opset 17
      archcost export googlenet googlenet.dot
    """
    from archcost.interop.model import open_model, open_weights

    path = Path(file)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise UsageError(f"cannot write {file!r}: the file must end in {', '.join(SUFFIXES)}")
    if kind != ".onnx" and (weights is not None or opset is not None or partial):
        raise UsageError("`--weights`, `--partial` and `--opset` are for .onnx; other files hold the architecture only")
    options = requested(input_size, num_classes, pairs)
    graph = open_model(model, options)
    if kind == ".onnx":
        from archcost.interop.onnx.writing import DEFAULT, write_onnx
        from archcost.interop.state import state_with
        from archcost.interop.weights import read_weights

        arrays = open_weights(model, options) if weights is None else read_weights(weights)
        state, report = state_with(graph, arrays, partial=partial, seed=seed, source=weights or model)
        write_onnx(path, graph, state.arrays, DEFAULT if opset is None else opset)
        if report is not None and not report.complete:
            warn("; ".join(report.lines(3)))
        return
    from archcost.files import write_whole
    from archcost.report.dot import to_dot

    write_whole(path, graph.to_json() if kind == ".json" else to_dot(graph))
