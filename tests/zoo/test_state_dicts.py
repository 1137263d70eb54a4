"""Every stored tensor has the name and shape that the framework's checkpoint gives it, so that weights load by name.

``tests/data/state_dicts.csv`` holds a digest of each framework model's state dict: sha256 of the sorted lines
``name:shape``, axes of size 1 left out (a gate's layers are dense here and 1x1 convolutions there, or the reverse). A
learned scale is a bare tensor there: ``<node>`` stands for ``<node>.weight``.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from archcost.graph import Graph
from archcost.ops import Scale
from archcost.zoo.catalogue import CATALOGUE, load
from tests.zoo.test_framework_figures import options_of, read, title

STATES = read("state_dicts.csv")

MAKE = {
    "torchvision": "import torchvision; m = torchvision.models.get_model({model!r}, weights=None{arguments})",
    "timm": "import timm; m = timm.create_model({model!r})",
}
LINES = (
    "print(*sorted(k + ':' + 'x'.join(str(d) for d in v.shape if d != 1) for k, v in m.state_dict().items()), "
    "sep=chr(10))"
)
ARGUMENTS = {
    "googlenet": ", init_weights=False, aux_logits={aux}",
    "inception_v3": ", init_weights=False, aux_logits={aux}",
}


def state(graph: Graph) -> list[str]:
    """Return the sorted lines ``name:shape`` of what ``graph`` stores."""
    bare = {f"{node.name}.weight": node.name for node in graph if isinstance(node.op, Scale)}
    return sorted(
        f"{bare.get(name, name)}:{'x'.join(str(size) for size in shape if size != 1)}"
        for name, shape in graph.tensors().items()
    )


def how_to_see(line: dict[str, str], ours: Path) -> str:
    arguments = ARGUMENTS.get(line["model"], "").format(aux="aux" in line["options"])
    make = MAKE[line["library"]].format(model=line["model"], arguments=arguments)
    return (
        f"{line['entry']} {line['options']} stores other tensors than {line['library']}'s {line['model']}.\n"
        f"Ours are in {ours}; where {line['library']} is installed, this shows the difference:\n"
        f'  python -c "{make}; {LINES}" | diff - {ours}'
    )


@pytest.mark.parametrize("line", STATES, ids=title)
def test_tensors_are_named_and_shaped_as_in_the_framework(line: dict[str, str], tmp_path: Path) -> None:
    lines = state(load(line["entry"], **options_of(line)))
    ours = tmp_path / "ours.txt"
    ours.write_text("\n".join([*lines, ""]), encoding="utf-8")
    digest = sha256("\n".join(lines).encode()).hexdigest()
    assert (len(lines), digest) == (int(line["tensors"]), line["sha256"]), how_to_see(line, ours)


def test_file_holds_what_it_should() -> None:
    assert len(STATES) >= 158
    assert {line["entry"] for line in STATES} <= set(CATALOGUE)
    assert len({line["sha256"] for line in STATES}) >= 120
    torchvision = {line["model"] for line in STATES if line["library"] == "torchvision"}
    assert {"alexnet", "vgg16", "resnet50", "googlenet", "inception_v3", "mobilenet_v2", "convnext_tiny"} <= torchvision


def test_digest_is_of_these_lines() -> None:
    """torchvision's alexnet, by hand: five convolutions, three dense layers."""
    assert state(load("alexnet_owt")) == [
        "classifier.1.bias:4096", "classifier.1.weight:4096x9216",
        "classifier.4.bias:4096", "classifier.4.weight:4096x4096",
        "classifier.6.bias:1000", "classifier.6.weight:1000x4096",
        "features.0.bias:64", "features.0.weight:64x3x11x11",
        "features.10.bias:256", "features.10.weight:256x256x3x3",
        "features.3.bias:192", "features.3.weight:192x64x5x5",
        "features.6.bias:384", "features.6.weight:384x192x3x3",
        "features.8.bias:256", "features.8.weight:256x384x3x3",
    ]  # fmt: skip


def test_scale_is_a_bare_tensor() -> None:
    lines = state(load("convnext_tiny"))
    assert "features.1.0.layer_scale:96" in lines


def test_message_shows_how_to_see_the_difference(tmp_path: Path) -> None:
    line = next(line for line in STATES if line["model"] == "googlenet" and line["options"])
    message = how_to_see(line, tmp_path / "ours.txt")
    assert "aux_logits=True" in message
    assert f"diff - {tmp_path / 'ours.txt'}" in message
