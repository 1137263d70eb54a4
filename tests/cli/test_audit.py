"""``archcost audit`` on the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from archcost.cli.audit import VERDICT_CHOICES
from archcost.report import figures
from archcost.report.audit import VERDICTS
from tests.conftest import Ended

Run = Callable[..., Ended]


def test_everything_is_explained(run: Run) -> None:
    ended = run("audit")
    assert ended.code == 0
    assert ended.err == ""
    last = ended.out.rstrip().splitlines()[-1]
    assert last.startswith("688 figures: ")
    assert "MISMATCH" not in last


def test_a_wrong_figure_ends_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = figures.documented()
    text = ",".join(figures.COLUMNS) + "\nWRONG-1,nowhere,VGG-16,params,139,,M,,vgg16,params,,,\n"
    monkeypatch.setattr(figures, "documented", lambda: {**right, **figures.read_figures(text)})
    ended = run("audit", "--only", "WRONG-1")
    assert ended.code == 1
    assert "MISMATCH: no rounding gives the stated number, and no check explains it" in ended.out
    assert ended.out.rstrip().endswith("1 figure: 1 MISMATCH")
    assert run("audit", "--only", "WRONG-1", "--verdict", "exact").code == 1
    assert run("audit", "--only", "P-VGG-*").code == 0


def test_selections(run: Run) -> None:
    lecture = json.loads(run("audit", "--source", "lecture", "--format", "json").out)
    papers = json.loads(run("audit", "--source", "papers", "--format", "json").out)
    assert len(lecture["figures"]) == 146
    assert len(papers["figures"]) == 542
    some = json.loads(
        run("audit", "--only", "vgg16", "--verdict", "exact", "--verdict", "differs", "--format", "json").out
    )
    assert {one["verdict"] for one in some["figures"]} == {"exact", "differs"}
    assert {one["model"].split()[0] for one in some["figures"]} == {"vgg16"}


def test_json(run: Run) -> None:
    data = json.loads(run("audit", "--only", "S-123", "--only", "P-VGG-009", "--format", "json").out)
    assert data["schema"] == "archcost.audit/1"
    assert set(data["counts"]) == set(VERDICTS)
    assert data["counts"]["exact"] == data["counts"]["differs"] == 1
    first, second = data["figures"]
    assert (first["id"], first["stated"], first["computed"]) == ("S-123", "118,784", 118_784)
    assert first["source"] == "lecture notes, part 5, line 115"
    assert second["checks"] == [
        {
            "expression": "mult_adds_without_dense",
            "verb": "gives",
            "target": "P-VGG-009",
            "computed": 15_346_630_656,
            "agreement": "rounds",
            "holds": True,
        }
    ]


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        ("md", "### documented figures\n"),
        ("tex", "% documented figures\n"),
        ("html", "<!doctype html>\n"),
        ("csv", "id,source,subject,quantity,stated,unit,model,measure,computed,verdict,because,note\n"),
        ("json", '{\n  "schema": "archcost.audit/1",\n'),
    ],
)
def test_a_file_has_the_format_of_its_suffix(run: Run, tmp_path: Path, suffix: str, start: str) -> None:
    path = tmp_path / f"audit.{suffix}"
    assert run("audit", "--only", "P-LeNet5-*", "-o", str(path)).out == ""
    assert path.read_text(encoding="utf-8").startswith(start)


def test_csv_holds_raw_numbers(run: Run) -> None:
    lines = list(csv.DictReader(run("audit", "--only", "P-LeNet5-*", "--format", "csv").out.splitlines()))
    assert [line["computed"] for line in lines[:4]] == ["156", "122304", "12", "5880"]
    assert {line["verdict"] for line in lines} == {"exact", "no figure"}


def test_bad_usage(run: Run) -> None:
    ended = run("audit", "--only", "P-Nothing")
    assert ended.code == 2
    assert ended.err == "archcost: error: no figure matches 'P-Nothing'\n"
    assert run("audit", "--verdict", "wonderful").code == 2


def test_help_shows_the_examples_line_by_line(run: Run) -> None:
    assert "\n    archcost audit --source lecture --verdict differs\n" in run("audit", "--help").out


def test_the_choices_are_the_verdicts() -> None:
    assert tuple(verdict.lower() for verdict in VERDICTS) == VERDICT_CHOICES


def test_neither_numpy_nor_numba_is_imported() -> None:
    code = (
        "import sys\nfrom archcost.cli.main import main\n"
        "try:\n    main(['audit', '--verdict', 'rounds up'])\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "assert not {'numpy', 'numba'} & set(sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
