"""``archcost reconcile``."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ended

Run = Callable[..., Ended]


def test_all_counters_in_one_table(run: Run) -> None:
    ended = run("reconcile", "resnet50")
    assert ended.code == 0
    assert ended.err == ""
    assert ended.out.startswith(
        "What other counters print for resnet50 (v1.5, stride in the 3x3, shortcut B), input 3x224"
    )
    for number in (
        "4,089,184,256",
        "4,111,512,576",
        "4,133,742,592",
        "4,132,436,968",
        "4,089,185,256",
        "4,089,238,376",
    ):
        assert number in ended.out


def test_a_number_is_explained_in_one_line(run: Run) -> None:
    ended = run("reconcile", "resnet50", "4.11G")
    assert ended.code == 0
    assert ended.out.startswith("4.11G is what fvcore and timm print for resnet50: 4,111,512,576 = ")


def test_a_number_that_nothing_gives_ends_with_1(run: Run) -> None:
    ended = run("reconcile", "resnet50", "4.14G")
    assert ended.code == 1
    assert "no counter, variant or rule gives it; nearest is what thop prints" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet50", "many"), "NUMBER (='many') must be a number such as 4.11G"),
        (("resnt50",), "unknown model 'resnt50' (did you mean 'resnet50'?)"),
        (("resnet50", "4G", "5G"), "unexpected extra argument"),
        (("resnet50", "--option", "aux=true"), "resnet50 has no option 'aux'"),
        (("resnet50", "-o", "/nowhere/x.csv"), "cannot write '/nowhere/x.csv'"),
    ],
)
def test_bad_usage_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    ended = run("reconcile", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("archcost: error: ")
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_options_change_the_network(run: Run) -> None:
    ended = run("reconcile", "efficientnet_b1", "--input-size", "240", "--format", "json")
    counters = {counter["name"]: counter["cost"] for counter in json.loads(ended.out)["counters"]}
    assert counters["ptflops_pytorch"] == 726_705_368
    ended = run("reconcile", "resnet50", "23.5M", "--num-classes", "10")
    assert "is the parameters of resnet50: 23,528,522" in ended.out


def test_json_has_schema_and_answer(run: Run) -> None:
    data = json.loads(run("reconcile", "resnet50", "3.8G", "--format", "json").out)
    assert data["schema"] == "archcost.reconcile/1"
    assert data["params"] == 25_557_032
    assert data["number"]["explanations"][0]["model"] == "resnet50_v1"


def test_csv_holds_raw_integers(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("reconcile", "convnext_tiny", "--format", "csv").out)))
    torchinfo = [row for row in rows if row["counter"] == "torchinfo"]
    assert {row["cost"] for row in torchinfo} == {"322371592"}
    assert sum(int(row["count"]) for row in torchinfo) == 322_371_592


@pytest.mark.parametrize("form", ["md", "latex", "html", "csv", "table"])
@pytest.mark.parametrize("number", [(), ("3.8G",), ("4.14G",)])
def test_every_format(run: Run, form: str, number: tuple[str, ...]) -> None:
    ended = run("reconcile", "resnet50", *number, "--format", form)
    assert ended.code == (1 if number == ("4.14G",) else 0)
    assert "4,133,742,592" in ended.out or "4133742592" in ended.out or number == ("3.8G",)


def test_a_file_is_written(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "counters.json"
    ended = run("reconcile", "lenet", "-o", str(path))
    assert (ended.code, ended.out) == (0, "")
    assert json.loads(path.read_text(encoding="utf-8"))["model"]["name"] == "lenet"


def test_a_network_of_ones_own(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from archcost import Sequential\nfrom archcost.ops import Conv2d\n"
        "def net():\n    return Sequential([Conv2d(8, 3)], (3, 8, 8))\n",
        encoding="utf-8",
    )
    ended = run("reconcile", f"{path}:net", "7776")
    assert ended.out.startswith("7776 is the conv+dense mult-adds of net, as ")


def test_conventions_are_listed_and_shown(run: Run) -> None:
    assert "ptflops_pytorch" in run("summary", "resnet50", "--convention", "help").out
    assert "4,133,742,592" in run("summary", "resnet50", "--convention", "thop").out
    ended = run("summary", "resnet50", "--convention", "thopp")
    assert ended.code == 2
    assert "unknown convention 'thopp' (did you mean 'thop'?)" in ended.err


def test_neither_numpy_nor_numba_is_imported() -> None:
    program = (
        "import sys\nfrom archcost.cli.main import main\n"
        "try:\n    main(['reconcile', 'resnet50', '3.8G'])\n"
        "except SystemExit:\n    assert not {'numpy', 'numba'} & set(sys.modules), 'heavy import'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
