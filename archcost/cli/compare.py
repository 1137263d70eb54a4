"""``archcost compare [MODELS...] [--ops]``."""

from __future__ import annotations

import click

from archcost.cli.model import allow_unknown_option, parse_size
from archcost.cli.output import chosen_format, emit, emit_table, output_options
from archcost.errors import UsageError


@click.command(short_help="Show networks side by side; --ops splits the cost by kind of operator.")
@click.argument("models", nargs=-1)
@click.option("--ops", is_flag=True, help="Split mult-adds by kind of operator, and show the operator identities.")
@click.option("--all", "everything", is_flag=True, help="Compare the whole catalogue.")
@click.option("--sort", type=click.Choice(["params", "mult_adds", "flops", "activations"]), help="Sort, largest first.")
@click.option("--input-size", metavar="CxHxW", help="Shape of one image for all of them, such as 3x224x224.")
@click.option("--num-classes", type=int, help="Outputs of the classifier, for all of them.")
@click.option("--dtype", default="float32", show_default=True, help="Element type of weights and activations.")
@allow_unknown_option
@output_options
def command(
    models: tuple[str, ...],
    ops: bool,
    everything: bool,
    sort: str | None,
    input_size: str | None,
    num_classes: int | None,
    dtype: str,
    allow_unknown: bool,
    output_format: str | None,
    output: str | None,
) -> None:
    """Show MODELS side by side; all architectures of the lecture when none is named.

    \b
    Examples:
      archcost compare
      archcost compare resnet50 resnet50_v1 seresnet50 --ops
      archcost compare --all --sort mult_adds --format csv
    """
    from archcost.interop.model import open_model
    from archcost.report.compare import as_csv_text, as_dict, compared, kinds_table, totals_table
    from archcost.report.formats import html_page
    from archcost.zoo.catalogue import CATALOGUE

    if models and everything:
        raise UsageError("name models or give `--all`, not both")
    options: dict[str, object] = {}
    if input_size is not None:
        options["input_size"] = parse_size(input_size)
    if num_classes is not None:
        options["num_classes"] = num_classes
    named = models or [name for name, entry in CATALOGUE.items() if everything or entry.lecture]
    results = [compared(open_model(model, options, allow_unknown=allow_unknown), dtype) for model in named]
    if sort:
        results.sort(key=lambda model: -getattr(model.totals, sort))

    form = chosen_format(output_format, output)
    tables = [totals_table(results)]
    data = as_dict(results)
    if ops:
        from archcost.report.identities import IDENTITIES, identities_dict, identities_table

        identities = [make() for make in IDENTITIES]
        data["identities"] = identities_dict(identities)
        tables = [kinds_table(results), identities_table(identities)]
    if form == "json":
        import json

        emit(json.dumps(data, indent=2), output)
    elif form == "table" and output is None:
        for index, table in enumerate(tables):
            if index:
                emit("", None)
            emit_table(table, None)
    elif form == "csv":
        emit(as_csv_text(results, ops=ops), output)
    elif form == "html":
        emit(html_page("archcost compare", "\n".join(table.html_body() for table in tables)), output)
    else:
        emit("\n\n".join(table.render(form) for table in tables), output)
