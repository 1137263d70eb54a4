"""The audit as a table with explanations under it, and as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from textwrap import fill, shorten

from archcost.report.audit import VERDICTS, CheckResult, Result
from archcost.report.figures import NO_NUMBER
from archcost.report.formats import Cell, Table
from archcost.report.printed import Value

SCHEMA = "archcost.audit/1"

LONGEST_STATED = 40
"""Characters of the printed text that the table shows."""

WIDTH = 118
"""Characters of a line of an explanation."""

HEADERS = ("id", "what", "stated", "computed", "verdict", "source")
IMPORTANCE = (100, 60, 80, 70, 90, 10)


def value_text(value: Value, unit: str = "") -> str:
    """Return a computed value for people: integers exact, other numbers to six digits, shares in per cent."""
    if unit == "%" and len(value) == 1:
        return f"{float(100 * value[0]):.6g} %"
    texts = [f"{int(one):,}" if one.denominator == 1 else f"{float(one):.6g}" for one in value]
    return "".join(texts) if len(texts) < 2 else f"({', '.join(texts)})"


def audit_table(results: Sequence[Result]) -> Table:
    """Return one row for each figure, the explanations and the counts under them."""
    rows = tuple(_row(result) for result in results)
    explanations = [_explanation(result) for result in results if _needs_words(result)]
    return Table("documented figures", HEADERS, rows, "\n\n".join([*explanations, counts_text(results)]), IMPORTANCE)


def data_table(results: Sequence[Result]) -> Table:
    """Return one row for each figure with everything in full (for CSV)."""
    headers = (
        "id", "source", "subject", "quantity", "stated", "unit", "model", "measure", "computed", "verdict", "because",
        "note",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        figure = result.figure
        computed: Cell = " ".join(str(_plain(one)) for one in result.computed)
        if len(result.computed) == 1:
            computed = _plain(result.computed[0])
        rows.append(
            (
                figure.id, figure.source, figure.subject, figure.quantity, figure.stated, figure.unit, figure.model,
                figure.measure, computed, result.verdict, figure.because, figure.note,
            )
        )  # fmt: skip
    return Table("documented figures", headers, tuple(rows))


def _row(result: Result) -> tuple[Cell, ...]:
    figure = result.figure
    stated = shorten(figure.stated, LONGEST_STATED, placeholder=" ...")
    return (
        figure.id,
        f"{figure.subject}: {figure.quantity}",
        _with_unit(stated, figure.unit) if figure.value != NO_NUMBER else stated,
        value_text(result.computed, figure.unit),
        result.verdict,
        figure.source,
    )


def _with_unit(stated: str, unit: str) -> str:
    return stated if not unit or unit in stated else f"{stated} {unit}"


def _explanation(result: Result) -> str:
    figure = result.figure
    stated = _with_unit(figure.stated, figure.unit)
    lines = [f"{figure.id}  {figure.subject}: {figure.quantity}, stated {stated}" + _model(result)]
    if result.problem:
        lines.append(_indented(f"MISMATCH: {result.problem}"))
    if figure.because:
        lines.append(_indented(f"differs because {figure.because}"))
    if figure.note:
        lines.append(_indented(f"note: {figure.note}"))
    lines += [_indented(_check_text(check), "    - ") for check in result.checks]
    misses = [check for check in result.checks if check.check.verb == "misses" and check.target == figure.id]
    solved = any(check.check.verb == "gives" and check.target == figure.id for check in result.checks)
    if len(misses) > 1 and not solved and figure.printed is not None and len(figure.printed.numbers) == 1:
        stated_value = figure.printed.numbers[0].value
        nearest = min((check.computed[0] for check in misses), key=lambda one: abs(one - stated_value))
        lines.append(_indented(f"nearest: {value_text((nearest,), figure.unit)}, {_off(nearest, stated_value)}"))
    return "\n".join(lines)


def _needs_words(result: Result) -> bool:
    return bool(result.figure.because or result.figure.note or result.problem)


def _model(result: Result) -> str:
    return f"; measured on {result.figure.model}" if result.figure.model else ""


def _indented(text: str, first: str = "    ") -> str:
    return fill(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)


def _off(value: Fraction, stated: Fraction) -> str:
    return f"{float(100 * (value / stated - 1)):+.2f} % from the stated number" if stated else "the stated number is 0"


def _check_text(result: CheckResult) -> str:
    check = result.check
    text = f"{check.expression} = {value_text(result.computed)}: "
    if not result.holds:
        text += "NOT as claimed, "
    if not isinstance(result.target, str):
        return f"{text}below {check.target} = {value_text(result.target)}"
    what = "the stated number" if not check.target else f"the number of {check.target}"
    how = "" if check.verb == "misses" or result.agreement in (None, "exact") else f" ({result.agreement})"
    return f"{text}{check.verb} {what}{how}"


def counts_text(results: Sequence[Result]) -> str:
    """Return the verdicts with their numbers, what each means, and their sum."""
    counts = Counter(result.verdict for result in results)
    lines = [f"{counts[verdict]:>5}  {verdict:<13}  {text}" for verdict, text in VERDICTS.items() if counts[verdict]]
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    figures = "1 figure" if len(results) == 1 else f"{len(results)} figures"
    return "\n".join([*lines, "", f"{figures}: {words}"])


def _plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def as_dict(results: Sequence[Result]) -> dict[str, object]:
    """Return everything as plain values: the schema ``archcost.audit/1``; counts as raw integers, shares as such."""
    counts = Counter(result.verdict for result in results)
    return {
        "schema": SCHEMA,
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "figures": [_result_dict(result) for result in results],
    }


def _value(value: Value) -> object:
    plain = [_plain(one) for one in value]
    return plain[0] if len(plain) == 1 else plain or None


def _result_dict(result: Result) -> dict[str, object]:
    figure = result.figure
    return {
        "id": figure.id,
        "source": figure.source,
        "subject": figure.subject,
        "quantity": figure.quantity,
        "stated": figure.stated,
        "unit": figure.unit,
        "model": figure.model,
        "measure": figure.measure,
        "computed": _value(result.computed),
        "verdict": result.verdict,
        "because": figure.because or None,
        "note": figure.note or None,
        "checks": [
            {
                "expression": one.check.expression,
                "verb": one.check.verb,
                "target": one.target if isinstance(one.target, str) else _value(one.target),
                "computed": _value(one.computed),
                "agreement": one.agreement,
                "holds": one.holds,
            }
            for one in result.checks
        ],
        "problem": result.problem or None,
    }
