"""``archcost reconcile MODEL [NUMBER]``."""

from __future__ import annotations

import click

from archcost.cli.model import model_options, requested
from archcost.cli.output import chosen_format, emit, emit_table, output_options


@click.command(short_help="Explain what every other counter prints for a network.")
@click.argument("model")
@click.argument("number", required=False)
@model_options
@output_options
def command(
    model: str,
    number: str | None,
    input_size: str | None,
    num_classes: int | None,
    pairs: tuple[str, ...],
    output_format: str | None,
    output: str | None,
) -> int:
    """Show what every counter prints for MODEL, with the terms that make it.

    With NUMBER (4.11G, 25.6M, 4.1e9, 4089184256) say which counter, variant or rule gives it; the exit code is 1 if
    none does.

    \b
    Examples:
      archcost reconcile resnet50
      archcost reconcile resnet50 4.11G
      archcost reconcile resnet50 3.8G
      archcost reconcile efficientnet_b4 --input-size 3x224x224 --format json
    """
    from archcost.interop.model import open_model
    from archcost.report.explain import explain
    from archcost.report.places import places
    from archcost.report.reconcile import answer_table, reconcile
    from archcost.report.stated import parse

    stated = parse(number) if number is not None else None
    options = requested(input_size, num_classes, pairs)
    graph = open_model(model, options)
    form = chosen_format(output_format, output)
    answer = None
    if stated is not None:
        answer = explain(stated, places(graph, model, options, lambda more: open_model(model, {**options, **more})))
    if form == "json":
        emit(reconcile(graph).to_json(answer), output)
    elif answer is not None:
        emit(answer.text if form == "table" else answer_table(answer).render(form), output)
    elif form == "table":
        emit_table(reconcile(graph).table, output)
    else:
        result = reconcile(graph)
        emit((result.data_table if form == "csv" else result.table).render(form), output)
    return 1 if answer is not None and not answer.explanations else 0
