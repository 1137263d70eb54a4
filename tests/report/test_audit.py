"""Every documented figure has a verdict, none is a mismatch, and a wrong figure would be one."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import pytest

from archcost.errors import UsageError
from archcost.report.audit import VERDICTS, Result, audit, selected
from archcost.report.audit_table import as_dict, audit_table, data_table, value_text
from archcost.report.figures import COLUMNS, Figure, documented, read_figures
from archcost.report.printed import UNITS

EXACT = Path(__file__).parent.parent / "data" / "audit_exact.csv"
"""Independent recomputations, each as an integer or, in the figure's unit, to the digits that it shows."""

SPELLED = {"3": "three", "5": "five"}


@lru_cache(maxsize=1)
def results() -> dict[str, Result]:
    figures = documented()
    return {result.figure.id: result for result in audit(figures.values(), figures)}


def verdict_of(figure: Figure, **changes: str) -> Result:
    """The verdict on a figure after changes, among all the others."""
    changed = replace(figure, **changes)
    return audit([changed], {**documented(), changed.id: changed})[0]


def test_all_figures_are_there() -> None:
    lecture = [name for name in documented() if name.startswith("S-")]
    assert lecture == [f"S-{number:03}" for number in range(1, 147)]
    assert len(documented()) - len(lecture) == 542


def test_no_figure_is_unexplained() -> None:
    assert [(name, result.problem) for name, result in results().items() if result.verdict == "MISMATCH"] == []


def test_every_verdict_occurs_but_the_mismatch() -> None:
    assert {result.verdict for result in results().values()} == set(VERDICTS) - {"MISMATCH"}


def exact_values() -> list[tuple[str, str]]:
    with EXACT.open(encoding="utf-8") as file:
        return [(line["id"], line["exact"]) for line in csv.DictReader(file)]


def test_computed_values_equal_the_recomputed_ones() -> None:
    values = exact_values()
    assert len(values) > 580
    different = []
    for name, text in values:
        result = results()[name]
        if result.verdict == "not a cost":
            continue
        decimals = len(text.partition(".")[2])
        if decimals:
            off = abs(result.computed[0] / UNITS[result.figure.unit] - Fraction(text))
            same = off <= Fraction(1, 2 * 10**decimals)
        else:
            same = result.computed == (Fraction(text),)
        if not same:
            different.append((name, text, value_text(result.computed)))
    assert different == []


def test_an_explained_figure_has_a_sentence_and_a_proof() -> None:
    for name, result in results().items():
        figure = result.figure
        assert result.checks or result.verdict != "differs", name
        assert all(check.holds for check in result.checks), name
        assert bool(figure.because) == (result.verdict == "differs"), name
        assert not (figure.because and figure.note), name
        assert not (figure.because or figure.note).endswith("."), name
        assert not figure.because.startswith("because"), name


def test_a_figure_that_no_count_gives_says_so_and_shows_several_tries() -> None:
    for name, result in results().items():
        tried = [check for check in result.checks if check.check.verb == "misses" and check.target == name]
        given = [check for check in result.checks if check.check.verb == "gives" and check.target == name]
        if "no count" in result.figure.because and not given:
            assert len({check.check.expression for check in tried}) >= 3, name


def test_only_what_needs_a_rounding_declares_one() -> None:
    for name, result in results().items():
        declared, verdict = result.figure.rounding, result.verdict
        if declared in ("down", "up"):
            assert verdict == {"down": "truncates", "up": "rounds up"}[declared], name
        elif declared.startswith("about"):
            assert verdict == "approximately", name
        elif declared:
            assert verdict in ("rounds", "differs"), name


def test_a_value_repeats_the_digits_of_the_printed_text() -> None:
    for figure in documented().values():
        if figure.value not in ("", "-"):
            printed = re.sub(r"[^0-9 ]", " ", figure.stated).split() + re.sub(r"[^0-9]", "", figure.stated).split()
            for digits in re.findall(
                r"\d+", figure.value.replace(",", "") if "," not in figure.stated else figure.value
            ):
                spelled = SPELLED.get(digits, "") in figure.stated and digits in SPELLED
                assert spelled or any(digits in word for word in printed), figure.id


def test_sources_are_citations_not_paths() -> None:
    for figure in documented().values():
        assert figure.source, figure.id
        assert not re.search(r"/\w|\.(md|txt|csv|py)\b", figure.source), figure.id
        assert figure.source.startswith("lecture notes, part ") == figure.is_lecture, figure.id


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("S-046", "~139M"),  # a rounded figure
        ("S-123", "118,785"),  # an exact one
        ("S-053", "28x28x257"),  # a shape
        ("P-ResNet-011", "3.7"),  # a truncated one
        ("P-AlexNet-002", "~630,000"),  # an approximate one
        ("P-VGG-009", "15.2"),  # an explained one: the check no longer gives it
        ("P-VGG-009", "15.5"),  # one that needs no explanation any more
        ("P-MobileNetV1-033", "1.33"),  # one with a note and a check, but no explanation
        ("P-Inceptionv3-002", "<23"),  # a bound
        ("P-MobileNetV1-001", "94.96"),  # a share
    ],
)
def test_a_wrong_figure_is_a_mismatch(name: str, stated: str) -> None:
    figure = documented()[name]
    value = "139" if name == "S-046" else ""
    assert verdict_of(figure, stated=stated, value=value).verdict == "MISMATCH"


def test_every_figure_that_agrees_would_not_with_other_digits() -> None:
    everything = documented()
    same: list[Figure] = []
    changed: list[Figure] = []
    for name, result in results().items():
        figure = result.figure
        if result.verdict in ("exact", "rounds", "truncates", "rounds up") and figure.printed is not None:
            *before, last = figure.printed.numbers
            decimals = len(last.text.partition(".")[2])
            other = f"{float((last.value + 3 * last.unit) / UNITS[figure.unit]):.{decimals}f}"
            text = ", ".join([*(one.text for one in before), other])
            changed.append(replace(everything[name], value=text))
            same.append(replace(everything[name], value=text.removesuffix(other) + last.text))
    assert len(changed) > 450
    assert [one.figure.id for one in audit(same, everything) if one.verdict == "MISMATCH"] == []
    assert [one.figure.id for one in audit(changed, everything) if one.verdict != "MISMATCH"] == []


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        ("P-VGG-009", {"checks": "mult_adds gives"}, "the check does not hold: mult_adds gives"),
        ("P-VGG-009", {"checks": "mult_adds_without_dense misses"}, "the check does not hold"),
        ("P-VGG-009", {"checks": "mult_adds below 1"}, "the check does not hold: mult_adds below 1"),
        ("P-VGG-009", {"checks": ""}, "no check explains it"),
        ("P-VGG-009", {"because": ""}, "no check explains it"),
        ("P-VGG-001", {"because": "it should"}, "it does not differ \\(rounds\\), though it says why"),
        ("S-040", {"note": ""}, "no check explains it"),
        ("P-VGG-009", {"checks": "mult_adds exceeds 1"}, "'mult_adds exceeds 1' is no check"),
        ("P-VGG-009", {"checks": "mult_adds gives P-VGG-999"}, "no figure 'P-VGG-999'"),
        ("P-VGG-009", {"checks": "mult_adds gives S-001"}, "S-001 states no number"),
        ("P-VGG-001", {"model": "vgg99"}, "unknown model 'vgg99'"),
        ("P-VGG-001", {"model": ""}, "the figure names no model"),
        ("P-VGG-001", {"measure": "parms"}, "unknown measure 'parms'.*params"),
        ("P-VGG-001", {"measure": "params:features.99"}, "matches 'features.99'"),
        ("P-VGG-001", {"unit": "X"}, "unknown unit 'X'"),
        ("P-VGG-001", {"rounding": "about 9%"}, "the source does not call '133' approximate"),
        ("P-VGG-001", {"measure": ""}, "no check explains it"),
    ],
)
def test_a_wrong_explanation_is_a_mismatch(name: str, changes: dict[str, str], problem: str) -> None:
    result = verdict_of(documented()[name], **changes)
    assert result.verdict == "MISMATCH"
    assert re.search(problem, result.problem)


def test_a_figure_cut_off_must_be_declared_so() -> None:
    figure = documented()["P-ResNet-011"]
    assert verdict_of(figure).verdict == "truncates"
    assert verdict_of(figure, rounding="").verdict == "MISMATCH"
    assert verdict_of(figure, rounding="up").verdict == "MISMATCH"


def test_selection() -> None:
    figures = documented()
    assert {one.is_lecture for one in selected(figures, "lecture")} == {True}
    assert {one.is_lecture for one in selected(figures, "papers")} == {False}
    assert len(selected(figures)) == len(figures)
    assert [one.id for one in selected(figures, patterns=["s-00?"])] == [f"S-00{number}" for number in range(1, 10)]
    assert {one.model.split()[0] for one in selected(figures, patterns=["shufflenet_v1"])} == {"shufflenet_v1"}
    assert all("Zagoruyko" in one.source for one in selected(figures, patterns=["zagoruyko"]))
    with pytest.raises(UsageError, match="no figure of the lecture matches 'P-VGG-001'"):
        selected(figures, "lecture", ["P-VGG-001"])


HEADER = ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,source\n", "must have the columns id,source,subject"),
        ("", "must have the columns"),
        (f"{HEADER}\nX-1,a\n", "X-1: 2 columns, not 13"),
        (f"{HEADER}\nX-1{',' * 12}\nX-1{',' * 12}\n", "X-1: the id is used twice"),
    ],
)
def test_broken_data_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_figures(text)


def test_table_data_and_json_say_the_same() -> None:
    chosen = [
        results()[name] for name in ("S-053", "S-065", "S-112", "P-VGG-009", "P-MobileNetV1-005", "P-AlexNet-001")
    ]
    table, data, plain = audit_table(chosen), data_table(chosen), as_dict(chosen)
    assert json.loads(json.dumps(plain)) == plain
    listed = plain["figures"]
    assert isinstance(listed, list)
    assert [row[0] for row in table.rows] == [row[0] for row in data.rows] == [one["id"] for one in listed]
    assert [row[4] for row in table.rows] == [one["verdict"] for one in listed]
    assert [one["computed"] for one in listed[:2]] == [[28, 28, 256], pytest.approx(8.8445, abs=1e-4)]
    assert listed[2]["computed"] is None
    assert listed[3]["computed"] == 15_470_264_320
    assert "differs because the dense layers are left out" in table.notes
    assert "mult_adds_without_dense = 15,346,630,656: gives the stated number (rounds)" in table.notes
    assert "nearest: 8.99012, -10.10 % from the stated number" in table.notes
    assert table.rows[4][3] == "1.90562 %"
    assert table.notes.endswith("6 figures: 1 exact, 1 approximately, 3 differs, 1 not a cost")


def test_a_mismatch_is_explained_in_the_table() -> None:
    wrong = verdict_of(documented()["P-VGG-009"], checks="mult_adds gives")
    notes = audit_table([wrong]).notes
    assert "MISMATCH: the check does not hold: mult_adds gives" in notes
    assert "NOT as claimed" in notes
    assert notes.endswith("1 figure: 1 MISMATCH")
