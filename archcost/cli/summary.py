"""``archcost summary MODEL``."""

from __future__ import annotations

import click

from archcost.cli.model import allow_unknown_option, model_options, requested
from archcost.cli.output import chosen_format, emit, emit_table, output_options
from archcost.errors import UsageError


@click.command(short_help="Show what a network costs, layer by layer.")
@click.argument("model")
@model_options
@click.option("--batch-size", "-b", type=int, default=1, show_default=True, help="Images in a batch.")
@click.option("--depth", type=int, help="Levels of the layer tree; -1 for every operator (default: 2, in data all).")
@click.option("--columns", help="Columns to show, separated by commas; `help` lists them.")
@click.option("--sort", default="", metavar="COLUMN", help="Sort by a column, largest first.")
@click.option("--top", type=click.IntRange(min=1), help="Show this many rows and sum up the rest.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Show rows whose name, operator or kind matches.")
@click.option("--train", is_flag=True, help="Add the exact cost of a training step.")
@click.option("--checkpoint-activations", is_flag=True, help="With --train: recompute activations, to save memory.")
@click.option(
    "--optimizer", default="sgd", show_default=True, help="sgd, momentum[-standard], nesterov, rmsprop, adam, adamw."
)
@click.option("--dtype", default="float32", show_default=True, help="float64, float32, float16, bfloat16, int8.")
@click.option("--freeze", multiple=True, metavar="PATTERN", help="Layers or scopes that are not trained.")
@click.option(
    "--convention", default="", metavar="NAME", help="Another counter's rule, as a column; `help` lists them."
)
@click.option(
    "--weights", metavar="FILE", help="Add the element types and zeros of these weights (.npz, .safetensors)."
)
@allow_unknown_option
@click.option("--partial", is_flag=True, help="Let weights be missing, unexpected or of another shape.")
@output_options
def command(
    model: str,
    input_size: str | None,
    num_classes: int | None,
    pairs: tuple[str, ...],
    batch_size: int,
    depth: int | None,
    columns: str | None,
    sort: str,
    top: int | None,
    only: tuple[str, ...],
    train: bool,
    checkpoint_activations: bool,
    optimizer: str,
    dtype: str,
    freeze: tuple[str, ...],
    convention: str,
    weights: str | None,
    partial: bool,
    allow_unknown: bool,
    output_format: str | None,
    output: str | None,
) -> None:
    """Show what MODEL costs: parameters, mult-adds, FLOPs, activations and memory, layer by layer and in total.

    \b
    Examples:
      archcost summary resnet50
      archcost summary mobilenet_v2 --option width=0.5 --input-size 3x192x192
      archcost summary resnet50 --train --optimizer adam --batch-size 32 --freeze layer[12]
      archcost summary network.onnx --input-size 3x224x224
      archcost summary vgg16 --depth -1 --sort params --top 5 --format md
      archcost summary resnet50 --weights pruned.safetensors --depth 3
    """
    from archcost.interop.model import open_model
    from archcost.report.columns import COLUMNS
    from archcost.report.summary import summarize

    if columns == "help":
        emit("\n".join(f"{name:<26} {column.header}" for name, column in COLUMNS.items()), None)
        return
    if convention == "help":
        from archcost.report.conventions import CONVENTIONS

        emit("\n".join(f"{name:<20} {rule.text}" for name, rule in CONVENTIONS.items()), None)
        return
    if checkpoint_activations and not train:
        raise UsageError("`--checkpoint-activations` is about `--train`, which is not given")
    graph = open_model(model, requested(input_size, num_classes, pairs), allow_unknown=allow_unknown)
    stored = None
    if weights is not None:
        from archcost.interop.stored import stored_weights

        stored = stored_weights(graph, weights, partial=partial)
    elif partial:
        raise UsageError("`--partial` is about `--weights`, which is not given")
    summary = summarize(
        graph,
        batch_size=batch_size,
        depth=depth,
        columns=[word.strip() for word in columns.split(",")] if columns else (),
        sort=sort,
        top=top,
        only=[word for words in only for word in words.split(",")],
        train=train,
        optimizer=optimizer,
        dtype=dtype,
        freeze=freeze,
        convention=convention,
        stored=stored,
        checkpoint_activations=checkpoint_activations,
    )
    form = chosen_format(output_format, output)
    if form == "table":
        emit_table(summary.table(), output)
    else:
        emit(summary.render(form), output)
