"""``archcost models [PATTERN]``."""

from __future__ import annotations

import click

from archcost.cli.output import chosen_format, emit, emit_table, output_options


@click.command(short_help="List the networks of the catalogue.")
@click.argument("pattern", required=False)
@click.option("--options", "with_options", is_flag=True, help="List each network's options with their defaults.")
@output_options
def command(pattern: str | None, with_options: bool, output_format: str | None, output: str | None) -> None:
    """List the networks of the catalogue with params, mult-adds, paper and variant.

    PATTERN is a part of a name, or a name with * and ?. A single match is listed with its options.

    \b
    Examples:
      archcost models
      archcost models 'resnet*'
      archcost models mobilenet_v1
    """
    from archcost.report.models import as_csv_text, as_dict, listed, models_table

    found = listed(pattern)
    form = chosen_format(output_format, output)
    if form == "json":
        import json

        emit(json.dumps(as_dict(found), indent=2), output)
        return
    if form == "csv":
        emit(as_csv_text(found), output)
        return
    table = models_table(found, with_options=with_options or len(found) == 1)
    if form == "table":
        emit_table(table, output)
    else:
        emit(table.render(form), output)
