"""Tuning on the real kernels: times are real, so what is chosen is not known; results stay what they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from archcost.build import Builder
from archcost.engine import trial, tuned, tuning
from archcost.engine.network import Network
from archcost.engine.tuned import file_of
from archcost.engine.tuning import tune
from archcost.ops import Add, Conv2d, ReLU
from tests.engine.test_tuning import Fake

if TYPE_CHECKING:
    import pytest


def test_tuning_measures_every_way_and_leaves_results_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHCOST_TUNING", "on")
    monkeypatch.setattr(tuned, "folder", lambda: tmp_path)
    monkeypatch.setattr(trial, "SWEPT_BYTES", 1 << 18)
    monkeypatch.setattr(tuning, "ROUNDS", 2)
    monkeypatch.setattr(tuning, "WHOLE_ROUNDS", 2)
    monkeypatch.setattr(tuning, "CUTS", 1)
    net = Builder("residual")
    image = net.input((16, 4, 4))
    x = net(Conv2d(16, 3, padding=1), image, name="conv")
    network = Network(net.build(net(ReLU(), net(Add(), x, image), name="relu")), threads=2)
    images = np.random.default_rng(0).standard_normal((1, 16, 4, 4)).astype(np.float32)
    before = network(images)
    measured = []

    def stopwatch(program: object, team: object) -> float:
        measured.append(tuning.seconds(program, team))  # type: ignore[arg-type]
        return measured[-1]

    found = tune(network, 1, stopwatch=stopwatch, watch=Fake(None))
    assert len(measured) >= (1 + 2) * 3  # direct and two tiles, in each round and one more
    assert min(measured) > 0
    (layer,) = found.layers
    assert layer.chosen_seconds <= layer.default_seconds
    assert file_of(network.graph, 1, network.setting).exists() == found.is_stored
    np.testing.assert_allclose(network(images), before, atol=1e-4)
