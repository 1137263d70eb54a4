"""``archcost audit``."""

from __future__ import annotations

import click

from archcost.cli.output import chosen_format, emit, emit_table, output_options

VERDICT_CHOICES = (
    "exact", "rounds", "truncates", "rounds up", "approximately", "bound holds", "differs", "no figure", "not a cost",
    "mismatch",
)  # fmt: skip
"""As in ``report.audit``, which is imported when the command runs."""


@click.command(short_help="Check every documented figure against what is computed.")
@click.option(
    "--source",
    type=click.Choice(["lecture", "papers", "all"]),
    default="all",
    show_default=True,
    help="Figures of the lecture notes, of papers and other publications, or both.",
)
@click.option("--only", multiple=True, metavar="PATTERN", help="Figures whose id, model or text matches; repeatable.")
@click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    type=click.Choice(VERDICT_CHOICES, case_sensitive=False),
    help="Show the figures with this verdict alone; repeatable.",
)
@output_options
def command(
    source: str, only: tuple[str, ...], verdicts: tuple[str, ...], output_format: str | None, output: str | None
) -> int:
    """Check every documented figure: where it is printed, what it says, what is computed, and the verdict.

    A figure that differs is explained in a sentence, and the sentence is proved by the computations under it. Exit
    code 1 if a figure is explained by nothing.

    \b
    Examples:
      archcost audit
      archcost audit --source lecture --verdict differs
      archcost audit --only googlenet --only 'P-VGG-*' --format md
    """
    from archcost.report.audit import audit, selected
    from archcost.report.audit_table import as_dict, audit_table, data_table
    from archcost.report.figures import documented

    figures = documented()
    judged = audit(selected(figures, source, only), figures)
    wanted = {verdict.lower() for verdict in verdicts}
    results = [result for result in judged if not wanted or result.verdict.lower() in wanted]
    form = chosen_format(output_format, output)
    if form == "json":
        import json

        emit(json.dumps(as_dict(results), indent=2), output)
    elif form == "table":
        emit_table(audit_table(results), output)
    else:
        table = data_table(results) if form == "csv" else audit_table(results)
        emit(table.render(form), output)
    return int(any(result.verdict == "MISMATCH" for result in judged))
