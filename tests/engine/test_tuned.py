"""What tuning has stored: written, read back, switched off, damaged, from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archcost.build import Builder
from archcost.engine import tuned
from archcost.engine.network import Network
from archcost.engine.tuned import file_of, store, stored
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.kernels import layers, winograd_plan
from archcost.kernels.layers import Choice, Layer, Place
from archcost.kernels.panels import Filters
from archcost.kernels.passes import Window
from archcost.ops import Conv2d, ReLU
from tests.engine.built import setting_of

WINDOW = Window((3, 3), (1, 1), ((1, 1), (1, 1)))
PLACE = Place(Layer(Filters(32, 16, (3, 3)), WINDOW), (12, 12), 1)
CHOICES = {PLACE: Choice(2, ((2, (9, 1)), (5, (4, 2)))), PLACE._replace(images=3): Choice(0)}


def small(channels: int = 32) -> Graph:
    """Return a network of one 3x3 convolution."""
    net = Builder("small")
    x = net(Conv2d(channels, 3, padding=1), net.input((16, 12, 12)), name="conv")
    return net.build(net(ReLU(), x, name="relu"))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned, "folder", lambda: tmp_path)
    monkeypatch.setattr(tuned, "_refused", set())
    monkeypatch.setenv("ARCHCOST_TUNING", "on")


def test_what_is_stored_is_read_back_for_that_network_and_batch_alone() -> None:
    graph = small()
    setting = setting_of(graph)
    assert not stored(graph, 1, setting)
    store(CHOICES, graph, 1, setting)
    assert stored(graph, 1, setting) == CHOICES
    assert not stored(graph, 2, setting)
    assert not stored(small(48), 1, setting)
    assert not stored(graph, 1, setting_of(graph, "avx2"))
    assert not stored(graph, 1, replace(setting, precision="float64"))
    store({}, graph, 1, setting)
    assert not stored(graph, 1, setting)
    assert not file_of(graph, 1, setting).exists()


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = small()
    setting = setting_of(graph)
    store(CHOICES, graph, 1, setting)
    monkeypatch.setenv("ARCHCOST_TUNING", "off")
    assert not stored(graph, 1, setting)
    monkeypatch.setenv("ARCHCOST_TUNING", "yes")
    with pytest.raises(UsageError, match=r"^ARCHCOST_TUNING \(='yes'\) must be on or off$"):
        stored(graph, 1, setting)


def change(path: str, value: object) -> Callable[[Any], None]:
    """Return what sets an entry of nested data, given as ``layers.0.tile``."""

    def apply(data: Any) -> None:
        *outer, last = [int(word) if word.isdigit() else word for word in path.split(".")]
        for word in outer:
            data = data[word]
        data[last] = value

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        change("schema", "archcost.tuning/0"),
        change("version", "0.0.0"),
        change("processor", "another"),
        change("target", "portable"),
        change("layers", 3),
        change("layers.0.tile", 3),
        change("layers.0.tile", 2.0),
        change("layers.0.size", [12]),
        change("layers.0.channels", [16, -1]),
        change("layers.0.padding", [[1, 1]]),
        change("layers.0.cuts", {"2": [0, 1]}),
        change("layers.0.cuts", {"two": [1, 1]}),
        change("layers.0.cuts", {"2": "ab"}),
        change("layers.0", {}),
    ],
)
def test_a_file_that_is_of_no_use_is_ignored_with_one_line(
    damage: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    graph = small()
    setting = setting_of(graph)
    store(CHOICES, graph, 1, setting)
    path = file_of(graph, 1, setting)
    data = json.loads(path.read_text(encoding="utf-8"))
    damage(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    assert not stored(graph, 1, setting)
    assert not stored(graph, 1, setting)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"archcost: {path} is damaged or from elsewhere: the defaults are used"


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"schema": 1}', "[" * 100_000, "\ud800"])
def test_a_file_that_is_none_of_ours_is_ignored(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    graph = small()
    setting = setting_of(graph)
    store(CHOICES, graph, 1, setting)
    file_of(graph, 1, setting).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert not stored(graph, 1, setting)
    assert len(capsys.readouterr().err.splitlines()) == 1
    store(CHOICES, graph, 1, setting)
    assert stored(graph, 1, setting) == CHOICES


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    graph = small()
    (tmp_path / "tuning").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot write"):
        store(CHOICES, graph, 1, setting_of(graph))


def test_the_plan_follows_what_was_measured() -> None:
    setting = setting_of(small())
    kernels = layers.Setting(setting.machine, "float32")
    layer, size, _ = PLACE

    def cut(threads: int, images: int = 1, *, packs: bool = False) -> layers.FastWay:
        return layers.fast(images, kernels, threads, packs=packs, tuned=CHOICES)(layer, size)

    assert cut(2) == winograd_plan.Cut(2, 9, 1, 2)
    assert cut(5) == winograd_plan.Cut(2, 4, 2, 5)
    unmeasured = winograd_plan.best_cuts(layer.filters, size, 1, 2, setting.machine, 4, 7, 1)
    assert [cut(7)] == unmeasured
    assert cut(7) is not None
    assert cut(2, images=3) is None
    assert cut(2, images=2) == layers.fast(2, kernels, 2)(layer, size)
    assert layers.fast(1, kernels, 2, tuned=CHOICES)(layer._replace(spreads=True), size) is None


def test_a_network_runs_as_it_was_tuned_with_the_same_bits_for_any_threads() -> None:
    graph = small()
    image = np.random.default_rng(0).standard_normal((1, 16, 12, 12)).astype(np.float32)
    results = {}
    for outputs, method in ((0, ""), (2, "Winograd F(2x2, 3x3)")):
        store({PLACE: Choice(outputs, ((2, (9, 1)),) if outputs else ())}, graph, 1, Network(graph).setting)
        for threads in (1, 2):
            network = Network(graph, threads=threads)
            results[outputs, threads] = network(image)
            steps = dict(network.inference_steps(1)[1])["conv"]
            assert [step.method for step in steps] == [method]
    for outputs in (0, 2):
        assert np.array_equal(results[outputs, 1], results[outputs, 2])
    assert not np.array_equal(results[0, 1], results[2, 1])
    np.testing.assert_allclose(results[2, 1], results[0, 1], atol=1e-4)
