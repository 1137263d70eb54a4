"""What an import pulls in, by fresh interpreters, and that imports point down the layers, by the syntax trees."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import archcost

PACKAGE = Path(archcost.__file__).parent
MODULES = {
    ".".join(("archcost", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
HEAVY = {"numpy", "numba", "scipy", "onnx", "torch", "matplotlib", "PIL", "hypothesis", "pytest"}


def loaded_after(code: str) -> set[str]:
    """Return the names of all modules that a fresh interpreter has loaded after ``code``."""
    script = (
        "import io, json, sys, contextlib\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try:\n"
        f"        {code}\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, end.code\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    environment = {"PYTHONPATH": str(PACKAGE.parent), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stdout)
    assert "archcost" in modules
    return set(modules)


@pytest.mark.parametrize(
    "arguments",
    [["summary", "resnet50"], ["summary", "resnet50", "--train"], ["compare", "--ops"], ["models"]],
    ids=" ".join,
)
def test_a_report_needs_neither_numpy_nor_numba(arguments: list[str]) -> None:
    loaded = loaded_after(f"from archcost.cli.main import main; main({arguments!r})")
    assert "archcost.graph" in loaded or arguments == ["models"]
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


def test_a_summary_builds_only_the_network_that_was_asked_for() -> None:
    loaded = loaded_after("from archcost.cli.main import main; main(['summary', 'resnet50'])")
    assert "archcost.zoo.resnet" in loaded
    assert "archcost.report.summary" in loaded
    assert not loaded & {"archcost.zoo.vgg", "archcost.zoo.googlenet", "archcost.report.compare", "archcost.serialize"}


def test_the_package_alone_imports_nothing_of_its_own() -> None:
    assert {name for name in loaded_after("import archcost") if name.startswith("archcost")} == {"archcost"}


@pytest.mark.parametrize("name", archcost.__all__)
def test_every_public_name_can_be_had_in_a_fresh_interpreter(name: str) -> None:
    assert hasattr(archcost, name)
    assert name in dir(archcost)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'archcost' has no attribute 'lod'"):
        _ = archcost.lod


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports anywhere, functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


IMPORTS = {name: sorted(set(imported(path))) for name, path in MODULES.items()}
OWN = {name: [other for other in found if other.split(".")[0] == "archcost"] for name, found in IMPORTS.items()}

TRUNK = ("archcost.errors", "archcost.geometry", "archcost.cost", "archcost.ops")
GRAPH = (
    *TRUNK,
    "archcost.graph",
    "archcost.build",
    "archcost.serialize",
    "archcost.receptive_field",
    "archcost.patterns",
    "archcost.liveness",
    "archcost.recomputation",
    "archcost.segments",
)
REPORT = (*GRAPH, "archcost.report", "archcost.zoo", "archcost.data")
LAYERS: dict[str, tuple[str, ...]] = {
    "archcost.errors": (),
    "archcost.files": ("archcost.errors",),
    "archcost.geometry": ("archcost.errors",),
    "archcost.cost": (),
    "archcost.ops": TRUNK,
    "archcost.graph": GRAPH,
    "archcost.build": GRAPH,
    "archcost.serialize": GRAPH,
    "archcost.receptive_field": GRAPH,
    "archcost.patterns": GRAPH,
    "archcost.liveness": GRAPH,
    "archcost.recomputation": GRAPH,
    "archcost.segments": GRAPH,
    "archcost.zoo": (*GRAPH, "archcost.zoo"),
    "archcost.report": REPORT,
    "archcost.interop": (*REPORT, "archcost.files", "archcost.interop", "archcost.engine"),
}
"""Layer -> what it may import of the package; ``cli`` may import all."""


def inside(module: str, layers: tuple[str, ...]) -> bool:
    return any(module == layer or module.startswith(f"{layer}.") for layer in layers)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer: str) -> None:
    members = [name for name in MODULES if inside(name, (layer,))]
    assert members
    upward = {name: [other for other in OWN[name] if not inside(other, LAYERS[layer])] for name in members}
    assert not {name: found for name, found in upward.items() if found}


def test_the_operators_import_only_the_standard_library() -> None:
    found = {top.split(".")[0] for name in MODULES if inside(name, TRUNK) for top in IMPORTS[name]}
    typing_only = {"typing_extensions"}  # under TYPE_CHECKING
    assert found - set(sys.stdlib_module_names) - typing_only <= {"archcost"}
    assert not {"numpy", "numba"} & loaded_after("import archcost.ops")


def test_no_import_goes_round() -> None:
    """Imports at module level (those inside functions may point back, as from a graph to its writer)."""
    edges: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        body = ast.parse(path.read_text(encoding="utf-8")).body
        edges[name] = set()
        for node in body:
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                edges[name].update(inner if inner in MODULES else node.module for inner in names)
    left = {name: {other for other in found if other in MODULES} for name, found in edges.items()}
    while free := [name for name, found in left.items() if not found & set(left)]:
        for name in free:
            del left[name]
    assert not left


def test_the_left_branch_never_imports_the_right() -> None:
    right = ("archcost.engine", "archcost.kernels", "archcost.train", "archcost.reference", "archcost.bench")
    left = ("archcost.ops", "archcost.zoo", "archcost.report", "archcost.graph", "archcost.build")
    assert not [(name, other) for name in MODULES if inside(name, left) for other in OWN[name] if inside(other, right)]
    assert not [name for name in MODULES if not inside(name, right) and {"numba"} & set(IMPORTS[name])]


def test_nothing_but_the_command_imports_the_measurements() -> None:
    users = {name for name in MODULES for other in OWN[name] if inside(other, ("archcost.bench",))}
    assert {name for name in users if not inside(name, ("archcost.bench",))} == {"archcost.cli.bench"}
