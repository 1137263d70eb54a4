"""What MODEL may be, and what goes wrong with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from archcost.errors import ArchcostError, GraphError, ModelError
from archcost.interop import model as module
from archcost.interop.model import open_model
from tests.conftest import catalogue_graph

NET = """
from archcost import Builder, Sequential
from archcost.ops import Conv2d, Flatten, Linear, ReLU


def plain(width: int = 8, bias: bool = True, rate: float = 0.5, kind="a", size=(3, 8, 8)):
    return Sequential([Conv2d(width, 3, bias=bias), ReLU(), Flatten(), Linear(10)], size)


def named():
    return Sequential([ReLU()], (3,), "my_net", "mine")


def tensor():
    net = Builder()
    return net(ReLU(), net.input((3, 4, 4)))


def nothing():
    pass


def divides():
    return 1 / 0


def quits():
    raise SystemExit(7)


def wrong_graph():
    return Sequential([Conv2d(4, 9)], (3, 8, 8))


def recurses():
    return recurses()


def multi():
    raise ValueError("first\\nsecond")


def needs(argument):
    return plain()


NUMBER = 3
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    return str(tmp_path / "net.py")


def saved(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "graph.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_name_of_the_catalogue() -> None:
    assert open_model("resnet18") == catalogue_graph("resnet18")
    assert open_model("resnet18", {"num_classes": "10"}).shapes["fc"] == (10,)


def test_graph_file_is_the_graph(tmp_path: Path) -> None:
    graph = catalogue_graph("googlenet")
    assert open_model(saved(tmp_path, graph.to_json())) == graph


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"graph\.json: not JSON: Expecting value"),
        ("{", r"graph\.json: not JSON"),
        ("[1, 2", r"graph\.json: not JSON"),
        ("[" * 100_000, r"graph\.json: not JSON"),
        ("[]", r"graph\.json: `schema` \(='list'\) must be 'archcost\.graph/1'"),
        ("null", r"graph\.json: `schema` \(='NoneType'\)"),
        ("{}", r"graph\.json: `schema` \(=None\)"),
        ('{"schema": "archcost.summary/1"}', r"`schema` \(='archcost\.summary/1'\) must be 'archcost\.graph/1'"),
        ('{"schema": "archcost.graph/2", "nodes": []}', r"`schema` \(='archcost\.graph/2'\)"),
        ('{"schema": "archcost.graph/1"}', r"graph\.json: `nodes` must be a list"),
        (
            '{"schema": "archcost.graph/1", "nodes": [], "outputs": []}',
            r"graph\.json: a graph needs at least one Input",
        ),
        ("NaN", r"`schema` \(='float'\)"),
        (b"\xff\xfe\x00", r"graph\.json: not a text file in UTF-8"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_broken_graph_file(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ArchcostError, match=message) as error:
        open_model(saved(tmp_path, text))
    assert "\n" not in str(error.value)


def test_graph_that_does_not_hold_together_names_file_and_node(tmp_path: Path) -> None:
    data = json.loads(catalogue_graph("lenet").to_json())
    data["nodes"][1]["kernel_size"] = 99
    with pytest.raises(GraphError, match=r"graph\.json: conv1: .*\(input 1x32x32\)"):
        open_model(saved(tmp_path, json.dumps(data)))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.json", r"cannot read '.*missing\.json': No such file or directory"),
        ("folder.json", r"cannot read '.*folder\.json': Is a directory"),
        ("n" * 300 + ".json", r"cannot read '.*': File name too long"),
        ("missing.py:f", r"cannot read '.*missing\.py': no such file"),
        ("folder.py:f", r"cannot read '.*folder\.py'"),
        ("n" * 300 + ".py:f", r"cannot read '.*'"),
    ],
    ids=["json", "json folder", "json long", "py", "py folder", "py long"],
)
def test_files_that_cannot_be_read(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(ModelError, match=message):
        open_model(str(tmp_path / path))


def test_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_FILE", 2**20)
    with pytest.raises(ModelError, match=r"graph\.json: larger than 1 MiB"):
        open_model(saved(tmp_path, b" " * (2**20 + 1)))


def test_graph_file_has_no_options(tmp_path: Path) -> None:
    path = saved(tmp_path, catalogue_graph("lenet").to_json())
    with pytest.raises(ModelError, match=r"a graph file has no options; num_classes cannot be changed"):
        open_model(path, {"num_classes": 10})


@pytest.mark.parametrize("name", ["x.onnx", "folder/x.onnx"])
def test_an_onnx_file_that_is_not_there(name: str) -> None:
    with pytest.raises(ModelError, match=r"cannot read '.*x\.onnx': No such file"):
        open_model(name)


def test_function_of_a_file(net: str) -> None:
    graph = open_model(f"{net}:plain")
    assert (graph.name, graph.shapes["0"], graph.shapes["3"]) == ("plain", (8, 6, 6), (10,))
    assert open_model(f"{net}:named").title == "my_net (mine)"


def test_options_are_converted_to_the_type_of_the_default(net: str) -> None:
    graph = open_model(f"{net}:plain", {"width": "16", "bias": "no", "size": "1,5,5", "kind": "7"})
    assert graph.params(graph.node("0")) == {"weight": (16, 1, 3, 3)}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("depth", "1", r"net\.py:plain has no option 'depth'; it has width, bias, rate, kind, size"),
        ("width", "many", r"`width` \(=many\) must be a number"),
        ("bias", "many", r"`bias` \(=many\) must be true or false"),
        ("width", "0", r"net\.py:plain: .*`out_channels` \(=0\) must be at least 1"),
        ("width", "nan", r"`out_channels` \(=nan\) must be an integer"),
        ("width", "1e400", r"`out_channels` \(=inf\) must be an integer"),
        ("size", "3,2,2", r"net\.py:plain: 0: .*\(input 3x2x2\)"),
    ],
)
def test_wrong_options_of_a_function(net: str, option: str, value: str, message: str) -> None:
    with pytest.raises(ArchcostError, match=message):
        open_model(f"{net}:plain", {option: value})


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("missing", r"net\.py has no function 'missing'; it has .*divides.*, plain"),
        ("", r"net\.py has no function ''"),
        ("NUMBER", r"net\.py has no function 'NUMBER'"),
        ("nothing", r"net\.py:nothing returned NoneType, not a Graph"),
        ("tensor", r"returned Tensor, not a Graph \(end with `return net\.build\(x\)`; x is 3x4x4\)"),
        ("divides", r"net\.py:divides raised ZeroDivisionError: division by zero \(line 24\)"),
        ("quits", r"net\.py:quits called exit\(7\)"),
        ("wrong_graph", r"net\.py:wrong_graph: 0: .*\(input 3x8x8\)"),
        ("recurses", r"net\.py:recurses raised RecursionError"),
        ("multi", r"net\.py:multi raised ValueError: first"),
        ("needs", r"net\.py:needs raised TypeError: .*argument"),
    ],
)
def test_functions_that_go_wrong(net: str, function: str, message: str) -> None:
    with pytest.raises(ArchcostError, match=message):
        open_model(f"{net}:{function}")


def test_file_without_a_function_named(net: str) -> None:
    with pytest.raises(ModelError, match=r"net\.py: name the function that returns the graph, .*net\.py:FUNCTION"):
        open_model(net)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(:\n", r"bad\.py:f raised SyntaxError: .*line 1"),
        ("import nowhere_to_be_found\n", r"bad\.py:f raised ModuleNotFoundError: .*nowhere_to_be_found.*\(line 1\)"),
        ("\n\nraise OSError('disk')\n", r"bad\.py:f raised OSError: disk \(line 3\)"),
        ("import sys\nsys.exit('bye')\n", r"bad\.py:f called exit\(bye\)"),
        ("x = 1\n", r"bad\.py has no function 'f'; it has none"),
        ("", r"bad\.py has no function 'f'; it has none"),
        ("f = int\n", r"bad\.py:f "),
        ("\0", r"bad\.py:f raised "),
    ],
    ids=["syntax", "import", "raises", "exits", "no function", "empty", "a class", "binary"],
)
def test_files_that_go_wrong(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(source, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        open_model(f"{tmp_path / 'bad.py'}:f")


def test_file_may_import_its_neighbours_and_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "net.py").write_text("from neighbour_of_net import plain\n", encoding="utf-8")
    before = list(sys.path)
    assert open_model(f"{tmp_path / 'net.py'}:plain").shapes["3"] == (10,)
    assert sys.path == before
    with pytest.raises(ModelError, match="has no function"):
        open_model(f"{tmp_path / 'net.py'}:missing")
    assert sys.path == before
    sys.modules.pop("neighbour_of_net")


def test_file_that_empties_the_search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    source = "import sys\nfrom archcost import Sequential\nfrom archcost.ops import ReLU\nsys.path.pop(0)\n"
    (tmp_path / "net.py").write_text(f"{source}def f():\n    return Sequential([ReLU()], (3,))\n", encoding="utf-8")
    assert open_model(f"{tmp_path / 'net.py'}:f").shapes["0"] == (3,)


def test_user_interrupting_the_file_is_no_bad_input(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def f():\n    raise KeyboardInterrupt\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        open_model(f"{tmp_path / 'net.py'}:f")
