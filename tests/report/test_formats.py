"""Numbers as people read them, and the text formats of a table."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.report.formats import (
    Cell,
    Table,
    as_csv,
    as_html,
    as_latex,
    as_markdown,
    cell_text,
    mebibytes,
    percent,
    si,
)

HOSTILE = "<b>&amp;\"'|_a_ 50% $x$ #1 ~^{}\\ é"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (-999, "-999"),
        (1000, "1.000 k"),
        (1001, "1.001 k"),
        (12_346, "12.35 k"),
        (999_949, "999.9 k"),
        (999_950, "1.000 M"),
        (999_999, "1.000 M"),
        (1_000_000, "1.000 M"),
        (9_999_900, "10.00 M"),
        (99_999_000, "100.0 M"),
        (999_949_999, "999.9 M"),
        (999_950_000, "1.000 G"),
        (4_089_184_256, "4.089 G"),
        (15_470_264_320, "15.47 G"),
        (374_570_006_400, "374.6 G"),
        (10**12, "1.000 T"),
        (10**15, "1.000 P"),
        (10**18, "1.000 E"),
        (-25_557_032, "-25.56 M"),
        (10**21, "1000 E"),
    ],
)
def test_si(value: int, expected: str) -> None:
    assert si(value) == expected


@given(
    st.integers(1000, 10**20) | st.builds(lambda power, less: 10**power - less, st.integers(4, 20), st.integers(0, 9))
)
def test_si_has_four_digits_and_is_near(value: int) -> None:
    number, prefix = si(value).split(" ")
    assert len(number.replace(".", "")) == 4
    shown = float(number) * 10 ** (3 * (1 + "kMGTPE".index(prefix)))
    assert abs(shown - value) <= 0.000_500_1 * value


@pytest.mark.parametrize(
    ("value", "digits", "expected"), [(999_600, 3, "1.00 M"), (123_456, 3, "123 k"), (1_234_567, 6, "1.23457 M")]
)
def test_si_with_other_digits(value: int, digits: int, expected: str) -> None:
    assert si(value, digits) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.5, "0.5"), (12.345678, "12.35"), (1500.0, "1.500 k")])
def test_si_of_fractions(value: float, expected: str) -> None:
    assert si(value) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0.00 MiB"),
        (1, "0.00 MiB"),
        (2**20, "1.00 MiB"),
        (3 * 2**19, "1.50 MiB"),
        (102_228_128, "97.49 MiB"),
        (2**30, "1,024.00 MiB"),
        (10**18, "953,674,316,406.25 MiB"),
    ],
)
def test_mebibytes(count: int, expected: str) -> None:
    assert mebibytes(count) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(1, 3, "33.3%"), (0, 5, "0.0%"), (5, 5, "100.0%"), (0, 0, ""), (10**30, 10**31, "10.0%")],
)
def test_percent(part: int, whole: int, expected: str) -> None:
    assert percent(part, whole) == expected


@pytest.mark.parametrize(
    ("cell", "expected"), [(None, ""), (1234567, "1,234,567"), ("1234567", "1234567"), (0, "0"), (0.5, "0.5"), ("", "")]
)
def test_cell_text(cell: Cell, expected: str) -> None:
    assert cell_text(cell) == expected


def test_giant_counts_are_written() -> None:
    assert si(2**1000).endswith(" E")
    assert mebibytes(2**1000).endswith(" MiB")


HEADERS = ("layer", "params")
ROWS: tuple[tuple[Cell, ...], ...] = ((HOSTILE, 1234), ("  indented", None), ("", 0))
TABLE = Table("a_title & more", HEADERS, ROWS, "note one\nnote_two", (100, 50))


def test_csv_can_be_read_back() -> None:
    rows = [("a,b", 1_000_000), ('say "no"', None), ("two\nlines", 0), (HOSTILE, -5)]
    text = as_csv(("name, quoted", "count"), rows)
    assert list(csv.reader(io.StringIO(text))) == [
        ["name, quoted", "count"],
        ["a,b", "1000000"],
        ['say "no"', ""],
        ["two\nlines", "0"],
        [HOSTILE, "-5"],
    ]


def test_csv_of_a_table_has_no_title_and_no_notes() -> None:
    assert TABLE.render("csv").splitlines()[0] == "layer,params"
    assert "note" not in TABLE.render("csv")


def test_markdown_escapes_the_column_separator() -> None:
    lines = as_markdown(("a", "b"), [("x|y", 1), ("z", 2)]).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[3].count("|") == 3
    assert "x\\|y" in lines[2]
    assert re.search(r"\|-+:\|$", lines[1]), "numbers stand to the right"


def test_markdown_has_heading_and_fenced_notes() -> None:
    text = TABLE.render("md")
    assert text.startswith("### a_title & more\n\n| layer")
    assert text.endswith("```text\nnote one\nnote_two\n```")
    assert "```" not in Table("t", HEADERS, ROWS).render("md")


def unescaped(text: str, specials: str) -> list[str]:
    """Return the LaTeX specials of ``text`` that no backslash stands before."""
    return re.findall(rf"(?<!\\)[{re.escape(specials)}]", text)


def test_latex_escapes_special_characters() -> None:
    lines = as_latex(("la_yer", "params"), [("conv_1 50% & $x$ #2 {a}", 1234)]).splitlines()
    body = [line for line in lines if not line.startswith("\\")]
    assert len(body) == 2
    for line in body:
        cells = line.removesuffix("\\\\")
        assert unescaped(cells, "_%$#{}") == []
        assert len(unescaped(cells, "&")) == 1, "one separator between two columns"
    assert "conv\\_1 50\\% \\& \\$x\\$ \\#2 \\{a\\}" in body[1]
    assert lines[0] == "\\begin{tabular}{lr}"
    assert lines[-1] == "\\end{tabular}"


@pytest.mark.parametrize("title", ["a_title & more", "two\nlines", "two\r\\input{lines}"])
def test_latex_title_and_notes_are_comments(title: str) -> None:
    lines = Table(title, HEADERS, ROWS, "note one\nnote_two").render("latex").splitlines()
    before = lines[: lines.index("\\begin{tabular}{lr}")]
    assert len(before) >= 3
    assert all(line.startswith("%") for line in before)


class Checker(HTMLParser):
    """Collects the text of cells; raises when an element is closed that is not the open one."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def parsed(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    return checker


def test_html_escapes_and_closes() -> None:
    checker = parsed(as_html(HEADERS, ROWS))
    assert checker.cells == ["layer", "params", HOSTILE, "1,234", "  indented", "", "", "0"]
    assert set(checker.seen) == {"table", "thead", "tbody", "tr", "th", "td"}


def test_html_page_is_whole_and_loads_nothing() -> None:
    text = Table("<script>alert(1)</script>", HEADERS, ROWS, "</pre><script>").render("html")
    checker = parsed(text)
    assert text.startswith("<!doctype html>\n")
    assert "script" not in checker.seen
    assert {"html", "head", "meta", "title", "body", "h1", "pre"} <= set(checker.seen)
    assert re.search(r"(src|href)=|url\(|@import", text) is None


def test_text_table_aligns_numbers_right_and_keeps_indentation() -> None:
    lines = Table("title", ("layer", "params", "share"), (("a", 5, "1.0%"), ("  b", 12345, "99.0%"))).render("table")
    assert lines.splitlines() == [
        "title",
        "",
        "layer      params    share",
        "-------  --------  -------",
        "a               5     1.0%",
        "  b        12,345    99.0%",
    ]


def test_text_of_a_number_is_not_parsed_again() -> None:
    assert "1e5" in Table("", ("name",), (("1e5",),)).render("table")


def test_width_is_what_the_lines_are_wide() -> None:
    table = Table("", ("layer", "params", "op"), (("features.0", 12_345, "conv"), ("x", 5, "a longer operator")))
    assert table.width <= max(map(len, table.render("table").splitlines()))


@pytest.mark.parametrize(
    ("width", "kept", "dropped"),
    [
        (100, ("layer", "operator", "shape", "params"), ()),
        (30, ("layer", "shape", "params"), ("operator",)),
        (20, ("layer", "params"), ("operator", "shape")),
        (1, ("layer", "params"), ("operator", "shape")),
    ],
)
def test_narrow_terminal_drops_the_least_important_columns(
    width: int, kept: tuple[str, ...], dropped: tuple[str, ...]
) -> None:
    headers = ("layer", "operator", "shape", "params")
    table = Table("t", headers, (("conv1", "conv 7x7/2", "64x112x112", 9408),), "n", (100, 10, 20, 90))
    fitted, gone = table.fitted(width)
    assert (fitted.headers, gone) == (kept, dropped)
    assert len(fitted.rows[0]) == len(fitted.headers) == len(fitted.importance)
    assert (fitted.title, fitted.notes) == ("t", "n")


def test_fitted_lines_do_fit() -> None:
    headers = ("layer", "operator", "shape", "params")
    table = Table("t", headers, (("conv1", "conv 7x7/2", "64x112x112", 9408),), "", (100, 10, 20, 90))
    for width in range(20, 60):
        fitted, _ = table.fitted(width)
        assert max(map(len, fitted.render("table").splitlines())) <= width or len(fitted.headers) == 2


def test_table_without_importance_keeps_its_columns() -> None:
    table = Table("t", HEADERS, ROWS)
    assert table.fitted(1) == (table, ())


def test_first_column_is_never_dropped() -> None:
    table = Table("t", ("layer", "a", "b"), (("x" * 50, 1, 2),), "", (0, 50, 60))
    assert table.fitted(10)[0].headers == ("layer", "b")
